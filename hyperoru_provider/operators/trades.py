"""Export trades by time range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from hyperoru_provider.hooks.tasks import failing_at_once
from hyperoru_provider.operators.export import HyperoruExportOperator
from hyperoru_provider.params import arguments
from hyperoru_provider.params.arguments import INTERVAL_END, INTERVAL_START


class HyperoruExportTradesOperator(HyperoruExportOperator):
    """Export the trades of a time range, each once and none missing, to object storage or XCom.

    The rows are those with ``start <= trade_time < end``, ordered by time and key. In storage they land below
    ``<destination>/trades/<window>/`` as parts and a ``_manifest.json``, which is written last: a reader that
    follows it never sees half an export, a failed run leaves the earlier one readable, and the same rows give the same
    bytes. Returns a summary: ``rows``, ``bytes``, ``window``, ``first_time``, ``last_time``, ``manifest``, ``prefix``,
    ``keys`` and ``files``. Without a destination it returns the rows themselves, amounts as text.

    .. seealso:: ``docs/export-trades.md``

    :param start: start of the window, inclusive: a datetime, date or ISO 8601 text, in UTC if it has no offset.
        Default: the start of the run's data interval. (templated)
    :param end: end of the window, exclusive; likewise. Default: the end of the run's data interval. (templated)
    :param account_id: only this trader's. Default: all. (templated)
    :param symbol: only this symbol's, such as ``BTC``. Default: all. (templated)
    :param destination: object-storage URL or local path. Default: the rows go to XCom. (templated)
    :param storage_conn_id: the storage's connection. Default: the storage's own. (templated)
    :param file_format: ``jsonl`` (each row as the server sent it; the default), ``csv`` or ``parquet``. (templated)
    :param compression: ``gzip``, ``zstd`` or ``none`` for jsonl (default ``gzip``) and csv (default ``none``);
        ``zstd`` (default), ``snappy``, ``gzip`` or ``none`` for parquet. (templated)
    :param concurrency: how many requests to send at the same time, at least 1. Default: the number that the server
        answers best, up to 32, found while exporting.
    :param rows_per_part: maximum number of rows in a file. Default: 250,000.
    :param bytes_per_part: maximum size of a file's rows in bytes, counted as JSON lines before compression.
        Default: no limit.
    :param max_xcom_bytes: how much JSON may go to XCom. Default: 1,000,000.
    :param on_empty: what to do with an export without rows: ``succeed``, ``skip`` (the task is skipped, and nothing
        written) or ``fail``. Default: ``succeed``, unless it would replace an earlier export that has rows, which only
        an explicit ``succeed`` allows.
    :param hyperoru_conn_id: the connection. Default: ``hyperoru_default``. (templated)
    :raises HyperoruConfigError: an argument or the connection is wrong, the window is empty, or the rows are too
        many for XCom. Nothing was written.
    :raises HyperoruContractError: the server's pages can't be proved right and complete, or there are no rows where
        that is an error. Nothing was committed.
    :raises HyperoruApiError: the server refused a request or could not be reached. Nothing was committed.
    :raises HyperoruConcurrentWriteError: another run wrote to the same place at the same time.
    """

    template_fields: Sequence[str] = (
        "start",
        "end",
        "account_id",
        "symbol",
        "destination",
        "storage_conn_id",
        "file_format",
        "compression",
        "hyperoru_conn_id",
    )

    @failing_at_once()
    def __init__(
        self,
        *,
        start: datetime | str = INTERVAL_START,
        end: datetime | str = INTERVAL_END,
        account_id: int | str | None = None,
        symbol: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(resource="trades", start=start, end=end, filters=None, **kwargs)
        arguments.early(arguments.optional, "account_id", account_id)
        arguments.early(arguments.optional, "symbol", symbol)
        self.account_id = account_id
        self.symbol = symbol

    def given_filters(self) -> Mapping[str, Any]:
        """Return the trader and the symbol."""
        return {"account_id": self.account_id, "symbol": self.symbol}

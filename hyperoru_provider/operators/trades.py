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

    All parameters but ``resource`` and ``filters`` of
    :class:`~hyperoru_provider.operators.export.HyperoruExportOperator` are known here, too.

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
    :param hyperoru_conn_id: the connection. Default: ``hyperoru_default``. (templated)
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

"""Export trades by time range."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from hyperoru_provider.hooks.hyperoru import HyperoruHook

if TYPE_CHECKING:
    from airflow.sdk import Context


class HyperoruExportTradesOperator(BaseOperator):
    """Export the trades of a time range, each once and none missing, to object storage or XCom.

    The rows are those with ``start <= trade_time < end``, ordered by time and key. In storage they land below
    ``<destination>/trades/<window>/`` as parts and a ``_manifest.json``, which is written last: who follows it
    never sees half an export, a failed run leaves the earlier one readable, and the same rows give the same bytes.
    Returns a summary: ``rows``, ``bytes``, ``window``, ``first_time``, ``last_time``, ``manifest`` and ``files``.
    Without a destination it returns the rows themselves, amounts as text.

    .. seealso:: ``docs/export-trades.md``

    :param start: begin of the window, inclusive: a datetime, date or ISO 8601 text, in UTC if it has no offset.
        Default: ``{{ data_interval_start }}``. (templated)
    :param end: end of the window, exclusive; likewise. Default: ``{{ data_interval_end }}``. (templated)
    :param account_id: only this trader's. Default: all. (templated)
    :param symbol: only this symbol's, such as ``BTC``. Default: all. (templated)
    :param destination: object-storage URL or local path. Default: the rows go to XCom. (templated)
    :param storage_conn_id: the storage's connection. Default: the storage's own. (templated)
    :param file_format: ``jsonl`` (each row as the server sent it; the default), ``csv`` or ``parquet``. (templated)
    :param compression: ``gzip``, ``zstd`` or ``none`` for jsonl (default ``gzip``) and csv (default ``none``);
        ``zstd`` (default), ``snappy``, ``gzip`` or ``none`` for parquet. (templated)
    :param concurrency: how many requests to have under way at once, at least 1. Default: 4.
    :param rows_per_part: rows of a file at most. Default: 250,000.
    :param bytes_per_part: bytes of a file's rows at most, counted as JSON lines before compression. Default: no limit.
    :param max_xcom_bytes: how much JSON may go to XCom. Default: 1,000,000.
    :param hyperoru_conn_id: the connection. Default: ``hyperoru_default``. (templated)
    :raises HyperoruConfigError: an argument or the connection is wrong, the window is empty, or the rows are too
        many for XCom. Nothing was written.
    :raises HyperoruContractError: the server's pages don't prove to be right and complete. Nothing was committed.
    :raises HyperoruApiError: the server refused or could not be asked. Nothing was committed.
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
    ui_color = "#dfe9f5"

    def __init__(
        self,
        *,
        start: datetime | str = "{{ data_interval_start }}",
        end: datetime | str = "{{ data_interval_end }}",
        account_id: int | str | None = None,
        symbol: str | None = None,
        destination: str | None = None,
        storage_conn_id: str | None = None,
        file_format: str = "jsonl",
        compression: str | None = None,
        concurrency: int = 4,
        rows_per_part: int = 250_000,
        bytes_per_part: int | None = None,
        max_xcom_bytes: int = 1_000_000,
        hyperoru_conn_id: str = HyperoruHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.start = start
        self.end = end
        self.account_id = account_id
        self.symbol = symbol
        self.destination = destination
        self.storage_conn_id = storage_conn_id
        self.file_format = file_format
        self.compression = compression
        self.concurrency = concurrency
        self.rows_per_part = rows_per_part
        self.bytes_per_part = bytes_per_part
        self.max_xcom_bytes = max_xcom_bytes
        self.hyperoru_conn_id = hyperoru_conn_id

    def execute(self, context: Context) -> dict[str, Any] | list[dict[str, Any]]:
        """Export the window."""
        from hyperoru_provider.client.api.models import Trade
        from hyperoru_provider.export.checkpoint import FileStateStore, ResumableExportState, TaskStateStore
        from hyperoru_provider.export.columns import ColumnSchema
        from hyperoru_provider.export.destinations.storage import StorageDestination
        from hyperoru_provider.export.destinations.xcom import collect
        from hyperoru_provider.export.fetch import fetch
        from hyperoru_provider.export.formats import Format
        from hyperoru_provider.export.progress import Progress
        from hyperoru_provider.export.run import ExportSpec, decides, export
        from hyperoru_provider.hooks.storage import storage_path
        from hyperoru_provider.params import arguments

        window = arguments.window(self.start, self.end)
        filters = arguments.trade_filters(self.account_id, self.symbol)
        destination = arguments.optional("destination", self.destination)
        concurrency = arguments.positive("concurrency", self.concurrency)
        rows_per_part = arguments.positive("rows_per_part", self.rows_per_part)
        bytes_per_part = (
            None if self.bytes_per_part is None else arguments.positive("bytes_per_part", self.bytes_per_part)
        )
        with HyperoruHook(self.hyperoru_conn_id).get_conn() as client:
            if destination is None:
                return collect(client.iter_trades(window.start, window.end, **filters), self.max_xcom_bytes)
            subject = ExportSpec("trades", window, filters)
            form = Format.choose(self.file_format, self.compression, ColumnSchema(Trade, client.contract.trades))
            path = storage_path(destination, self.storage_conn_id)
            landing = StorageDestination(path / subject.directory)
            states = context.get("task_state_store")
            checkpoint = ResumableExportState(
                landing,
                FileStateStore(landing) if states is None else TaskStateStore(states),
                decides(subject, form, landing, user=client.user, parts=[rows_per_part, bytes_per_part]),
            )
            progress = Progress(window)
            reader = checkpoint.rest(client.list_reader("trades", window.start, window.end, **filters))
            spans = fetch(client, reader, concurrency, progress, checkpoint.keys, prepare=form.prepare)
            return export(
                spans,
                subject,
                form,
                landing,
                rows_per_part,
                bytes_per_part=bytes_per_part,
                closed=checkpoint,
                progress=progress,
            )

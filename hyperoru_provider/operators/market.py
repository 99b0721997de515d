"""Fetch prices or candles of several symbols."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from hyperoru_provider.hooks.hyperoru import HyperoruHook
from hyperoru_provider.hooks.tasks import WindowTask, failing_at_once
from hyperoru_provider.operators.base import check_files_early, checked_on_empty, files_or_xcom, unless_skipped
from hyperoru_provider.params import arguments
from hyperoru_provider.params.arguments import INTERVAL_END, INTERVAL_START
from hyperoru_provider.params.choices import MARKET_DATA

if TYPE_CHECKING:
    from airflow.sdk import Context

    from hyperoru_provider.client import HyperoruClient
    from hyperoru_provider.client.lists.rows import Rows
    from hyperoru_provider.export.manifest import ExportSpec
    from hyperoru_provider.params.window import Window


class HyperoruFetchMarketOperator(WindowTask, BaseOperator):
    """Fetch the current prices, or the candles of a time range, of several symbols.

    Returns a list of dicts, a price or a candle each, amounts as text. With a destination they land in files, laid
    out as by :class:`~hyperoru_provider.operators.trades.HyperoruExportTradesOperator`, below ``prices/`` or
    ``klines/``, and the summary of that export is returned. Each price has the time of its request as ``asked_at``,
    and is filed under the window of the run.

    .. seealso:: ``docs/market.md``

    :param symbols: such as ``["BTC", "ETH"]``; a text is split at commas. (templated)
    :param data: ``price`` (the default) or ``klines``. (templated)
    :param interval: length of a candle, such as ``1m``, ``1h`` (the default) or ``1d``. (templated)
    :param start: start of the window, inclusive: a datetime, date or ISO 8601 text, in UTC if it has no offset.
        Default: the start of the run's data interval. (templated)
    :param end: end of the window, exclusive; likewise. Default: the end of the run's data interval. (templated)
    :param destination: object-storage URL or local path. Default: the rows go to XCom. (templated)
    :param storage_conn_id: the storage's connection. Default: the storage's own. (templated)
    :param file_format: ``jsonl`` (the default), ``csv`` or ``parquet``. (templated)
    :param compression: as for the trades export. (templated)
    :param max_xcom_bytes: how much JSON may go to XCom. Default: 1,000,000.
    :param on_empty: what to do if there are no candles at all; as for
        :class:`~hyperoru_provider.operators.export.HyperoruExportOperator`.
    :param hyperoru_conn_id: the connection. Default: ``hyperoru_default``. (templated)
    :raises HyperoruConfigError: an argument or the connection is wrong, or the rows are too many for XCom.
    :raises HyperoruContractError: the server's answers can't be proved right and complete. Nothing was committed.
    :raises HyperoruApiError: the server refused a request or could not be reached. Nothing was committed.
    """

    template_fields: Sequence[str] = (
        "symbols",
        "data",
        "interval",
        "start",
        "end",
        "destination",
        "storage_conn_id",
        "file_format",
        "compression",
        "hyperoru_conn_id",
    )
    ui_color = "#f5efdf"

    @failing_at_once()
    def __init__(
        self,
        *,
        symbols: Sequence[str] | str,
        data: str = "price",
        interval: str = "1h",
        start: datetime | str = INTERVAL_START,
        end: datetime | str = INTERVAL_END,
        destination: str | None = None,
        storage_conn_id: str | None = None,
        file_format: str | None = None,
        compression: str | None = None,
        max_xcom_bytes: int = 1_000_000,
        on_empty: str | None = None,
        hyperoru_conn_id: str = HyperoruHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        arguments.early(arguments.symbols, "symbols", symbols)
        arguments.early(arguments.choice, "data", data, MARKET_DATA)
        arguments.early(arguments.interval, "interval", interval)
        arguments.early_window(start, end)
        check_files_early(destination, file_format, compression, storage_conn_id=storage_conn_id)
        self.symbols = symbols
        self.data = data
        self.interval = interval
        self.start = start
        self.end = end
        self.destination = destination
        self.storage_conn_id = storage_conn_id
        self.file_format = file_format
        self.compression = compression
        self.max_xcom_bytes = arguments.positive("max_xcom_bytes", max_xcom_bytes)
        self.on_empty = checked_on_empty(on_empty)
        self.hyperoru_conn_id = hyperoru_conn_id

    @failing_at_once()
    def execute(self, context: Context) -> Any:
        """Fetch the symbols' data."""
        from hyperoru_provider.export.run import export_rows

        arguments.choice("data", self.data, MARKET_DATA)
        symbols = arguments.symbols("symbols", self.symbols)
        to_files = arguments.optional("destination", self.destination) is not None
        destination = files_or_xcom(
            self.destination, self.storage_conn_id, self.file_format, self.compression, self.max_xcom_bytes
        )
        spec = self._spec(symbols, to_files)
        with HyperoruHook(self.hyperoru_conn_id).get_conn() as client:
            asked = client.contract.klines if self.data == "klines" else client.contract.price
            spec = replace(spec, endpoint=spec.endpoint.model_copy(update={"query": asked.query}))
            rows = self._rows(client, symbols, spec.window)
            result = export_rows(spec, lambda *_: rows, destination, on_empty=self.on_empty)
        return unless_skipped(result, spec.resource)

    def _spec(self, symbols: list[str], to_files: bool) -> ExportSpec:
        """Return what is exported. Prices have no time but that of asking, and only files need a window for them.

        The rows are models already, with our names of the fields.
        """
        from hyperoru_provider.client.api.endpoints import Endpoint
        from hyperoru_provider.client.api.models import Kline, Quote
        from hyperoru_provider.export.manifest import ExportSpec
        from hyperoru_provider.params.window import Window

        filters = {"symbols": "+".join(symbols)}
        if self.data == "klines":
            window = arguments.window(self.start, self.end)
            return ExportSpec("klines", window, {**filters, "interval": self.interval}, Kline, Endpoint(path="/"))
        prices_of = Window.parse(self.start, self.end) if to_files else None
        return ExportSpec("prices", prices_of, filters, Quote, Endpoint(path="/"))

    def _rows(self, client: HyperoruClient, symbols: list[str], window: Window | None) -> Iterator[Rows]:
        from hyperoru_provider.client.api.models import Quote
        from hyperoru_provider.export.columns import as_rows

        for symbol in symbols:
            if self.data == "klines" and window is not None:
                for candle in client.klines(symbol, self.interval, window.start, window.end):
                    yield as_rows(candle, candle.timestamp)
            else:
                price = client.price(symbol)
                asked_at = datetime.now(UTC)
                yield as_rows(Quote.model_validate({**price.model_dump(), "asked_at": asked_at}), asked_at)

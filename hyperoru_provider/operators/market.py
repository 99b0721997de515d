"""Fetch prices or candles of several symbols."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from hyperoru_provider.hooks.hyperoru import HyperoruHook

if TYPE_CHECKING:
    from airflow.sdk import Context

    from hyperoru_provider.client.api.models import Kline, Price, Quote
    from hyperoru_provider.params.window import Window


class HyperoruFetchMarketOperator(BaseOperator):
    """Fetch the prices of this moment, or the candles of a time range, of several symbols.

    Returns a list of dicts, a price or a candle each, amounts as text. With a destination they land in files, laid
    out as by :class:`~hyperoru_provider.operators.trades.HyperoruExportTradesOperator`, below ``prices/`` or
    ``klines/``, and the summary of that export is returned. A price bears the time of asking as ``asked_at``, and is
    filed under the window of the run.

    .. seealso:: ``docs/market.md``

    :param symbols: such as ``["BTC", "ETH"]``; a text is split at commas. (templated)
    :param data: ``price`` (the default) or ``klines``. (templated)
    :param interval: length of a candle, such as ``1m``, ``1h`` (the default) or ``1d``. (templated)
    :param start: begin of the window, inclusive: a datetime, date or ISO 8601 text, in UTC if it has no offset.
        Default: ``{{ data_interval_start }}``. (templated)
    :param end: end of the window, exclusive; likewise. Default: ``{{ data_interval_end }}``. (templated)
    :param destination: object-storage URL or local path. Default: the rows go to XCom. (templated)
    :param storage_conn_id: the storage's connection. Default: the storage's own. (templated)
    :param file_format: ``jsonl`` (the default), ``csv`` or ``parquet``. (templated)
    :param compression: as for the trades export. (templated)
    :param max_xcom_bytes: how much JSON may go to XCom. Default: 1,000,000.
    :param hyperoru_conn_id: the connection. Default: ``hyperoru_default``. (templated)
    :raises HyperoruConfigError: an argument or the connection is wrong, or the rows are too many for XCom.
    :raises HyperoruContractError: the server's answers don't prove to be right and complete. Nothing was committed.
    :raises HyperoruApiError: the server refused or could not be asked. Nothing was committed.
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

    def __init__(
        self,
        *,
        symbols: Sequence[str] | str,
        data: str = "price",
        interval: str = "1h",
        start: datetime | str = "{{ data_interval_start }}",
        end: datetime | str = "{{ data_interval_end }}",
        destination: str | None = None,
        storage_conn_id: str | None = None,
        file_format: str = "jsonl",
        compression: str | None = None,
        max_xcom_bytes: int = 1_000_000,
        hyperoru_conn_id: str = HyperoruHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.symbols = symbols
        self.data = data
        self.interval = interval
        self.start = start
        self.end = end
        self.destination = destination
        self.storage_conn_id = storage_conn_id
        self.file_format = file_format
        self.compression = compression
        self.max_xcom_bytes = max_xcom_bytes
        self.hyperoru_conn_id = hyperoru_conn_id

    def execute(self, context: Context) -> dict[str, Any] | list[dict[str, Any]]:
        """Fetch the symbols' data."""
        from hyperoru_provider.client.errors import HyperoruConfigError
        from hyperoru_provider.export.destinations.xcom import collect
        from hyperoru_provider.params import arguments
        from hyperoru_provider.params.window import Window

        if self.data not in ("price", "klines"):
            raise HyperoruConfigError(f"data {self.data!r}: expected price or klines.")
        symbols = _symbols(self.symbols)
        destination = arguments.optional("destination", self.destination)
        with HyperoruHook(self.hyperoru_conn_id).get_conn() as client:
            if self.data == "price":
                quotes = (_quote(client.price(symbol)) for symbol in symbols)
                if destination is None:
                    return collect(quotes, self.max_xcom_bytes)
                return self._land(destination, "prices", Window.parse(self.start, self.end), symbols, quotes)
            window = arguments.window(self.start, self.end)
            candles = (
                candle
                for symbol in symbols
                for candle in client.klines(symbol, self.interval, window.start, window.end)
            )
            if destination is None:
                return collect(candles, self.max_xcom_bytes)
            return self._land(destination, "klines", window, symbols, candles)

    def _land(
        self, destination: str, resource: str, window: Window, symbols: list[str], items: Iterable[Quote | Kline]
    ) -> dict[str, Any]:
        from hyperoru_provider.client.api.endpoints import Endpoint
        from hyperoru_provider.client.api.models import Kline, Quote
        from hyperoru_provider.export.columns import ColumnSchema, as_rows
        from hyperoru_provider.export.destinations.storage import StorageDestination
        from hyperoru_provider.export.formats import Format
        from hyperoru_provider.export.run import ExportSpec, export
        from hyperoru_provider.hooks.storage import storage_path

        model: type[Quote | Kline] = Kline if resource == "klines" else Quote
        interval = self.interval if resource == "klines" else None
        subject = ExportSpec(resource, window, {"interval": interval, "symbols": "+".join(symbols)})
        form = Format.choose(self.file_format, self.compression, ColumnSchema(model, Endpoint(path="/")))
        path = storage_path(destination, self.storage_conn_id)
        landing = StorageDestination(path / subject.directory)
        spans = (as_rows(item, item.timestamp if isinstance(item, Kline) else item.asked_at) for item in items)
        return export(spans, subject, form, landing, rows_per_part=250_000)


def _quote(price: Price) -> Quote:
    from hyperoru_provider.client.api.models import Quote

    return Quote.model_validate({**price.model_dump(), "asked_at": datetime.now(UTC)})


def _symbols(given: Sequence[str] | str) -> list[str]:
    """Give the symbols once each, sorted."""
    from hyperoru_provider.client.errors import HyperoruConfigError

    names = given.split(",") if isinstance(given, str) else given
    symbols = sorted({name.strip() for name in names} - {""})
    if not symbols:
        raise HyperoruConfigError("symbols is empty: name at least one, such as BTC.")
    return symbols

"""The lists of the service: a list is a row here, and a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hyperoru_provider.client.api.endpoints import GENERAL_ROWS, ROWS, ListEndpoint, WindowedEndpoint
from hyperoru_provider.client.api.models import BackfillJob, Coverage, Kline, Model, Order, Trade, Trader


@dataclass(frozen=True)
class Resource:
    """A list of the service.

    :param name: as operators, files and the contract name it.
    :param model: what its rows are.
    :param endpoint: how it is asked for by default; a :class:`WindowedEndpoint` is read by time range.
    :param filters: our names of what limits its rows, beside their time; what the path has a place for is required.
    """

    name: str
    model: type[Model]
    endpoint: ListEndpoint
    filters: tuple[str, ...] = ()

    @property
    def windowed(self) -> bool:
        """Whether the list is read by time range."""
        return isinstance(self.endpoint, WindowedEndpoint)


def _rows(name: str) -> tuple[str, ...]:
    """Return the keys under which a list may stand that has a name of its own."""
    return (name, *(key for key in ROWS if key != name))


BACKFILL_PARAMS = ("symbol", "interval", "start", "end", "exchange", "environment")
BACKFILL_FIELDS: dict[str, Any] = {
    "id": ("id", "task_id"),
    "interval": ("period", "interval"),
    "start": ("start", "start_date"),
    "end": ("end", "end_date"),
    "error": ("error", "error_message", "message"),
}

TRADES = Resource(
    name="trades",
    model=Trade,
    filters=("account_id", "symbol"),
    endpoint=WindowedEndpoint(
        path="/api/arena/trades",
        fields={
            "trade_id": ("trade_id", "id"),
            "commission": ("commission", "fee"),
            "trade_time": ("trade_time", "executed_at", "timestamp", "created_at"),
        },
        rows=_rows("trades"),
        paging="page",
        page_size=500,
        key=("trade_id",),
        time="trade_time",
        verified_fields=("account_id", "symbol"),
    ),
)
ORDERS = Resource(
    name="orders",
    model=Order,
    filters=("account_id",),
    endpoint=ListEndpoint(
        path="/api/orders/account/{account_id}",
        rows=_rows("orders"),
        key=("id",),
        verified_fields=("account_id",),
    ),
)
KLINES = Resource(
    name="klines",
    model=Kline,
    filters=("symbol", "interval"),
    endpoint=WindowedEndpoint(
        path="/api/klines/data",
        rows=_rows("klines"),
        key=("timestamp",),
        time="timestamp",
        verified_fields=("symbol", "interval"),
    ),
)
TRADERS = Resource(
    name="traders",
    model=Trader,
    filters=("include_hidden",),
    endpoint=ListEndpoint(
        path="/api/account/list", rows=_rows("accounts"), fields={"id": ("id", "account_id")}, key=("id",)
    ),
)
COVERAGE = Resource(
    name="coverage",
    model=Coverage,
    endpoint=ListEndpoint(path="/api/klines/coverage", rows=_rows("coverage")),
)
BACKFILL_JOBS = Resource(
    name="backfill_jobs",
    model=BackfillJob,
    filters=BACKFILL_PARAMS,
    endpoint=ListEndpoint(
        path="/api/klines/backfill-tasks",
        fields=BACKFILL_FIELDS,
        rows=("tasks", *GENERAL_ROWS),
        verified_fields=BACKFILL_PARAMS,
    ),
)

RESOURCES = {each.name: each for each in (TRADES, ORDERS, KLINES, TRADERS, COVERAGE, BACKFILL_JOBS)}

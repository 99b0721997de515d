"""The lists of market data: candles, and the jobs that write them."""

from __future__ import annotations

from typing import Any

from hyperoru_provider.client.api.endpoints import GENERAL_ROWS, ListEndpoint, WindowedEndpoint
from hyperoru_provider.client.api.models import BackfillJob, Coverage, Kline
from hyperoru_provider.client.api.models_strategies import SupportedSymbol
from hyperoru_provider.client.api.resource import Resource, rows_of

BACKFILL_PARAMS = ("symbol", "interval", "start", "end", "exchange", "environment")
_JOB_FILTERS = ("symbol", "interval", "exchange", "environment")
BACKFILL_FIELDS: dict[str, Any] = {
    "id": ("id", "task_id"),
    "interval": ("period", "interval"),
    "start": ("start", "start_date"),
    "end": ("end", "end_date"),
    "error": ("error", "error_message", "message"),
}

KLINES = Resource(
    name="klines",
    model=Kline,
    source="OLD",
    filters=("symbol", "interval"),
    filled=("symbol", "interval"),
    spacing="interval",
    endpoint=WindowedEndpoint(
        path="/api/klines/data",
        rows=rows_of("klines"),
        key=("symbol", "interval", "timestamp"),
        time="timestamp",
        verified_fields=("symbol", "interval"),
    ),
)


class MarketLists:
    """Methods of the lists of market data; candles have one of their own."""

    kline_coverage = Resource(
        name="coverage",
        model=Coverage,
        source="OLD",
        endpoint=ListEndpoint(path="/api/klines/coverage", rows=rows_of("coverage")),
    )
    supported_symbols = Resource(
        name="supported_symbols",
        model=SupportedSymbol,
        source="OLD",
        endpoint=ListEndpoint(
            path="/api/klines/supported-symbols", rows=rows_of("symbols"), shape="values", key=("symbol",)
        ),
    )
    backfill_jobs = Resource(
        name="backfill_jobs",
        model=BackfillJob,
        source="OLD",
        filters=_JOB_FILTERS,
        endpoint=ListEndpoint(
            path="/api/klines/backfill-tasks",
            fields=BACKFILL_FIELDS,
            rows=("tasks", *GENERAL_ROWS),
            key=("id",),
            verified_fields=BACKFILL_PARAMS,  # a job that was asked for is found by all of them
        ),
    )

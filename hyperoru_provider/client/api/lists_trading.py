"""The lists of trading: trades, orders, and what led to them."""

from __future__ import annotations

from hyperoru_provider.client.api.endpoints import ListEndpoint, WindowedEndpoint
from hyperoru_provider.client.api.models import Order, Trade
from hyperoru_provider.client.api.models_trading import (
    AiStreamChunk,
    ClosedTrade,
    Decision,
    DecisionSnapshot,
    ProgramRun,
    UserOrder,
)
from hyperoru_provider.client.api.resource import Resource, rows_of

TRADES = Resource(
    name="trades",
    model=Trade,
    source="assumed",
    filters=("account_id", "symbol"),
    endpoint=WindowedEndpoint(
        path="/api/arena/trades",
        fields={
            "trade_id": ("trade_id", "id"),
            "commission": ("commission", "fee"),
            "trade_time": ("trade_time", "executed_at", "timestamp", "created_at"),
        },
        rows=rows_of("trades"),
        paging="page",
        page_size=500,
        key=("trade_id",),
        time="trade_time",
        verified_fields=("account_id", "symbol"),
    ),
)


class TradingLists:
    """Methods of the lists of trading; trades have methods of their own."""

    orders = Resource(
        name="orders",
        model=Order,
        source="OLD",
        filters=("account_id",),
        endpoint=ListEndpoint(
            path="/api/orders/account/{account_id}",
            rows=rows_of("orders"),
            key=("id",),
            verified_fields=("account_id",),
        ),
    )
    user_orders = Resource(
        name="user_orders",
        model=UserOrder,
        source="OLD",
        filters=("user_id",),
        endpoint=ListEndpoint(
            path="/api/orders/user/{user_id}", rows=rows_of("orders"), key=("id",), verified_fields=("user_id",)
        ),
    )
    pending_orders = Resource(
        name="pending_orders",
        model=Order,
        source="OLD",
        endpoint=ListEndpoint(path="/api/orders/pending", rows=rows_of("orders"), key=("id",)),
    )
    decisions = Resource(
        name="decisions",
        model=Decision,
        source="assumed",
        filters=("account_id",),
        endpoint=WindowedEndpoint(
            path="/api/arena/model-chat",
            rows=rows_of("entries", "decisions"),
            paging="page",
            page_size=200,
            key=("id",),
            time="decision_time",
            verified_fields=("account_id",),
        ),
    )
    decision_snapshots = Resource(
        name="decision_snapshots",
        model=DecisionSnapshot,
        source="NEW",
        filters=("decision_id",),
        endpoint=ListEndpoint(path="/api/arena/model-chat/{decision_id}/snapshots", rows=rows_of("snapshots")),
    )
    closed_trades = Resource(
        name="closed_trades",
        model=ClosedTrade,
        source="family",
        filters=("account_id",),
        endpoint=WindowedEndpoint(
            path="/api/analytics/trades",
            params={"start": "start_date", "end": "end_date"},
            rows=rows_of("trades"),
            paging="offset",
            page_size=200,
            key=("source", "id"),
            time="decision_time",
            time_filter="day",
            verified_fields=("account_id",),
        ),
    )
    program_runs = Resource(
        name="program_runs",
        model=ProgramRun,
        source="family",
        filters=("account_id", "program_id"),
        endpoint=WindowedEndpoint(
            path="/api/programs/executions/",
            params={"start": "after", "end": "before"},
            rows=rows_of("executions"),
            page_size=200,
            key=("id",),
            time="created_at",
            verified_fields=("account_id", "program_id"),
        ),
    )
    ai_stream_chunks = Resource(
        name="ai_stream_chunks",
        model=AiStreamChunk,
        source="NEW",
        filters=("task_id",),
        endpoint=ListEndpoint(
            path="/api/ai-stream/{task_id}",
            params={"cursor": "since", "limit": None},
            rows=("chunks",),
            paging="cursor",
            is_last=("is_done", "done"),
            next_cursor=("next_cursor", "next"),
            key=("task_id", "index"),
            success_words=("completed", "done", "pending", "queued", "running", "in_progress", "ok", "success"),
        ),
    )

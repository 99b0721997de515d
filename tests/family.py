"""The family of servers that section 14 is about: a contract for the sandbox that speaks like one, written by hand."""

from __future__ import annotations

from typing import Any

from hyperoru_provider.client import HyperoruClient
from hyperoru_provider.sandbox import Sandbox

CONTRACT: dict[str, Any] = {
    "login": {"identity": "username"},
    "profile": {"token_param": "session_token"},
    "price": {"path": "/api/crypto/price/{symbol}"},
    "trades": {
        "query": {"trading_mode": "mainnet"},
        "time_filter": "none",
        "paging": "none",
        "page_size": 500,
        "params": {"per_page": "limit"},
    },
    "coverage": {
        "fields": {
            "interval": "period",
            "earliest": "earliest_time",
            "latest": "latest_time",
            "total_candles": "total_records",
        },
        "time_format": "seconds",
    },
    "stream": {
        "user_id": 1,
        "params": {"session_token": None},
        "channels": {
            "trades": "trade_update",
            "positions": "position_update",
            "model_chat": "model_chat_update",
            "asset_curve": "arena_asset_update",
        },
        "payloads": {"trades": "trade", "positions": "positions", "model_chat": "decision", "asset_curve": None},
        "fields": {"time": ["decision_time", "taken_at", "timestamp"]},
    },
    "backfill_jobs": {"rows": "tasks", "fields": {"id": "task_id", "progress_pct": "progress"}},
    "backfill_status": {"fields": {"id": "task_id", "progress_pct": "progress", "error": "error_message"}},
}


def family_client(sandbox: Sandbox, **overrides: Any) -> HyperoruClient:
    """Return a client of a sandbox of the family, with parts of its contract replaced."""
    contract = {**CONTRACT, **overrides}
    return HyperoruClient(
        sandbox.url, email=sandbox.username, password=sandbox.password, contract=contract, token_stores=()
    )

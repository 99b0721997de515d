"""Words that an argument may be. Light, as DAG files are checked against them while they are parsed."""

from __future__ import annotations

from typing import NamedTuple

#: file formats, and what their files may be compressed with; the first is the default
COMPRESSIONS = {
    "jsonl": ("gzip", "zstd", "none"),
    "csv": ("none", "gzip", "zstd"),
    "parquet": ("zstd", "snappy", "gzip", "none"),
}
DEFAULT_FORMAT = "jsonl"
SQL_MODES = ("replace", "upsert")
ON_NUL = ("fail", "replace")
ON_EMPTY = ("succeed", "skip", "fail")
#: what a snapshot of a trader can hold: lists of the service
SNAPSHOT_PARTS = ("account_overview", "balances", "positions", "orders")
MARKET_DATA = ("price", "klines")


class ListFacts(NamedTuple):
    """What holds of a list whatever the contract says.

    :param filters: what can limit its rows, beside their time.
    :param needed: those of them that have to be given; those that the contract's path names are needed, too.
    :param windowed: whether it is read by time.
    """

    filters: tuple[str, ...] = ()
    needed: tuple[str, ...] = ()
    windowed: bool = False


#: the lists of the service, as their table in the client says, which takes longer to import; a test compares them
LISTS = {
    "trades": ListFacts(filters=("account_id", "symbol"), windowed=True),
    "klines": ListFacts(filters=("symbol", "interval"), needed=("symbol", "interval"), windowed=True),
    "traders": ListFacts(filters=("include_hidden",)),
    "orders": ListFacts(filters=("account_id",)),
    "user_orders": ListFacts(filters=("user_id",)),
    "pending_orders": ListFacts(),
    "decisions": ListFacts(filters=("account_id",), windowed=True),
    "decision_snapshots": ListFacts(filters=("decision_id",)),
    "closed_trades": ListFacts(filters=("account_id",), windowed=True),
    "program_runs": ListFacts(filters=("account_id", "program_id"), windowed=True),
    "ai_stream_chunks": ListFacts(filters=("task_id",)),
    "coverage": ListFacts(),
    "supported_symbols": ListFacts(),
    "backfill_jobs": ListFacts(filters=("symbol", "interval", "exchange", "environment")),
    "overview": ListFacts(),
    "account_overview": ListFacts(filters=("account_id",)),
    "account_strategy": ListFacts(filters=("account_id",)),
    "balances": ListFacts(filters=("account_id",)),
    "positions": ListFacts(filters=("account_id",)),
    "account_states": ListFacts(filters=("account_id",)),
    "account_snapshots": ListFacts(filters=("account_id",), windowed=True),
    "asset_curve": ListFacts(filters=("timeframe", "account_id"), needed=("timeframe",), windowed=True),
    "programs": ListFacts(),
    "signals": ListFacts(),
    "signal_pools": ListFacts(),
    "signal_triggers": ListFacts(filters=("pool_id", "signal_id", "symbol"), windowed=True),
    "prompts": ListFacts(),
    "backtest_tasks": ListFacts(),
    "factors": ListFacts(),
    "factor_effectiveness": ListFacts(),
    "factor_history": ListFacts(filters=("factor_name",)),
    "analytics_summary": ListFacts(filters=("days",)),
    "analytics_by_account": ListFacts(),
    "analytics_by_symbol": ListFacts(),
    "analytics_by_strategy": ListFacts(),
    "analytics_by_operation": ListFacts(),
    "analytics_by_trigger_type": ListFacts(),
    "analytics_by_factor": ListFacts(),
}

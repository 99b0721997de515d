"""What holds of each list of the service whatever the contract says. Written by ``scripts/resource_table.py``.

DAG files are checked against it while they are parsed; the lists themselves take longer to import.
"""

from __future__ import annotations

from typing import NamedTuple


class ListFacts(NamedTuple):
    """What holds of a list.

    :param filters: what can limit its rows, beside their time.
    :param needed: those of them that have to be given; those that the contract's path names are needed, too.
    :param windowed: whether it is read by time.
    """

    filters: tuple[str, ...]
    needed: tuple[str, ...]
    windowed: bool


LISTS = {
    "trades": ListFacts(("account_id", "symbol"), (), True),
    "klines": ListFacts(("symbol", "interval"), ("symbol", "interval"), True),
    "traders": ListFacts(("include_hidden",), (), False),
    "orders": ListFacts(("account_id",), (), False),
    "user_orders": ListFacts(("user_id",), (), False),
    "pending_orders": ListFacts((), (), False),
    "decisions": ListFacts(("account_id",), (), True),
    "decision_snapshots": ListFacts(("decision_id",), (), False),
    "closed_trades": ListFacts(("account_id",), (), True),
    "program_runs": ListFacts(("account_id", "program_id"), (), True),
    "ai_stream_chunks": ListFacts(("task_id",), (), False),
    "coverage": ListFacts((), (), False),
    "supported_symbols": ListFacts((), (), False),
    "backfill_jobs": ListFacts(("symbol", "interval", "exchange", "environment"), (), False),
    "overview": ListFacts((), (), False),
    "account_overview": ListFacts(("account_id",), (), False),
    "account_strategy": ListFacts(("account_id",), (), False),
    "balances": ListFacts(("account_id",), (), False),
    "positions": ListFacts(("account_id",), (), False),
    "account_states": ListFacts(("account_id",), (), False),
    "account_snapshots": ListFacts(("account_id",), (), True),
    "asset_curve": ListFacts(("timeframe", "account_id"), ("timeframe",), True),
    "programs": ListFacts((), (), False),
    "signals": ListFacts((), (), False),
    "signal_pools": ListFacts((), (), False),
    "signal_triggers": ListFacts(("pool_id", "signal_id", "symbol"), (), True),
    "prompts": ListFacts((), (), False),
    "backtest_tasks": ListFacts((), (), False),
    "factors": ListFacts((), (), False),
    "factor_effectiveness": ListFacts((), (), False),
    "factor_history": ListFacts(("factor_name",), (), False),
    "analytics_summary": ListFacts(("days",), (), False),
    "analytics_by_account": ListFacts((), (), False),
    "analytics_by_symbol": ListFacts((), (), False),
    "analytics_by_strategy": ListFacts((), (), False),
    "analytics_by_operation": ListFacts((), (), False),
    "analytics_by_trigger_type": ListFacts((), (), False),
    "analytics_by_factor": ListFacts((), (), False),
}

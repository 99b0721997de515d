"""What the service makes of closed trades: sums, in all and by group."""

from __future__ import annotations

from typing import Any

from hyperoru_provider.client.api.models import Amount, Id, Maybe, Snapshot


class AnalyticsSummary(Snapshot):
    """The result of all trades of the last days."""

    days: Id | None = None
    total_trades: Maybe[Amount] = None
    win_rate: Maybe[Amount] = None
    total_pnl: Maybe[Amount] = None
    avg_return_pct: Maybe[Amount] = None


class GroupResult(Snapshot):
    """Base of the results of a group; servers that have more of them send an object of ``metrics``."""

    trades: Maybe[Amount] = None
    win_rate: Maybe[Amount] = None
    pnl: Maybe[Amount] = None
    metrics: Maybe[dict[str, Any]] = None


class AccountResult(GroupResult):
    """The result of an account's trades."""

    account_id: Id | None = None
    account_name: str | None = None


class SymbolResult(GroupResult):
    """The result of a symbol's trades."""

    symbol: str | None = None


class StrategyResult(GroupResult):
    """The result of a strategy's trades."""

    strategy: str | None = None


class OperationResult(GroupResult):
    """The result of the trades of an operation."""

    operation: str | None = None


class TriggerTypeResult(GroupResult):
    """The result of the trades that were triggered alike."""

    trigger_type: str | None = None


class FactorResult(GroupResult):
    """The result of a factor's trades; no public page shows its fields."""

    factor: str | None = None

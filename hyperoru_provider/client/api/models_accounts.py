"""What the API says of a trader's money: overviews, balances, positions, and how they were."""

from __future__ import annotations

from typing import Any

from hyperoru_provider.client.api.models import Amount, Id, Maybe, Model, Snapshot, UtcTime


class Overview(Snapshot):
    """What the default account is worth; the older API has a few fields of the account itself."""

    account: Maybe[dict[str, Any]] = None
    positions_value: Maybe[Amount] = None
    total_assets: Maybe[Amount] = None
    id: Id | None = None
    name: str | None = None
    model: str | None = None
    trading_enabled: Maybe[bool] = None
    total_trades: Maybe[Amount] = None


class AccountOverview(Overview):
    """What an account is worth."""

    account_id: Id | None = None


class AccountStrategy(Snapshot):
    """By which strategy an account trades; no public page shows its fields."""

    account_id: Id | None = None


class Balance(Snapshot):
    """The balance of an account at its exchange."""

    account_id: Id | None = None
    exchange: str | None = None
    environment: str | None = None
    available: Maybe[Amount] = None
    total_equity: Maybe[Amount] = None
    margin_used: Maybe[Amount] = None
    unrealized_pnl: Maybe[Amount] = None


class Position(Snapshot):
    """An open position."""

    account_id: Id | None = None
    symbol: str
    side: str | None = None
    size: Maybe[Amount] = None
    entry_price: Maybe[Amount] = None
    mark_price: Maybe[Amount] = None
    leverage: Maybe[Amount] = None
    liquidation_price: Maybe[Amount] = None
    unrealized_pnl: Maybe[Amount] = None


class AccountState(Snapshot):
    """The last stored state of an account."""

    id: Id | None = None
    account_id: Id | None = None
    environment: str | None = None
    balance_available: Maybe[Amount] = None
    balance_total: Maybe[Amount] = None
    margin_used: Maybe[Amount] = None
    unrealized_pnl: Maybe[Amount] = None
    taken_at: str | None = None


class AccountSnapshot(Model):
    """What an account was worth at a time."""

    account_id: Id
    snapshot_time: UtcTime
    total_equity: Maybe[Amount] = None
    available_balance: Maybe[Amount] = None
    used_margin: Maybe[Amount] = None


class AssetPoint(Model):
    """A point of an account's asset curve."""

    account_id: Id
    timestamp: UtcTime
    timeframe: str | None = None
    total_assets: Maybe[Amount] = None
    cash: Maybe[Amount] = None
    positions_value: Maybe[Amount] = None

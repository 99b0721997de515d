"""The lists of the service: a list is a row in one of the modules beside this one, and a model."""

from __future__ import annotations

from typing import Any

from hyperoru_provider.client.api.lists_accounts import TRADERS, AccountLists
from hyperoru_provider.client.api.lists_analytics import AnalyticsLists
from hyperoru_provider.client.api.lists_market import BACKFILL_FIELDS, BACKFILL_PARAMS, KLINES, MarketLists
from hyperoru_provider.client.api.lists_strategies import StrategyLists
from hyperoru_provider.client.api.lists_trading import TRADES, TradingLists
from hyperoru_provider.client.api.resource import Resource

__all__ = ["BACKFILL_FIELDS", "BACKFILL_PARAMS", "RESOURCES", "Lists"]


class Lists(TradingLists, MarketLists, AccountLists, StrategyLists, AnalyticsLists):
    """The methods of all lists, for both clients: each row is a method."""


def _by_name(*rows: Resource[Any]) -> dict[str, Resource[Any]]:
    return {row.name: row for row in rows}


RESOURCES = _by_name(
    TRADES,
    KLINES,
    TRADERS,
    *(row for cls in Lists.__mro__ for row in vars(cls).values() if isinstance(row, Resource)),
)

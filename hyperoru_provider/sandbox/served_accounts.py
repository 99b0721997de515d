"""The lists of what traders have now, and of orders that are not an account's alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hyperoru_provider.sandbox.book import Book
from hyperoru_provider.sandbox.errors import Refusal
from hyperoru_provider.sandbox.orders import OrderBook
from hyperoru_provider.sandbox.queries import integer
from hyperoru_provider.sandbox.records import SNAPSHOT_STEP, Moment, Record, Records
from hyperoru_provider.sandbox.rows import DAY, Row
from hyperoru_provider.sandbox.served import ServedList, rows_of
from hyperoru_provider.sandbox.served_records import known_account

__all__ = ["AccountLists"]

_OVERVIEW_DAYS = 30
_EXCHANGE = "/api/hyperliquid"

Fields = dict[str, object]
Query = Mapping[str, Any]


class AccountLists:
    """The lists.

    :param records: what happened
    :param book: the traders
    :param orders: their orders
    """

    def __init__(self, records: Records, book: Book, orders: OrderBook) -> None:
        self._records = records
        self._book = book
        self._orders = orders

    def all(self) -> list[ServedList]:
        """Return all of them."""
        objects = {
            "account_overview": ("/api/account/{account_id}/overview", self._account_overview),
            "account_strategy": ("/api/account/{account_id}/strategy", _strategy),
            "balances": (f"{_EXCHANGE}/accounts/{{account_id}}/balance", self._balance),
            "account_states": (f"{_EXCHANGE}/account/{{account_id}}/state", self._state),
        }
        account, user = {"account_id": integer}, {"user_id": integer}
        return [
            ServedList("overview", "/api/account/overview", self._overview, envelope="object"),
            *(
                ServedList(name, path, self._of_account(make), path_parameters=account, envelope="object")
                for name, (path, make) in objects.items()
            ),
            ServedList(
                "positions",
                f"{_EXCHANGE}/accounts/{{account_id}}/positions",
                self._positions,
                path_parameters=account,
                envelope="positions",
            ),
            ServedList("user_orders", "/api/orders/user/{user_id}", self._user_orders, path_parameters=user),
            ServedList("pending_orders", "/api/orders/pending", self._pending_orders),
        ]

    def _of_account(self, make: Callable[[Fields], Fields]) -> Callable[[Query], Iterable[Row]]:
        def rows(query: Query) -> Iterable[Row]:
            account_id = known_account(self._book, query["account_id"])
            return _now(make(trader) for trader in self._book.traders if trader["id"] == account_id)

        return rows

    def _equity(self, account_id: int) -> Fields:
        """Return the last snapshot of an account."""
        now = self._records.now
        return list(self._records.account_snapshots(account_id, now - SNAPSHOT_STEP + 1, now + 1))[-1].fields

    def _overview(self, query: Query) -> Iterable[Row]:
        return _now(map(self._worth, self._book.traders[:1]))

    def _worth(self, trader: Fields) -> Fields:
        now = self._equity(_id(trader))
        return {"account": trader, "positions_value": now["used_margin"], "total_assets": now["total_equity"]}

    def _account_overview(self, trader: Fields) -> Fields:
        end = self._records.now + 1
        closed = self._records.closed_trades(end - _OVERVIEW_DAYS * DAY, end)
        return {
            **{name: trader[name] for name in ("id", "name", "model")},
            "trading_enabled": trader["is_active"],
            "total_trades": sum(each.fields["account_id"] == trader["id"] for each in closed),
        }

    def _balance(self, trader: Fields) -> Fields:
        now, positions = self._equity(_id(trader)), self._records.positions(_id(trader))
        return {
            "environment": "mainnet",
            "exchange": "hyperliquid",
            "available": now["available_balance"],
            "total_equity": now["total_equity"],
            "margin_used": now["used_margin"],
            "unrealized_pnl": sum(float(str(each["unrealized_pnl"])) for each in positions),
        }

    def _state(self, trader: Fields) -> Fields:
        now = self._equity(_id(trader))
        return {
            "id": int(str(now["snapshot_time"])) // SNAPSHOT_STEP,
            "account_id": trader["id"],
            "environment": "mainnet",
            "balance_available": now["available_balance"],
            "balance_total": now["total_equity"],
            "margin_used": now["used_margin"],
            "unrealized_pnl": None,
            "taken_at": Moment(int(str(now["snapshot_time"]))),
        }

    def _positions(self, query: Query) -> Iterable[Row]:
        return _now(self._records.positions(known_account(self._book, query["account_id"])))

    def _all_orders(self) -> list[Row]:
        found = [row for trader in self._book.traders for row in self._orders.select(_id(trader))]
        return sorted(found, key=lambda row: row.time)

    def _user_orders(self, query: Query) -> Iterable[Row]:
        if all(trader["user_id"] != query["user_id"] for trader in self._book.traders):
            raise Refusal(404, "USER_NOT_FOUND", "User not found")
        return self._all_orders()

    def _pending_orders(self, query: Query) -> Iterable[Row]:
        return (row for row in self._all_orders() if json.loads(row.body).get("status") == "pending")


def _now(items: Iterable[Fields]) -> Iterable[Row]:
    return rows_of(Record(0, fields) for fields in items)


def _id(trader: Fields) -> int:
    return int(str(trader["id"]))


def _strategy(trader: Fields) -> Fields:
    return {"strategy_type": trader["account_type"], "model": trader["model"], "interval_seconds": 300}

"""The orders of each account: made up from the seed, or given."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from hyperoru_provider.sandbox.prices import Prices, number
from hyperoru_provider.sandbox.rows import SECOND, Listing, Row, Rows, iso, micros, parse_row

__all__ = ["OrderBook"]

_FIRST, _LAST = micros("2025-01-01") // SECOND, micros("2025-07-01") // SECOND  # when made-up orders were placed
_STATUSES = {"executed": 75, "cancelled": 15, "rejected": 5, "pending": 5}
_OFFSET = Decimal("0.01")  # of a limit price from the market, at most


class OrderBook:
    """All orders, by account.

    :param seed: the same seed gives the same orders
    :param traders: the Account objects of the traders; one who never spent cash has no orders
    :param prices: what the orders are placed at
    :param given: the orders themselves, in place of made-up ones; JSON objects with at least ``account_id``, ``symbol``
        and ``created_at``
    :raises ValueError: if one of them is no order
    """

    def __init__(
        self,
        seed: int,
        traders: Sequence[Mapping[str, object]],
        prices: Prices,
        given: Iterable[bytes | dict[str, Any]] | None = None,
    ) -> None:
        self._seed = seed
        self._traders = {int(str(trader["id"])): trader for trader in traders}
        self._prices = prices
        self._rows: dict[int, Rows] = {}
        if given is not None:
            self._rows = {account_id: Rows() for account_id in self._traders}
            for row in _parse(given):
                self._rows.setdefault(row.account_id, Rows()).add(row)
            self._rows = {account_id: rows.in_order() for account_id, rows in self._rows.items()}

    def select(self, account_id: int) -> Listing:
        """Return the orders of an account, oldest first.

        :raises KeyError: if there is no such account
        """
        if account_id not in self._rows:
            self._rows[account_id] = Rows(self._made_up(account_id, self._traders[account_id]))
        rows = self._rows[account_id]
        return Listing([(rows, 0, len(rows.times))])

    def _made_up(self, account_id: int, trader: Mapping[str, object]) -> Iterable[Row]:
        if trader["current_cash"] == trader["initial_capital"]:
            return
        rng = random.Random(f"{self._seed}:orders:{account_id}")
        moments = sorted(rng.sample(range(_FIRST, _LAST), rng.randint(40, 120)))
        for order_id, moment in enumerate(moments, start=account_id * 100_000 + 1):
            time, symbol = moment * SECOND, rng.choice(self._prices.symbols)
            yield Row(time, account_id, symbol, self._order(rng, order_id, account_id, symbol, time))

    def _order(self, rng: random.Random, order_id: int, account_id: int, symbol: str, time: int) -> bytes:
        """Return the JSON text of one order."""
        side, order_type = rng.choice(("buy", "sell")), rng.choice(("market", "limit"))
        (status,) = rng.choices(list(_STATUSES), list(_STATUSES.values()))
        market = self._prices.at(symbol, time)
        distance = _OFFSET * rng.randrange(100) / 100
        price = market * (1 - distance if side == "buy" else 1 + distance)
        quantity = Decimal(rng.randint(1, 500_000)).scaleb(-max(0, market.adjusted() + 3))
        updated = time + rng.randrange(3_600) * SECOND if status != "pending" else time
        texts = {
            "id": str(order_id),
            "account_id": str(account_id),
            "symbol": json.dumps(symbol),
            "name": json.dumps(symbol),
            "side": json.dumps(side),
            "order_type": json.dumps(order_type),
            "price": number(price.quantize(market)) if order_type == "limit" else "null",
            "quantity": number(quantity),
            "status": json.dumps(status),
            "exchange": '"hyperliquid"',
            "environment": '"mainnet"',
            "created_at": json.dumps(iso(time)),
            "updated_at": json.dumps(iso(updated)),
            "executed_at": json.dumps(iso(updated)) if status == "executed" else "null",
        }
        return "{{{}}}".format(",".join(f'"{name}":{text}' for name, text in texts.items())).encode()


def _parse(given: Iterable[bytes | dict[str, Any]]) -> Iterable[Row]:
    for position, order in enumerate(given, start=1):
        try:
            yield parse_row(order, time_fields=("created_at",))[0]
        except ValueError as error:
            raise ValueError(f"row {position} is no order: {error}") from None

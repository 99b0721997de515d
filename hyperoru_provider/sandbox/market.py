"""A made-up market: the same trades for the same seed, at any time up to now."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from hyperoru_provider.sandbox.book import Book, WindowTooLong, account
from hyperoru_provider.sandbox.prices import SYMBOLS, Prices, number
from hyperoru_provider.sandbox.rows import DAY, SECOND, Listing, Row, Rows, iso

__all__ = ["BUSY", "QUIET", "SIDES", "TRADERS", "WALLETS", "Market", "Order", "fill", "order"]

TRADERS: list[dict[str, object]] = [
    account(1, "Atlas", model="gpt-4o", avatar_preset_id=3, default_leverage=2, max_leverage=10),
    account(2, "Borealis", model="claude-sonnet-4", initial_capital=25000.0, base_url="https://llm.example/v1"),
    account(3, "Calypso", account_type="program", current_cash=12345.67),
    account(4, "Draco", model="deepseek-chat", show_on_dashboard=False, is_active=False),
    account(5, "Electra", model="gpt-4o", current_cash=10000.0),
]
WALLETS: dict[object, str | None] = {1: "0x" + "a1" * 20, 2: "0x" + "b2" * 20, 3: None, 4: "0x" + "d4" * 20}
_TRADING = (1, 2, 3, 4)  # trader 5 never traded

# What a side is, and what an order of it is called that opens and that closes a position.
SIDES = {"BUY": ("Open Long", "Close Short"), "SELL": ("Open Short", "Close Long")}
#: How many fills a trader has on a day, at least and at most: in a busy market, and in a quiet one.
BUSY, QUIET = (40, 120), (10, 30)
_WEIGHTS = (40, 18, 12, 10, 9, 5, 3, 3)  # of the symbols, in their order
_ALIGNMENTS = (1, 1, 60, 60, 60, 3_600, 86_400)  # a burst is at a whole second, minute, hour or at midnight
_FIRST_DAY = 719_163  # the day 1970-01-01, counted from the year 1
_LONGEST = 3_660 * DAY
_CENT, _MICRO, _DUST = Decimal("0.01"), Decimal("0.000001"), Decimal("1E-10")


class Order(NamedTuple):
    """What the fills of one order have in common: numbers, and JSON text."""

    price: Decimal
    maker: bool
    closes: bool
    time: str
    head: str
    tail: str


class Market(Book):
    """Trades of four traders, made day by day when they are asked for.

    :param seed: the same seed gives the same trades
    :param prices: what the trades are made at
    :param clock: the present, in seconds since 1970; the timeline ends there
    :param fills: :data:`BUSY` or :data:`QUIET`
    """

    def __init__(
        self, seed: int, prices: Prices, clock: Callable[[], float] = time.time, *, fills: tuple[int, int] = BUSY
    ) -> None:
        super().__init__(TRADERS, list(SYMBOLS))
        self._seed = seed
        self._prices = prices
        self._clock = clock
        self._fills_a_day = fills

    def window(self) -> tuple[int, int]:
        """Return the last seven days, up to now."""
        now = self._now()
        return now - 7 * DAY, now

    def days(self, first: int, last: int) -> Sequence[int]:
        """Return every day: the market never closes."""
        return range(first, last + 1)

    def select(self, account_id: int | None, symbol: str | None, start: int, end: int) -> Listing:
        """Return the rows of a window, as far as it lies in the past.

        :raises WindowTooLong: if it is longer than ten years
        """
        end = min(end, self._now())
        if end - start > _LONGEST:
            raise WindowTooLong("The window is longer than ten years")
        return super().select(account_id, symbol, start, end)

    def base(self, day: int) -> Rows:
        """Return the rows of a whole day, as the seed has it."""
        fills = [row for account_id in _TRADING for row in self._fills(account_id, day)]
        fills.sort(key=lambda row: row.time)
        first_id = (day + _FIRST_DAY) * 10_000
        return Rows(
            row._replace(body=b'{"trade_id":%d,%b' % (trade_id, row.body))
            for trade_id, row in enumerate(fills, start=first_id)
        )

    def _now(self) -> int:
        return int(self._clock() * SECOND)

    def _fills(self, account_id: int, day: int) -> Iterator[Row]:
        """Yield the trades of one trader on one day, in no order, each without the start of its JSON text."""
        rng = random.Random(f"{self._seed}:{account_id}:{day}")
        left = rng.randint(*self._fills_a_day)
        most = self._fills_a_day[1]
        if rng.random() < 0.03:
            yield from self._burst(rng, account_id, day, rng.randint(most * 5 // 4, most * 10 // 3))
        while left > 0:
            size = min(left, rng.randint(2, 30)) if rng.random() < 0.3 else 1
            yield from self._burst(rng, account_id, day, size)
            left -= size

    def _burst(self, rng: random.Random, account_id: int, day: int, size: int) -> Iterator[Row]:
        """Yield the fills of one order, all at one time."""
        second = rng.randrange(86_400)
        if size > 1:
            second -= second % rng.choice(_ALIGNMENTS)
            moment, timespec = second * SECOND, "seconds"
        elif rng.random() < 0.5:
            moment, timespec = second * SECOND + rng.randrange(1_000) * 1_000, "milliseconds"
        else:
            moment, timespec = second * SECOND + rng.randrange(SECOND), "microseconds"
        moment += day * DAY
        symbol = rng.choices(list(SYMBOLS), _WEIGHTS)[0]
        price = self._prices.at(symbol, moment)
        common = order(rng, TRADERS[account_id - 1], symbol, price, iso(moment, timespec))
        for _ in range(size):
            yield Row(moment, account_id, symbol, fill(rng, common))


def order(
    rng: random.Random,
    trader: Mapping[str, object],
    symbol: str,
    price: Decimal,
    time_text: str,
    *,
    sides: Sequence[str] = tuple(SIDES),
) -> Order:
    """Return a random order.

    :param rng: what is random is drawn from it
    :param trader: the Account object of who makes it
    :param symbol: what is traded
    :param price: at which
    :param time_text: when, in ISO 8601
    :param sides: of :data:`SIDES`, to choose from
    """
    side = rng.choice(sides)
    opening, closing = SIDES[side]
    spot = symbol.startswith("@") or "/" in symbol
    closes = side == "SELL" if spot else rng.random() < 0.5
    direction = side.capitalize() if spot else closing if closes else opening
    head = {
        "account_id": trader["id"],
        "account_name": trader["name"],
        "model": trader["model"],
        "wallet_address": WALLETS.get(trader["id"]),
        "exchange": "hyperliquid",
        "market": "mainnet",
        "symbol": symbol,
        "side": side,
        "direction": direction if rng.random() > 0.02 else None,
    }
    order_id = rng.randrange(10**10, 10**11)
    tail: dict[str, object] = {
        "trade_time": time_text,
        "order_id": order_id,
        "order_no": str(order_id) if rng.random() > 0.1 else None,
    }
    if trader["account_type"] == "program":
        tail |= {"decision_source_type": "signal", "signal_trigger_id": rng.randint(1, 40)}
    elif rng.random() > 0.05:
        tail |= {"decision_source_type": "ai_decision", "prompt_template_id": 2, "prompt_template_name": "Trend é"}
        tail |= {"signal_trigger_id": None}
    return Order(price, rng.random() < 0.15, closes, time_text, _members(head), _members(tail))


def fill(rng: random.Random, order: Order, notional: Decimal | None = None) -> bytes:
    """Return the JSON text of one fill, from after its ``trade_id``.

    :param rng: what is random is drawn from it
    :param order: what is filled
    :param notional: what the fill is worth; a random amount without it
    """
    if notional is None:
        quantity, quantity_text = _quantity(rng, order.price)
        notional = (order.price * quantity).quantize(_CENT)
    else:
        quantity_text = number((notional / order.price).quantize(_DUST))
    fee = (notional * Decimal(-2 if order.maker else rng.randint(10, 45)).scaleb(-5)).quantize(_MICRO)
    gain = rng.randint(-300, 400) if order.closes else 0
    pnl = (notional * Decimal(gain).scaleb(-4)).quantize(_MICRO)
    amounts = f'"price":{number(order.price)},"quantity":{quantity_text}'
    text = (
        f'{order.head},{amounts},"notional":{number(notional)},'
        f'"commission":{number(fee) if rng.random() > 0.01 else "null"},'
        f'"realized_pnl":{number(pnl) if rng.random() > 0.01 else "null"},{order.tail}'
    )
    if rng.random() < 0.03:
        kind, order_id = rng.choice(("stop_loss", "take_profit")), rng.randrange(10**10, 10**11)
        related = f'"order_id":{order_id},"order_type":"{kind}",{amounts},"trade_time":"{order.time}"'
        text += f',"related_orders":[{{{related}}}]'
    return f"{text}}}".encode()


def _members(fields: dict[str, object]) -> str:
    """Return the members of a JSON object, without its braces."""
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False)[1:-1]


def _quantity(rng: random.Random, price: Decimal) -> tuple[Decimal, str]:
    """Return an amount and its text: dust with an exponent, whole numbers, and decimals that suit the price."""
    kind = rng.random()
    if kind < 0.02:
        dust = rng.randint(1, 9)
        return Decimal(dust).scaleb(-5), f"{dust}.00E-05"
    if kind < 0.2:
        value = Decimal(rng.randint(1, 6))
    else:
        value = Decimal(rng.randint(1, 500_000)).scaleb(-max(0, price.adjusted() + rng.randint(1, 3)))
    return value, number(value)

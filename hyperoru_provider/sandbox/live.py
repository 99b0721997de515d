"""The live market: trades that are made while the sandbox runs, and what the socket tells of them."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Collection, Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

from hyperoru_provider.sandbox.book import Book
from hyperoru_provider.sandbox.market import SIDES, fill, order
from hyperoru_provider.sandbox.prices import Prices, number
from hyperoru_provider.sandbox.rows import DAY, SECOND, Row, iso

__all__ = ["Live"]

_MOST = 10_000  # trades at once
_LONGEST_TICK = 1.0  # a machine that slept has nothing to catch up on
_CURVE_POINTS = 168  # seven days by the hour
_CENT = Decimal("0.01")


class Live:
    """Makes trades, and the events and snapshots that follow from all trades of a book.

    :param seed: of what is random; the times are those of the clock
    :param book: gets the trades
    :param prices: what the trades are made at
    :param clock: the present, in seconds since 1970
    """

    def __init__(self, seed: int, book: Book, prices: Prices, clock: Callable[[], float]) -> None:
        self._seed = seed
        self._book = book
        self._prices = prices
        self._clock = clock
        self._dice = random.Random(f"{seed}:live")
        self._newest = 0
        self._paced_at = clock()
        self._due = 0.0

    @property
    def now(self) -> int:
        """The present, in microseconds since 1970."""
        return int(self._clock() * SECOND)

    @property
    def account_ids(self) -> list[int]:
        """The ids of all traders."""
        return [int(str(trader["id"])) for trader in self._book.traders]

    @property
    def traders(self) -> list[dict[str, object]]:
        """The Account objects of the traders that a dashboard shows."""
        return [trader for trader in self._book.traders if trader["show_on_dashboard"]]

    def trade(
        self,
        count: int = 1,
        *,
        account_id: int | None = None,
        symbol: str | None = None,
        side: str | None = None,
        notional: float | str | Decimal | None = None,
        late: float = 0,
    ) -> list[Row]:
        """Make trades, now; what is left out is random. Return their rows.

        :param count: how many
        :param account_id: of one trader
        :param symbol: of one symbol
        :param side: ``BUY`` or ``SELL``
        :param notional: what each is worth
        :param late: seconds that ``trade_time`` lies back
        :raises ValueError: for a value that can't be
        """
        traders = [trader for trader in self._book.traders if account_id in (None, trader["id"])]
        symbols = [name for name in self._book.symbols if symbol in (None, name)]
        sides = [name for name in SIDES if side in (None, name)]
        if not isinstance(count, int) or not 1 <= count <= _MOST:
            raise ValueError(f"count can't be {count!r}; it takes 1 to {_MOST}")
        if not traders:
            raise ValueError(f"account_id can't be {account_id!r}; there is no such trader here")
        if not symbols:
            raise ValueError(f"symbol can't be {symbol!r}; it is not traded here")
        if not sides:
            raise ValueError(f"side can't be {side!r}; it takes BUY or SELL")
        worth = None if notional is None else _amount(notional)
        if worth is not None and worth <= 0:
            raise ValueError(f"notional can't be {notional!r}; it takes an amount above 0")
        if not isinstance(late, int | float) or not 0 <= late <= 86_400 * 3_650:
            raise ValueError(f"late can't be {late!r}; it takes seconds, up to ten years")

        rows = []
        for _ in range(count):
            with self._book.lock:
                # The time is the id too: no other trade has it, not even one of a sandbox that ran before.
                self._newest = max(self.now, self._newest + 1)
                moment = self._newest - int(late * SECOND)
                trader, name = self._dice.choice(traders), self._dice.choice(symbols)
                price, time_text = self._prices.at(name, moment), iso(moment, "microseconds")
                common = order(self._dice, trader, name, price, time_text, sides=sides)
                body = b'{"trade_id":%d,%b' % (self._newest, fill(self._dice, common, worth))
                rows.append(Row(moment, int(str(trader["id"])), name, body))
                self._book.arrive(rows[-1])
        return rows

    def advance(self, pace: float) -> None:
        """Make the trades that are due since the last call.

        :param pace: trades in a second
        """
        before, self._paced_at = self._paced_at, self._clock()
        self._due += pace * min(max(self._paced_at - before, 0), _LONGEST_TICK)
        count = int(self._due)
        self._due = self._due - count if pace else 0
        if count and self._book.traders:
            self.trade(count)

    def news(self) -> list[Row]:
        """Return the trades since the last call, or since :meth:`skip_news`."""
        return self._book.news(self.now)

    def skip_news(self) -> None:
        """Leave out what :meth:`news` would return now."""
        self._book.skip_news(self.now)

    def events(self, row: Row, channels: Collection[str]) -> Iterator[tuple[str, str]]:
        """Yield what the channels tell of a trade: the channel of each event and its JSON text.

        :param row: the trade
        :param channels: those that are wanted
        """
        if "model_chat" in channels and (decision := self._decision(row)):
            yield "model_chat", decision
        if "trades" in channels:
            yield "trades", row.body.decode()
        if "positions" in channels:
            yield "positions", self._position(row, self.now)

    def positions(self, account_id: int | None = None) -> list[str]:
        """Return the JSON text of each position that the last day's trades left.

        :param account_id: of one trader
        """
        _, end = self._book.window()
        with self._book.lock:
            newest = {(row.account_id, row.symbol): row for row in self._book.select(account_id, None, end - DAY, end)}
        now = self.now
        return [self._position(row, now) for row in newest.values() if not _closes(json.loads(row.body))]

    def equity(self, account_id: int, moment: int) -> Decimal:
        """Return what a trader owns at a time: the initial capital, moved by the price of one symbol."""
        (trader,) = [trader for trader in self._book.traders if trader["id"] == account_id]
        capital = Decimal(str(trader["initial_capital"]))
        symbol = self._book.symbols[account_id % len(self._book.symbols)]
        return (capital * self._prices.at(symbol, moment) / self._prices.at(symbol, 0)).quantize(_CENT)

    def asset_curve(self) -> Iterator[str]:
        """Yield the JSON text of the present point of each trader."""
        now = self.now
        for account_id in self.account_ids:
            equity = number(self.equity(account_id, now))
            yield f'{{"account_id":{account_id},"equity":{equity},"timestamp":"{iso(now, "milliseconds")}"}}'

    def curve_points(self, account_id: int, timeframe: str) -> list[str]:
        """Return the JSON text of the points of a trader's past.

        :param account_id: the trader
        :param timeframe: how far back, such as ``7d`` or ``24h``
        :raises ValueError: for another timeframe
        """
        if not (parts := re.fullmatch(r"([1-9][0-9]{0,2})([hd])", timeframe)):
            raise ValueError(f"timeframe can't be {timeframe!r}; it takes hours or days, such as 24h or 7d")
        step = int(parts[1]) * (DAY if parts[2] == "d" else DAY // 24) // _CURVE_POINTS
        last = self.now // step * step
        moments = range(last - _CURVE_POINTS * step, last + 1, step)
        return [
            f'{{"timestamp":"{iso(moment)}","equity":{number(self.equity(account_id, moment))}}}' for moment in moments
        ]

    def _position(self, row: Row, now: int) -> str:
        fields = json.loads(row.body, parse_float=Decimal)
        entry, size = _amount(fields.get("price")), _amount(fields.get("quantity"))
        buys = str(fields.get("side")).upper() != "SELL"
        closes = _closes(fields)
        if closes:
            size = Decimal(0)
        gain = ((self._prices.at(row.symbol, now) - entry) * size * (1 if buys else -1)).quantize(_CENT)
        return (
            f'{{"account_id":{row.account_id},"symbol":{json.dumps(row.symbol)},'
            f'"side":"{"long" if buys != closes else "short"}","size":{number(size)},"entry_price":{number(entry)},'
            f'"unrealized_pnl":{number(gain)},"taken_at":"{iso(now, "milliseconds")}"}}'
        )

    def _decision(self, row: Row) -> str | None:
        """Return the decision before a trade; every other trade has one."""
        dice = random.Random(row.body)
        if dice.random() < 0.5:
            return None
        fields = json.loads(row.body)
        side = "sell" if str(fields.get("side")).upper() == "SELL" else "buy"
        reason = dice.choice(("The trend holds", "A level broke", "Funding turned", "Volume dried up"))
        return json.dumps(
            {
                "id": dice.getrandbits(50),
                "account_id": row.account_id,
                "symbol": row.symbol,
                "operation": "close" if _closes(fields) else side,
                "reason": reason,
                "created_at": iso(row.time, "milliseconds"),
            }
        )


def _amount(value: Any) -> Decimal:
    """Return an amount of a row or a request; 0 for anything else."""
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return Decimal(0)
    return amount if amount.is_finite() else Decimal(0)


def _closes(fields: dict[str, Any]) -> bool:
    return str(fields.get("direction")).startswith("Close")

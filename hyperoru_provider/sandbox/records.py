"""What a market leaves behind beside trades and orders: decisions, program runs, closed trades, equity, positions.

Facts, made up day by day from the seed. A dialect says under which names and in which texts it sends them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from hyperoru_provider.sandbox.book import Book
from hyperoru_provider.sandbox.market import WALLETS
from hyperoru_provider.sandbox.prices import Prices
from hyperoru_provider.sandbox.rows import DAY, SECOND, iso

__all__ = ["CURVE_STEPS", "SNAPSHOT_STEP", "Moment", "Record", "Records", "decision_texts", "json_text"]

#: Between two points of the asset curve, and between two snapshots of an account, in microseconds.
CURVE_STEPS = {"5m": 300 * SECOND, "1h": 3_600 * SECOND, "1d": DAY}
SNAPSHOT_STEP = 600 * SECOND

_HISTORY = 30  # days of what is asked for without a window
_CACHED_DAYS = 1_024
_OPERATIONS = ("buy", "sell", "close", "hold")
_REASONS = (
    "The trend holds; RSI 61,4 → 58",
    "A level broke",
    'Funding turned: "crowded" longs',
    "Volume dried up\n(3rd h)",
)
_EXITS = ("take_profit", "stop_loss", "signal", "manual")


class Moment(int):
    """A time among the fields of a record, in microseconds since 1970."""


class Record(NamedTuple):
    """A row as facts: its time, and its fields, in which numbers are as they are sent and times are moments."""

    time: int
    fields: dict[str, object]

    def text(self, moment: Callable[[int], object] = iso) -> str:
        """Return the JSON text; see :func:`json_text`."""
        return json_text(self.fields, moment)


def json_text(fields: Mapping[str, object], moment: Callable[[int], object] = iso) -> str:
    """Return the JSON text of a record's fields.

    :param fields: the fields
    :param moment: how a time is sent
    """
    values = {name: moment(value) if isinstance(value, Moment) else value for name, value in fields.items()}
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False)


class Records:
    """The records of the days on which a book has trades, up to now; oldest first wherever they are listed.

    :param seed: the same seed gives the same records
    :param book: the traders, the symbols and the days
    :param prices: what equity and positions are worth
    :param clock: the present, in seconds since 1970
    """

    def __init__(self, seed: int | str, book: Book, prices: Prices, clock: Callable[[], float]) -> None:
        #: What the records are made from.
        self.seed = seed
        self._book = book
        self._prices = prices
        self._clock = clock
        self._days: dict[tuple[str, int], list[Record]] = {}

    @property
    def now(self) -> int:
        """The present, in microseconds since 1970."""
        return int(self._clock() * SECOND)

    def window(self) -> tuple[int, int]:
        """Return the window of what is asked for without one: that of the book, and thirty days at least."""
        start, end = self._book.window()
        return min(start, (end // DAY - _HISTORY) * DAY), min(end, self.now + 1)

    def decisions(self, start: int, end: int) -> list[Record]:
        """Return the decisions of the models, without their texts; see :func:`decision_texts`."""
        return self._select("decisions", self._decisions, start, end)

    def program_runs(self, start: int, end: int) -> list[Record]:
        """Return the runs of programs."""
        return self._select("program_runs", self._program_runs, start, end)

    def closed_trades(self, start: int, end: int) -> list[Record]:
        """Return the closed trades of two tables, which have the same ids: ``source`` tells them apart."""
        return self._select("closed_trades", self._closed_trades, start, end)

    def signal_triggers(self, start: int, end: int) -> list[Record]:
        """Return when which signal was triggered."""
        return self._select("signal_triggers", self._signal_triggers, start, end)

    def account_snapshots(self, account_id: int, start: int, end: int) -> Iterator[Record]:
        """Yield what an account was worth, every ten minutes."""
        for moment in self._steps(SNAPSHOT_STEP, start, end):
            total, used = self._equity(account_id, moment), self._used(account_id, moment)
            yield Record(
                moment,
                {
                    "account_id": account_id,
                    "snapshot_time": Moment(moment),
                    "total_equity": total,
                    "available_balance": total - used,
                    "used_margin": used,
                },
            )

    def asset_curve(self, account_id: int, step: int, start: int, end: int) -> Iterator[Record]:
        """Yield the points of an account's asset curve.

        :param step: between two points, of :data:`CURVE_STEPS`
        """
        for moment in self._steps(step, start, end):
            total, used = self._equity(account_id, moment), self._used(account_id, moment)
            yield Record(
                moment,
                {
                    "account_id": account_id,
                    "timestamp": Moment(moment),
                    "total_assets": total,
                    "cash": total - used,
                    "positions_value": used,
                },
            )

    def positions(self, account_id: int) -> list[dict[str, object]]:
        """Return the open positions of an account, now."""
        rng = random.Random(f"{self.seed}:positions:{account_id}:{self.now // DAY}")
        symbols = rng.sample(self._prices.symbols, min(rng.randint(0, 3), len(self._prices.symbols)))
        return [self._position(rng, symbol) for symbol in symbols]

    def _position(self, rng: random.Random, symbol: str) -> dict[str, object]:
        mark, leverage, side = (
            float(self._prices.at(symbol, self.now)),
            rng.randint(1, 10),
            rng.choice(("long", "short")),
        )
        entry, size = mark * rng.uniform(0.9, 1.1), rng.uniform(10, 5_000) / mark
        side, sign = rng.choice((("long", 1), ("short", -1)))
        return {
            "symbol": symbol,
            "side": side,
            "size": size,
            "entry_price": entry,
            "mark_price": mark,
            "leverage": leverage,
            "liquidation_price": entry * (1 - sign * 0.9 / leverage) if leverage > 1 else None,
            "unrealized_pnl": (mark - entry) * size * sign,
        }

    def _decisions(self, rng: random.Random, day: int) -> Iterator[Record]:
        for number, moment in _moments(rng, day, rng.randint(40, 80)):
            trader, operation = self._trader(rng), rng.choice(_OPERATIONS)
            executed = operation != "hold" and rng.random() < 0.8
            yield Record(
                moment,
                {
                    "id": number,
                    "account_id": trader["id"],
                    "account_name": trader["name"],
                    "model": trader["model"],
                    "operation": operation,
                    "symbol": self._symbol(rng),
                    "reason": rng.choice(_REASONS),
                    "executed": executed,
                    "prev_portion": rng.choice((0.0, rng.random())),
                    "target_portion": rng.random(),
                    "total_balance": rng.uniform(1_000, 30_000),
                    "order_id": str(rng.randrange(10**10, 10**11)) if executed else None,
                    "decision_time": Moment(moment),
                    "trigger_mode": rng.choice(("signal", "scheduled")),
                    "wallet_address": WALLETS.get(trader["id"]),
                    "signal_trigger_id": rng.choice((None, rng.randint(1, 40))),
                    "prompt_template_id": 2,
                    "prompt_template_name": "Trend é",
                    "realized_pnl": _amount(rng) if operation == "close" else None,
                    "exchange": "hyperliquid",
                },
            )

    def _program_runs(self, rng: random.Random, day: int) -> Iterator[Record]:
        for number, moment in _moments(rng, day, rng.randint(30, 70)):
            success, operation = rng.random() < 0.9, rng.choice(_OPERATIONS)
            yield Record(
                moment,
                {
                    "id": number,
                    "account_id": self._trader(rng)["id"],
                    "program_id": rng.randint(1, 3),
                    "trigger_type": rng.choice(("signal", "scheduled")),
                    "trigger_symbol": self._symbol(rng),
                    "success": success,
                    "decision_action": operation if success else None,
                    "decision_symbol": self._symbol(rng) if success else None,
                    "decision_size_usd": abs(_amount(rng)) if success else None,
                    "decision_leverage": rng.randint(1, 10) if success else None,
                    "decision_reason": rng.choice(_REASONS) if success else None,
                    "error_message": None if success else "ZeroDivisionError: float division by zero",
                    "execution_time_ms": rng.uniform(0.4, 900),
                    "created_at": Moment(moment),
                },
            )

    def _closed_trades(self, rng: random.Random, day: int) -> Iterator[Record]:
        for source, entries in (("decision", _OPERATIONS[:2]), ("program", ("signal", "scheduled"))):
            for number, moment in _moments(rng, day, rng.randint(15, 40)):
                trader, gross, fees = self._trader(rng), _amount(rng), abs(_amount(rng)) / 100
                yield Record(
                    moment,
                    {
                        "id": number,
                        "source": source,
                        "account_id": trader["id"],
                        "account_name": trader["name"],
                        "symbol": self._symbol(rng),
                        "decision_time": Moment(moment),
                        "entry_time": Moment(moment - rng.randrange(DAY)),
                        "exit_time": Moment(moment),
                        "entry_type": rng.choice(entries),
                        "exit_type": rng.choice(_EXITS),
                        "gross_pnl": gross,
                        "fees": fees,
                        "net_pnl": gross - fees,
                        "tags": rng.sample(("scalp", "überverkauft", "news"), rng.randint(0, 2)),
                    },
                )

    def _signal_triggers(self, rng: random.Random, day: int) -> Iterator[Record]:
        for number, moment in _moments(rng, day, rng.randint(20, 40)):
            yield Record(
                moment,
                {
                    "id": number,
                    "signal_id": rng.randint(1, 4),
                    "pool_id": rng.choice((None, 1, 2)),
                    "symbol": self._symbol(rng),
                    "trigger_value": _amount(rng),
                    "triggered_at": Moment(moment),
                },
            )

    def _select(
        self, kind: str, make: Callable[[random.Random, int], Iterator[Record]], start: int, end: int
    ) -> list[Record]:
        """Return the records of a window, as far as it lies in the past."""
        end = min(end, self.now + 1)
        found: list[Record] = []
        for day in self._book.days(start // DAY, (end - 1) // DAY):
            if (kind, day) not in self._days:
                if len(self._days) >= _CACHED_DAYS:
                    self._days.clear()
                made = make(random.Random(f"{self.seed}:{kind}:{day}"), day)
                self._days[kind, day] = sorted(made, key=lambda record: record.time)
            found += (record for record in self._days[kind, day] if start <= record.time < end)
        return found

    def _steps(self, step: int, start: int, end: int) -> range:
        return range(-(-start // step) * step, min(end, self.now + 1), step)

    def _trader(self, rng: random.Random) -> Mapping[str, object]:
        return rng.choice(self._book.traders)

    def _symbol(self, rng: random.Random) -> str:
        return rng.choice(self._prices.symbols)

    def _equity(self, account_id: int, moment: int) -> float:
        """Return what an account is worth: its capital, moved by the price of one symbol."""
        (capital,) = (trader["initial_capital"] for trader in self._book.traders if trader["id"] == account_id)
        symbol = self._prices.symbols[account_id % len(self._prices.symbols)]
        return float(str(capital)) * float(self._prices.at(symbol, moment)) / float(self._prices.at(symbol, 0))

    def _used(self, account_id: int, moment: int) -> float:
        """Return what of it is tied up in positions."""
        share = random.Random(f"{self.seed}:{account_id}:{moment // (6 * 3_600 * SECOND)}").choice((0, 0.1, 0.37))
        return self._equity(account_id, moment) * share


def decision_texts(decision: Record) -> dict[str, str]:
    """Return the long texts of a decision: what the model was asked, how it reasoned, what it answered."""
    fields = decision.fields
    asked = f"You trade {fields['symbol']} for {fields['account_name']}. " + "Candles: 1, 2, 3 … \t" * 300
    reasoned = f"{fields['reason']}\n" * 200
    answered = {"operation": fields["operation"], "target_portion_of_balance": fields["target_portion"]}
    return {
        "prompt_snapshot": asked,
        "reasoning_snapshot": reasoned,
        "decision_snapshot": json.dumps({**answered, "reason": str(fields["reason"]) * 50}, ensure_ascii=False),
    }


def _moments(rng: random.Random, day: int, count: int) -> list[tuple[int, int]]:
    """Return ids and times of a day's records; a third of them have the time of another one."""
    distinct = [rng.randrange(DAY) for _ in range(count - count // 3)]
    shared = [rng.choice(distinct) // SECOND * SECOND for _ in range(max(1, count // 9))]
    times = distinct + [rng.choice(shared) for _ in range(count // 3)]
    return [(day * 1_000 + place, day * DAY + time) for place, time in enumerate(sorted(times))]


def _amount(rng: random.Random) -> float:
    """Return an amount of money, of either sign: with many digits, with few, or so small that it has an exponent."""
    value = rng.uniform(-500, 700)
    return rng.choice((value, value, round(value, 2), float(round(value)), value * 1e-8))

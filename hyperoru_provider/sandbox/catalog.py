"""What a user has set up: signals and their pools, programs, prompts and factors; and how well it all did.

Facts, as :mod:`hyperoru_provider.sandbox.records` has them.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence

from hyperoru_provider.sandbox.records import Moment, Record
from hyperoru_provider.sandbox.rows import DAY, micros

__all__ = [
    "FACTORS",
    "GROUPS",
    "POOLS",
    "PROGRAMS",
    "PROMPTS",
    "SIGNALS",
    "breakdown",
    "factor_effectiveness",
    "factor_history",
    "metrics",
]

Fields = dict[str, object]

_CODE = "class Strategy:\n    def should_trade(self, data):\n        ..."
_SET_UP = micros("2026-01-05T09:30:00.125")


def _named(*names: str) -> Iterator[Fields]:
    """Yield id, name and time of each thing that was set up, one a day."""
    for number, name in enumerate(names, start=1):
        yield {"id": number, "name": name, "created_at": Moment(_SET_UP + number * DAY)}


SIGNALS: list[Fields] = [
    {**each, "type": kind, "enabled": each["id"] != 3, "config": {"threshold": threshold}}
    for each, kind, threshold in zip(
        _named("RSI low", "MACD cross", "Volume spike", "Funding flip"),
        ("threshold", "crossover", "pattern", "threshold"),
        (30, 0, 2.5, -1e-05),
        strict=True,
    )
]
POOLS: list[Fields] = [
    {**each, "logic": logic, "signal_ids": ids, "symbols": ["BTC", "ETH"], "signals_count": len(ids), "enabled": True}
    for each, logic, ids in zip(_named("Reversal", "Breakout"), ("AND", "OR"), ([1, 2], [2, 3, 4]), strict=True)
]
PROGRAMS: list[Fields] = [
    {**each, "enabled": True, "description": None, "code": _CODE}
    for each in _named("Mean reversion", "Momentum", "Grid")
]
PROMPTS: list[Fields] = [
    {**each, "content": "You trade {symbol}: …\n"} for each in _named("Default", "Trend é", "Scalper")
]
FACTORS: list[Fields] = [
    {**each, "expression": expression, "category": "price", "description": None, "source": "custom"}
    for each, expression in zip(
        _named("momentum_5", "vol_ratio", "skew_24"),
        ("close / delay(close, 5) - 1", "volume / mean(volume, 20)", "skew(returns, 24)"),
        strict=True,
    )
]
#: The breakdowns of analytics: their names, and the field of a closed trade that each groups by.
GROUPS = {
    "account": "account_id",
    "symbol": "symbol",
    "strategy": "source",
    "operation": "entry_type",
    "trigger-type": "source",
    "factor": "exit_type",
}


def factor_effectiveness(seed: int | str) -> list[Fields]:
    """Return how well each factor predicts; no row has a key."""
    return [{"factor_name": factor["name"], **_score(seed, factor["name"], "all")} for factor in FACTORS]


def factor_history(seed: int | str, name: str, last_day: int, days: int = 30) -> list[Fields]:
    """Return how well a factor predicted on each day, oldest first.

    :param last_day: counted from 1970
    """
    return [{"date": Moment(day * DAY), **_score(seed, name, day)} for day in range(last_day - days + 1, last_day + 1)]


def metrics(closed_trades: Sequence[Record]) -> Fields:
    """Return what closed trades sum up to."""
    gross = [float(str(record.fields["gross_pnl"])) for record in closed_trades]
    fees = sum(float(str(record.fields["fees"])) for record in closed_trades)
    gains, losses = sum(each for each in gross if each > 0), -sum(each for each in gross if each < 0)
    return {
        "total_pnl": sum(gross),
        "total_fee": fees,
        "net_pnl": sum(gross) - fees,
        "trade_count": len(gross),
        "win_rate": sum(each > 0 for each in gross) / len(gross) if gross else 0,
        "profit_factor": gains / losses if losses else None,
    }


def breakdown(closed_trades: Iterable[Record], field: str) -> list[tuple[object, Fields]]:
    """Return what the closed trades of each group sum up to, by group.

    :param field: what to group by, of :data:`GROUPS`
    """
    groups: dict[object, list[Record]] = {}
    for record in closed_trades:
        groups.setdefault(record.fields[field], []).append(record)
    return [(group, metrics(groups[group])) for group in sorted(groups, key=str)]


def _score(seed: int | str, *of: object) -> Fields:
    rng = random.Random(f"{seed}:factor:{of}")
    return {"ic": rng.gauss(0, 0.05), "rank_ic": rng.gauss(0, 0.05), "win_rate": rng.uniform(0.4, 0.6)}

"""The figures of a report: every sum is exact, and no order in which rows of one moment come changes one. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from operator import attrgetter

from hyperoru_provider.report.coverage import Coverage, period_of, period_start
from hyperoru_provider.report.curve import Curve
from hyperoru_provider.report.fills import EXACT, ZERO, Fill

#: how many of the largest wins, and of the largest losses, are named
LARGEST = 5


@dataclass
class Totals:
    """What trades add up to. A trade that closes something has a profit or loss; others have none."""

    trades: int = 0
    volume: Decimal = ZERO
    fees: Decimal = ZERO
    profit: Decimal = ZERO
    wins: int = 0
    losses: int = 0
    unknown_fees: int = 0
    unknown_profits: int = 0

    def add(self, fill: Fill) -> None:
        """Add a trade."""
        profit, fee = fill.profit, fill.fee
        self.trades += 1
        self.volume = EXACT.add(self.volume, fill.notional)
        self.fees = EXACT.add(self.fees, fee)
        self.profit = EXACT.add(self.profit, profit)
        self.wins += profit > 0
        self.losses += profit < 0
        self.unknown_fees += fill.commission is None
        self.unknown_profits += fill.realized_pnl is None

    def merge(self, other: Totals) -> None:
        """Add what other trades add up to."""
        for name, value in vars(other).items():
            mine = getattr(self, name)
            setattr(self, name, EXACT.add(mine, value) if isinstance(value, Decimal) else mine + value)

    @property
    def net(self) -> Decimal:
        """Realized profit or loss after fees."""
        return EXACT.subtract(self.profit, self.fees)

    @property
    def closing(self) -> int:
        """How many trades had a profit or loss."""
        return self.wins + self.losses

    @property
    def win_rate(self) -> Decimal | None:
        """The share of trades with a profit among those with a profit or loss, 0 to 1; ``None`` if there are none."""
        return Decimal(self.wins) / self.closing if self.closing else None

    @property
    def fee_rate(self) -> Decimal | None:
        """Fees per volume; ``None`` without volume."""
        return self.fees / self.volume if self.volume else None


@dataclass(frozen=True)
class Drawdown:
    """The deepest fall of net realized PnL from a height that it had reached before.

    :param amount: how far; 0 if it never fell.
    :param peak: when the height was reached; the start of the report if it was 0.
    :param trough: when it was deepest; ``None`` if it never fell.
    """

    amount: Decimal
    peak: datetime
    trough: datetime | None = None


class Figures:
    """All that a report shows.

    :param coverage: the time that it is of.
    :param fills: the trades, in order of time.
    """

    def __init__(self, coverage: Coverage, fills: Iterable[Fill]) -> None:
        self.coverage = coverage
        self.period = period_of(coverage.span)
        self.symbols: dict[str, Totals] = defaultdict(Totals)
        self.traders: dict[str | None, Totals] = defaultdict(Totals)
        self.names: dict[str | None, str] = {}
        self.wins: list[Fill] = []
        self.losses: list[Fill] = []
        self.curve = Curve(coverage.span)
        self.drawdown = Drawdown(ZERO, coverage.span.start)
        shortest = "hour" if self.period == "hour" else "day"
        steps: dict[datetime, Totals] = defaultdict(Totals)
        profit = fees = highest = ZERO
        peak = coverage.span.start
        for moment, together in groupby(fills, attrgetter("time")):
            step = steps[period_start(moment, shortest)]
            for fill in together:
                step.add(fill)
                self._add(fill)
                profit, fees = EXACT.add(profit, fill.profit), EXACT.add(fees, fill.fee)
            net = EXACT.subtract(profit, fees)
            if net > highest:
                highest, peak = net, moment
            fall = EXACT.subtract(highest, net)
            if fall > self.drawdown.amount:
                self.drawdown = Drawdown(fall, peak, moment)
            self.curve.add(moment, net, profit, fall)
        self.totals = sum_of(steps.values())
        self.days = _longer(steps, "day")
        self.periods = _longer(steps, self.period)

    def _add(self, fill: Fill) -> None:
        self.symbols[fill.symbol].add(fill)
        self.traders[fill.account_id].add(fill)
        if fill.account_name:
            self.names[fill.account_id] = fill.account_name
        if fill.profit > 0:
            self.wins = sorted([*self.wins, fill], key=lambda each: -each.profit)[:LARGEST]
        elif fill.profit < 0:
            self.losses = sorted([*self.losses, fill], key=lambda each: each.profit)[:LARGEST]


def sum_of(groups: Iterable[Totals]) -> Totals:
    """Return what trades of several groups add up to."""
    whole = Totals()
    for group in groups:
        whole.merge(group)
    return whole


def _longer(steps: Mapping[datetime, Totals], period: str) -> dict[datetime, Totals]:
    """Return the totals of longer periods from those of hours or days."""
    grouped: dict[datetime, Totals] = defaultdict(Totals)
    for moment, totals in steps.items():
        grouped[period_start(moment, period)].merge(totals)
    return dict(grouped)

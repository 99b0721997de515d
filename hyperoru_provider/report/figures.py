"""The figures of a report: every sum is exact, and no order in which rows of one moment come changes one. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
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
        self.trades += 1
        self.volume = EXACT.add(self.volume, fill.notional)
        self.fees = EXACT.add(self.fees, fill.fee)
        self.profit = EXACT.add(self.profit, fill.profit)
        self.wins += fill.profit > 0
        self.losses += fill.profit < 0
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


@dataclass
class Figures:
    """All that a report shows.

    :param coverage: the time that it is of.
    """

    coverage: Coverage
    totals: Totals = field(default_factory=Totals)
    days: dict[datetime, Totals] = field(default_factory=dict)
    periods: dict[datetime, Totals] = field(default_factory=dict)
    symbols: dict[str, Totals] = field(default_factory=dict)
    traders: dict[str | None, Totals] = field(default_factory=dict)
    names: dict[str | None, str] = field(default_factory=dict)
    wins: list[Fill] = field(default_factory=list)
    losses: list[Fill] = field(default_factory=list)
    first_time: datetime | None = None
    last_time: datetime | None = None

    def __post_init__(self) -> None:
        self.period = period_of(self.coverage.span)
        self.curve = Curve(self.coverage.span)
        self.drawdown = Drawdown(ZERO, self.coverage.span.start)
        self._peak = (ZERO, self.coverage.span.start)

    def add(self, fills: Iterable[Fill]) -> Figures:
        """Add trades, in order of time, and return these figures."""
        for moment, together in groupby(fills, attrgetter("time")):
            for fill in together:
                self._add(fill)
            self._mark(moment)
        return self

    def _add(self, fill: Fill) -> None:
        day, period = period_start(fill.time, "day"), period_start(fill.time, self.period)
        for totals in (
            self.totals,
            self.days.setdefault(day, Totals()),
            self.periods.setdefault(period, Totals()),
            self.symbols.setdefault(fill.symbol, Totals()),
            self.traders.setdefault(fill.account_id, Totals()),
        ):
            totals.add(fill)
        if fill.account_name:
            self.names[fill.account_id] = fill.account_name
        if fill.profit > 0:
            self.wins = sorted([*self.wins, fill], key=lambda each: -each.profit)[:LARGEST]
        elif fill.profit < 0:
            self.losses = sorted([*self.losses, fill], key=lambda each: each.profit)[:LARGEST]

    def _mark(self, moment: datetime) -> None:
        """Note what the trades up to the end of a moment add up to."""
        self.first_time, self.last_time = self.first_time or moment, moment
        net = self.totals.net
        if net > self._peak[0]:
            self._peak = (net, moment)
        fall = EXACT.subtract(self._peak[0], net)
        if fall > self.drawdown.amount:
            self.drawdown = Drawdown(fall, self._peak[1], moment)
        self.curve.add(moment, net, self.totals.profit, fall)

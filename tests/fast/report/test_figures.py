"""What exported trades add up to: exactly, in whatever order the rows of one moment come."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import accumulate

import pytest

from hyperoru_provider.params.window import Window
from hyperoru_provider.report import numbers
from hyperoru_provider.report.charts import largest_with_rest
from hyperoru_provider.report.coverage import Coverage, period_of, period_start
from hyperoru_provider.report.figures import Figures
from hyperoru_provider.report.fills import ZERO, Fill
from hyperoru_provider.report.page import days

START = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
WEEK = Window(START, START + timedelta(days=7))
WHOLE = Coverage.of([({}, WEEK)])


def fill(hours: float, profit: str | None, fee: str | None = "0", symbol: str = "BTC", trader: str = "1") -> Fill:
    price, quantity = Decimal(10), Decimal(2)
    return Fill(
        START + timedelta(hours=hours),
        trader,
        None,
        symbol,
        "SELL",
        None,
        price,
        quantity,
        price * quantity,
        None if fee is None else Decimal(fee),
        None if profit is None else Decimal(profit),
    )


def test_sums_keep_each_digit() -> None:
    small, large = Decimal("1e-390"), Decimal("9e390")
    fills = [fill(1, str(large), str(small)), fill(2, str(-large)), fill(3, str(small))]
    totals = Figures(WHOLE, fills).totals
    assert (totals.profit, totals.fees, totals.net) == (small, small, ZERO)
    assert Figures(WHOLE, fills[:1]).totals.net + small == large


def test_trades_without_profit_or_loss_are_no_part_of_the_win_rate() -> None:
    totals = Figures(WHOLE, [fill(1, "0"), fill(1, "5"), fill(1, "-1"), fill(1, None), fill(1, "2", None)]).totals
    assert (totals.wins, totals.losses, totals.closing, totals.win_rate) == (2, 1, 3, Decimal(2) / 3)
    assert (totals.unknown_profits, totals.unknown_fees) == (1, 1)
    nothing = Figures(WHOLE, [fill(1, "0")]).totals
    assert nothing.win_rate is None


def test_a_drawdown_is_from_the_highest_before() -> None:
    profits = ["10", "-4", "6", "-9", "-2", "20", "-3"]
    figures = Figures(WHOLE, [fill(hour, profit) for hour, profit in enumerate(profits)])
    assert figures.drawdown.amount == 11
    assert figures.drawdown.peak == START + timedelta(hours=2)
    assert figures.drawdown.trough == START + timedelta(hours=4)


def test_a_drawdown_may_begin_with_the_report() -> None:
    figures = Figures(WHOLE, [fill(5, "-4", "1")])
    assert (figures.drawdown.amount, figures.drawdown.peak) == (Decimal(5), START)
    rising = Figures(WHOLE, [fill(5, "4")])
    assert (rising.drawdown.amount, rising.drawdown.trough) == (ZERO, None)


def test_trades_of_one_moment_have_no_order() -> None:
    profits = ["10", "-30", "25", "-4"]
    found = []
    for seed in range(5):
        mixed = random.Random(seed).sample(profits, len(profits))
        figures = Figures(WHOLE, [fill(1, profit) for profit in mixed])
        found.append((figures.drawdown, [*figures.curve]))
    assert found == found[:1] * 5
    assert found[0][0].amount == 0


def test_a_curve_keeps_its_ends_and_extremes_in_few_points() -> None:
    rng = random.Random(3)
    profits = [rng.randint(-100, 100) for _ in range(20_000)]
    figures = Figures(WHOLE, [fill(168 * n / 20_000, str(profit)) for n, profit in enumerate(profits)])
    sums, points = [*accumulate(profits)], [*figures.curve]
    assert len(points) <= 5 * 400
    assert (points[0].net, points[-1].net) == (sums[0], sums[-1])
    assert (max(point.net for point in points), min(point.net for point in points)) == (max(sums), min(sums))
    assert max(point.fall for point in points) == figures.drawdown.amount
    assert points == sorted(points)


def test_the_largest_wins_and_losses() -> None:
    figures = Figures(WHOLE, [fill(hour, str(hour - 20)) for hour in range(40)])
    assert [each.profit for each in figures.wins] == [19, 18, 17, 16, 15]
    assert [each.profit for each in figures.losses] == [-20, -19, -18, -17, -16]


def test_each_group_is_a_part_of_the_whole() -> None:
    fills = [fill(hour, "1", "0.1", f"S{hour % 7}", str(hour % 3)) for hour in range(168)]
    figures = Figures(WHOLE, fills)
    for groups in (figures.symbols, figures.traders, figures.days, figures.periods):
        assert sum(totals.trades for totals in groups.values()) == 168
        assert sum(totals.fees for totals in groups.values()) == figures.totals.fees == Decimal("16.8")
    named = largest_with_rest(figures.symbols, 4)
    assert [name for name, _ in named] == ["S0", "S1", "S2", "S3", "3 others"]
    assert sum(totals.profit for _, totals in named) == 168


@pytest.mark.parametrize(
    ("length", "period", "start"),
    [
        (timedelta(days=1), "hour", datetime(2026, 1, 14, 7, tzinfo=UTC)),
        (timedelta(days=7), "day", datetime(2026, 1, 14, tzinfo=UTC)),
        (timedelta(days=200), "week", datetime(2026, 1, 12, tzinfo=UTC)),
        (timedelta(days=900), "month", datetime(2026, 1, 1, tzinfo=UTC)),
        (timedelta(days=9000), "year", datetime(2026, 1, 1, tzinfo=UTC)),
    ],
)
def test_bars_are_as_long_as_can_be_told_apart(length: timedelta, period: str, start: datetime) -> None:
    assert period_of(Window(START, START + length)) == period
    assert period_start(datetime(2026, 1, 14, 7, 31, 2, tzinfo=UTC), period) == start


def window(first: int, last: int) -> Window:
    return Window(START + timedelta(days=first), START + timedelta(days=last))


def test_windows_that_meet_or_overlap_have_no_gap() -> None:
    assert Coverage.of([({}, window(3, 7)), ({}, window(0, 2)), ({}, window(1, 4))]).gaps == ()


def test_a_gap_is_one_of_a_trader_unless_all_were_exported() -> None:
    one, other = {"account_id": "1"}, {"account_id": "2"}
    coverage = Coverage.of([(one, window(0, 2)), (one, window(3, 7)), (other, window(0, 4)), ({}, window(5, 6))])
    assert [(gap.label, gap.window) for gap in coverage.gaps] == [
        ("trader 1", window(2, 3)),
        ("trader 2", window(4, 5)),
        ("trader 2", window(6, 7)),
    ]
    assert coverage.span == WEEK
    everybody = Coverage.of([({}, window(0, 1)), ({}, window(2, 3))])
    assert [(gap.label, gap.window) for gap in everybody.gaps] == [("", window(1, 2))]


def test_days_without_trades_are_shown_in_a_row() -> None:
    coverage = Coverage.of([({}, window(0, 3)), ({}, window(4, 7))])
    shown = [*days(Figures(coverage, [fill(25, "1"), fill(26, "1"), fill(24 * 4, "1")]))]
    assert [(each.window, each.totals and each.totals.trades, each.exported) for each in shown] == [
        (window(0, 1), None, "whole"),
        (window(1, 2), 2, "whole"),
        (window(2, 4), None, "in part"),
        (window(4, 5), 1, "whole"),
        (window(5, 7), None, "whole"),
    ]


@pytest.mark.parametrize(
    ("value", "amount", "compact", "exact"),
    [
        ("0", "0.00", "0", "0"),
        ("-0.0", "0.00", "0", "0"),
        ("1234.5", "1,234.50", "1.23k", "1,234.5"),
        ("-1234567.891", "−1,234,567.89", "−1.23M", "−1,234,567.891"),
        ("0.005", "0.005", "0.005", "0.005"),
        ("-0.00000312", "−0.0000031", "−0.00000312", "−0.00000312"),
        ("2.5e-12", "2.50e−12", "2e−12", "0.0000000000025"),
        ("1e15", "1.00e+15", "1e+15", "1,000,000,000,000,000"),
        ("2.5e12", "2,500,000,000,000.00", "2.5T", "2,500,000,000,000"),
        ("0.125", "0.12", "0.125", "0.125"),
    ],
)
def test_amounts_as_people_read_them(value: str, amount: str, compact: str, exact: str) -> None:
    number = Decimal(value)
    assert (numbers.amount(number), numbers.compact(number), numbers.exact(number)) == (amount, compact, exact)


def test_shares_and_times_as_people_read_them() -> None:
    assert numbers.percent(Decimal("0.5551")) == "55.5\N{NO-BREAK SPACE}%"
    assert numbers.percent(Decimal("-0.0001")) == "0.0\N{NO-BREAK SPACE}%"
    assert numbers.percent(None) == "–"
    assert numbers.basis_points(Decimal("-0.0002332")) == "−2.33\N{NO-BREAK SPACE}bp"
    assert numbers.window(WEEK) == "2026-01-05 to 2026-01-11"
    assert numbers.window(window(0, 1)) == "2026-01-05"
    assert numbers.window(Window(START, START + timedelta(hours=7))) == "2026-01-05 00:00 to 2026-01-05 07:00"

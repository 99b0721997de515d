"""What the sandbox's lists hold beside trades and orders, before any dialect sends it."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from hyperoru_provider.sandbox.book import FileBook
from hyperoru_provider.sandbox.catalog import breakdown, factor_history, metrics
from hyperoru_provider.sandbox.market import Market
from hyperoru_provider.sandbox.prices import SYMBOLS, Prices
from hyperoru_provider.sandbox.records import CURVE_STEPS, SNAPSHOT_STEP, Records, decision_texts
from hyperoru_provider.sandbox.rows import DAY, SECOND, micros

KINDS = ("decisions", "program_runs", "closed_trades", "signal_triggers")
NOW = micros("2026-01-17T12:00:00")
DAY_START = micros("2026-01-15")


def records(seed: int = 7, now: int = NOW) -> Records:
    prices = Prices(seed, SYMBOLS)
    return Records(seed, Market(seed, prices, lambda: now / SECOND), prices, lambda: now / SECOND)


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_makes_the_records_of_a_day_and_nothing_else_does(kind: str) -> None:
    whole = getattr(records(), kind)(DAY_START - DAY, NOW)
    day = getattr(records(), kind)(DAY_START, DAY_START + DAY)
    assert [each for each in whole if DAY_START <= each.time < DAY_START + DAY] == day != []
    assert getattr(records(seed=8), kind)(DAY_START, DAY_START + DAY) != day
    assert getattr(records(now=NOW + 5 * DAY), kind)(DAY_START, DAY_START + DAY) == day


@pytest.mark.parametrize("kind", KINDS)
def test_a_window_is_half_open_and_ends_now(kind: str) -> None:
    made = getattr(records(), kind)(DAY_START, DAY_START + DAY)
    times = [each.time for each in made]
    assert times == sorted(times)
    assert len(set(times)) < len(times), "some share a time"
    middle = Counter(times).most_common(1)[0][0]
    before, after = (getattr(records(), kind)(*window) for window in ((DAY_START, middle), (middle, DAY_START + DAY)))
    assert before + after == made and after[0].time == middle
    assert max(each.time for each in getattr(records(), kind)(NOW - DAY, NOW + DAY)) <= NOW


@pytest.mark.parametrize("kind", KINDS)
def test_there_are_hundreds_of_them_with_digits_that_are_hard_to_keep(kind: str) -> None:
    source = records()
    made = getattr(source, kind)(*source.window())
    assert len(made) > 500
    text = "".join(each.text() for each in made)
    assert "e-0" in text or kind == "program_runs"
    assert any(len(repr(value)) > 16 for each in made for value in each.fields.values() if isinstance(value, float))
    assert all(json.loads(each.text()) for each in made)


def test_closed_trades_come_from_two_tables_with_the_same_ids() -> None:
    made = records().closed_trades(DAY_START, DAY_START + DAY)
    keys = [(each.fields["source"], each.fields["id"]) for each in made]
    assert len(set(keys)) == len(keys)
    assert max(Counter(key[1] for key in keys).values()) == 2


def test_records_lie_on_the_days_of_a_file_and_are_of_its_traders() -> None:
    trade = {"trade_id": 1, "account_id": 9, "symbol": "BTC", "price": 1, "trade_time": "2025-03-01T10:00:00Z"}
    book = FileBook([trade])
    source = Records(7, book, Prices(7, book.symbols), lambda: NOW / SECOND)
    made = source.decisions(*source.window())
    assert {each.time // DAY for each in made} == {micros("2025-03-01") // DAY}
    assert {each.fields["account_id"] for each in made} == {9}


def test_equity_goes_by_a_grid_and_adds_up() -> None:
    points = list(records().asset_curve(1, CURVE_STEPS["1h"], DAY_START + 1, DAY_START + DAY))
    assert [each.time for each in points] == [DAY_START + hour * CURVE_STEPS["1h"] for hour in range(1, 24)]
    snapshots = list(records().account_snapshots(1, NOW - DAY, NOW + DAY))
    assert len(snapshots) == DAY // SNAPSHOT_STEP + 1 and snapshots[-1].time == NOW
    assert all(isinstance(each.fields["total_assets"], float) for each in points)


def test_times_are_written_as_a_dialect_says() -> None:
    (first, *_) = records().asset_curve(1, CURVE_STEPS["1d"], DAY_START, DAY_START + DAY)
    assert '"timestamp":"2026-01-15T00:00:00Z"' in first.text()
    assert f'"timestamp":{DAY_START // SECOND},' in first.text(lambda time: time // SECOND)


def test_a_decision_has_long_texts() -> None:
    texts = decision_texts(records().decisions(DAY_START, DAY_START + DAY)[0])
    assert set(texts) == {"prompt_snapshot", "reasoning_snapshot", "decision_snapshot"}
    assert len(texts["prompt_snapshot"]) > 4_000


def test_breakdowns_sum_up_to_the_whole() -> None:
    made = records().closed_trades(DAY_START, DAY_START + DAY)
    groups = breakdown(made, "symbol")
    assert sum(int(str(each["trade_count"])) for _, each in groups) == metrics(made)["trade_count"] == len(made)
    assert metrics([])["trade_count"] == 0


def test_a_factor_has_a_history_by_days() -> None:
    history = factor_history(7, "vol_ratio", DAY_START // DAY)
    assert len({each["date"] for each in history}) == 30
    assert history == factor_history(7, "vol_ratio", DAY_START // DAY)

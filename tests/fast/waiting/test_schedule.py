"""The ticks at which all who wait ask together, and when a waiter is due."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperoru_provider.waiting.schedule import PollTicks, Schedule

MOMENTS = st.floats(1.7e9, 2.5e9)
INTERVALS = st.floats(0.1, 100_000)
KEYS = st.tuples(st.text(max_size=5), st.integers(0, 9))
TINY = 1e-5


@given(INTERVALS, KEYS, MOMENTS)
def test_the_next_moment_is_within_an_interval(interval: float, key: object, now: float) -> None:
    ticks = PollTicks(interval, key)
    assert now - TINY <= ticks.after(now) <= now + interval + TINY
    assert now - interval - TINY <= ticks.before(now) <= now + TINY
    assert ticks.after(now) - ticks.before(now) == pytest.approx(interval, abs=TINY)


@given(INTERVALS, KEYS, MOMENTS, st.floats(0, 1))
def test_who_begins_within_the_same_interval_asks_at_the_same_moment(
    interval: float, key: object, now: float, part: float
) -> None:
    begun = PollTicks(interval, key).before(now) + TINY * 10
    assert PollTicks(interval, key).after(begun + part * (interval - TINY * 20)) == PollTicks(interval, key).after(
        begun
    )


@given(INTERVALS, KEYS, MOMENTS, st.floats(-0.45, 0.45), st.floats(0, 0.9))
def test_one_question_in_an_interval_though_clocks_and_answers_wander(
    interval: float, key: object, now: float, early: float, answered: float
) -> None:
    ticks = PollTicks(interval, key)
    moment = ticks.after(now)
    begun = moment + early * interval
    following = ticks.following(begun, moment + answered * interval)
    assert following == pytest.approx(moment + interval, abs=TINY)


@given(INTERVALS, KEYS, MOMENTS, st.floats(1.1, 50))
def test_a_late_answer_is_followed_by_the_next_moment(
    interval: float, key: object, now: float, answered: float
) -> None:
    ticks = PollTicks(interval, key)
    begun = ticks.after(now)
    done = begun + answered * interval
    assert done - TINY <= ticks.following(begun, done) <= done + interval + TINY


@given(INTERVALS, KEYS, MOMENTS, st.floats(1.1, 1e6))
def test_a_clock_that_is_put_back_during_a_question_puts_off_none(
    interval: float, key: object, now: float, back: float
) -> None:
    ticks = PollTicks(interval, key)
    begun = ticks.after(now)
    done = begun - back
    assert done - TINY <= ticks.following(begun, done) <= done + 1.5 * interval + TINY


def test_keys_are_spread_over_the_interval() -> None:
    phases = sorted(PollTicks(10, ("conn", f"S{number}")).after(1e9) - 1e9 for number in range(1_000))
    tenths = [sum(1 for phase in phases if tenth <= phase < tenth + 1) for tenth in range(10)]
    assert min(tenths) > 60


def test_the_ticks_are_the_same_in_every_process() -> None:
    assert PollTicks(60, ("hyperoru_default", "health")).after(1_800_000_000) == pytest.approx(
        1_800_000_009.407, abs=0.01
    )


@pytest.mark.parametrize("interval", [0, 0.001])
def test_no_interval_floods_the_server(interval: float) -> None:
    assert PollTicks(interval, "").interval == 0.1


def waits(schedule: Schedule, deadline: float, ticks: PollTicks, begin: float) -> list[float]:
    """Return when a waiter is due, from the first tick up to the deadline."""
    moments = [ticks.after(begin)]
    while len(moments) < 100:
        due = ticks.due(schedule, moments[-1], deadline)
        if due > deadline:
            break
        moments.append(due)
    return [moment - begin for moment in moments]


def test_constant_pauses() -> None:
    ticks = PollTicks(10, "key")
    begin = ticks.before(1.8e9)
    assert waits(Schedule(10, begin), begin + 45, ticks, begin) == pytest.approx([10, 20, 30, 40])


def test_pauses_that_double() -> None:
    ticks = PollTicks(10, "key")
    begin = ticks.before(1.8e9)
    doubling = waits(Schedule(10, begin, doubling=True), begin + 1_000, ticks, begin)
    assert doubling == pytest.approx([10, 20, 40, 80, 160, 320, 640, 1_000])  # the last one is just in time
    capped = waits(Schedule(10, begin, doubling=True, max_pause=45), begin + 300, ticks, begin)
    assert capped[:5] == pytest.approx([10, 20, 40, 80, 120])
    assert max(later - earlier for earlier, later in pairwise(capped)) <= 45


@given(INTERVALS, MOMENTS, st.floats(1, 1_000), st.floats(0.1, 1e6), st.booleans())
def test_each_due_moment_is_later_and_on_a_tick(
    interval: float, since: float, waited: float, left: float, doubling: bool
) -> None:
    ticks = PollTicks(interval, "key")
    begun = ticks.after(since + waited * interval)
    due = ticks.due(Schedule(interval, since, doubling), begun, begun + left)
    assert due >= begun + interval - TINY
    assert due == pytest.approx(ticks.nearest(due), abs=TINY)

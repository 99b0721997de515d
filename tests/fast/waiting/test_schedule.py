"""The grid on which all who wait ask together."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperoru_provider.waiting.schedule import PollTicks, Schedule

MOMENTS = st.floats(1.7e9, 2.5e9)
INTERVALS = st.floats(0.1, 100_000)
TOPICS = st.tuples(st.text(max_size=5), st.integers(0, 9))
TINY = 1e-5


@given(INTERVALS, TOPICS, MOMENTS)
def test_the_next_moment_is_within_an_interval(interval: float, topic: object, now: float) -> None:
    grid = PollTicks(interval, topic)
    assert now - TINY <= grid.after(now) <= now + interval + TINY
    assert now - interval - TINY <= grid.before(now) <= now + TINY
    assert grid.after(now) - grid.before(now) == pytest.approx(interval, abs=TINY)


@given(INTERVALS, TOPICS, MOMENTS, st.floats(0, 1))
def test_who_begins_within_the_same_interval_asks_at_the_same_moment(
    interval: float, topic: object, now: float, part: float
) -> None:
    begun = PollTicks(interval, topic).before(now) + TINY * 10
    assert PollTicks(interval, topic).after(begun + part * (interval - TINY * 20)) == PollTicks(interval, topic).after(
        begun
    )


@given(INTERVALS, TOPICS, MOMENTS, st.floats(-0.45, 0.45), st.floats(0, 0.9))
def test_one_question_in_an_interval_though_clocks_and_answers_wander(
    interval: float, topic: object, now: float, early: float, answered: float
) -> None:
    grid = PollTicks(interval, topic)
    moment = grid.after(now)
    begun = moment + early * interval
    following = grid.following(begun, moment + answered * interval)
    assert following == pytest.approx(moment + interval, abs=TINY)


@given(INTERVALS, TOPICS, MOMENTS, st.floats(1.1, 50))
def test_a_late_answer_is_followed_by_the_next_moment(
    interval: float, topic: object, now: float, answered: float
) -> None:
    grid = PollTicks(interval, topic)
    begun = grid.after(now)
    done = begun + answered * interval
    assert done - TINY <= grid.following(begun, done) <= done + interval + TINY


def test_topics_are_spread_over_the_interval() -> None:
    phases = sorted(PollTicks(10, ("conn", f"S{number}")).after(1e9) - 1e9 for number in range(1_000))
    tenths = [sum(1 for phase in phases if tenth <= phase < tenth + 1) for tenth in range(10)]
    assert min(tenths) > 60


def test_the_grid_is_the_same_in_every_process() -> None:
    assert PollTicks(60, ("hyperoru_default", "health")).after(1_800_000_000) == pytest.approx(
        1_800_000_009.407, abs=0.01
    )


@pytest.mark.parametrize("interval", [0, 0.001])
def test_no_interval_floods_the_server(interval: float) -> None:
    assert PollTicks(interval, "").interval == 0.1


def waits(schedule: Schedule, deadline: float, grid: PollTicks, begin: float) -> list[float]:
    """Give when one is due, from the first moment on, up to the deadline."""
    moments = [grid.after(begin)]
    while len(moments) < 100:
        due = grid.due(schedule, moments[-1], deadline)
        if due > deadline:
            break
        moments.append(due)
    return [moment - begin for moment in moments]


def test_constant_pauses() -> None:
    grid = PollTicks(10, "topic")
    begin = grid.before(1.8e9)
    assert waits(Schedule(10, begin), begin + 45, grid, begin) == pytest.approx([10, 20, 30, 40])


def test_pauses_that_double() -> None:
    grid = PollTicks(10, "topic")
    begin = grid.before(1.8e9)
    doubling = waits(Schedule(10, begin, doubling=True), begin + 1_000, grid, begin)
    assert doubling == pytest.approx([10, 20, 40, 80, 160, 320, 640, 1_000])  # the last one is just in time
    capped = waits(Schedule(10, begin, doubling=True, longest=45), begin + 300, grid, begin)
    assert capped[:5] == pytest.approx([10, 20, 40, 80, 120])
    assert max(later - earlier for earlier, later in pairwise(capped)) <= 45


@given(INTERVALS, MOMENTS, st.floats(1, 1_000), st.floats(0.1, 1e6), st.booleans())
def test_each_due_moment_is_later_and_on_the_grid(
    interval: float, since: float, waited: float, left: float, doubling: bool
) -> None:
    grid = PollTicks(interval, "topic")
    begun = grid.after(since + waited * interval)
    due = grid.due(Schedule(interval, since, doubling), begun, begun + left)
    assert due >= begun + interval - TINY
    assert due == pytest.approx(grid.nearest(due), abs=TINY)

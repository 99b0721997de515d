from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pendulum
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperoru_provider.client.errors import HyperoruConfigError
from hyperoru_provider.params.window import Window

START = datetime(2024, 9, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    "start",
    [
        "2024-09-20",
        "2024-09-20T00:00:00Z",
        "2024-09-20 00:00:00+00:00",  # as Airflow renders {{ data_interval_start }}
        " 2024-09-20T02:00:00+02:00 ",
        datetime(2024, 9, 20),
        datetime(2024, 9, 20, 2, tzinfo=timezone(timedelta(hours=2))),
        date(2024, 9, 20),
        pendulum.datetime(2024, 9, 20),
    ],
)
def test_a_bound_is_read_in_utc(start: object) -> None:
    window = Window.parse(start, "2024-09-21")
    assert window == Window(START, START + timedelta(days=1))
    assert window.start.tzinfo is UTC


@pytest.mark.parametrize("bound", ["now", "soon", "10:00", "P1D", "2024-09-20/2024-09-21", 5, "{{ x }}"])
def test_what_is_no_time_is_named(bound: object) -> None:
    with pytest.raises(HyperoruConfigError, match=r"start is .*: an ISO 8601 date"):
        Window.parse(bound, "2024-09-21")
    with pytest.raises(HyperoruConfigError, match=r"end is .*: an ISO 8601 date"):
        Window.parse("2024-09-20", bound)


@pytest.mark.parametrize("bound", [None, "", "None"])
def test_a_run_without_interval_is_explained(bound: object) -> None:
    with pytest.raises(HyperoruConfigError, match=r"end is missing.*CronDataIntervalTimetable"):
        Window.parse("2024-09-20", bound)


@pytest.mark.parametrize(("end", "kind"), [("2024-09-20", "is empty"), ("2024-09-19", "ends before")])
def test_an_empty_window_is_explained(end: str, kind: str) -> None:
    with pytest.raises(HyperoruConfigError, match=f"{kind}.*CronDataIntervalTimetable"):
        Window.parse("2024-09-20", end)


moments = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


@given(st.lists(moments, min_size=3, max_size=3, unique=True).map(sorted))
def test_names_are_file_names_and_differ(moments: list[datetime]) -> None:
    first, second, third = moments
    names = {Window(first, second).name, Window(second, third).name, Window(first, third).name}
    assert len(names) == 3
    assert all(name.replace("_", "").replace(".", "").isalnum() for name in names)


def test_a_name() -> None:
    assert Window(START, START + timedelta(hours=1)).name == "20240920T000000Z_20240920T010000Z"
    assert Window(START, START + timedelta(microseconds=5)).name == "20240920T000000Z_20240920T000000.000005Z"


@given(st.lists(moments, min_size=2, max_size=2, unique=True).map(sorted))
def test_a_window_is_known_by_its_name(moments: list[datetime]) -> None:
    window = Window(*moments)
    assert Window.of_name(f"{window.name},account_id-1") == Window.of_name(window.name) == window


@pytest.mark.parametrize("name", ["latest", "20260115T000000Z", "20261301T000000Z_20261302T000000Z", "notes.txt"])
def test_another_name_is_that_of_no_window(name: str) -> None:
    assert Window.of_name(name) is None


def test_windows_before_one_meet_it() -> None:
    day = timedelta(days=1)
    assert Window(START, START + day).with_earlier(3) == [
        Window(START + n * day, START + (n + 1) * day) for n in (-2, -1, 0)
    ]

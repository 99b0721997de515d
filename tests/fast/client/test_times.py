from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperoru_provider.client.times import format_time, parse_time, to_utc

MOMENT = datetime(2024, 9, 20, 8, 36, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-09-20T08:36:00Z", MOMENT),
        ("2024-09-20T08:36:00", MOMENT),
        ("2024-09-20 08:36:00", MOMENT),
        ("2024-09-20T10:36:00+02:00", MOMENT),
        ("2024-09-20T08:36:00.5Z", MOMENT + timedelta(milliseconds=500)),
        ("2024-09-20T08:36:00.123456+00:00", MOMENT + timedelta(microseconds=123456)),
        ("20240920T083600", MOMENT),
        ("2024-09-20T08:36:00.000000000Z", MOMENT),
        ("2024-09-20T08:36:00.12345600+00:00", MOMENT + timedelta(microseconds=123456)),
        ("2024-09-20T10:36:00,1234560" + "0" * 40 + "+02:00", MOMENT + timedelta(microseconds=123456)),
    ],
)
def test_known_forms(text: str, moment: datetime) -> None:
    assert parse_time(text) == moment
    assert parse_time(text).tzinfo is UTC


@pytest.mark.parametrize(
    "value",
    [
        None,
        1726821360,
        1.5,
        "",
        "2024-09-20",
        "soon",
        "2024-13-20T08:36:00Z",
        "2024-09-20T08:36:00.123456789+00:00",
        "2024-09-20T08:36:00.1234567Z",
        "2024-09-20T08:36:00.1234560001Z",
        "2024-09-20T08:36:00000000Z",
        True,
    ],
)
def test_what_has_no_sure_meaning_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        parse_time(value)


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_survive_the_wire(moment: datetime) -> None:
    assert parse_time(format_time(moment)) == moment


@given(st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)), st.integers(-1439, 1439))
def test_any_offset_is_the_same_moment(naive: datetime, minutes: int) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert to_utc(moment) == moment
    assert parse_time(format_time(moment)) == moment


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", None])
def test_a_subclass_becomes_a_plain_datetime(zone: str | None) -> None:
    import pendulum

    moment = pendulum.datetime(2026, 3, 29, 3, 30, tz=zone) if zone else pendulum.naive(2026, 3, 29, 3, 30)
    plain = to_utc(moment)
    assert (type(plain), plain.tzinfo) == (datetime, UTC)
    assert plain == (moment if zone else moment.replace(tzinfo=UTC))

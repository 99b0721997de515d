from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperoru_provider.client.times import TimeFormat, format_time, parse_time, parse_times, to_utc, write_time

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


@pytest.mark.parametrize("digits", range(1, 7))
@pytest.mark.parametrize("offset", ["Z", "", "+00:00", "+02:00"])
def test_a_fraction_has_up_to_six_digits_before_any_offset(digits: int, offset: str) -> None:
    text = "2024-09-20T08:36:00." + "5" * digits
    assert parse_time(text + offset) == datetime.fromisoformat(text + (offset or "Z")).astimezone(UTC)


EPOCHS: list[tuple[object, TimeFormat, timedelta]] = [
    (1726821360, "seconds", timedelta()),
    ("1726821360", "seconds", timedelta()),
    (Decimal("1726821360.123456"), "seconds", timedelta(microseconds=123456)),
    (Decimal("1726821360.1234560000"), "seconds", timedelta(microseconds=123456)),
    (1726821360123, "milliseconds", timedelta(milliseconds=123)),
    (Decimal("1726821360123.456"), "milliseconds", timedelta(microseconds=123456)),
]


@pytest.mark.parametrize(("value", "time_format", "more"), EPOCHS)
def test_times_as_epoch_seconds_or_milliseconds(value: object, time_format: TimeFormat, more: timedelta) -> None:
    assert parse_time(value, time_format) == MOMENT + more
    assert parse_times([value, value], time_format) == [MOMENT + more] * 2


@pytest.mark.parametrize(
    "value",
    [None, True, "", "soon", "2024-09-20T08:36:00Z", Decimal("1.0000001"), Decimal("1." + "0" * 40 + "1"), 10**20, []],
)
def test_what_is_no_epoch_second_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"since 1970|more digits"):
        parse_time(value, "seconds")


@given(st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.replace(microsecond=0)))
def test_whole_seconds_survive_the_wire_as_epochs(moment: datetime) -> None:
    for time_format in ("iso", "seconds", "milliseconds"):
        assert parse_time(write_time(moment, time_format), time_format) == moment


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

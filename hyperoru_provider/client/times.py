"""Times as the API and users write them: ISO 8601, and UTC where the offset is missing; or counted from 1970 on."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from operator import attrgetter, itemgetter
from typing import Any, Literal, TypeAlias

from hyperoru_provider.client.amounts import parse_amount
from hyperoru_provider.client.errors import HyperoruConfigError

#: how a server writes times: ISO 8601, or as what it counts since the start of 1970 in UTC
TimeFormat: TypeAlias = Literal["iso", "seconds", "milliseconds"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECONDS = {"seconds": 1_000_000, "milliseconds": 1_000}
#: a time as users write it: see :func:`parse_moment`
Moment: TypeAlias = datetime | date | str

_NANOSECONDS = re.compile(r"[.,]\d{7}")
_MORE_ZEROS = re.compile(r"([.,]\d{6})0+")
_PLAIN = {"T::Z", "T::."}
_PUNCTUATION = itemgetter(slice(10, 20, 3))
_ZONE = attrgetter("tzinfo")
_PLAIN_LENGTH = len("2024-09-20T08:36:00.123456Z")
_SHORTEST, _LONGEST = len("20240920T083600"), len("2024-09-20T08:36:00.123456+00:00")


def parse_time(value: object, time_format: TimeFormat = "iso") -> datetime:
    """Return a server's time in UTC.

    :param value: ISO 8601 text with a time of day and at most microseconds, or zeros beyond them; or a number.
    :param time_format: which of both.
    :raises ValueError: it is something else. A number has no known unit, a bare date no known time of day,
        and nanoseconds would be cut.
    """
    if time_format != "iso":
        return _from_epoch(value, time_format)
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not an ISO 8601 time")
    text = _MORE_ZEROS.sub(r"\1", value)
    if not _SHORTEST <= len(text) <= _LONGEST:
        raise ValueError(f"{value[:60]!r} is not an ISO 8601 time with whole seconds to microseconds")
    if _NANOSECONDS.search(text):
        raise ValueError(f"{value!r} has more digits than microseconds")
    try:
        return to_utc(datetime.fromisoformat(text))
    except OverflowError:
        raise ValueError(f"{value!r} is out of range") from None


def _from_epoch(value: object, time_format: TimeFormat) -> datetime:
    try:
        whole, parts = parse_amount(value).as_integer_ratio()
    except ValueError:
        raise ValueError(f"{value!r} is not a number of {time_format} since 1970") from None
    microseconds, rest = divmod(whole * _MICROSECONDS[time_format], parts)
    if rest:
        raise ValueError(f"{value!r} has more digits than microseconds")
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        raise ValueError(f"{value!r} is out of range as {time_format} since 1970") from None


def parse_times(values: list[Any], time_format: TimeFormat = "iso") -> list[datetime]:
    """Return the times of a column as :func:`parse_time` does, but faster where all are written in the usual way.

    :raises ValueError: one is not a time.
    :raises TypeError: one is not text.
    """
    if time_format != "iso":
        return [parse_time(value, time_format) for value in values]
    if set(map(_PUNCTUATION, values)) <= _PLAIN and max(map(len, values)) <= _PLAIN_LENGTH:
        times = list(map(datetime.fromisoformat, values))
        if set(map(_ZONE, times)) == {UTC}:
            return times
    return list(map(parse_time, values))


def to_utc(moment: datetime) -> datetime:
    """Return a moment as a plain datetime in UTC; a naive one is taken to be in UTC.

    Subclasses such as pendulum's have an arithmetic of their own, so they are not passed on.
    """
    if moment.tzinfo is not UTC:
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment if type(moment) is datetime else datetime.combine(moment.date(), moment.time(), UTC)


def shift(moment: datetime, by: timedelta) -> datetime:
    """Return a moment so much later or earlier, or the last or first one that there is."""
    try:
        return moment + by
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if by > timedelta(0) else datetime.min.replace(tzinfo=UTC)


def format_time(moment: datetime) -> str:
    """Return a moment as the API reads it: ``2024-09-20T08:36:00Z``, with a fraction only where there is one."""
    return to_utc(moment).replace(tzinfo=None).isoformat() + "Z"


def write_time(moment: datetime, time_format: TimeFormat) -> str:
    """Return a moment as a server reads it; a count is one of whole seconds or milliseconds."""
    if time_format == "iso":
        return format_time(moment)
    return str((to_utc(moment) - _EPOCH) // timedelta(microseconds=_MICROSECONDS[time_format]))


def parse_moment(name: str, value: object) -> datetime:
    """Return a user's time in UTC.

    :param name: the argument's name, for errors.
    :param value: a datetime, a date (its midnight), or ISO 8601 text; in UTC if it has no offset.
    :raises HyperoruConfigError: it is not a time.
    """
    given = value
    if isinstance(value, str):
        import pendulum

        try:
            # pendulum also knows "now", which would be another window at each try
            value = None if value.strip().lower() == "now" else pendulum.parse(value.strip(), exact=True)
        except (ValueError, TypeError):
            value = None
    if isinstance(value, datetime):
        with suppress(OverflowError, ValueError):  # in UTC it is in the year 0 or 10000, or its offset is none
            return to_utc(value)
    elif isinstance(value, date):
        return to_utc(datetime.combine(value, time.min))
    advice = ""
    if isinstance(given, (int, float)):
        advice = " A natively rendered template turns digits into a number: write the date with dashes."
    raise HyperoruConfigError(
        f"{name} is {given!r:.100}: an ISO 8601 date or time, such as 2024-09-20T00:00:00Z, is expected.{advice}"
    )


def utc_window(start: Moment, end: Moment) -> tuple[datetime, datetime]:
    """Return both bounds of a window in UTC.

    :raises HyperoruConfigError: one is not a time, or the window is empty or inverted.
    """
    start, end = parse_moment("start", start), parse_moment("end", end)
    if start >= end:
        fault = "is empty" if start == end else "ends before it starts"
        raise HyperoruConfigError(
            f"The window from {format_time(start)} to {format_time(end)} {fault}: its end is exclusive, and must be "
            "later than its start."
        )
    return start, end


def interval_length(interval: str) -> timedelta:
    """Return the length of an interval such as ``1m``, ``4h`` or ``1d``.

    :raises HyperoruConfigError: it is not an interval.
    """
    units = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
    match = re.fullmatch(r"([1-9]\d{0,3})([mhdw])", interval)
    if match is None:
        raise HyperoruConfigError(f"interval {interval!r}: expected a length such as 1m, 5m, 15m, 1h, 4h or 1d.")
    return timedelta(**{units[match[2]]: int(match[1])})

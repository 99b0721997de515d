"""Times as the API writes them: ISO 8601, and UTC where the offset is missing."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from operator import attrgetter, itemgetter
from typing import Any

from hyperoru_provider.client.errors import HyperoruConfigError

_DIGITS = 6
_MORE_ZEROS = re.compile(r"([.,]\d{6})0+")
_PLAIN = {"T::Z", "T::."}
_PUNCTUATION = itemgetter(slice(10, 20, 3))
_ZONE = attrgetter("tzinfo")
_PLAIN_LENGTH = len("2024-09-20T08:36:00.123456Z")
_SHORTEST, _LONGEST = len("20240920T083600"), len("2024-09-20T08:36:00.123456+00:00")


def parse_time(value: object) -> datetime:
    """Return a server's time in UTC.

    :param value: ISO 8601 text with a time of day and at most microseconds, or zeros beyond them.
    :raises ValueError: it is something else. A number has no known unit, a bare date no known time of day,
        and nanoseconds would be cut.
    """
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not an ISO 8601 time")
    text = _MORE_ZEROS.sub(r"\1", value)
    if not _SHORTEST <= len(text) <= _LONGEST:
        raise ValueError(f"{value[:60]!r} is not an ISO 8601 time with whole seconds to microseconds")
    fraction = text.replace(",", ".").partition(".")[2]
    if fraction[_DIGITS : _DIGITS + 1].isdigit():
        raise ValueError(f"{value!r} has more digits than microseconds")
    try:
        return to_utc(datetime.fromisoformat(text))
    except OverflowError:
        raise ValueError(f"{value!r} is out of range") from None


def parse_times(values: list[Any]) -> list[datetime]:
    """Return the times of a column as :func:`parse_time` does, but faster where all are written in the usual way.

    :raises ValueError: one is not a time.
    :raises TypeError: one is not text.
    """
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


def format_time(moment: datetime) -> str:
    """Return a moment as the API reads it: ``2024-09-20T08:36:00Z``, with a fraction only where there is one."""
    return to_utc(moment).replace(tzinfo=None).isoformat() + "Z"


def utc_window(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """Return both bounds of a window in UTC.

    :raises HyperoruConfigError: the window is empty or inverted.
    """
    start, end = to_utc(start), to_utc(end)
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

"""Half-open windows in UTC, as users write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from hyperoru_provider.client import times
from hyperoru_provider.client.errors import HyperoruConfigError
from hyperoru_provider.client.times import format_time, utc_window

#: what to do where a run has no window
INTERVAL_ADVICE = (
    "A cron schedule of Airflow 3 gives every run a data interval of no length, and a run that was triggered by "
    "hand or by an asset may have none: use a CronDataIntervalTimetable, or give start and end."
)

_NAME = re.compile(r"(\d{8}T\d{6}(?:\.\d{6})?Z)_(\d{8}T\d{6}(?:\.\d{6})?Z)")


@dataclass(frozen=True)
class Window:
    """The time ``start <= t < end``, both in UTC."""

    start: datetime
    end: datetime

    @classmethod
    def parse(cls, start: object, end: object) -> Self:
        """Return the window between two times.

        :param start: its start: a datetime, a date, or ISO 8601 text. Without an offset it is in UTC.
        :param end: its end, exclusive; likewise.
        :raises HyperoruConfigError: one of them is not a time, or the window is empty or inverted.
        """
        first, last = parse_moment("start", start), parse_moment("end", end)
        try:
            return cls(*utc_window(first, last))
        except HyperoruConfigError as error:
            raise HyperoruConfigError(f"{error} {INTERVAL_ADVICE}") from None

    @classmethod
    def of_name(cls, name: str) -> Self | None:
        """Return the window whose :attr:`name` a file name begins with, or ``None`` if there is none."""
        match = _NAME.match(name)
        try:
            return match and cls(*map(datetime.fromisoformat, match.groups()))
        except ValueError:  # no such day
            return None

    @property
    def name(self) -> str:
        """The window in a file name, for example ``20240920T000000Z_20250502T000000Z``."""
        return f"{_compact(self.start)}_{_compact(self.end)}"

    def as_dict(self) -> dict[str, str]:
        """Return the window as JSON."""
        return {"start": format_time(self.start), "end": format_time(self.end)}

    def with_earlier(self, count: int) -> list[Self]:
        """Return this window and those before it, each of its length: so many in all, the oldest first.

        :raises HyperoruConfigError: the calendar does not go back so far.
        """
        length = self.end - self.start
        try:
            return [type(self)(self.start - length * n, self.end - length * n) for n in reversed(range(count))]
        except OverflowError:
            raise HyperoruConfigError(f"{count} windows of {length} go back to before the year 1.") from None

    def share(self, moment: datetime) -> float:
        """Return the part of the window, 0 to 1, that lies before a moment in it."""
        return (moment - self.start) / (self.end - self.start)


def parse_moment(name: str, value: object) -> datetime:
    """Return a time in UTC.

    :param name: the argument's name, for errors.
    :param value: a datetime, a date (its midnight), or ISO 8601 text; in UTC if it has no offset.
    :raises HyperoruConfigError: it is missing or not a time.
    """
    if value is None or value in ("", "None"):
        raise HyperoruConfigError(f"{name} is missing. {INTERVAL_ADVICE}")
    return times.parse_moment(name, value)


def _compact(moment: datetime) -> str:
    fraction = f".{moment.microsecond:06d}" if moment.microsecond else ""
    return f"{moment:%Y%m%dT%H%M%S}{fraction}Z"

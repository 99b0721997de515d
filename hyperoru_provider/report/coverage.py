"""Which time the exports are of, and which of it none of them is. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hyperoru_provider.params.window import Window

#: what limits an export beside its window, by name; of an export of all trades there is nothing
Limits = Mapping[str, str]
_WORDS = {"account_id": "trader"}


@dataclass(frozen=True)
class Gap:
    """A time that no export is of.

    :param label: whose trades were not exported; an empty text for all.
    :param window: the time.
    """

    label: str
    window: Window

    def overlaps(self, start: datetime, end: datetime) -> bool:
        """Return whether a part of a time is in the gap."""
        return self.window.start < end and start < self.window.end


@dataclass(frozen=True)
class Coverage:
    """The time from the first window to the last, and the gaps in it.

    :param span: from the start of the first window to the end of the last.
    :param gaps: what is not exported of it, in order of time.
    """

    span: Window
    gaps: tuple[Gap, ...]

    @classmethod
    def of(cls, exports: Iterable[tuple[Limits, Window]]) -> Coverage:
        """Return the coverage of at least one export, each with what limits it and its window.

        Exports of one trader are looked at for themselves: between them may be a gap where others have none.
        """
        pairs = list(exports)
        windows = [window for _, window in pairs]
        span = Window(min(window.start for window in windows), max(window.end for window in windows))
        whole = [window for limits, window in pairs if not limits]
        labels = {_label(limits) for limits, _ in pairs if limits} or {""}
        gaps = [
            Gap(label, missing)
            for label in labels
            for missing in _missing(span, [*whole, *(window for limits, window in pairs if _label(limits) == label)])
        ]
        return cls(span, tuple(sorted(gaps, key=lambda gap: (gap.window.start, gap.window.end, gap.label))))

    def has_gap(self, start: datetime, end: datetime) -> bool:
        """Return whether somebody's trades of a part of this time were not exported."""
        return any(gap.overlaps(start, end) for gap in self.gaps)


def _label(limits: Limits) -> str:
    return ", ".join(f"{_WORDS.get(name, name)} {value}" for name, value in sorted(limits.items()))


def _missing(span: Window, windows: Iterable[Window]) -> Iterable[Window]:
    """Yield what is left of a span without these windows."""
    reached = span.start
    for window in sorted(windows, key=lambda each: each.start):
        if window.start > reached:
            yield Window(reached, window.start)
        reached = max(reached, window.end)
    if reached < span.end:
        yield Window(reached, span.end)


#: how long a bar of a chart may be, and up to which length of the report
PERIODS = (
    ("hour", timedelta(days=3)),
    ("day", timedelta(days=62)),
    ("week", timedelta(weeks=62)),
    ("month", timedelta(days=62 * 30)),
    ("year", timedelta.max),
)


def period_of(span: Window) -> str:
    """Return the length of time by which a report is cut into bars that can be told apart."""
    return next(name for name, longest in PERIODS if span.end - span.start <= longest)


def period_start(moment: datetime, period: str) -> datetime:
    """Return the start of the hour, day, week (on Monday), month or year in which a moment is."""
    if period == "hour":
        return moment.replace(minute=0, second=0, microsecond=0)
    day = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    if period == "week":
        return day - min(timedelta(days=day.weekday()), day - datetime.min.replace(tzinfo=UTC))
    return day.replace(month=1 if period == "year" else day.month, day=day.day if period == "day" else 1)

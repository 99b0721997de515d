"""How a list takes a window and pages: what a few answers show of it. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from hyperoru_provider.client.api.endpoints import ListEndpoint
from hyperoru_provider.client.lists.rows import TimeSlice

_SECOND = timedelta(seconds=1)
_ROWS = 20
_OLDER_TIMES = 12
#: rows that may have arrived, and pushed as many off the end of a list
_ARRIVED = 5


class Window(NamedTuple):
    """A time range, its end exclusive."""

    start: datetime
    end: datetime


def around(times: Sequence[datetime], rows: int = _ROWS) -> Window:
    """Return a window with some rows of a list, of the most different times, so that others are before or after it.

    There is no round number of them if that can be: it may be a limit, so that a reader would ask further.

    :param times: of the rows that were shown.
    :param rows: how many at most, and no more than half of them.
    """
    ordered = sorted(times)
    rows = min(rows, -(-len(ordered) // 2))
    spare = len(ordered) - rows
    begins = [ordered[spare * part // 8 :] for part in (4, 3, 5, 2, 6, 1, 7)]  # the middle first
    stretches = [begin[:length] for length in (rows, max(rows - 1, 1)) for begin in begins]
    windows = [(len(set(stretch)), _whole_seconds(stretch[0], stretch[-1])) for stretch in stretches]
    return max(windows, key=lambda each: (_shown(each[1], times) % 10 > 0, each[0]))[1]


def _shown(window: Window, times: Sequence[datetime]) -> int:
    """Return how many rows a reader is shown of a window, of which it asks for a second more on each side."""
    return sum(window.start - _SECOND <= moment <= window.end for moment in times)


def newest(times: Sequence[datetime]) -> Window | None:
    """Return a window with the newest rows of a list that goes back to before it; ``None`` if there are too few."""
    different = sorted(set(times))
    if len(different) <= _OLDER_TIMES:
        return None
    first = max(len(different) - _ROWS, _OLDER_TIMES)
    return _whole_seconds(different[first], different[-1])


def oldest_start(times: Sequence[datetime]) -> datetime:
    """Return where a window may begin at the earliest, of a list that has to go back to before it."""
    return sorted(set(times))[_OLDER_TIMES]


def _whole_seconds(first: datetime, last: datetime) -> Window:
    return Window(first.replace(microsecond=0), last.replace(microsecond=0) + _SECOND)


def halves(window: Window) -> list[Window]:
    """Return the two halves of a window, which meet where a reader halves its rows; the window alone if too short."""
    middle = (window.start + (window.end - _SECOND - window.start) / 2).replace(microsecond=0) + _SECOND
    if not window.start < middle < window.end:
        return [window]
    return [Window(window.start, middle), Window(middle, window.end)]


def _left_out(without: Sequence[datetime], within: Sequence[datetime]) -> int:
    """Return how many rows are shown only without a window, before or after those that are shown with it."""
    return sum(not min(within) <= moment <= max(within) for moment in without)


def time_filter_of(
    endpoint: ListEndpoint, window: Window, without: Sequence[datetime], within: Sequence[datetime]
) -> Literal["instant", "day", "none"] | None:
    """Return what a list's time filter compares, or ``None`` if it can't be told.

    :param endpoint: the list.
    :param window: what was asked for.
    :param without: the times of the rows that were shown without it.
    :param within: the times of those that were shown with it.
    """
    present = [moment for moment in without if window.start <= moment < window.end]
    if not within or not present:
        return None
    kinds: tuple[Literal["instant", "day"], ...] = ("instant", "day")
    for kind in kinds:
        filtered = endpoint.model_copy(update={"time_filter": kind})
        first, last = TimeSlice(filtered, {}, window.start, window.end).accepted_range
        if not all(first <= moment <= last for moment in within):
            continue
        if not all(first <= moment <= last for moment in without) or _left_out(without, within) > _ARRIVED:
            return kind
        # no row is left out: it can't be told, but that an instant made no difference
        return "none" if kind == "day" and endpoint.time_filter != "day" else None
    return "none"

"""What the pages of one pass over a list prove: the one place where completeness is weighed. Pure: no I/O."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from hyperoru_provider.client.api.endpoints import ListEndpoint
from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.lists.checks import ListedTimes
from hyperoru_provider.client.lists.page import Page
from hyperoru_provider.client.lists.rows import TimeSlice
from hyperoru_provider.client.times import shift

#: limits of servers are multiples of this
USUAL_LIMITS = 50


class ListEvidence:
    """What was seen of a list in one pass; each check is a question about it.

    :param endpoint: the list.
    :param page_size: rows that each page was asked for; ``None`` if that was left to the server.
    :param largest_total: the most rows that the server counted in earlier passes.
    """

    def __init__(self, endpoint: ListEndpoint, page_size: int | None, largest_total: int = 0) -> None:
        self.seen = 0
        self.longest = 0
        self.pages = 0
        self.total: int | None = None
        self._endpoint = endpoint
        self._page_size = page_size
        self._largest_total = largest_total
        self._first_total: int | None = None
        self._last_size: int | None = None
        self._last_text = b""
        self._earlier_sizes: set[int] = set()
        self._listed = 0
        self._pages: set[tuple[int, bytes, bytes]] = set()
        self._shrank = False
        self._counts_pages = False
        #: whether a page had a row of an earlier one
        self.overlapped = False

    def add(self, page: Page, new: int) -> None:
        """Take a page.

        :param page: the page.
        :param new: how many of its rows were not listed before.
        :raises HyperoruContractError: the page is a repeat.
        """
        rows = len(page.texts)
        self.pages += rows > 0
        self.seen += new
        self._listed += rows
        self.overlapped |= self.longest > 0 and new < rows
        self.longest = max(self.longest, rows)
        if self._last_size is not None:
            self._earlier_sizes.add(self._last_size)
        self._last_size, self._last_text = rows, page.text
        if rows:
            self._check_repeat(page, nothing_new=new == 0)
        if page.total is not None and (rows or self.total is None):  # what a page past the end says does not count
            self._shrank |= self.total is not None and rows != page.total < self.total
            self._first_total = page.total if self._first_total is None else self._first_total
            self.total = page.total
            self._counts_pages |= page.total <= self.seen and (page.more is True or page.cursor is not None)

    @property
    def counted(self) -> bool:
        """Whether just as many rows were listed as the server counted throughout, and that proves something.

        A round number proves nothing, as it may be where the server stops to count, and to list, unless it has counted
        further than that before. Nor does that of a list of one page: it may count the page, with what was cut and
        merged before.
        """
        may_be_a_limit = _is_round(self.seen) and self.seen >= self._largest_total
        return self._is_met and (self.seen == 0 or (self.pages > 1 and not may_be_a_limit))

    @property
    def _is_met(self) -> bool:
        return self.total == self.seen == self._first_total and not self._counts_pages

    @property
    def steady(self) -> bool:
        """Whether the list kept still.

        Rows that arrive shift others onto the next page, which is harmless; an order that changes hides some. A
        count proves nothing then, as rows that came meanwhile may make up for those that were hidden. Where the
        server leaves rows out of pages, an order that changes leaves no trace at all.
        """
        pages_are_even = self._earlier_sizes <= {self._page_size or self.longest}
        return not self._shrank and not self.overlapped and (pages_are_even or self.counted)

    @property
    def pages_are_short(self) -> bool:
        """Whether no page had as many rows as were asked for: the server may skip what it cuts from them."""
        return self._page_size is not None and 0 < self.longest < self._page_size and not self.counted

    @property
    def size_is_kept(self) -> bool:
        """Whether pages are as long as asked for, or as long as the server likes."""
        return self._page_size is None or self._pages_are_full

    @property
    def ends_short(self) -> bool:
        """Whether pages are as long as asked for, but the last one is shorter and not empty.

        A full page, an empty one or a round number of rows may be where the server stops to list what it has.
        """
        if self.seen == 0:
            return True
        last_is_short = 0 < (self._last_size or 0) < self.longest
        return self._pages_are_full and last_is_short and not _is_round(self._listed)

    @property
    def short_page(self) -> int | None:
        """How many rows the page before had if it was not full: a further one may then skip rows. Else ``None``."""
        last = self._last_size or 0
        return last if self._page_size is not None and 0 < last < self._page_size else None

    @property
    def may_end(self) -> bool:
        """Whether the pages so far look like all of the list: the last one was short, or the server's count is met."""
        return (self._is_met and self.pages > 1) or (self.total in (None, self.seen) and self.short_page is not None)

    @property
    def paging_works(self) -> bool:
        """Whether there were several pages, and the first of them as long as asked for: they are no cut list again."""
        return self.pages > 1 and self._pages_are_full

    def repeats_last_page(self, page: Page) -> bool:
        """Return whether a page is the one before it again, as some servers send their last page for any past it."""
        return page.more is not True and page.text == self._last_text

    @property
    def may_be_limited(self) -> bool:
        """Whether so many rows were listed as a server may have chosen as a limit of all pages."""
        return self._listed > 0 and self._listed % USUAL_LIMITS == 0

    @property
    def _pages_are_full(self) -> bool:
        """Whether the longest page is just as long as asked for."""
        return self._page_size == self.longest

    @property
    def total_stays(self) -> bool:
        """Whether the server counted as many rows on the last page as on the first."""
        return self.total == self._first_total

    @property
    def missing(self) -> str | None:
        """Why rows are missing that the server counts; ``None`` if none are."""
        if self.total is None or self.total <= self.seen:
            return None
        if not self.total_stays:
            return (
                f"The server reported a total of {self._first_total} rows at first and {self.total} at the end, and "
                f"listed {self.seen} different ones: rows are added or removed while the list is read. Export the "
                "window again once it has settled."
            )
        return (
            f"The server reports a total of {self.total} rows, but listed {self.seen} different ones. If its total "
            "also counts other rows than those requested, set the contract's total to []; if its pages are numbered "
            "from 0, set its first_page to 0."
        )

    def _check_repeat(self, page: Page, *, nothing_new: bool) -> None:
        """Rows that arrive while pages are read shift some of them onto the next page, but not a whole page."""
        fingerprint = (len(page.texts), bytes(page.texts[0]), bytes(page.texts[-1]))
        if fingerprint in self._pages or (nothing_new and len(page.texts) == self.longest):
            raise HyperoruContractError(
                "The server sent the same page twice: it seems to ignore the paging parameters. Correct the "
                f"contract's paging (now {self._endpoint.paging!r}) or the names in its params."
            )
        self._pages.add(fingerprint)


def _is_round(rows: int) -> bool:
    """Return whether a server may have chosen so many rows as a limit."""
    return rows % 10 == 0


class Doubt(NamedTuple):
    """What is to be asked for before a slice is believed.

    :param parts: the parts that must list no further row, each as close as can be asked for, and then less close,
        should a page of it be full of rows that are known.
    :param open_second: whether the second of the last row is not among them, as it is all that there is to ask for.
    """

    parts: list[list[TimeSlice]]
    open_second: bool = False


def doubt(time_slice: TimeSlice, listed: ListedTimes, median: datetime | None = None, *, again: bool) -> Doubt:
    """Return which parts of a slice must list no further row if the slice was listed whole.

    A server may take so many rows first, and drop or merge some of them afterwards: then neither a short list nor an
    empty page is the end. What it has not shown lies before the oldest row or after the newest one: a list may be cut
    at its newest rows and shown the oldest first, and then in pages. The second of that row is asked for again, with
    the rows that it has. And a list may be limited in each of its sources, or thinned out where it is long: the half
    with the last of its rows must have no further one. Where too few rows were listed to show an order, both halves are
    asked for.

    :param time_slice: what was read.
    :param listed: the times of its rows, as they were listed.
    :param median: the time of the row in the middle of the list; ``None`` for the middle of its time.
    :param again: whether a slice that has no smaller parts is asked for itself, without the seconds around it.
    """
    if not time_slice.is_filtered or listed.earliest is None or listed.latest is None:
        return Doubt([])
    start, end = time_slice.bounds
    second = time_slice.grain
    earliest, latest = (
        time_slice.floor(min(max(moment, start), end - timedelta.resolution))
        for moment in (listed.earliest, listed.latest)
    )
    half = earliest + (latest - earliest) / 2
    middle = shift(time_slice.floor(half), second)
    # each side as close as can be asked for: with the second of the last row, or without it
    older = [(start, min(end, shift(earliest, second))), (start, earliest)]
    newer = [(max(start, latest), end), (shift(latest, second), end)]
    if listed.shows_an_order:
        sides = [
            side
            for side, beyond in [(older, listed.earliest < start), (newer, listed.latest >= end)]
            if not beyond  # else the list went on to before or after the slice
        ]
        if latest - earliest > 4 * second:  # else it would hold all rows
            # by its rows: of a source with most of them, the limit is reached only where most rows are
            middle = min(max(shift(time_slice.floor(median or half), second), shift(earliest, 2 * second)), latest)
            sides.append([(start, middle) if listed.newest_first else (middle, end)])
    elif earliest == latest:
        sides = [older, newer]
    else:
        sides = [[(start, middle), older[1]], [(middle, end), newer[1]]]
    whole = (start, end)  # asking for the same again proves nothing
    asked = [[bounds for bounds in side if bounds != whole and bounds[0] < bounds[1]] for side in sides]
    parts = [[replace(time_slice.part(*bounds), late=False) for bounds in side] for side in asked if side]
    if again and not time_slice.can_be_split:
        parts.append([replace(time_slice, early=False, late=False)])
    return Doubt(parts, open_second=any(side[0] == whole for side in sides))

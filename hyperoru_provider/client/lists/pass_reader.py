"""One pass over one slice of a list: which rows its pages hold, and whether they are all. Pure: no I/O."""

from __future__ import annotations

from typing import Any

from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.lists.checks import FieldExtractor, RowCollector
from hyperoru_provider.client.lists.evidence import USUAL_LIMITS, ListEvidence, doubt
from hyperoru_provider.client.lists.limit_probe import LimitProbe
from hyperoru_provider.client.lists.page import PAST_THE_END, Page
from hyperoru_provider.client.lists.paginator import Paginator, paginator_for
from hyperoru_provider.client.lists.pass_result import (
    Complete,
    Expectation,
    Incomplete,
    Knowledge,
    PassResult,
    Reread,
    Split,
)
from hyperoru_provider.client.lists.rows import Rows, TimeSlice

_MOST_PIECES = 4000
_SMALLEST_CAP = 10  # no server is known to cut its lists to fewer rows
_OLDER_TIMES = 10  # of rows from before a window that a list can't be asked for


class PassReader:
    """Reads a slice once. ``values`` are the parameters of the next request, ``accept`` takes its answer.

    :param time_slice: what is read.
    :param extractor: reads what is looked at of the rows.
    :param knowledge: what was learned of the list so far; learns more.
    :param expectation: what the pass is held against.
    """

    def __init__(
        self, time_slice: TimeSlice, extractor: FieldExtractor, knowledge: Knowledge, expectation: Expectation
    ) -> None:
        self.time_slice = time_slice
        self._endpoint = time_slice.endpoint
        self._extractor = extractor
        self._knowledge = knowledge
        self._expectation = expectation
        self._paginator = self._new_paginator()
        self._evidence = ListEvidence(self._endpoint, knowledge.page_size, knowledge.largest_total)
        self._collector = RowCollector(time_slice, extractor)
        #: parts of the slice that must list nothing new, still to be asked for; see :class:`Doubt`
        self._doubtful: list[list[TimeSlice]] = []
        #: whether one of them listed only known rows, but so many that it may have been cut
        self._may_be_cut = False
        self._limit_probe: LimitProbe | None = None

    @property
    def rows(self) -> Rows:
        """The rows that were listed so far."""
        return self._collector.rows

    @property
    def total(self) -> int | None:
        """How many rows there are, as the server counts them."""
        return self._evidence.total

    @property
    def fits_in_one_page(self) -> bool:
        """Whether all rows came with the first page, so that nothing had been cut from it."""
        return self._evidence.seen == self._knowledge.page_size

    @property
    def may_be_past_the_end(self) -> bool:
        """Whether the next page may be none at all.

        A list without a window is not asked for what must be empty, so its pages have to show that they are some.
        """
        paged = not self._doubtful and self._endpoint.paging in ("page", "offset")
        checked = self.time_slice.is_filtered or self._evidence.paging_works
        return paged and checked and (self._evidence.may_end or self._paginator.told)

    def values(self) -> dict[str, Any]:
        """Return the parameters of the next request, by our names."""
        if self._doubtful:
            position = self._new_paginator().position()
            if "page" in position:  # without a number it is the first one, even where that is not known
                position["page"] = self._knowledge.first_page
            return {**self._doubtful[-1][0].values(), **position}
        if self._limit_probe is not None:
            return self._limit_probe.values()
        return {**self.time_slice.values(), **self._paginator.position()}

    def accept(self, page: Page) -> PassResult:
        """Take the answer to the last request.

        :raises HyperoruContractError: it proves that rows would be lost, doubled or changed.
        """
        if self._doubtful:
            return self._accept_doubtful(page)
        if self._limit_probe is not None:
            return self._complete() if self._limit_probe.bears_out(page, self._extractor) else Reread(_LEFT_OUT)
        if self.may_be_past_the_end and self._evidence.repeats_last_page(page):
            page = PAST_THE_END
        short = self._evidence.short_page
        new = self._collector.add(page)
        if page.texts and short and self._endpoint.paging == "page":
            return Reread(_SHRINKING, short)
        self._evidence.add(page, new)
        self._paginator.advance(page)
        self._knowledge.longest = max(self._knowledge.longest, len(page.texts))
        self._knowledge.largest_total = max(self._knowledge.largest_total, page.total or 0)
        if self._is_too_large:
            return Split(self._pieces())
        if self._goes_back_far_enough:
            return self._limited_again(is_whole=False)
        return self._conclude(page) if self._has_ended(page) else Incomplete()

    @property
    def _only_pages_tell(self) -> bool:
        """Whether a further page is all that can be asked for: the server's word counts only if pages bear it out."""
        return self._endpoint.paging in ("page", "offset") and not self.time_slice.can_be_split

    def _has_ended(self, page: Page) -> bool:
        """Return whether there is no further page to ask for."""
        if self._only_pages_tell and page.texts and not self._is_proved:
            return False
        return self._paginator.ended

    @property
    def _goes_back_far_enough(self) -> bool:
        """Whether a list that can't be asked for a time has shown all of it, as it goes on with older rows.

        There have to be some of them: a row may be a little out of order, and a few are in order by chance.
        """
        return self._collector.listed.newest_first and len(self._collector.older) >= _OLDER_TIMES

    def _conclude(self, last: Page) -> PassResult:
        """Return what follows from all pages, once there are no more."""
        if self._endpoint.paging == "none" and not self._is_full and self._shows_a_cut(last):
            return self._cut()
        if reason := self._evidence.missing:
            return Split(self._single_pages) if self._may_hide_ties and self._evidence.total_stays else Reread(reason)
        if self._is_proved:
            return self._complete()
        if self._only_pages_tell and self._evidence.pages_are_short:
            return Reread(_SHRINKING, self._evidence.longest)  # in full pages, after which the next one skips nothing
        if self.time_slice.reads_back and self._endpoint.paging != "none" and self._evidence.may_be_limited:
            return self._cut()
        return self._doubt() if self.time_slice.is_filtered else self._limited_again(is_whole=True)

    def _doubt(self) -> PassResult:
        """Ask for parts of the slice that must list no further row, if there are any."""
        times = self.rows.times
        median = times[len(times) // 2] if times else None
        self._doubtful, open_second = doubt(self.time_slice, self._collector.listed, median, again=self._may_hide_rows)
        self._may_be_cut = open_second and self._evidence.longest >= self._longest_believed
        return Incomplete() if self._doubtful else self._decide()

    def _limited_again(self, *, is_whole: bool) -> PassResult:
        """Ask a list of one answer for fewer rows, as no smaller part of it can be asked for; any other is complete."""
        limit = self._knowledge.page_size
        if self._endpoint.paging != "none" or limit is None or self._evidence.longest == 0:
            return self._complete()
        self._limit_probe = LimitProbe(self.time_slice, self.rows, self._evidence.longest, is_whole=is_whole)
        return Incomplete()

    def _accept_doubtful(self, page: Page) -> PassResult:
        """Take what a part of the slice lists that must list no further row."""
        part, *less_close = self._doubtful.pop()
        known = {key for key, moment in zip(self.rows.keys, self.rows.times, strict=True) if part.holds(moment)}
        listed = RowCollector(part, self._extractor)
        listed.add(page)
        full = len(page.texts) >= self._longest_believed
        if self._collector.add(page) or not (full or known <= set(listed.rows.keys)):
            self._doubtful = []
            return self._cut()
        if full and less_close and self._is_paged_as_asked:
            self._doubtful.append(less_close)
        self._may_be_cut |= full
        return Incomplete() if self._doubtful else self._decide()

    def _complete(self) -> PassResult:
        """Return the rows as complete, unless the list changed while it was read."""
        keys = set(self.rows.keys)
        all_there = keys >= self._expectation.shown
        if self._may_hide_ties and (keys == self._expectation.previous or not all_there):
            return Split(self._single_pages)
        if not all_there:
            in_smaller_pages = self._knowledge.page_size != self._endpoint.page_size
            return Reread(_SHRINKING if in_smaller_pages else _GONE, keys=keys)
        if self._evidence.steady or keys == self._expectation.previous:
            return Complete(self.rows, self._is_proved)
        return Reread(_UNSTEADY, keys=keys)

    def _cut(self) -> PassResult:
        """Return how to read again what was not shown whole.

        :raises HyperoruContractError: there is no other way.
        """
        if self._evidence.pages_are_short and self._endpoint.paging == "page":
            return Reread(_SHRINKING, self._evidence.longest)
        if self.time_slice.can_be_split:
            return Split(2)
        if self.time_slice.reads_back:
            raise HyperoruContractError(
                f"The list ended after {self._evidence.seen} rows, which are too few, or not in an order, to prove "
                "that it reaches back to before the window, so the server may have cut it off. Export newer windows, "
                "fewer rows by a filter, or all accounts at once if a filter leaves too few rows; or raise the "
                "contract's page_size as far as the server allows. Only if an answer with fewer rows than some "
                "number is always the whole list, as for a new account, set the contract's cap to that number."
            )
        if self.time_slice.start is None:
            raise HyperoruContractError(
                f"The list has {self._evidence.longest} rows, and the server may have cut it off there. If it has "
                "pages, set the contract's paging; if the server cuts it off at more rows or not at all, set a "
                "higher cap."
            )
        raise HyperoruContractError(
            f"The list has {self._evidence.longest} rows, and the server may have cut it off there; its window is "
            "too short to be split. If the server cuts off its lists at more rows, set the contract's cap to that "
            "number; if it has pages, set its paging."
        )

    def _decide(self) -> PassResult:
        """Return what follows once no further row was found, but perhaps as many known ones as may have been cut."""
        if self._is_paged_as_asked or not self._may_be_cut:
            return self._complete()
        if self._endpoint.paging != "none" and self._knowledge.page_size == self._endpoint.page_size:
            return Reread(_SHRINKING, self._evidence.longest)  # a full page tells whether there are more
        return self._cut()

    @property
    def _is_paged_as_asked(self) -> bool:
        return self._endpoint.paging != "none" and self._evidence.size_is_kept

    def _shows_a_cut(self, answer: Page) -> bool:
        """Return whether a list of one answer says that it goes on, or has as many rows as may be a limit of it."""
        rows, cap = len(answer.texts), self._endpoint.cap
        if self.time_slice.reads_back and cap is None:  # rows may be merged after the cut
            return True
        if answer.more or any(rows >= limit for limit in (cap, self._knowledge.page_size) if limit is not None):
            return True
        in_parts = self.time_slice.is_filtered
        met = self._evidence.total == self._evidence.seen
        return not (in_parts or cap or met) and rows > 0 and rows % USUAL_LIMITS == 0

    @property
    def _is_proved(self) -> bool:
        """Whether the server's own statements leave no doubt that all was shown."""
        if self._endpoint.paging == "none":
            return self._is_full
        return self._evidence.counted or (self._paginator.told and self._evidence.ends_short)

    @property
    def _may_hide_rows(self) -> bool:
        """Whether answers may have been cut before their end, or begun after their first page."""
        unpaged = self._endpoint.paging == "none"
        first_page_is_open = self._endpoint.paging == "page" and self._knowledge.first_page is None
        return unpaged or first_page_is_open or self._evidence.pages_are_short

    @property
    def _is_full(self) -> bool:
        """Whether no more rows than these can be in the slice."""
        if self._expectation.spacing is None:
            return False
        start, end = self.time_slice.bounds
        return len(self.rows) >= (end - start) / self._expectation.spacing

    @property
    def _longest_believed(self) -> int:
        """An answer of so many rows or more may have been cut: one that is shorter than another was not."""
        rows = max(self._knowledge.longest, self._endpoint.cap or _SMALLEST_CAP)
        limited = self._endpoint.paging == "none" or self._evidence.size_is_kept
        return min(rows, self._knowledge.page_size or rows) if limited else rows

    @property
    def _is_too_large(self) -> bool:
        rows = max(self._evidence.total or 0, self._evidence.seen)
        return rows > self._expectation.most_rows and self.time_slice.can_be_split

    def _pieces(self) -> int:
        """Return into how many slices of a bounded number of rows this one falls, a quarter more to be safe."""
        if self._evidence.total:
            return min(-(-self._evidence.total * 5 // (self._expectation.most_rows * 4)), _MOST_PIECES)
        start, end = self.time_slice.bounds
        times: Any = self.rows.times or [start]
        covered = (max(times) - min(times)) / (end - start)  # rows mostly come in the order of time
        return min(int(1.25 / max(covered, 0.001)), _MOST_PIECES)

    @property
    def _may_hide_ties(self) -> bool:
        """Whether rows of one time may come in an order that goes by the page, and parts of the slice can be asked for.

        Some are on two pages then and others on none, and always the same ones; on a single page no row hides another.
        A list that has a row twice on one page doubles rows, and those of two pages are as harmless.
        """
        return self._evidence.overlapped and not self._collector.doubled and self.time_slice.can_be_split

    @property
    def _single_pages(self) -> int:
        """Into how many slices this one falls if each is to fit into a page."""
        return min(-(-2 * self._evidence.seen // (self._knowledge.page_size or self._evidence.longest)), _MOST_PIECES)

    def _new_paginator(self) -> Paginator:
        first_page = 1 if self._knowledge.first_page is None else self._knowledge.first_page
        return paginator_for(self._endpoint, self._knowledge.page_size, first_page)


_GONE = (
    "Rows that the list had at first are now missing from it: it changes while it is read. Export the window again "
    "once it has settled."
)
_UNSTEADY = (
    "The list changed each time it was read, so it can't be proved complete. Export the window again once it has "
    "settled."
)
_LEFT_OUT = (
    "With a smaller limit, the list does not return the first of the rows that it returned before: it applies the "
    "limit to each of its sources, or drops or merges rows after applying it. So an answer may be incomplete, "
    "whatever the contract's cap says. Export newer windows, or fewer rows by a filter, or raise the contract's "
    "page_size as far as the server allows."
)
_SHRINKING = (
    "The server sends fewer rows on a page than requested, however many that is: it seems to drop or merge rows "
    "after it has cut the page, so it may skip some. Set the contract's paging to none to read such a list in time "
    "slices."
)

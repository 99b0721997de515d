"""Reads a window of any length slice by slice: what to read next, and what to read again. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Set
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from hyperoru_provider.client.api.endpoints import ListEndpoint
from hyperoru_provider.client.errors import HyperoruApiError, HyperoruContractError, HyperoruNotFoundError
from hyperoru_provider.client.lists.checks import FieldExtractor, RowCollector
from hyperoru_provider.client.lists.editing import RowEditor
from hyperoru_provider.client.lists.filter_probe import FilterProbe, Witness, last_listed
from hyperoru_provider.client.lists.first_page import FirstPageProbe
from hyperoru_provider.client.lists.page import PAST_THE_END, Page
from hyperoru_provider.client.lists.pass_reader import PassReader
from hyperoru_provider.client.lists.pass_result import (
    Complete,
    Expectation,
    Incomplete,
    Knowledge,
    PassResult,
    Reread,
    Split,
)
from hyperoru_provider.client.lists.rows import NO_ROWS, Key, Row, Rows, TimeSlice

#: rows to hold in memory at most, but for those that share the shortest slice
SLICE_ROWS = 3_000
_MOST_PASSES = 4


@dataclass
class Learned:
    """What was found out of a server's lists, for all readers of them.

    :param first_pages: the numbers of their first pages, by path.
    :param filtered: the paths of those that look for a time before they are limited.
    """

    first_pages: dict[str, int] = field(default_factory=dict)
    filtered: set[str] = field(default_factory=set)


class UnsteadyError(HyperoruContractError):
    """The list could not be read twice with the same result, or not as often as its server counts."""


class WindowReader:
    """Reads a list, or a window of any length in flat memory: in slices of a bounded number of rows, oldest first.

    ``query`` returns the parameters of the next request, or ``None`` at the end; ``accept`` takes its answer, and
    returns the rows of a slice once that is proved to be complete, in order, each once.

    :param endpoint: the list.
    :param start: start of the window, inclusive; ``None`` with ``end`` for a list that is not read by time.
    :param end: end of the window, exclusive.
    :param filters: what else limits the rows, by our names of the parameters.
    :param slice_rows: rows to hold at most, but for those that share the shortest slice.
    :param spacing: rows are at least so far apart, as candles are; ``None`` if nothing is known.
    :param learned: what was found out of the lists so far; takes what is found out here.
    :param editor: changes rows before they are looked at.
    :param as_of: when reading began, of a list that is read as it is now.
    """

    def __init__(
        self,
        endpoint: ListEndpoint,
        start: datetime | None,
        end: datetime | None,
        filters: Mapping[str, Any],
        slice_rows: int = SLICE_ROWS,
        *,
        spacing: timedelta | None = None,
        learned: Learned | None = None,
        editor: RowEditor | None = None,
        as_of: datetime | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.as_of = as_of
        self._editor = editor or RowEditor({})
        self._window = TimeSlice(endpoint, filters, start, end)
        self._expectation = Expectation(slice_rows, spacing)
        self._learned = learned or Learned()
        self._extractor = FieldExtractor(endpoint, filters)
        self._knowledge = Knowledge(endpoint.page_size, endpoint.first_page)
        self._slices = [self._window]
        self._shown: dict[Key, datetime | None] = {}
        self._previous: Set[Key] | None = None
        self._passes = 0
        self._pass: PassReader | None = None
        self._probe: FirstPageProbe | None = None
        self._after: Row | None = None
        #: what the window has shown, to see by it that the server looks for the time first; see :class:`FilterProbe`
        self._witness: Witness | None = None
        self._is_empty = True
        self._filter_probe: FilterProbe | None = None

    def query(self) -> dict[str, Any] | None:
        """Return the parameters of the next request, by our names; ``None`` at the end."""
        if not self._slices:
            return self._query_filter()
        if self._pass is None and self._probe is None:
            self._begin(self._slices[-1])
        if self._probe is not None:
            return {**self._slices[-1].values(), **self._probe.position()}
        return self._pass.values() if self._pass else None

    def accept(self, page: Page) -> Rows:
        """Take the answer to the last query; return a slice's rows if it completes one, else none.

        :raises HyperoruContractError: the answer proves that rows would be lost, doubled or changed.
        """
        page = self._editor.edit(page)
        if self._filter_probe is not None:
            self._filter_probe.accept(page)
            return NO_ROWS
        if self._probe is not None:
            return self._accept_probe(self._probe, page)
        if self._pass is None:
            raise RuntimeError("accept() follows query()")
        return self._apply(self._pass, self._pass.accept(page))

    def accept_refusal(self, error: HyperoruApiError) -> Rows:
        """Take a refusal of the last query: where a list may have ended, 404 is how some servers say so.

        :raises HyperoruApiError: it was to be answered.
        """
        if self._filter_probe is not None:
            self._filter_probe.refuse()
            return NO_ROWS
        past_the_end = self._pass.may_be_past_the_end if self._pass else self._probe and self._probe.asks_for_page_one
        if not past_the_end or not isinstance(error, HyperoruNotFoundError):
            raise error
        return self.accept(PAST_THE_END)

    def ends_by(self, moment: datetime | None) -> bool:
        """Return whether the window has no row of this time or later."""
        return moment is not None and self._window.bounds[1] <= moment

    def subplans(self) -> list[WindowReader]:
        """Return readers of the rest of the window, which may be used at the same time; this one has ended then."""
        slices, self._slices = self._slices[::-1], []
        return [self._for(part) for part in slices]

    def after(self, last: Row) -> WindowReader:
        """Return a reader of those rows of the window that come after one of them, or after one from before it."""
        start, end = self._window.bounds
        rest = self._for(self._window.part(max(last.time or end, start), end))
        rest._after = last
        return rest

    @property
    def shown(self) -> Rows:
        """The rows of the slice under way that were listed so far."""
        return self._pass.rows if self._pass else NO_ROWS

    @property
    def total(self) -> int | None:
        """How many rows the slice under way has, if the server says so."""
        return self._pass.total if self._pass else None

    @property
    def divided(self) -> bool:
        """Whether the window turned out to be too large for one slice."""
        return bool(self._slices) and self._pass is None and self._slices != [self._window]

    def _begin(self, time_slice: TimeSlice) -> None:
        """Begin a pass over a slice, or find out first how the list counts its pages."""
        if self.endpoint.paging == "page" and self._knowledge.first_page is None:
            self._knowledge.first_page = self._learned.first_pages.get(self.endpoint.path)
            if self._knowledge.first_page is None:
                self._probe = FirstPageProbe(self._knowledge.page_size)
                return
        self._pass = self._new_pass(time_slice)

    def _query_filter(self) -> dict[str, Any] | None:
        """Return the parameters of the next request that shows whether the server looks for the time first."""
        path, learned = self.endpoint.path, self._learned.filtered
        can_be_asked = self._window.is_filtered and self.endpoint.page_size is not None
        if can_be_asked and path not in learned and self._filter_probe is None and (self._witness or self._is_empty):
            self._filter_probe = FilterProbe(self._window, self._extractor, self._witness)
        if self._filter_probe is None:
            return None
        if self._filter_probe.proved:
            learned.add(path)
        return None if self._filter_probe.done else self._filter_probe.values()

    def _accept_probe(self, probe: FirstPageProbe, page: Page) -> Rows:
        """Take an answer of the probe; once it is known, its first page is the first of the pass."""
        collector = RowCollector(self._slices[-1], self._extractor)
        collector.add(page)
        self._remember(collector.rows)
        if not probe.accept(page) or probe.first is None:
            return NO_ROWS
        self._probe = None
        self._knowledge.first_page = probe.first_page
        self._pass = self._new_pass(self._slices[-1])
        if probe.certain and probe.first_page is not None:
            self._learned.first_pages[self.endpoint.path] = probe.first_page
        else:
            self._knowledge.first_page = None
        return self._apply(self._pass, self._pass.accept(probe.first))

    def _new_pass(self, time_slice: TimeSlice) -> PassReader:
        shown = {key for key, moment in self._shown.items() if time_slice.holds(moment)}
        expectation = replace(self._expectation, shown=shown, previous=self._previous)
        return PassReader(time_slice, self._extractor, self._knowledge, expectation)

    def _apply(self, reader: PassReader, result: PassResult) -> Rows:
        """Do what follows from an answer; return the rows of a slice that is complete."""
        match result:
            case Incomplete():
                return NO_ROWS
            case Split(pieces):
                self._remember(reader.rows)
                self._slices[-1:] = reversed(reader.time_slice.split(pieces))
                self._end_slice()
            case Reread(reason, page_size, keys):
                self._passes += 1
                if self._passes >= _MOST_PASSES:
                    raise UnsteadyError(reason)
                self._remember(reader.rows)
                self._previous = keys
                self._knowledge.page_size = page_size or self._knowledge.page_size
                self._pass = None
            case Complete(rows, is_stated):
                self._slices.pop()
                self._is_empty &= not rows
                if reader.time_slice.is_filtered and not is_stated and not (self._witness and self._witness.decides):
                    self._witness = last_listed(rows, reader.time_slice) or self._witness
                for key in [key for key, moment in self._shown.items() if reader.time_slice.holds(moment)]:
                    del self._shown[key]
                if reader.fits_in_one_page:
                    self._knowledge.page_size = self.endpoint.page_size
                self._end_slice()
                rows = rows.in_order()
                return rows if self._after is None else rows.after(self._after)
        return NO_ROWS

    def _remember(self, rows: Rows) -> None:
        """Keep which rows were shown, as a later pass must show them, too."""
        self._shown.update(zip(rows.keys, rows.times, strict=True))

    def _end_slice(self) -> None:
        self._pass, self._previous, self._passes = None, None, 0

    def _for(self, part: TimeSlice) -> WindowReader:
        """Return a reader of another time, which knows what this one has learned."""
        reader = copy(self)
        reader._window, reader._slices = part, [part]
        reader._knowledge = replace(self._knowledge)
        reader._shown = {key: moment for key, moment in self._shown.items() if part.holds(moment)}
        reader._end_slice()
        reader._is_empty = False  # the others have rows, or are asked themselves
        return reader

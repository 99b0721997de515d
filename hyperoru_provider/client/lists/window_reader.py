"""Reads a window of any length in spans: what to read next, and what to read again. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from datetime import datetime, timedelta
from itertools import chain, pairwise
from operator import attrgetter
from typing import Any

from hyperoru_provider.client.api.endpoints import WindowedEndpoint
from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.lists.page import FieldExtractor, Page
from hyperoru_provider.client.lists.paginator import CappedError, Course, ShortPagesError, UnsteadyError
from hyperoru_provider.client.lists.pass_reader import Bulk, Reading
from hyperoru_provider.client.lists.rows import BulkRows, Key, Row, Span, floor

_PASSES = 3
_SMALLEST_CAP = 10


class Plan:
    """Reads a window of any length in flat memory: in spans of a bounded number of rows, oldest first.

    A span that turns out to hold too many rows, or that a capped list can't show whole, is split and read again.
    ``query`` gives the parameters of the next request, or ``None`` at the end; ``accept`` takes its page, and
    gives the rows of a span once that is complete, sorted, each once.

    :param endpoint: the list.
    :param start: begin of the window, inclusive.
    :param end: end of the window, exclusive.
    :param filters: what else is asked for, by our names of the parameters.
    :param span_rows: rows to hold at most, but for those that share the shortest span.
    :param spacing: rows are at least so far apart, as candles are; ``None`` if nothing is known.
    :param cap: where the server is known not to cut; ``None`` for the contract's.
    :param bulk: reads the pages of a span at once where nothing is odd.
    """

    def __init__(
        self,
        endpoint: WindowedEndpoint,
        start: datetime,
        end: datetime,
        filters: Mapping[str, Any],
        span_rows: int = 3_000,
        *,
        spacing: timedelta | None = None,
        cap: int | None = None,
        bulk: Bulk | None = None,
    ) -> None:
        self.endpoint = self._contracted = endpoint
        self._filters = filters
        self._span_rows = span_rows
        self._window = (start, end)
        self._passes = 0
        self._previous: frozenset[Key] | None = None
        self._shown: set[Key] = set()
        self._spacing = spacing
        self._bulk = bulk
        self._after: Row | None = None
        #: An answer of so many rows or more may have been cut: one that is shorter than an earlier one was not.
        self.cap = cap or endpoint.cap or (1 if spacing else _SMALLEST_CAP)
        self._prove_first = endpoint.first_page is None
        self._picker = FieldExtractor(endpoint, [*endpoint.key, endpoint.time, *endpoint.verified_fields])
        self._later: list[tuple[datetime, datetime]] = [(start, end)]
        self._reading: Reading | None = None

    def query(self) -> dict[str, str] | None:
        """Give the parameters of the next request, named as the server names them; ``None`` at the end."""
        if self._reading is None:
            if not self._later:
                return None
            span = Span(self.endpoint, *self._later.pop(), self._filters)
            self._reading = Reading(span, self._picker, self._course, self._bulk, self._span_rows)
        return self._reading.course.query()

    def _course(self, span: Span) -> Course:
        return Course(span, self.cap, self._spacing, self._prove_first)

    def accept(self, page: Page) -> Sequence[Row]:
        """Take the page of the last query; gives a span's rows if it is the last page of one, else none.

        :raises HyperoruContractError: the page proves that rows would be lost, doubled or changed.
        """
        reading = self._reading
        if reading is None:
            raise RuntimeError("accept() follows query()")
        try:
            reading.accept(page)
        except (CappedError, ShortPagesError, UnsteadyError) as error:
            if not self._mend(reading, error):
                raise
            return []
        self._shown.update(row.key for row in reading.besides)
        if reading.course.unnumbered:
            return []
        self._prove_first = reading.course.prove_first
        self.cap = max(self.cap, len(page.texts))
        if max(reading.course.total or 0, reading.course.seen) > self._span_rows and self._split(
            reading, self._pieces(reading)
        ):
            return []
        if not reading.course.ended:
            return []
        if not self._settled(reading):
            return []
        self._passes, self._previous, self._shown = 0, None, set()
        if reading.course.seen == self.endpoint.page_size:  # all came with the first page, so nothing had been cut
            self.endpoint = self._contracted
        rows = reading.rows if isinstance(reading.rows, BulkRows) else _in_order(reading.rows)
        self._reading = None
        if self._after is not None and rows and _rank(rows[0]) <= (rank := _rank(self._after)):
            rows = [row for row in rows if _rank(row) > rank]
        return rows

    def _mend(self, reading: Reading, error: HyperoruContractError) -> bool:
        """Read a span in another way; gives whether there is one."""
        if isinstance(error, CappedError):
            self.cap = max(self.cap, error.rows)
            return self._split(reading, 2)
        if isinstance(error, ShortPagesError):
            self.endpoint = self.endpoint.model_copy(update={"page_size": error.page_size})
        else:
            self._passes += 1
            if self._passes >= _PASSES:
                return False
        self._again(reading)
        return True

    def _settled(self, reading: Reading) -> bool:
        """Tell whether a span can be believed; else it is read again.

        If its pages overlapped, it must have been listed twice with the same rows: rows that arrive shift others onto
        the next page, which is harmless, but an order that changes hides some. And a row that an earlier reading
        showed must be there.

        :raises HyperoruContractError: it was another list each time.
        """
        course = reading.course
        steady = not course.shrank and (course.counted or not course.overlapped)
        if steady and not self._shown:
            return True
        keys = frozenset(row.key for row in reading.rows)
        if (steady or keys == self._previous) and keys >= self._shown:
            return True
        self._passes += 1
        if self._passes > _PASSES:
            raise HyperoruContractError(
                f"The list changed each of the {self._passes} times that it was read, so it can't be told whether it "
                "was complete. Export the window once it has settled."
            )
        self._previous = keys
        self._again(reading)
        return False

    def _again(self, reading: Reading) -> None:
        self._shown.update(row.key for row in reading.rows)
        self._later.append((reading.span.start, reading.span.end))
        self._reading = None

    def parts(self) -> list[Plan]:
        """Give the rest of the window as plans which may be carried out at once."""
        spans = [*reversed(self._later)]
        self._later = []
        return [self._of(*span) for span in spans]

    def after(self, last: Row) -> Plan:
        """Give the plan for those rows of the window which come after one of them."""
        _, end = self._window
        rest = self._of(last.time, end)
        rest._after = last
        return rest

    def _of(self, start: datetime, end: datetime) -> Plan:
        """Give a plan for another time, which knows what this one has learned."""
        plan = copy(self)
        plan._window = start, end
        plan._later = [(start, end)]
        plan._passes, plan._previous, plan._shown = 0, None, set()
        return plan

    @property
    def shown(self) -> Sequence[Row]:
        """The rows of the window that the span under way has shown so far, each once."""
        return self._reading.rows if self._reading else ()

    @property
    def divided(self) -> bool:
        """Whether the window turned out to be too large for one span."""
        return bool(self._later) and self._reading is None and self._later != [self._window]

    def _pieces(self, reading: Reading) -> int:
        """Guess into how many spans of a bounded number of rows a span falls, a quarter more to be safe."""
        if reading.course.total:
            return -(-reading.course.total * 5 // (self._span_rows * 4))
        start, end = reading.span.start, reading.span.end
        times = [row.time for row in reading.rows] or [start]
        covered = (max(times) - min(times)) / (end - start)  # rows mostly come in the order of time
        return min(int(1.25 / max(covered, 0.001)), 1000)

    def _split(self, reading: Reading, pieces: int) -> bool:
        """Read a span again in at least two pieces; gives whether it could be split."""
        start, end = reading.span.start, reading.span.end
        pieces = max(pieces, 2)
        step = (end - start) / pieces
        cuts = {floor(self.endpoint, start + step * number) for number in range(1, pieces)}
        bounds = [start, *sorted(cut for cut in cuts if start < cut < end), end]
        if len(bounds) == 2:
            return False
        self._later += reversed(list(pairwise(bounds)))
        self._reading, self._shown = None, set()
        return True


def _in_order(rows: Sequence[Row]) -> list[Row]:
    numbers = set(map(type, chain.from_iterable(map(_key, rows)))) <= {int}
    return sorted(rows, key=_plain_rank if numbers else _rank)


_key = attrgetter("key")
_plain_rank = attrgetter("time", "key")  # gives the order that _rank gives, if all keys are of numbers


def _rank(row: Row) -> tuple[datetime, list[tuple[int, int, str]]]:
    """Order rows by time, then by key: numbers first, and 9 before 10 also in texts."""
    return row.time, [(0, part, "") if isinstance(part, int) else (1, len(part), part) for part in row.key]

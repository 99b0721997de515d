"""What to ask next, and what a page proves. Pure: no I/O.

A server that does not know a parameter answers 200 all the same, with other rows than those asked for. So a
listing is believed only as far as its pages prove it, and what they don't prove is a
:class:`~hyperoru_provider.client.errors.HyperoruContractError` that names the override which would help.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from operator import attrgetter
from typing import Any, Protocol, TypeAlias

from msgspec import UNSET, Struct

from hyperoru_provider.client.answers import Page, Picker, canonical
from hyperoru_provider.client.contract import ListEndpoint, WindowedEndpoint
from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.times import format_time, parse_time, parse_times

_EMPTY_PAGES = 3


Key: TypeAlias = tuple[int | str, ...]


class Row(Struct, frozen=True, gc=False):
    """A row of a window.

    :param time: its time, in UTC.
    :param key: its key, of numbers and texts.
    :param raw: its JSON text, as the server sent it, in one line.
    """

    time: datetime
    key: Key
    raw: bytes


class BulkRows(Sequence[Row]):
    """Rows that were checked and sorted all at once, and are objects only when asked for."""

    @abstractmethod
    def keys(self) -> list[Key]:
        """Give the keys, in the order of the rows."""


class Bulk(Protocol):
    """Reads all pages of a list at once."""

    def read(self, pages: list[Page], reading: Reading) -> Sequence[Row] | None:
        """Give the rows inside the window, in order; ``None`` if anything at all is odd about one of them."""


@dataclass
class Reading:
    """One pass over a list, from its first page to its proven end.

    ``query`` gives the parameters of the next request, or ``None`` at the end; ``accept`` takes its page. At the
    end ``rows`` are those inside the window, each once.

    With ``bulk``, pages are only counted until the end, and then read at once. If anything is odd by then, they are
    gone through again, row by row, as without it.

    :param endpoint: the list.
    :param start: begin of the window, inclusive.
    :param end: end of the window, exclusive.
    :param filters: what else is asked for, by our names of the parameters.
    :param picker: reads the rows' key, time and echoes.
    :param cap: an answer of so many rows or more may have been cut.
    :param spacing: rows are at least so far apart, so that a full window is a whole one.
    :param prove_first: whether the number of the first page is still to be proved.
    :param bulk: reads all pages at once.
    :param bulk_rows: rows to read at once at most.
    """

    endpoint: WindowedEndpoint
    start: datetime
    end: datetime
    filters: Mapping[str, Any]
    picker: Picker
    cap: int
    spacing: timedelta | None
    prove_first: bool
    bulk: Bulk | None
    bulk_rows: int

    def __post_init__(self) -> None:
        self.first, self.last = _slack(self.endpoint, self.start, self.end)
        self._unchecked: list[Page] = []
        self._begin()

    def _begin(self) -> None:
        self._first_page = 1 if self.endpoint.first_page is None else self.endpoint.first_page
        self._number = self._first_page
        self._prove_first = self.prove_first
        self.unnumbered = False
        self._offset = 0
        self._cursor: str | None = None
        self._ended = False
        self._pages: set[tuple[int, bytes, bytes]] = set()
        self._longest = 0
        self._cursors: set[str] = set()
        self._empty = 0
        self._page_size: int | None = None
        self.overlapped = False
        self._seen: dict[Key, bytes] = {}
        self.seen = 0
        self.total: int | None = None
        self.first_total: int | None = None
        self._checked: list[Row] = []
        self.rows: Sequence[Row] = self._checked

    def query(self) -> dict[str, str] | None:
        """Give the parameters of the next request, named as the server names them; ``None`` at the end."""
        if self._ended and not self.unnumbered:
            return None
        position: dict[str, Any] = {}
        match self.endpoint.paging:
            case "page":
                number = None if self.unnumbered else self._number
                position = {"page": number, "per_page": self.endpoint.page_size}
            case "offset":
                position = {"offset": self._offset, "limit": self.endpoint.page_size}
            case "cursor":
                position = {"cursor": self._cursor, "limit": self.endpoint.page_size}
            case "none":
                position = {"limit": self.endpoint.page_size}
        start, end = _asked(self.endpoint, self.start, self.end)
        window = {"start": format_time(start), "end": format_time(end)}
        return self.endpoint.query({**self.filters, **window, **position})

    def accept(self, page: Page) -> None:
        """Check a page, keep its rows that are new and inside the window, and move on.

        :raises HyperoruContractError: the page proves that rows would be lost, doubled or changed.
        """
        if self.unnumbered:
            self._compare_unnumbered(page)
            return
        if self.bulk is None:
            self._accept(page)
            return
        self._unchecked.append(page)
        if self._in_bulk(page, self.bulk):
            return
        self.bulk = None
        self._begin()
        for unchecked in self._unchecked:
            self._accept(unchecked)

    def _in_bulk(self, page: Page, bulk: Bulk) -> bool:
        """Move on as if all rows were right, and read them at the end; gives whether nothing odd was found."""
        try:
            self._check_size(page)
            self._advance(page, len(page.rows))
        except HyperoruContractError:
            return False
        if self.unnumbered:
            return False
        if not self._ended:
            return max(self.total or 0, self.seen) <= self.bulk_rows
        rows = bulk.read(self._unchecked, self)
        if rows is None:
            return False
        self.rows = rows
        return True

    def _accept(self, page: Page) -> None:
        self._check_size(page)
        self._checked += self._fresh(page)
        self._advance(page, len(self._seen) - self.seen)

    def _fresh(self, page: Page) -> list[Row]:
        """Check a page's rows; gives those that are new and inside the window."""
        rows = self._new_rows(page)
        if rows is None:  # something is odd: find out what, row by row
            rows = [row for raw in page.rows if (row := self._new(raw))]
        if rows and not (self.start <= min(map(_time, rows)) and max(map(_time, rows)) < self.end):
            rows = [row for row in rows if self.start <= row.time < self.end]
        return rows

    def _compare_unnumbered(self, page: Page) -> None:
        """Compare how the list begins without a page number with the page that was taken for its first."""
        first = dict(self._seen)
        self._fresh(page)
        if page.rows and len(self._seen) - len(first) == len(page.rows):
            raise UnsteadyError(
                f"Without a page number the list begins with other rows than on page {self._first_page}. If the "
                "server counts its pages from 0, set the contract's first_page to 0."
            )
        self._seen = first
        self.unnumbered = False

    def _check_size(self, page: Page) -> None:
        if self.endpoint.paging == "page" and self.endpoint.page_size and page.rows:
            if self._page_size is not None and self._page_size < self.endpoint.page_size:
                raise ShortPagesError(self._page_size)
            self._page_size = len(page.rows)

    def _advance(self, page: Page, new: int) -> None:
        """Move to the next page, or find that the list has ended."""
        self.seen += new
        if page.rows:
            self._check_repeat(page, nothing_new=new == 0)
            self.overlapped |= self._number != self._first_page and new < len(page.rows)
        if page.total is not None and (page.rows or self.total is None):
            self.first_total = page.total if self.first_total is None else self.first_total
            self.total = page.total  # what a page past the end says does not count
        if self._prove_first and self.endpoint.paging == "page" and self.total is None:
            self.unnumbered = True
        self._prove_first = False
        self._number += 1
        self._offset += len(page.rows)
        match self.endpoint.paging:
            case "none":
                self._ended = True
                cap = min(self.cap, self.endpoint.page_size or self.cap)
                if page.more or (len(page.rows) >= cap and not self._full()):
                    raise CappedError(len(page.rows))
            case "cursor":
                self._follow(page)
            case _:
                # A page that is merely short proves nothing: a server may cap pages below the size asked for.
                self._ended = not page.rows or page.more is False
                skips = self.endpoint.paging == "page" or page.more is False
                if self._ended and skips and self._may_be_cut():
                    raise ShortPagesError(self._longest)
                if page.more and not page.rows:
                    raise HyperoruContractError("The server sent no rows and says that there are more.")
        if self._ended and self.total is not None and self.total > self.seen:
            raise self._unmet(self.total)

    def _follow(self, page: Page) -> None:
        """Move to the next cursor."""
        self._cursor = page.cursor
        self._empty = 0 if page.rows else self._empty + 1
        if page.cursor is None:
            self._ended = True
            return
        if page.cursor in self._cursors:
            raise HyperoruContractError("The server gave a cursor for the second time: reading would never end.")
        if self._empty > _EMPTY_PAGES:
            raise HyperoruContractError("The server gives one cursor after another, and no rows.")
        self._cursors.add(page.cursor)

    def _unmet(self, total: int) -> UnsteadyError:
        if total != self.first_total:
            return UnsteadyError(
                f"The server counted {self.first_total} rows at first and {total} at last, and listed {self.seen} "
                "different ones: rows come or go while the list is read. Export the window once it has settled."
            )
        return UnsteadyError(
            f"The server counts {total} rows and listed {self.seen} different ones. If its total counts other rows "
            "than those asked for, set the contract's total to []; if it counts its pages from 0, its first_page to 0."
        )

    def _full(self) -> bool:
        """Tell whether no more rows than were found can be in the window."""
        return self.spacing is not None and len(self.rows) >= (self.end - self.start) / self.spacing

    def _may_be_cut(self) -> bool:
        """Tell whether all pages are as short as a cap may be: what follows the last may have been skipped."""
        wanted = self.endpoint.page_size
        return self.total is None and wanted is not None and self.cap <= self._longest < wanted

    def _check_repeat(self, page: Page, *, nothing_new: bool) -> None:
        """Rows that arrive while pages are read shift some of them onto the next page, but not a whole page."""
        told_by = (len(page.rows), page.rows[0], page.rows[-1])
        self._longest = max(self._longest, len(page.rows))
        if told_by in self._pages or (nothing_new and len(page.rows) == self._longest):
            raise HyperoruContractError(
                "The server sent the same page twice: it seems to ignore where to go on. Correct the contract's "
                f"paging (now {self.endpoint.paging!r}) or the names in its params."
            )
        self._pages.add(told_by)

    def _new_rows(self, page: Page) -> list[Row] | None:
        """Check all rows of a page at once against what was asked; ``None`` if not all of them are new and right."""
        columns = self.picker.columns(page)
        if not columns or not page.rows:
            return None
        parts = len(self.endpoint.key)
        keys = list(zip(*columns[:parts], strict=True))
        try:
            times = parse_times(columns[parts])
            fresh = dict(zip(keys, page.rows, strict=True))
            right = (
                all(set(map(type, part)) <= {int, str} and "" not in part for part in columns[:parts])
                and len(fresh) == len(keys)
                and self._seen.keys().isdisjoint(fresh)
                and self.first <= min(times)
                and max(times) <= self.last
                and all(
                    self.echoes(field, sent)
                    for field, column in zip(self.endpoint.echoes, columns[parts + 1 :], strict=True)
                    for sent in set(column)
                )
            )
        except (ValueError, TypeError):
            return None
        if not right:
            return None
        self._seen.update(fresh)
        return list(map(Row, times, keys, page.rows))

    def echoes(self, field: str, sent: Any) -> bool:
        """Tell whether a row's field is what was asked for, if it was and the row has it."""
        asked = self.filters.get(field)
        return asked is None or sent in (None, UNSET) or str(asked).casefold() == str(sent).casefold()

    def _new(self, raw: bytes) -> Row | None:
        """Check a row against what was asked; ``None`` if it was seen before."""
        data = canonical(raw, self.endpoint)
        key = tuple(self._part(data, field) for field in self.endpoint.key)
        known = self._seen.get(key)
        if known is not None:
            if known != raw and canonical(known, self.endpoint) != data:
                raise HyperoruContractError(
                    f"The key {_named(self.endpoint, key)} came twice, with other content. If more fields are "
                    "needed to tell such rows apart, name them in the contract's key."
                )
            return None
        self._seen[key] = raw
        named = _named(self.endpoint, key)
        try:
            moment = parse_time(data.get(self.endpoint.time))
        except ValueError as error:
            raise HyperoruContractError(
                f"The row {named} has no usable {self.endpoint.time}: {error}. Correct the contract's time and fields."
            ) from None
        if not self.first <= moment <= self.last:
            raise HyperoruContractError(
                f"The row {named} is of {format_time(moment)}, but {format_time(self.start)} to "
                f"{format_time(self.end)} was asked for: the server seems to ignore its time filter. Correct the "
                "contract's params start and end; if it filters by whole days, set its time_filter to 'day'."
            )
        for field in self.endpoint.echoes:
            if not self.echoes(field, data.get(field)):
                raise HyperoruContractError(
                    f"The row {named} has {field} {data[field]}, but {self.filters[field]} was asked for: the server "
                    f"seems to ignore this filter. Correct the contract's params {field}."
                )
        return Row(moment, key, raw)

    def _part(self, data: Mapping[str, Any], field: str) -> int | str:
        value = data.get(field)
        if value is None or value == "" or isinstance(value, (dict, list)):
            raise HyperoruContractError(
                f"A row has no {field}, which the contract names as its key: "
                f"its fields are {', '.join(data)}. Correct the contract's key or fields."
            )
        return value if type(value) is int else str(value)


class UnsteadyError(HyperoruContractError):
    """The list may have changed while it was read: read it again."""


class ShortPagesError(HyperoruContractError):
    """Pages are shorter than asked for, and not the last: ask for pages of their size, lest the server skips rows.

    :param page_size: rows of the first page.
    """

    def __init__(self, page_size: int) -> None:
        super().__init__(f"The server cuts its pages to {page_size} rows.")
        self.page_size = page_size


class CappedError(HyperoruContractError):
    """A list of one answer that may have been cut: ask for less time at once.

    :param rows: how many rows the answer has.
    """

    def __init__(self, rows: int) -> None:
        super().__init__(
            f"The list came with {rows} rows and may have been cut there by the server, and its window is too short "
            "to be split. If the server cuts its lists at more rows, set the contract's cap; if it has pages, its "
            "paging."
        )
        self.rows = rows


_time = attrgetter("time")


def _named(endpoint: ListEndpoint, key: Key) -> str:
    return ", ".join(f"{field}={value}" for field, value in zip(endpoint.key, key, strict=True))


def _grain(endpoint: ListEndpoint) -> timedelta:
    """The finest step of time that every server with this kind of filter compares."""
    return timedelta(days=1) if endpoint.time_filter == "day" else timedelta(seconds=1)


def floor(endpoint: ListEndpoint, moment: datetime) -> datetime:
    """Cut a moment to where any server can filter: a whole second, or day."""
    midnight = datetime.combine(moment, time.min, UTC)
    grain = _grain(endpoint)
    return midnight + (moment - midnight) // grain * grain


def _asked(endpoint: ListEndpoint, start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """Widen a window to bounds that the server can't cut: what is outside is dropped here."""
    last = floor(endpoint, end)
    return floor(endpoint, start), last if last == end else last + _grain(endpoint)


def _slack(endpoint: ListEndpoint, start: datetime, end: datetime) -> tuple[datetime, datetime]:
    """Give the earliest and latest time that a server which keeps to the filter may list: it may include the end."""
    first, last = _asked(endpoint, start, end)
    return first, last + _grain(endpoint) - timedelta.resolution

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
    :param bulk: reads all pages at once.
    :param bulk_rows: rows to read at once at most.
    """

    endpoint: WindowedEndpoint
    start: datetime
    end: datetime
    filters: Mapping[str, Any]
    picker: Picker
    bulk: Bulk | None = None
    bulk_rows: int = 0

    def __post_init__(self) -> None:
        self.first, self.last = _slack(self.endpoint, self.start, self.end)
        self._unchecked: list[Page] = []
        self._begin()

    def _begin(self) -> None:
        self._number = self.endpoint.first_page
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
        self._checked: list[Row] = []
        self.rows: Sequence[Row] = self._checked

    def query(self) -> dict[str, str] | None:
        """Give the parameters of the next request, named as the server names them; ``None`` at the end."""
        if self._ended:
            return None
        position: dict[str, Any] = {}
        match self.endpoint.paging:
            case "page":
                position = {"page": self._number, "per_page": self.endpoint.page_size}
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
        if not self._ended:
            return max(self.total or 0, self.seen) <= self.bulk_rows
        rows = bulk.read(self._unchecked, self)
        if rows is None:
            return False
        self.rows = rows
        return True

    def _accept(self, page: Page) -> None:
        self._check_size(page)
        rows = self._new_rows(page)
        if rows is None:  # something is odd: find out what, row by row
            rows = [row for raw in page.rows if (row := self._new(raw))]
        if rows and not (self.start <= min(map(_time, rows)) and max(map(_time, rows)) < self.end):
            rows = [row for row in rows if self.start <= row.time < self.end]
        self._checked += rows
        self._advance(page, len(self._seen) - self.seen)

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
            self.overlapped |= self._number != self.endpoint.first_page and new < len(page.rows)
        if page.total is not None and (page.rows or self.total is None):
            self.total = page.total  # what a page past the end says does not count
        self._number += 1
        self._offset += len(page.rows)
        match self.endpoint.paging:
            case "none":
                self._ended = True
                cap = min(self.endpoint.cap, self.endpoint.page_size or self.endpoint.cap)
                if len(page.rows) >= cap or page.more:
                    raise CappedError(
                        f"The list came with {len(page.rows)} rows, and one of {cap} or more, or one that says that "
                        "there are more, may have been cut by the server. If its cap is higher, set the contract's "
                        "cap; if it has pages, its paging."
                    )
            case "cursor":
                self._ended = page.cursor is None
                if page.cursor is not None and page.cursor in self._cursors:
                    raise HyperoruContractError(
                        "The server gave a cursor for the second time: reading would never end."
                    )
                if page.cursor is not None:
                    self._cursors.add(page.cursor)
                self._cursor = page.cursor
                self._empty = 0 if page.rows else self._empty + 1
                if self._empty > _EMPTY_PAGES and not self._ended:
                    raise HyperoruContractError("The server gives one cursor after another, and no rows.")
            case _:
                # A page that is merely short proves nothing: a server may cap pages below the size asked for.
                self._ended = not page.rows or page.more is False
                if not page.rows and page.more is None and self.total is None and self._may_be_cut():
                    raise ShortPagesError(self._page_size or 1)
                if page.more and not page.rows:
                    raise HyperoruContractError("The server sent no rows and says that there are more.")
        if self._ended and self.total is not None and self.total > self.seen:
            raise UnsteadyError(
                f"The server counts {self.total} rows and listed {self.seen} different ones. If its total counts "
                "other rows than those asked for, set the contract's total to []."
            )

    def _may_be_cut(self) -> bool:
        """Tell whether the only page is as long as a cap may be: then the server may have skipped what it cut."""
        wanted, got = self.endpoint.page_size, self._page_size
        second = self._number == self.endpoint.first_page + 2
        return second and wanted is not None and got is not None and self.endpoint.cap <= got < wanted

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
    """A list of one answer that may have been cut: ask for less time at once."""


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

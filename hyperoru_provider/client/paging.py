"""What to ask next, and what a page proves. Pure: no I/O.

A server that does not know a parameter answers 200 all the same, with other rows than those asked for. So a
listing is believed only as far as its pages prove it, and what they don't prove is a
:class:`~hyperoru_provider.client.errors.HyperoruContractError` that names the override which would help.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, NamedTuple

from msgspec import UNSET

from hyperoru_provider.client.answers import Page, Picker, canonical
from hyperoru_provider.client.contract import ListEndpoint, WindowedEndpoint
from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.times import format_time, parse_time

_EMPTY_PAGES = 3


class Row(NamedTuple):
    """A row of a window.

    :param time: its time, in UTC.
    :param key: its key, of numbers and texts.
    :param raw: its JSON text, as the server sent it, in one line.
    """

    time: datetime
    key: tuple[int | str, ...]
    raw: bytes


@dataclass
class Reading:
    """One pass over a list, from its first page to its proven end.

    ``query`` gives the parameters of the next request, or ``None`` at the end; ``accept`` takes its page and
    gives the rows that are new and inside the window.

    :param endpoint: the list.
    :param start: begin of the window, inclusive.
    :param end: end of the window, exclusive.
    :param filters: what else is asked for, by our names of the parameters.
    :param picker: reads the rows' key, time and echoes.
    :param cap: an answer of so many rows or more may have been cut.
    :param spacing: rows are at least so far apart, so that a full window is a whole one.
    :param prove_first: whether the number of the first page is still to be proved.
    """

    endpoint: WindowedEndpoint
    start: datetime
    end: datetime
    filters: Mapping[str, Any]
    picker: Picker
    cap: int
    spacing: timedelta | None
    prove_first: bool

    def __post_init__(self) -> None:
        self._first_page = 1 if self.endpoint.first_page is None else self.endpoint.first_page
        self._number = self._first_page
        self.unnumbered = False
        self._offset = 0
        self._cursor: str | None = None
        self._ended = False
        self._pages: set[bytes] = set()
        self._longest = 0
        self._cursors: set[str] = set()
        self._empty = 0
        self._page_size: int | None = None
        self.overlapped = False
        self._seen: dict[tuple[int | str, ...], bytes] = {}
        self._first, self._last = _slack(self.endpoint, self.start, self.end)
        self.total: int | None = None
        self.first_total: int | None = None

    @property
    def seen(self) -> int:
        """How many different rows were accepted or dropped so far."""
        return len(self._seen)

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

    def accept(self, page: Page) -> list[Row]:
        """Check a page, move on, and give its rows that are new and inside the window.

        :raises HyperoruContractError: the page proves that rows would be lost, doubled or changed.
        """
        if self.unnumbered:
            self._compare_unnumbered(page)
            return []
        if self.endpoint.paging == "page" and self.endpoint.page_size and page.rows:
            if self._page_size is not None and self._page_size < self.endpoint.page_size:
                raise ShortPagesError(self._page_size)
            self._page_size = len(page.rows)
        seen = self.seen
        fresh = self._fresh(page)
        if page.rows:
            self._check_repeat(page, nothing_new=self.seen == seen)
            self.overlapped |= self._number != self._first_page and self.seen - seen < len(page.rows)
        self._advance(page, len(fresh))
        return fresh

    def _fresh(self, page: Page) -> list[Row]:
        """Check a page's rows; gives those that are new and inside the window."""
        rows = self._new_rows(page)
        if rows is None:  # something is odd: find out what, row by row
            rows = [row for raw in page.rows if (row := self._new(raw))]
        return [row for row in rows if self.start <= row.time < self.end]

    def _compare_unnumbered(self, page: Page) -> None:
        """Compare how the list begins without a page number with the page that was taken for its first."""
        first = dict(self._seen)
        self._fresh(page)
        if page.rows and self.seen - len(first) == len(page.rows):
            raise UnsteadyError(
                f"Without a page number the list begins with other rows than on page {self._first_page}. If the "
                "server counts its pages from 0, set the contract's first_page to 0."
            )
        self._seen = first
        self.unnumbered = False

    def _advance(self, page: Page, inside: int) -> None:
        """Move to the next page, or find that the list has ended."""
        if page.total is not None and (page.rows or self.total is None):
            self.first_total = page.total if self.first_total is None else self.first_total
            self.total = page.total  # what a page past the end says does not count
        if self.prove_first and self.endpoint.paging == "page" and self.total is None:
            self.unnumbered = True
        self.prove_first = False
        self._number += 1
        self._offset += len(page.rows)
        match self.endpoint.paging:
            case "none":
                self._ended = True
                cap = min(self.cap, self.endpoint.page_size or self.cap)
                if page.more or (len(page.rows) >= cap and not self._full(inside)):
                    raise CappedError(len(page.rows))
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
                skips = self.endpoint.paging == "page" or page.more is False
                if self._ended and skips and self._may_be_cut():
                    raise ShortPagesError(self._longest)
                if page.more and not page.rows:
                    raise HyperoruContractError("The server sent no rows and says that there are more.")
        if self._ended and self.total is not None and self.total > self.seen:
            raise self._unmet(self.total)

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

    def _full(self, rows: int) -> bool:
        """Tell whether no more rows than these can be in the window."""
        return self.spacing is not None and rows >= (self.end - self.start) / self.spacing

    def _may_be_cut(self) -> bool:
        """Tell whether all pages are as short as a cap may be: what follows the last may have been skipped."""
        wanted = self.endpoint.page_size
        return self.total is None and wanted is not None and self.cap <= self._longest < wanted

    def _check_repeat(self, page: Page, *, nothing_new: bool) -> None:
        """Rows that arrive while pages are read shift some of them onto the next page, but not a whole page."""
        digest = hashlib.blake2b(b"\n".join(page.rows), digest_size=16).digest()
        self._longest = max(self._longest, len(page.rows))
        if digest in self._pages or (nothing_new and len(page.rows) == self._longest):
            raise HyperoruContractError(
                "The server sent the same page twice: it seems to ignore where to go on. Correct the contract's "
                f"paging (now {self.endpoint.paging!r}) or the names in its params."
            )
        self._pages.add(digest)

    def _new_rows(self, page: Page) -> list[Row] | None:
        """Check all rows of a page at once against what was asked; ``None`` if not all of them are new and right."""
        columns = self.picker.columns(page)
        if not columns or not page.rows:
            return None
        parts = len(self.endpoint.key)
        keys = list(zip(*columns[:parts], strict=True))
        try:
            times = list(map(parse_time, columns[parts]))
            right = (
                all(set(map(type, part)) <= {int, str} and "" not in part for part in columns[:parts])
                and len(set(keys)) == len(keys)
                and self._seen.keys().isdisjoint(keys)
                and self._first <= min(times)
                and max(times) <= self._last
                and all(
                    self._echoes(field, sent)
                    for field, column in zip(self.endpoint.echoes, columns[parts + 1 :], strict=True)
                    for sent in set(column)
                )
            )
        except (ValueError, TypeError):
            return None
        if not right:
            return None
        self._seen.update(zip(keys, page.rows, strict=True))
        return list(map(Row, times, keys, page.rows))

    def _echoes(self, field: str, sent: Any) -> bool:
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
        if not self._first <= moment <= self._last:
            raise HyperoruContractError(
                f"The row {named} is of {format_time(moment)}, but {format_time(self.start)} to "
                f"{format_time(self.end)} was asked for: the server seems to ignore its time filter. Correct the "
                "contract's params start and end; if it filters by whole days, set its time_filter to 'day'."
            )
        for field in self.endpoint.echoes:
            if not self._echoes(field, data.get(field)):
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


def _named(endpoint: ListEndpoint, key: tuple[int | str, ...]) -> str:
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

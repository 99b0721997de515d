"""What to ask next, and what a page proves by that. Pure: no I/O.

A server that does not know a parameter answers 200 all the same, with other rows than those asked for. So a
listing is believed only as far as its pages prove it, and what they don't prove is a
:class:`~hyperoru_provider.client.errors.HyperoruContractError` that names the override which would help.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.lists.page import Page
from hyperoru_provider.client.lists.rows import Span
from hyperoru_provider.client.times import format_time

_EMPTY_PAGES = 3


@dataclass
class Course:
    """The way through a list, from its first page to its proven end, whatever is in its rows.

    ``query`` gives the parameters of the next request, or ``None`` at the end; ``check_size`` and then ``advance``
    take its page.

    :param span: what is asked for.
    :param cap: an answer of so many rows or more may have been cut.
    :param spacing: rows are at least so far apart, so that a full window is a whole one.
    :param prove_first: whether the number of the first page is still to be proved.
    """

    span: Span
    cap: int
    spacing: timedelta | None
    prove_first: bool

    def __post_init__(self) -> None:
        self.endpoint = self.span.endpoint
        self.first_page = 1 if self.endpoint.first_page is None else self.endpoint.first_page
        self._number = self.first_page
        self._offset = 0
        self._cursor: str | None = None
        self._cursors: set[str] = set()
        self._empty = 0
        self._pages: set[tuple[int, bytes, bytes]] = set()
        self._longest = 0
        self._page_size: int | None = None
        #: whether the next page is to be the first one, asked for without a number
        self.unnumbered = False
        #: whether the list has been read to its end
        self.ended = False
        #: whether a page showed rows that an earlier one had shown
        self.overlapped = False
        #: whether the server counted fewer rows than before, other than those of a page
        self.shrank = False
        #: how many different rows were listed so far
        self.seen = 0
        #: how many rows there are, as the server says now, and as it said first
        self.total: int | None = None
        self._first_total: int | None = None

    def query(self) -> dict[str, str] | None:
        """Give the parameters of the next request, named as the server names them; ``None`` at the end."""
        if self.ended and not self.unnumbered:
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
        start, end = self.span.asked
        window = {"start": format_time(start), "end": format_time(end)}
        return self.endpoint.query({**self.span.filters, **window, **position})

    def check_size(self, page: Page) -> None:
        """Find pages that are cut shorter than asked for.

        :raises ShortPagesError: the page before this one was.
        """
        if self.endpoint.paging == "page" and self.endpoint.page_size and page.texts:
            if self._page_size is not None and self._page_size < self.endpoint.page_size:
                raise ShortPagesError(self._page_size)
            self._page_size = len(page.texts)

    def advance(self, page: Page, new: int, inside: int) -> None:
        """Move to the next page, or find that the list has ended.

        :param page: the page.
        :param new: how many of its rows were not listed before.
        :param inside: how many rows in the window were listed so far.
        :raises HyperoruContractError: rows would be lost or doubled.
        """
        self.seen += new
        if page.texts:
            self._check_repeat(page, nothing_new=new == 0)
            self.overlapped |= self._number != self.first_page and new < len(page.texts)
        if page.total is not None and (page.texts or self.total is None):
            self.shrank |= self.total is not None and len(page.texts) != page.total < self.total
            self._first_total = page.total if self._first_total is None else self._first_total
            self.total = page.total  # what a page past the end says does not count
        self._number += 1
        self._offset += len(page.texts)
        match self.endpoint.paging:
            case "none":
                self.ended = True
                cap = min(self.cap, self.endpoint.page_size or self.cap)
                if page.more or (len(page.texts) >= cap and not self._full(inside)):
                    raise CappedError(len(page.texts))
            case "cursor":
                self._follow(page)
            case _:
                # A page that is merely short proves nothing: a server may cap pages below the size asked for.
                self.ended = not page.texts or page.more is False
                skips = self.endpoint.paging == "page" or page.more is False
                if self.ended and skips and self._may_be_cut():
                    raise ShortPagesError(self._longest)
                if page.more and not page.texts:
                    raise HyperoruContractError("The server sent no rows and says that there are more.")
        if self.ended and self.total is not None and self.total > self.seen:
            raise self._unmet(self.total)
        if self.prove_first and (self.ended or self.total is None):
            self.unnumbered = self.endpoint.paging == "page" and not self.counted
            self.prove_first = False

    @property
    def counted(self) -> bool:
        """Whether just as many rows were listed as the server counts; if it counts fewer, it counts something else."""
        return self.total == self.seen

    def _follow(self, page: Page) -> None:
        """Move to the next cursor."""
        self._cursor = page.cursor
        self._empty = 0 if page.texts else self._empty + 1
        if page.cursor is None:
            if page.more:
                raise HyperoruContractError("The server gives no cursor for the next page and says that there is one.")
            self.ended = True
            return
        if page.cursor in self._cursors:
            raise HyperoruContractError("The server gave a cursor for the second time: reading would never end.")
        if self._empty > _EMPTY_PAGES:
            raise HyperoruContractError("The server gives one cursor after another, and no rows.")
        self._cursors.add(page.cursor)

    def _unmet(self, total: int) -> UnsteadyError:
        if total != self._first_total:
            return UnsteadyError(
                f"The server counted {self._first_total} rows at first and {total} at last, and listed {self.seen} "
                "different ones: rows come or go while the list is read. Export the window once it has settled."
            )
        return UnsteadyError(
            f"The server counts {total} rows and listed {self.seen} different ones. If its total counts other rows "
            "than those asked for, set the contract's total to []; if it counts its pages from 0, its first_page to 0."
        )

    def _full(self, rows: int) -> bool:
        """Tell whether no more rows than these can be in the window."""
        return self.spacing is not None and rows >= (self.span.end - self.span.start) / self.spacing

    def _may_be_cut(self) -> bool:
        """Tell whether all pages are as short as a cap may be: what follows the last may have been skipped."""
        wanted = self.endpoint.page_size
        return not self.counted and wanted is not None and self.cap <= self._longest < wanted

    def _check_repeat(self, page: Page, *, nothing_new: bool) -> None:
        """Rows that arrive while pages are read shift some of them onto the next page, but not a whole page."""
        told_by = (len(page.texts), bytes(page.texts[0]), bytes(page.texts[-1]))
        self._longest = max(self._longest, len(page.texts))
        if told_by in self._pages or (nothing_new and len(page.texts) == self._longest):
            raise HyperoruContractError(
                "The server sent the same page twice: it seems to ignore where to go on. Correct the contract's "
                f"paging (now {self.endpoint.paging!r}) or the names in its params."
            )
        self._pages.add(told_by)


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

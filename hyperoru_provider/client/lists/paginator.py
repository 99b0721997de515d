"""How a list is walked page by page, one class for each style, and what its pages prove. Pure: no I/O.

A server that does not know a parameter answers 200 all the same, with other rows than those asked for. So a list is
believed only as far as its pages prove it, and what they don't prove is a
:class:`~hyperoru_provider.client.errors.HyperoruContractError` that names the override which would help.
"""

from __future__ import annotations

from typing import Any, Protocol

from hyperoru_provider.client.api.endpoints import ListEndpoint
from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.lists.page import Page

_EMPTY_PAGES = 3


class Paginator(Protocol):
    """The way through a list. A merely short page never ends it: a server may cap pages below the size asked for.

    :ivar ended: whether there is no further page.
    :ivar told: whether the server itself said that there is none.
    """

    ended: bool
    told: bool

    def position(self) -> dict[str, Any]:
        """Return the parameters that ask for the next page, by our names."""

    def advance(self, page: Page) -> None:
        """Move on to the page after this one.

        :raises HyperoruContractError: the server contradicts itself, or leads in a circle.
        """


class PagePaginator:
    """Pages with a number.

    :param page_size: rows to ask for; ``None`` leaves it to the server.
    :param first_page: number of the first page.
    """

    def __init__(self, page_size: int | None, first_page: int) -> None:
        self.ended = self.told = False
        self._number = first_page
        self._page_size = page_size

    def position(self) -> dict[str, Any]:
        """See :class:`Paginator`."""
        return {"page": self._number, "per_page": self._page_size}

    def advance(self, page: Page) -> None:
        """See :class:`Paginator`."""
        self._number += 1
        self.told = page.more is False
        self.ended = _ends(page)


class OffsetPaginator:
    """Pages that begin after so many rows.

    :param page_size: rows to ask for.
    """

    def __init__(self, page_size: int | None) -> None:
        self.ended = self.told = False
        self._offset = 0
        self._page_size = page_size

    def position(self) -> dict[str, Any]:
        """See :class:`Paginator`."""
        return {"offset": self._offset, "limit": self._page_size}

    def advance(self, page: Page) -> None:
        """See :class:`Paginator`."""
        self._offset += len(page.texts)
        self.told = page.more is False
        self.ended = _ends(page)


class CursorPaginator:
    """Pages of which each names the next.

    :param page_size: rows to ask for; ``None`` leaves it to the server.
    """

    def __init__(self, page_size: int | None) -> None:
        self.ended = self.told = False
        self._page_size = page_size
        self._cursor: str | None = None
        self._cursors: set[str] = set()
        self._empty_pages = 0

    def position(self) -> dict[str, Any]:
        """See :class:`Paginator`."""
        return {"cursor": self._cursor, "limit": self._page_size}

    def advance(self, page: Page) -> None:
        """See :class:`Paginator`."""
        self._cursor = page.cursor
        self._empty_pages = 0 if page.texts else self._empty_pages + 1
        if page.cursor is None:
            if page.more:
                raise HyperoruContractError("The server says that there is a next page, but sent no cursor for it.")
            self.ended = self.told = True
            return
        if page.more is False and page.cursor in self._cursors:  # where it has ended, it repeats where that was
            self.ended = self.told = True
            return
        if page.cursor in self._cursors:
            raise HyperoruContractError("The server sent the same cursor twice: reading would never end.")
        if self._empty_pages > _EMPTY_PAGES:
            raise HyperoruContractError("The server sends one cursor after another, but no rows.")
        self._cursors.add(page.cursor)


class SinglePaginator:
    """A list of one answer, which may have been cut without a sign.

    :param page_size: rows to ask for; ``None`` leaves it to the server.
    """

    def __init__(self, page_size: int | None) -> None:
        self.ended = self.told = False
        self._page_size = page_size

    def position(self) -> dict[str, Any]:
        """See :class:`Paginator`."""
        return {"limit": self._page_size}

    def advance(self, page: Page) -> None:
        """See :class:`Paginator`."""
        self.ended = True


def paginator_for(endpoint: ListEndpoint, page_size: int | None, first_page: int) -> Paginator:
    """Return what walks a list.

    :param endpoint: the list.
    :param page_size: rows to ask for at once.
    :param first_page: number of the first page, where pages have one.
    """
    match endpoint.paging:
        case "page":
            return PagePaginator(page_size, first_page)
        case "offset":
            return OffsetPaginator(page_size)
        case "cursor":
            return CursorPaginator(page_size)
        case "none":
            return SinglePaginator(page_size)


def _ends(page: Page) -> bool:
    """Return whether a page is the last one of a list with numbers or offsets."""
    if page.more and not page.texts:
        raise HyperoruContractError(
            "The server sent no rows, but says that there are more. If it drops or merges rows after it has cut the "
            "page, set the contract's paging to none to read the list in time slices."
        )
    return not page.texts or page.more is False

"""Whether a server counts its pages from 0 or from 1, found out before anything is read. Pure: no I/O."""

from __future__ import annotations

from typing import Any

from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.lists.page import Page

_MOST_ANSWERS = 7


class FirstPageProbe:
    """Compares the list without a page number, which is its first page, with its page 1, in turns.

    Rows may arrive in between, and a row may be listed twice. So page 1 is the first page if it has the rows of an
    answer next to it, or most of those of both, and the second one if it has mostly others.

    :param page_size: rows to ask for at once.

    :ivar first_page: the number, once it is known.
    :ivar first: the answer that is the first page.
    :ivar certain: whether the number holds beyond what was compared: a page of one row may be one that is listed twice.
    """

    def __init__(self, page_size: int | None) -> None:
        self.first_page: int | None = None
        self.first: Page | None = None
        self.certain = False
        self._page_size = page_size
        self._answers: list[frozenset[bytes]] = []
        self._said_more: list[bool | None] = []

    def position(self) -> dict[str, Any]:
        """Return the parameters of the next request, by our names."""
        return {"page": 1 if self.asks_for_page_one else None, "per_page": self._page_size}

    def accept(self, page: Page) -> bool:
        """Take the answer, and return whether the first page is known now.

        :raises HyperoruContractError: it can't be told.
        """
        if not self.asks_for_page_one:
            self.first = page
        self._answers.append(frozenset(page.rows))
        self._said_more.append(page.more)
        self.first_page = self._known()
        if self.first_page is None and len(self._answers) >= _MOST_ANSWERS:
            raise HyperoruContractError(
                "Asked alternately without a page number and for page 1, the server returned different rows each "
                "time, so it can't be determined whether its pages are numbered from 0 or from 1. If the list is "
                "stable, set the contract's first_page."
            )
        return self.first_page is not None

    @property
    def asks_for_page_one(self) -> bool:
        """Whether the next request names a page, which may not be there."""
        return len(self._answers) % 2 == 1

    def _known(self) -> int | None:
        latest = self._answers[-1]
        if len(self._answers) == 1:  # a list of one page has no second one that could be taken for its first
            return 1 if not latest or self._said_more[0] is False else None
        if self._answers[-2] == latest and self._said_more[-2] == self._said_more[-1]:
            # of a list of one page, the server may send the last page for any that is past it
            self.certain = len(latest) > 1 and self._said_more[-1] is not False
            return 1
        if len(self._answers) % 2 == 0:
            return None
        before, page_one, after = self._answers[-3:]
        likeness = min(_likeness(page_one, before), _likeness(page_one, after))
        if likeness > 0.5:
            return 1
        if _likeness(before, after) >= 0.5 and likeness < 0.5:
            self.certain = True
            return 0
        return None


def _likeness(one: frozenset[bytes], other: frozenset[bytes]) -> float:
    """Return which share of the rows are the same."""
    return len(one & other) / max(len(one), len(other), 1)

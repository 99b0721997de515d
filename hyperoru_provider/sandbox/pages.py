"""Pages of a list of rows, and the ways in which they go wrong."""

from __future__ import annotations

import random
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hyperoru_provider.sandbox.errors import Refusal
from hyperoru_provider.sandbox.faults import Faults
from hyperoru_provider.sandbox.queries import integer, text
from hyperoru_provider.sandbox.row_faults import changed, is_merged, spoiled, with_other_price
from hyperoru_provider.sandbox.rows import Listing

__all__ = ["PAGING_PARAMETERS", "Page", "is_further", "with_repeats"]

#: The query parameters of each style of paging, with their parsers.
PAGING_PARAMETERS: dict[str, dict[str, Callable[[str], Any]]] = {
    "page": {"page": integer, "per_page": integer},
    "offset": {"offset": integer, "limit": integer},
    "cursor": {"cursor": text, "limit": integer},
    "none": {},
}
_DEFAULT_SIZE = 100


def is_further(query: Mapping[str, Any], faults: Faults) -> bool:
    """Return whether a query asks for a page after the first one."""
    return query.get("page", faults.first_page) > faults.first_page or query.get("offset", 0) > 0 or "cursor" in query


def with_repeats(listing: Listing, faults: Faults) -> Listing:
    """Return a listing with the rows that are in it twice by a fault."""
    if faults.repeat_newest and len(listing):
        listing = listing.doubled(listing.newest().body)
    if faults.conflicting_rows and len(listing):
        listing = listing.doubled(with_other_price(listing.newest().body))
    return listing


@dataclass(frozen=True)
class Page:
    """A page of a listing.

    :param listing: all rows that the query asks for
    :param query: its paging parameters, already of the right type
    :param faults: how the page goes wrong
    :param paging: the style of paging, of :data:`PAGING_PARAMETERS`
    :param asked: how many rows were asked for
    :param size: how many of them the page can have
    :param offset: how many rows of the list come before the page
    """

    listing: Listing
    query: Mapping[str, Any]
    faults: Faults
    paging: str
    asked: int
    size: int
    offset: int

    @classmethod
    def of(
        cls,
        listing: Listing,
        query: Mapping[str, Any],
        faults: Faults,
        paging: str,
        *,
        default: int = _DEFAULT_SIZE,
        most: int | None = None,
    ) -> Page:
        """Return the page that a query asks for.

        :param default: rows of a page where nothing is asked for
        :param most: rows that can be asked for, where the list has a limit of its own
        :raises Refusal: if there is no such page
        """
        asked = (
            len(listing)
            if paging == "none"
            else _asked(query, paging, default, faults.max_per_page if most is None else most)
        )
        size = min(asked, faults.cap or asked)
        step = asked if faults.cap_skips else size
        offset = _offset(query, step, len(listing), faults)
        if offset and offset >= len(listing) and faults.past_the_end == "absent":
            raise Refusal(404, "NO_SUCH_PAGE", "There is no such page")
        if offset >= len(listing) and faults.past_the_end == "last":
            offset = max(len(listing) - 1, 0) // step * step
        return cls(listing, query, faults, paging, asked, size, offset)

    def bodies(self, dice: random.Random) -> list[bytes]:
        """Return the JSON texts of the rows of the page.

        :param dice: for an order at random
        """
        faults, first = self.faults, self._first
        bodies = self._taken(first, first + self.size, dice)
        if faults.merge_after_limit:
            bodies = [body for body in bodies if not is_merged(body, faults.merge_after_limit)]
        if bodies and first == 0:
            bodies[0] = spoiled(bodies[0], faults)
        return changed(bodies, faults)

    def paging_fields(self) -> dict[str, object]:
        """Return what the answer says about the page and those that follow."""
        faults, length = self.faults, len(self.listing)
        after = self._first + (self.asked if faults.cap_skips else self.size)
        fields: dict[str, object] = {}
        if self.paging == "page":
            fields = {"page": self.query.get("page", faults.first_page), "per_page": self.asked}
        elif self.paging == "offset":
            fields = {"offset": self.offset, "limit": self.asked}
        elif self.paging == "cursor":
            # Counted from the end of the list, where rows that arrive don't shift it.
            place = self.offset + self.size if faults.order == "oldest" else length - self.offset - self.size
            fields = {"next_cursor": urlsafe_b64encode(b"%d" % place).decode() if after < length else None}
        if faults.has_more and self.paging != "none":
            fields["has_more"] = after < length
        return fields

    def total_field(self, rows: int, unfiltered: Callable[[], Listing]) -> dict[str, object]:
        """Return the total that the answer has, right or wrong; nothing if it has none.

        :param rows: how many the page holds
        :param unfiltered: makes the listing of a wider query
        """
        match self.faults.total:
            case "right":
                return {"total": self._visible_rows()}
            case "before_filter":
                return {"total": len(unfiltered())}
            case "page":
                return {"total": rows}
            case "changing":
                return {"total": self._visible_rows() + is_further(self.query, self.faults)}
        return {}

    @property
    def _first(self) -> int:
        """The position of the first row of the page in the list."""
        repeats = self.faults.duplicate_rows and self.size > 1
        return self.offset - (self.offset // self.size if repeats else 0)

    def _visible_rows(self) -> int:
        """Return how many rows of the list are not merged into others."""
        share = self.faults.merge_after_limit
        if not share:
            return len(self.listing)
        return sum(not is_merged(body, share) for body in self.listing.bodies(0, len(self.listing)))

    def _taken(self, start: int, stop: int, dice: random.Random) -> list[bytes]:
        """Return the JSON texts from position ``start`` up to ``stop`` of the list, in its order."""
        length = len(self.listing)
        stop = min(stop, length)
        match self.faults.order:
            case "oldest":
                return self.listing.bodies(start, stop)
            case "newest":
                return self.listing.bodies(length - stop, length - start)[::-1]
        places = dice.sample(range(length), length)
        return [body for place in places[start:stop] for body in self.listing.bodies(place, place + 1)]


def _asked(query: Mapping[str, Any], paging: str, default: int, most: int) -> int:
    name = "per_page" if paging == "page" else "limit"
    asked = query.get(name, min(default, most))
    if not 1 <= asked <= most:
        raise Refusal(422, "INVALID_PAGE_SIZE", f"{name} must be 1 to {most}, not {asked}")
    return int(asked)


def _offset(query: Mapping[str, Any], size: int, length: int, faults: Faults) -> int:
    """Return how many rows of the list come before the page."""
    if "cursor" in query:
        try:
            place = int(urlsafe_b64decode(query["cursor"]))
        except ValueError:
            raise Refusal(400, "INVALID_CURSOR", "The cursor is not one of this list") from None
        return place if faults.order == "oldest" else max(0, length - place)
    page, offset = query.get("page", faults.first_page), query.get("offset", 0)
    if page < faults.first_page:
        raise Refusal(422, "INVALID_PAGE", f"page must be {faults.first_page} or more, not {page}")
    if offset < 0:
        raise Refusal(422, "INVALID_OFFSET", f"offset must be 0 or more, not {offset}")
    return int(offset or (page - faults.first_page) * size)

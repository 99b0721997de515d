"""The list of trades: pages and envelopes, and the ways in which they go wrong."""

from __future__ import annotations

import json
import random
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple

from hyperoru_provider.sandbox.errors import Refusal
from hyperoru_provider.sandbox.faults import Faults
from hyperoru_provider.sandbox.queries import integer, moment, read_window, text
from hyperoru_provider.sandbox.rows import DAY, Book, Listing, Row

__all__ = ["Page", "TradeList", "changed", "join_rows"]

_DEFAULT_SIZE = 100
_FILTERS: dict[str, Callable[[str], Any]] = {
    "account_id": integer,
    "symbol": text,
    "start": moment,
    "end": moment,
}
_PAGING: dict[str, dict[str, Callable[[str], Any]]] = {
    "page": {"page": integer, "per_page": integer},
    "offset": {"offset": integer, "limit": integer},
    "cursor": {"cursor": text, "limit": integer},
    "none": {},
}

# Rows are changed in their text, so that their numbers keep it.
_KEY = re.compile(rb'"(trade_id|id)"\s*:\s*(-?\d+|"[^"]*")')
_TIME_NAME = rb'"(?:trade_time|executed_at|timestamp|created_at)"\s*:\s*'
_TIME = re.compile(_TIME_NAME + rb'"[^"]*"')
_ZONED_TIME = re.compile(rb"(" + _TIME_NAME + rb'"[^"]*?)(?:Z|\+00:00)"')
_PRICE = re.compile(rb'("price"\s*:\s*)(?=\d)')


class Page(NamedTuple):
    """The JSON text of a page, and how many rows it holds."""

    body: bytes
    rows: int


class TradeList:
    """``GET /api/arena/trades``.

    :param book: the trades
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        self._new_ids = count(900_000_000_000_001)
        self._requests = count(1)

    @staticmethod
    def parameters(faults: Faults) -> dict[str, Callable[[str], Any]]:
        """The query parameters of the list, with their parsers."""
        return _FILTERS | _PAGING[faults.paging]

    def page(self, query: Mapping[str, Any], faults: Faults) -> Page:
        """One page.

        :param query: the parameters, already of the right type
        :param faults: how the page goes wrong
        :raises Refusal: if there is no such trader, page or window
        """
        account_id, symbol = query.get("account_id"), query.get("symbol")
        if account_id is not None and all(trader["id"] != account_id for trader in self._book.traders):
            raise Refusal(404, "ACCOUNT_NOT_FOUND", "Account not found")
        start, end = read_window(query, self._book, faults)
        listing = self._book.select(account_id, symbol, start, end)
        if faults.unstable and _is_further(query, faults) and len(listing):
            self._arrive(listing.newest(), faults.unstable)
            listing = self._book.select(account_id, symbol, start, end)

        length = len(listing) + (faults.conflicting_rows and len(listing) > 0)
        asked, size = _size(query, faults, length)
        offset = _offset(query, asked if faults.cap_skips else size, length, faults)
        first = offset
        if faults.duplicate_rows and size > 1:
            first -= offset // size
        dice = random.Random(next(self._requests) if faults.order == "changing" else 0)
        bodies = _bodies(listing, first, first + size, faults, dice)
        if faults.envelope == "bare":
            return Page(join_rows(bodies), len(bodies))

        rest: dict[str, Any] = {}
        if faults.total == "right":
            rest["total"] = length
        elif faults.total == "before_filter":
            rest["total"] = len(self._book.select(None, None, start - DAY, end + DAY))
        elif faults.total == "page":
            rest["total"] = len(bodies)
        elif faults.total == "changing":
            rest["total"] = length + _is_further(query, faults)
        after = first + (asked if faults.cap_skips else size)
        if faults.paging == "page":
            rest |= {"page": query.get("page", faults.first_page), "per_page": asked}
        elif faults.paging == "offset":
            rest |= {"offset": offset, "limit": asked}
        elif faults.paging == "cursor":
            # Counted from the end of the list, where rows that arrive don't shift it.
            place = offset + size if faults.order == "oldest" else length - offset - size
            rest["next_cursor"] = urlsafe_b64encode(b"%d" % place).decode() if after < length else None
        if faults.has_more and faults.paging != "none":
            rest["has_more"] = after < length
        head = b'{"%b":%b' % (faults.envelope.encode(), join_rows(bodies))
        return Page(head + (b"," + json.dumps(rest).encode()[1:] if rest else b"}"), len(bodies))

    def _arrive(self, newest: Row, rows: int) -> None:
        for _ in range(rows):
            body = _KEY.sub(rb'"\1":%d' % next(self._new_ids), newest.body, count=1)
            self._book.arrive(newest._replace(body=body))


def changed(body: bytes, faults: Faults) -> bytes:
    """The JSON text of a row as the faults have it, in lists and in events."""
    if faults.naive_times:
        body = _ZONED_TIME.sub(rb'\1"', body)
    if faults.colliding_ids:
        body = _collide(body)
    if faults.recurring_ids:
        body = _recur(body, faults.recurring_ids)
    return body


def join_rows(bodies: Sequence[bytes]) -> bytes:
    """A JSON array of rows that are JSON text already."""
    return b"[" + b",".join(bodies) + b"]"


def _is_further(query: Mapping[str, Any], faults: Faults) -> bool:
    return query.get("page", faults.first_page) > faults.first_page or query.get("offset", 0) > 0 or "cursor" in query


def _size(query: Mapping[str, Any], faults: Faults, length: int) -> tuple[int, int]:
    """How many rows a page holds: as it was asked, and as it is."""
    if faults.paging == "none":
        asked = length
    else:
        name = "per_page" if faults.paging == "page" else "limit"
        asked = query.get(name, min(_DEFAULT_SIZE, faults.max_per_page))
        if not 1 <= asked <= faults.max_per_page:
            raise Refusal(422, "INVALID_PAGE_SIZE", f"{name} must be 1 to {faults.max_per_page}, not {asked}")
    return asked, min(asked, faults.cap or asked)


def _offset(query: Mapping[str, Any], size: int, length: int, faults: Faults) -> int:
    """How many rows of the list come before the page."""
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


def _bodies(listing: Listing, start: int, stop: int, faults: Faults, dice: random.Random) -> list[bytes]:
    """The JSON texts of the rows from position ``start`` up to ``stop`` of the list."""
    if faults.conflicting_rows:
        # Positions 0 and 1 are the first row and its other version; the other rows come one later.
        bodies = _stretch(listing, max(start - 1, 0), stop if start == 0 else stop - 1, faults.order, dice)
        if start <= 1:
            other = [_PRICE.sub(rb"\g<1>1", body, count=1) for body in bodies[:1]]
            bodies = [*bodies[: 1 - start], *other, *bodies[1:]][: stop - start]
    else:
        bodies = _stretch(listing, start, stop, faults.order, dice)
    if bodies and start == 0 and faults.bad_rows != "none":
        bodies[0] = _without(_KEY if faults.bad_rows == "no_key" else _TIME, bodies[0])
    return [changed(body, faults) for body in bodies]


def _stretch(listing: Listing, start: int, stop: int, order: str, dice: random.Random) -> list[bytes]:
    length = len(listing)
    stop = min(stop, length)
    if order == "oldest":
        return listing.bodies(start, stop)
    if order != "newest":
        places = dice.sample(range(length), length)
        return [body for place in places[start:stop] for body in listing.bodies(place, place + 1)]
    return listing.bodies(length - stop, length - start)[::-1]


def _without(member: re.Pattern[bytes], body: bytes) -> bytes:
    pattern = rb"(?:%b)\s*,\s*|,\s*(?:%b)" % (member.pattern, member.pattern)
    return re.sub(pattern, b"", body, count=1)


def _collide(body: bytes) -> bytes:
    """Two neighbours get one id, and the tables that they come from."""
    key = _KEY.search(body)
    if key is None or key[2].startswith(b'"'):
        return body
    shared, table = divmod(int(key[2]), 2)
    member = b'"%b":%d,"source":"%b"' % (key[1], shared, (b"orders", b"programs")[table])
    return body[: key.start()] + member + body[key.end() :]


def _recur(body: bytes, after: int) -> bytes:
    key = _KEY.search(body)
    if key is None or key[2].startswith(b'"'):
        return body
    return body[: key.start(2)] + b"%d" % (int(key[2]) % after) + body[key.end(2) :]

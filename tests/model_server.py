"""A list of trades as a server may have it, honest or not, in this process: what it answers, and what is right."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from threading import Lock
from typing import Any
from zlib import crc32

from hyperoru_provider.client.errors import HyperoruNotFoundError, HyperoruServerError, HyperoruValidationError
from hyperoru_provider.client.times import format_time, parse_time

DAY = datetime(2026, 3, 1, tzinfo=UTC)


@lru_cache(100_000)
def moment_of(text: str) -> datetime:
    """Return a time, or the midnight of a date, as a filter by whole days may be asked with."""
    return parse_time(text if "T" in text else f"{text}T00:00:00Z")


def at(seconds: float) -> datetime:
    return DAY + timedelta(seconds=seconds)


def trade(number: int | str, seconds: float, **more: Any) -> dict[str, Any]:
    return {"trade_id": number, "account_id": 1, "trade_time": format_time(at(seconds)), **more}


@dataclass
class Server:
    """A server; the defaults are an honest one.

    :param rows: all that it has.
    :param paging: which parameters of paging it knows.
    :param order: ``newest`` or ``oldest`` first, or ``any``, but always the same.
    :param page_size: of a page for which none is asked.
    :param cap: so many rows of a page are sent at most.
    :param cap_skips: the page after one that was cut begins where a whole one would have ended.
    :param first_page: its number.
    :param ignored: parameters that are ignored.
    :param total: ``right``, ``none``, ``before_filter``, ``page`` or ``changing``, as in the sandbox, or ``limited``:
        it counts to ten at most.
    :param has_more: whether it is sent.
    :param guesses_more: it only tells whether the page has as many rows as were asked for.
    :param filters_pages: the account is looked for in a page, and not in the list.
    :param stops: a page past the end is the last one again.
    :param absent: a page past the end is 404.
    :param keeps_last: a list without pages is cut at its other end.
    :param filters_late: the time is looked for in a page, and not in the list.
    :param limits_each: a list without pages is cut for each account by itself.
    :param limits: a list without pages has no more rows than it is asked for.
    :param drops: every so many-th row is left out of an answer, but after its rows were counted and cut; 0 for none.
    :param error_at: the request that is answered with an error beside an empty list, in an answer of success.
    :param error: how that is said.
    :param null_when_empty: whether an empty list is ``null``.
    :param inclusive: whether rows of exactly the end are listed.
    :param by_day: whether whole days are compared, with the last one included.
    :param naive: whether times lack their offset.
    :param flips_at: number of the request from which on the order is the other way round.
    :param arrivals: rows that arrive, one before each further request.
    :param removed_at: number of the request before which the first row of the list is removed.
    :param failing: numbers of the requests that fail.
    """

    rows: list[dict[str, Any]]
    paging: str = "page"
    order: str = "newest"
    page_size: int = 500
    cap: int | None = None
    cap_skips: bool = False
    first_page: int = 1
    ignored: frozenset[str] = frozenset()
    total: str = "right"
    has_more: bool = True
    guesses_more: bool = False
    filters_pages: bool = False
    stops: bool = False
    absent: bool = False
    keeps_last: bool = False
    drops: int = 0
    error_at: int | None = None
    error: dict[str, Any] = field(default_factory=dict)
    null_when_empty: bool = False
    inclusive: bool = False
    by_day: bool = False
    naive: bool = False
    flips_at: int | None = None
    arrivals: list[dict[str, Any]] = field(default_factory=list)
    removed_at: int | None = None
    removed: list[dict[str, Any]] = field(default_factory=list)
    failing: frozenset[int] = frozenset()
    asked: int = 0
    blind: bool = False
    limits: bool = False
    filters_late: bool = False
    limits_each: bool = False

    def __post_init__(self) -> None:
        self._one_at_a_time = Lock()
        self._shown: set[str] = set()
        self._window = timedelta.max

    def answer(self, query: dict[str, str]) -> bytes:
        with self._one_at_a_time:
            self.asked += 1
            assert self.asked < 5000, "reading does not end"
            if self.asked in self.failing:
                raise HyperoruServerError("The server failed")
            if self.asked > 1 and self.arrivals:
                self.rows.append(self.arrivals.pop())
            if "start" in query:
                self._window = moment_of(query["end"]) - moment_of(query["start"])
            body = self._page({name: query[name] for name in query if name not in self.ignored})
            if self.asked == self.error_at:
                body = {"items": [], "next_cursor": None, **self.error}
            return json.dumps(body).encode()

    def _page(self, query: dict[str, str]) -> dict[str, Any]:
        account_id = query.pop("account_id", None) if self.filters_pages else None
        listed = self._listed(query)
        first, size, meant = self._bounds(query, len(listed))
        if self.absent and first >= len(listed) and first:
            raise HyperoruNotFoundError("There is no such page")
        raw = listed[first : first + size]
        if self.limits_each and self.paging == "none":
            raw = [row for row in listed if sum(_comes_before(each, row, listed) for each in listed) < size]
        page, count = raw, len(listed)
        if self.filters_late:
            page = [row for row in page if self._is_of_the_time(row, query)]
            count = len(page)
        if account_id is not None:
            page = [row for row in page if str(row["account_id"]) == account_id]
            count = sum(str(row["account_id"]) == account_id for row in listed)
        if self.drops:
            cut = len(page) < len(listed) if self.paging == "none" else first + size < len(listed)
            page = [row for row in page if not self.hides(row)]
            self.blind |= cut and self._hides_that_it_is_cut(page)
            self._shown |= {str(row) for row in page}
        if self.naive:
            page = [{**row, "trade_time": row["trade_time"].removesuffix("Z")} for row in page]
        body: dict[str, Any] = {"items": page or (None if self.null_when_empty else [])}
        if self.total != "none":
            counts = {"right": count, "before_filter": len(self.rows) + 3, "page": len(page), "limited": min(count, 10)}
            body["total"] = counts.get(self.total, count + (first > 0))
        more = first + (size if self.paging == "cursor" else meant) < len(listed)
        if self.paging == "cursor":
            body["next_cursor"] = str(first + size) if more else None
        elif self.has_more and self.paging != "none":
            body["has_more"] = len(raw) == self._asked_size(query) if self.guesses_more else more
        return body

    def _listed(self, query: dict[str, str]) -> list[dict[str, Any]]:
        """List the rows that match, in the order of this request."""
        listed = [row for row in self.rows if self._matches(row, query)]
        if not self.filters_late:
            listed = [row for row in listed if self._is_of_the_time(row, query)]
        listed.sort(key=lambda row: (row["trade_time"], str(row["trade_id"])), reverse=self.order == "newest")
        if self.order == "any":
            listed.sort(key=lambda row: crc32(str(row["trade_id"]).encode()) % 97)
        if self.flips_at and self.asked >= self.flips_at:
            listed.reverse()
        if self.removed_at == self.asked and listed:
            self.removed.append(listed.pop(0))
            self.rows.remove(self.removed[0])
        return listed

    def _asked_size(self, query: dict[str, str]) -> int:
        return int(query.get("per_page", query.get("limit", self.page_size)))

    def _bounds(self, query: dict[str, str], length: int) -> tuple[int, int, int]:
        """Say where a page begins, how many rows it has, and how many rows further the next one begins."""
        asked = self._asked_size(query)
        size = min(asked, self.cap or asked)
        meant = asked if self.cap_skips else size
        if self.paging == "page":
            number = int(query.get("page", self.first_page)) - self.first_page
            if number < 0:
                raise HyperoruValidationError("There is no such page")
            return (min(number, max(length - 1, 0) // meant) if self.stops else number) * meant, size, meant
        if self.paging in ("offset", "cursor"):
            return int(query.get("offset", query.get("cursor", 0))), size, meant
        size = min(self.cap or length, asked if self.limits else length)
        return max(length - size, 0) if self.keeps_last else 0, size, meant

    def _matches(self, row: dict[str, Any], query: dict[str, str]) -> bool:
        return query.get("account_id", str(row["account_id"])) == str(row["account_id"])

    def _is_of_the_time(self, row: dict[str, Any], query: dict[str, str]) -> bool:
        moment = moment_of(row["trade_time"])
        if "start" in query and moment < self._bound(query["start"]):
            return False
        if "end" in query:
            end = self._bound(query["end"])
            end = end + timedelta(days=1) if self.by_day else end
            if not (moment < end or (self.inclusive and moment == end)):
                return False
        return True

    def _hides_that_it_is_cut(self, page: list[dict[str, Any]]) -> bool:
        """Tell whether nobody can tell: nothing new is shown, or what was asked for can't be asked more closely."""
        grain = timedelta(days=1) if self.by_day else timedelta(seconds=1)
        return {str(row) for row in page} <= self._shown or self._window <= grain

    def hides(self, row: dict[str, Any]) -> bool:
        """Tell whether a row is never shown."""
        return bool(self.drops) and crc32(str(row["trade_id"]).encode()) % self.drops == 0

    def _bound(self, text: str) -> datetime:
        moment = moment_of(text)
        return moment.replace(hour=0, minute=0, second=0, microsecond=0) if self.by_day else moment


def inside(rows: list[dict[str, Any]], start: float, end: float) -> list[dict[str, Any]]:
    return [row for row in rows if at(start) <= moment_of(row["trade_time"]) < at(end)]


def _comes_before(one: dict[str, Any], other: dict[str, Any], listed: list[dict[str, Any]]) -> bool:
    return one["account_id"] == other["account_id"] and listed.index(one) < listed.index(other)

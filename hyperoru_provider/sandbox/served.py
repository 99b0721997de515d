"""How a list of facts is served: its parameters, its window, its pages and what stands around it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal

from starlette.responses import Response

from hyperoru_provider.sandbox.book import Book
from hyperoru_provider.sandbox.envelopes import list_answer
from hyperoru_provider.sandbox.errors import Refusal
from hyperoru_provider.sandbox.faults import Faults
from hyperoru_provider.sandbox.incoming import Incoming, Routes
from hyperoru_provider.sandbox.lists import hiding_parameter, is_hidden
from hyperoru_provider.sandbox.pages import PAGING_PARAMETERS, Page, is_further, with_repeats
from hyperoru_provider.sandbox.queries import Parser, integer, moment, moment_or_seconds, read_query, read_window
from hyperoru_provider.sandbox.records import Record, Records
from hyperoru_provider.sandbox.rows import DAY, Listing, Row, Rows, iso
from hyperoru_provider.sandbox.state import State

__all__ = ["ServedList", "list_routes", "rows_of"]


_LONGEST = 400 * DAY


@dataclass(frozen=True)
class ServedList:
    """A list of facts, or an object that is its only row.

    :param name: what the list is called
    :param path: where it is; what stands in braces is a parameter
    :param select: returns the rows of a query, oldest first; ``start`` and ``end`` are among its parameters
    :param path_parameters: the parsers of the parameters of its path
    :param filters: those of its query, beside window and pages
    :param window: what the query calls the start and the end of its window, if it has one
    :param closed_end: whether the end is in the window: not at all, as a moment, or as a whole day
    :param paging: the style of its pages; ``limit`` is a list without any, of so many rows at most
    :param most: how many rows can be asked for at once
    :param envelope: the name of the list in its answer; ``bare`` is an array and nothing else, ``object`` the only row
    :param beside: what else is in the answer
    """

    name: str
    path: str
    select: Callable[[Mapping[str, Any]], Iterable[Row]]
    path_parameters: Mapping[str, Parser] = field(default_factory=dict)
    filters: Mapping[str, Parser] = field(default_factory=dict)
    window: tuple[str, str] | None = None
    closed_end: Literal["no", "moment", "day"] = "no"
    paging: Literal["page", "offset", "limit", "none"] = "none"
    most: int = 500
    envelope: str = "bare"
    beside: Mapping[str, object] = field(default_factory=dict)

    def parameters(self, faults: Faults) -> dict[str, Parser]:
        """Return the query parameters, with their parsers."""
        paging = {"limit": integer} if self.paging == "limit" else PAGING_PARAMETERS[self.paging]
        parser = moment_or_seconds if self.closed_end == "moment" else moment
        return {**self.filters, **dict.fromkeys(self.window or (), parser), **paging, **hiding_parameter(faults)}

    def bounds(self, query: Mapping[str, Any], book: Book | Records, faults: Faults) -> dict[str, int]:
        """Return the half-open window of a query, in microseconds since 1970.

        :raises Refusal: if the window ends before it starts, or is too long to be made up
        """
        names = zip(("start", "end"), self.window or (), strict=False)
        given = {ours: query[name] for ours, name in names if name in query}
        if self.closed_end == "day" and "end" in given:
            given["end"] = (given["end"] // DAY + 1) * DAY
            given["start"] = given.get("start", 0) // DAY * DAY
        start, end = read_window(given, book, faults)
        if self.window is not None and end - start > _LONGEST:
            raise Refusal(422, "WINDOW_TOO_LONG", f"The window is longer than {_LONGEST // DAY} days")
        return {"start": start, "end": end + (self.closed_end == "moment" and "end" in given)}


def rows_of(records: Iterable[Record], moment: Callable[[int], object] = iso) -> Iterable[Row]:
    """Yield records as rows.

    :param moment: how a time is sent
    """
    return (Row(record.time, 0, "", record.text(moment).encode()) for record in records)


def list_routes(lists: Sequence[ServedList], records: Records, state: State) -> Routes:
    """Return the routes of lists; those of one path stand in one answer."""
    return {each.path: {"GET": _Handler(lists, each, records, state)} for each in lists}


class _Handler:
    """Answers the requests of a list.

    :param lists: all lists; another one of the same path stands beside it
    :param served: the list
    :param records: name the window of a query that names none
    :param state: faults and counts
    """

    def __init__(self, lists: Sequence[ServedList], served: ServedList, records: Records, state: State) -> None:
        self._served = served
        self._others = [each for each in lists if each.path == served.path and each is not served]
        self._records = records
        self._state = state
        self._requests = count(1)

    def __call__(self, incoming: Incoming, **path: str) -> Response:
        faults, served = self._state.faults, self._served
        query = read_query(incoming.query, served.parameters(faults), faults)
        named = {name: _parsed(name, value, served.path_parameters[name]) for name, value in path.items()}
        rows = Rows(served.select({**query, **named, **served.bounds(query, self._records, faults)}))
        listing = Listing([] if is_hidden(query, faults) else [(rows, 0, len(rows.times))])
        if served.envelope == "object":
            return self._object(listing, faults)
        page = self._page(listing, query, faults)
        bodies = page.bodies(random.Random(next(self._requests) if faults.order == "changing" else 0))
        paged = {}
        if served.paging in ("page", "offset"):
            paged = page.total_field(len(bodies), lambda: listing) | page.paging_fields()
        others = {} if is_hidden(query, faults) else {other.name: self._other(other) for other in self._others}
        answer = list_answer(
            bodies,
            faults,
            name=served.envelope,
            after={**served.beside, **{other.envelope: others.get(other.name, []) for other in self._others}, **paged},
            is_further=is_further(query, faults),
        )
        with self._state.lock:
            self._state.stats.rows_served += answer.rows
        return Response(answer.body, media_type="application/json")

    def _page(self, listing: Listing, query: Mapping[str, Any], faults: Faults) -> Page:
        paging = "offset" if self._served.paging == "limit" else self._served.paging
        listing = with_repeats(listing, faults)
        return Page.of(listing, query, faults, paging, most=self._served.most)

    def _object(self, listing: Listing, faults: Faults) -> Response:
        if faults.false_success:
            return Response(list_answer((), faults).body, media_type="application/json")
        body = listing.newest().body if len(listing) else b"null"
        return Response(body, media_type="application/json")

    @staticmethod
    def _other(other: ServedList) -> list[Any]:
        return [json.loads(row.body) for row in other.select({})]


def _parsed(name: str, value: str, parser: Parser) -> Any:
    try:
        return parser(value)
    except ValueError as error:
        raise Refusal(422, "INVALID_PARAMETER", f"{name} can't be {value!r}: {error}") from None

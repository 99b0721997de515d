"""Trade rows in time order, in columns, with the bytes that they came with."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from sys import intern
from typing import Any, NamedTuple

__all__ = ["DAY", "SECOND", "TIME_FIELDS", "Listing", "Row", "Rows", "iso", "micros", "parse_row"]

SECOND = 1_000_000
DAY = 86_400 * SECOND
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: The names that the time of a trade can have.
TIME_FIELDS = ("trade_time", "executed_at", "timestamp", "created_at")


class Row(NamedTuple):
    """One trade or order: what it is found by, and its JSON text."""

    time: int
    account_id: int
    symbol: str
    body: bytes


def micros(text: str) -> int:
    """Return the microseconds since 1970 of an ISO 8601 text; a time without an offset is UTC.

    :raises ValueError: if the text is no time
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND


def iso(time: int, timespec: str = "auto") -> str:
    """Return the ISO 8601 text, with ``Z``, of microseconds since 1970."""
    moment = _EPOCH + timedelta(microseconds=time)
    return moment.replace(tzinfo=None).isoformat(timespec=timespec) + "Z"


def parse_row(given: bytes | dict[str, Any], time_fields: Sequence[str] = TIME_FIELDS) -> tuple[Row, dict[str, Any]]:
    """Return a row and its fields, from JSON text, which it keeps, or from a dict.

    :param given: a JSON object with a time, an ``account_id`` and a ``symbol``
    :param time_fields: where the time may stand; the first that is there counts
    :raises ValueError: if it is not one; the message holds only the reason
    """
    body = given if isinstance(given, bytes) else json.dumps(given, separators=(",", ":"), ensure_ascii=False).encode()
    try:
        fields = json.loads(body.decode())
        text = next(fields[name] for name in time_fields if fields.get(name) is not None)
        return Row(micros(text), int(fields["account_id"]), intern(fields["symbol"]), body), fields
    except (ValueError, TypeError, AttributeError, KeyError, StopIteration) as error:
        raise ValueError(repr(error)) from None


class Rows:
    """Rows in columns: a million of them give the garbage collector nothing to look through."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self.times: list[int] = []
        self.account_ids: list[int] = []
        self.symbols: list[str] = []
        self.bodies: list[bytes] = []
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Append a row."""
        self.times.append(row.time)
        self.account_ids.append(row.account_id)
        self.symbols.append(row.symbol)
        self.bodies.append(row.body)

    def insert(self, row: Row) -> None:
        """Insert a row by time, after those of the same time; all are in order already."""
        place = bisect_right(self.times, row.time)
        self.times.insert(place, row.time)
        self.account_ids.insert(place, row.account_id)
        self.symbols.insert(place, row.symbol)
        self.bodies.insert(place, row.body)

    def in_order(self) -> Rows:
        """Return the rows by time; those of one time keep their order."""
        if self.times == sorted(self.times):
            return self
        return Rows(sorted(self, key=attrgetter("time")))

    def __iter__(self) -> Iterator[Row]:
        return map(Row, self.times, self.account_ids, self.symbols, self.bodies)


class Listing:
    """The rows of one query, oldest first, as stretches of sorted rows that are never copied whole."""

    def __init__(self, stretches: Iterable[tuple[Rows, int, int]]) -> None:
        self._stretches = [(rows, first, last) for rows, first, last in stretches if first < last]
        self._length = sum(last - first for _, first, last in self._stretches)

    def __len__(self) -> int:
        return self._length

    def bodies(self, start: int, stop: int) -> list[bytes]:
        """Return the JSON texts from position ``start`` up to ``stop``, counted from the oldest."""
        found: list[bytes] = []
        for rows, first, last in self._stretches:
            size = last - first
            if stop <= 0:
                break
            if start < size:
                found += rows.bodies[first + max(start, 0) : first + min(stop, size)]
            start -= size
            stop -= size
        return found

    def __iter__(self) -> Iterator[Row]:
        for rows, first, last in self._stretches:
            columns = (rows.times, rows.account_ids, rows.symbols, rows.bodies)
            yield from map(Row, *(column[first:last] for column in columns))

    def newest(self) -> Row:
        """Return the last row; the listing must have one."""
        rows, _, last = self._stretches[-1]
        at = last - 1
        return Row(rows.times[at], rows.account_ids[at], rows.symbols[at], rows.bodies[at])

    def doubled(self, copy: bytes) -> Listing:
        """Return the listing with its newest row twice; it must have one.

        :param copy: the JSON text of the older of the two
        """
        rows, first, last = self._stretches[-1]
        newest = self.newest()
        pair = Rows([newest._replace(body=copy), newest])
        return Listing([*self._stretches[:-1], (rows, first, last - 1), (pair, 0, 2)])

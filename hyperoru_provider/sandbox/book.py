"""Sources of trades: found by window and filter, and growing while the sandbox runs."""

from __future__ import annotations

import gzip
from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from pathlib import Path
from threading import RLock
from typing import Any

from hyperoru_provider.sandbox.rows import DAY, Listing, Row, Rows, parse_row

__all__ = ["Book", "FileBook", "WindowTooLong", "account", "read_rows"]

_CACHED_DAYS = 4_096


class WindowTooLong(ValueError):
    """More days than a made-up book makes for one query."""


def account(account_id: int, name: str, **fields: object) -> dict[str, object]:
    """Return an Account object of the API.

    :param account_id: its id
    :param name: its name
    :param fields: what differs from the defaults
    """
    return {
        "id": account_id,
        "name": name,
        "account_type": "prompt",
        "user_id": 1,
        "is_active": True,
        "show_on_dashboard": True,
        "initial_capital": 10000.0,
        "current_cash": 9876.5,
        "frozen_cash": 0,
        "hyperliquid_enabled": True,
        "hyperliquid_environment": "mainnet",
        "model": None,
        "base_url": None,
        "avatar_preset_id": None,
        "default_leverage": None,
        "max_leverage": None,
        **fields,
    }


class _Day:
    """The rows of one UTC day, sorted, with those of each filter that was asked for."""

    def __init__(self, rows: Rows) -> None:
        self._all = rows
        self._views: dict[tuple[int | None, str | None], Rows] = {(None, None): rows}

    def view(self, account_id: int | None, symbol: str | None) -> Rows:
        view = self._views.get((account_id, symbol))
        if view is None:
            view = self._views[account_id, symbol] = Rows(
                row for row in self._all if account_id in (None, row.account_id) and symbol in (None, row.symbol)
            )
        return view

    def insert(self, row: Row) -> None:
        """Add a row, also to the views that show it."""
        for account_id in (None, row.account_id):
            for symbol in (None, row.symbol):
                if view := self._views.get((account_id, symbol)):
                    view.insert(row)


class Book(ABC):
    """A source of trades, by UTC days (counted from 1970), and the traders who made them.

    Rows arrive from any thread: whoever changes the book, or reads more than one thing from it, holds its ``lock``.

    :param traders: the Account objects of the traders
    :param symbols: what was traded
    """

    def __init__(self, traders: Sequence[dict[str, object]], symbols: Sequence[str]) -> None:
        self.traders = traders
        self.symbols = symbols
        self.lock = RLock()
        self._days: dict[int, _Day] = {}
        self._arrived: dict[int, Rows] = {}
        self._told = 0
        self._late: list[Row] = []

    @abstractmethod
    def base(self, day: int) -> Rows:
        """Return the rows of a day by time, without those that arrived since the start."""

    @abstractmethod
    def days(self, first: int, last: int) -> Sequence[int]:
        """Return the days from ``first`` to ``last`` (both included) that have rows."""

    @abstractmethod
    def window(self) -> tuple[int, int]:
        """Return the start and the end of a query that names none."""

    def select(self, account_id: int | None, symbol: str | None, start: int, end: int) -> Listing:
        """Return the rows with ``start <= time < end`` of one trader and symbol, or of all.

        :raises WindowTooLong: if the book would have to make too many days for it
        """

        def stretches() -> Iterator[tuple[Rows, int, int]]:
            first_day, last_day = start // DAY, (end - 1) // DAY
            for number in self.days(first_day, last_day):
                rows = self._day(number).view(account_id, symbol)
                first = bisect_left(rows.times, start) if number == first_day else 0
                last = bisect_left(rows.times, end) if number == last_day else len(rows.times)
                yield rows, first, last

        return Listing(stretches() if start < end else ())

    def arrive(self, row: Row) -> None:
        """Add a row to the book, as its newest one of its time."""
        number = row.time // DAY
        with self.lock:
            if number not in self._arrived:
                self._arrived[number] = Rows()
                self._days.pop(number, None)  # made again as a copy: the rows of the base stay as they are
            self._arrived[number].add(row)
            if number in self._days:
                self._days[number].insert(row)
            if row.time < self._told:
                self._late.append(row)

    def forget_arrivals(self) -> None:
        """Remove every row that :meth:`arrive` added."""
        with self.lock:
            arrived, self._arrived = self._arrived, {}
            self._late.clear()
            for number in arrived:
                self._days.pop(number, None)

    def news(self, now: int) -> list[Row]:
        """Return the rows whose time has come since the last call, and those that arrived late, each once.

        :param now: the present, in microseconds since 1970
        """
        with self.lock:
            rows = [*self.select(None, None, self._told, now), *self._late]
            self.skip_news(now)
        return rows

    def skip_news(self, now: int) -> None:
        """Let :meth:`news` begin at ``now``."""
        with self.lock:
            self._told = max(now, self._told)
            self._late.clear()

    def _day(self, number: int) -> _Day:
        day = self._days.get(number)
        if day is None:
            if len(self._days) >= _CACHED_DAYS:
                del self._days[next(iter(self._days))]
            rows = self.base(number)
            if number in self._arrived:
                rows = Rows(sorted([*rows, *self._arrived[number]], key=attrgetter("time")))
            day = self._days[number] = _Day(rows)
        return day


class FileBook(Book):
    """The rows of a file or a test, served with the bytes that they have.

    :param rows: one JSON object each, as text or as a dict
    :raises ValueError: if a row is no JSON object with a time, an ``account_id`` and a ``symbol``
    """

    def __init__(self, rows: Iterable[bytes | dict[str, Any]]) -> None:
        by_day: dict[int, Rows] = {}
        names: dict[int, str] = {}
        symbols: dict[str, None] = {}
        for number, given in enumerate(rows, start=1):
            try:
                row, fields = parse_row(given)
            except ValueError as error:
                raise ValueError(f"row {number} is no trade: {error}") from None
            by_day.setdefault(row.time // DAY, Rows()).add(row)
            names.setdefault(row.account_id, fields.get("account_name") or f"Trader {row.account_id}")
            symbols[row.symbol] = None
        self._base = {day: rows.in_order() for day, rows in by_day.items()}
        self._order = sorted(by_day)
        super().__init__([account(key, names[key]) for key in sorted(names)], sorted(symbols))

    def base(self, day: int) -> Rows:
        """Return the rows of a day, with the bytes that they were given with."""
        return self._base.get(day) or Rows()

    def arrive(self, row: Row) -> None:
        """Add a row to the book, which may be the first one of its day."""
        number = row.time // DAY
        with self.lock:
            if number not in self._base and number not in self._arrived:
                insort(self._order, number)
            super().arrive(row)

    def forget_arrivals(self) -> None:
        """Remove every row that :meth:`arrive` added."""
        with self.lock:
            super().forget_arrivals()
            self._order = sorted(self._base)

    def days(self, first: int, last: int) -> Sequence[int]:
        """Return the days that have rows."""
        return self._order[bisect_left(self._order, first) : bisect_right(self._order, last)]

    def window(self) -> tuple[int, int]:
        """Return the window of all rows, from the start of the first day to the end of the last."""
        if not self._order:
            return 0, 0
        return self._order[0] * DAY, (self._order[-1] + 1) * DAY


def read_rows(path: str | Path) -> Iterator[bytes]:
    """Yield the rows of a file with one JSON object on each line; empty lines are skipped.

    :param path: the file; it is decompressed when its name ends in ``.gz``
    :raises OSError: if it can't be read
    """
    opener = gzip.open if str(path).endswith(".gz") else open
    with opener(path, "rb") as file:
        for line in file:
            if body := line.strip():
                yield body

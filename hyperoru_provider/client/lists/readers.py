"""Make readers of the lists, from a resource's name and what a caller asks for. Pure: no I/O."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, MutableMapping
from datetime import datetime, timedelta
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from hyperoru_provider.client.api.contract import Contract
from hyperoru_provider.client.api.endpoints import WindowedEndpoint
from hyperoru_provider.client.api.resources import RESOURCES
from hyperoru_provider.client.errors import HyperoruConfigError, HyperoruContractError
from hyperoru_provider.client.lists.duplicates import DuplicateDetector
from hyperoru_provider.client.lists.rows import Rows
from hyperoru_provider.client.lists.window_reader import SLICE_ROWS, WindowReader
from hyperoru_provider.client.times import interval_length, shift, utc_window

_KLINES_AT_ONCE = 98  # a server that cuts its lists at 100 shows these whole
_NO_FILTERS: Mapping[str, Any] = MappingProxyType({})


def list_reader(
    contract: Contract,
    resource: str,
    start: datetime | None = None,
    end: datetime | None = None,
    filters: Mapping[str, Any] = _NO_FILTERS,
    *,
    slice_rows: int = SLICE_ROWS,
    spacing: timedelta | None = None,
    first_pages: MutableMapping[str, int] | None = None,
) -> WindowReader:
    """Return a reader of a list.

    :param contract: how the server names things.
    :param resource: one of :data:`~hyperoru_provider.client.api.resources.RESOURCES`.
    :param start: start of the window, inclusive; a naive time is UTC. Not of a list that is not read by time.
    :param end: end of the window, exclusive; likewise.
    :param filters: what else limits the rows; ``None`` values don't.
    :param slice_rows: see :class:`WindowReader`; a list that is not read by time is one slice.
    :param spacing: see :class:`WindowReader`.
    :param first_pages: see :class:`WindowReader`.
    :raises HyperoruConfigError: there is no such list or filter, a filter that is needed is missing, or the window is
        empty, missing, or given for a list that has none.
    """
    row = RESOURCES.get(resource)
    if row is None:
        raise HyperoruConfigError(f"resource {resource!r}: there are {', '.join(RESOURCES)}.")
    if unknown := sorted(set(filters) - set(row.filters)):
        known = ", ".join(row.filters) or "none"
        raise HyperoruConfigError(f"{resource} can't be filtered by {', '.join(unknown)}; its filters are {known}.")
    endpoint = contract.lists[resource]
    endpoint.target(filters)  # refuses what the path lacks
    if not isinstance(endpoint, WindowedEndpoint):
        if start is not None or end is not None:
            raise HyperoruConfigError(f"{resource} is not read by time: leave out start and end.")
        return WindowReader(endpoint, None, None, filters, sys.maxsize, first_pages=first_pages)
    if start is None or end is None:
        raise HyperoruConfigError(f"{resource} is read by time: give start and end.")
    window = utc_window(start, end)
    return WindowReader(endpoint, *window, filters, slice_rows, spacing=spacing, first_pages=first_pages)


class RowCounter:
    """Counts the rows of a list, each once, and stops reading where there are enough.

    :param reader: what to read.
    :param limit: stop reading once there are so many; ``None`` to count all.
    """

    def __init__(self, reader: WindowReader, limit: int | None) -> None:
        self.reader = reader
        self._limit = limit
        self._complete = 0
        self._detector = DuplicateDetector()

    @property
    def rows(self) -> int:
        """How many there are, as far as was read."""
        return self._complete + len(self.reader.shown)

    def query(self) -> dict[str, Any] | None:
        """Return the parameters of the next request, by our names; ``None`` when the count is done.

        :raises HyperoruContractError: a row came at two times.
        """
        enough = self._limit is not None and self.rows >= self._limit
        query = None if enough else self.reader.query()
        if query is None:
            if self.reader.shown:
                self._detector.add(self.reader.shown)
            self._detector.check(self.reader.endpoint)
        return query

    def add(self, rows: Rows) -> None:
        """Take what an answer completed."""
        if rows:
            self._complete += len(rows)
            self._detector.add(rows)


def trade_counter(
    contract: Contract,
    start: datetime,
    end: datetime,
    filters: Mapping[str, Any],
    *,
    limit: int | None,
    first_pages: MutableMapping[str, int],
) -> RowCounter:
    """Return a counter of the trades of a window; see :func:`list_reader` and :class:`RowCounter`."""
    # with a limit, all pages count from the first on, as no more is held than that
    slice_rows = SLICE_ROWS if limit is None else sys.maxsize
    reader = list_reader(contract, "trades", start, end, filters, slice_rows=slice_rows, first_pages=first_pages)
    return RowCounter(reader, limit)


def kline_readers(
    contract: Contract, symbol: str, interval: str, start: datetime, end: datetime
) -> Iterator[WindowReader]:
    """Return readers of the candles of a window, in stretches that a capped list can mostly show whole."""
    start, end = utc_window(start, end)
    length = interval_length(interval)
    stretch = length * max(contract.klines.cap - 2 if contract.klines.cap else _KLINES_AT_ONCE, 1)
    filters = {"symbol": symbol, "interval": interval}
    while start < end:
        yield list_reader(contract, "klines", start, min(shift(start, stretch), end), filters, spacing=length)
        start = shift(start, stretch)


def check_interval(symbol: str, interval: str, times: list[datetime]) -> None:
    """Raise if candles are not of the interval that was asked for.

    :raises HyperoruContractError: they are not.
    """
    length = interval_length(interval)
    gaps = {later - earlier for earlier, later in pairwise(times)}
    if gaps and length not in gaps:
        raise HyperoruContractError(
            f"Candles of {interval} were asked for, but those of {symbol} are at least {min(gaps)} apart: the server "
            "seems to ignore the interval. Correct the contract's klines.params."
        )
    if any(gap % length for gap in gaps):
        raise HyperoruContractError(
            f"Candles of {interval} were asked for, but some of {symbol} are closer together: the server seems to "
            "ignore the interval. Correct the contract's klines.params."
        )

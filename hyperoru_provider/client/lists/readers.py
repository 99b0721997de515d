"""Make readers of the lists, from a resource's name and what a caller asks for. Pure: no I/O."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from hyperoru_provider.client.api.contract import Contract
from hyperoru_provider.client.api.endpoints import ListEndpoint, WindowedEndpoint
from hyperoru_provider.client.api.resource import Resource
from hyperoru_provider.client.api.resources import RESOURCES
from hyperoru_provider.client.errors import HyperoruConfigError, HyperoruContractError
from hyperoru_provider.client.lists.duplicates import DuplicateDetector
from hyperoru_provider.client.lists.editing import editor_for
from hyperoru_provider.client.lists.rows import Rows
from hyperoru_provider.client.lists.window_reader import SLICE_ROWS, Learned, WindowReader
from hyperoru_provider.client.times import interval_length, shift, utc_window

_ROWS_AT_ONCE = 98  # a server that cuts its lists at 100 shows these whole
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
    learned: Learned | None = None,
    as_of: datetime | None = None,
    mask: bool = False,
) -> WindowReader:
    """Return a reader of a list.

    :param contract: how the server names things.
    :param resource: one of :data:`~hyperoru_provider.client.api.resources.RESOURCES`.
    :param start: start of the window, inclusive; a naive time is UTC. Not of a list that is not read by time.
    :param end: end of the window, exclusive; likewise.
    :param filters: what else limits the rows; ``None`` values don't.
    :param slice_rows: see :class:`WindowReader`; a list that is not read by time is one slice.
    :param spacing: see :class:`WindowReader`.
    :param learned: see :class:`WindowReader`.
    :param as_of: the present, for rows of a list that have no key and are read as they are now.
    :param mask: whether to mask secrets, in lists whose rows may hold some.
    :raises HyperoruConfigError: there is no such list or filter, a filter that is needed is missing, or the window is
        empty, missing, or given for a list that has none.
    """
    row, endpoint = known_resource(resource), contract.lists[resource]
    _check_filters(row, endpoint, filters)
    if endpoint.paging != "none" and not endpoint.key:
        raise HyperoruContractError(
            f"The contract reads {resource} in pages but gives it no key, so repeated rows can't be recognized. Name "
            "the fields that identify a row in the contract's key, or set its paging to 'none'."
        )
    given = {name: value for name, value in filters.items() if value is not None}
    as_of = as_of if row.is_snapshot else None
    options: dict[str, Any] = {
        "learned": learned,
        "editor": editor_for(row, endpoint, given, as_of, mask=mask),
        "as_of": as_of,
    }
    if not isinstance(endpoint, WindowedEndpoint):
        if start is not None or end is not None:
            raise HyperoruConfigError(f"{resource} is not read by time: leave out start and end.")
        return WindowReader(endpoint, None, None, filters, sys.maxsize, **options)
    window = _window(resource, start, end)
    return WindowReader(endpoint, *window, filters, slice_rows, spacing=spacing, **options)


def _check_filters(row: Resource[Any], endpoint: ListEndpoint, filters: Mapping[str, Any]) -> None:
    """Raise an error if a list has no such filter, or can't be asked for without one that is not there.

    :raises HyperoruConfigError: so it is.
    """
    if unknown := sorted(set(filters) - set(row.filters)):
        known = ", ".join(row.filters) or "none"
        raise HyperoruConfigError(f"{row.name} can't be filtered by {', '.join(unknown)}; its filters are {known}.")
    if missing := [name for name in row.needed(endpoint) if filters.get(name) in (None, "")]:
        raise HyperoruConfigError(f"{row.name} can't be listed without {' and '.join(missing)}: add the filter.")


def _window(resource: str, start: datetime | None, end: datetime | None) -> tuple[datetime, datetime]:
    """Return the window of a list that is read by time.

    :raises HyperoruConfigError: it is empty, or a bound is missing.
    """
    if start is None or end is None:
        missing = [name for name, bound in (("start", start), ("end", end)) if bound is None]
        raise HyperoruConfigError(f"{resource} is read by time: give {' and '.join(missing)}.")
    return utc_window(start, end)


def known_resource(name: str) -> Resource[Any]:
    """Return a list by its name.

    :raises HyperoruConfigError: there is none.
    """
    if name not in RESOURCES:
        raise HyperoruConfigError(f"unknown resource {name!r}; known are {', '.join(RESOURCES)}.")
    return RESOURCES[name]


def list_readers(
    contract: Contract,
    resource: str,
    start: datetime | None,
    end: datetime | None,
    filters: Mapping[str, Any],
    **options: Any,
) -> Iterator[WindowReader]:
    """Return readers that together are one of a list; see :func:`list_reader`.

    Of rows that are so far apart as a filter says, such as candles, they are of stretches that a capped list can mostly
    show whole.
    """
    row = known_resource(resource)
    spacing = row.spacing
    if spacing is None:
        yield list_reader(contract, resource, start, end, filters, **options)
        return
    _check_filters(row, contract.lists[resource], filters)
    start, end = _window(resource, start, end)
    length, cap = interval_length(str(filters[spacing])), contract.lists[resource].cap
    stretch = length * max(cap - 2 if cap else _ROWS_AT_ONCE, 1)
    while start < end:
        last = min(shift(start, stretch), end)
        yield list_reader(contract, resource, start, last, filters, spacing=length, **options)
        start = last


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
    learned: Learned,
) -> RowCounter:
    """Return a counter of the trades of a window; see :func:`list_reader` and :class:`RowCounter`."""
    # with a limit, all pages count from the first on, as no more is held than that
    slice_rows = SLICE_ROWS if limit is None else sys.maxsize
    reader = list_reader(contract, "trades", start, end, filters, slice_rows=slice_rows, learned=learned)
    return RowCounter(reader, limit)


class SpacingCheck:
    """Checks that rows are as far apart as was asked for, as candles are; holds none of them.

    :param resource: their list.
    :param filters: what limits the rows; one of them says how far apart they are.
    """

    def __init__(self, resource: Resource[Any], filters: Mapping[str, Any]) -> None:
        self._resource = resource
        self._interval = str(filters[resource.spacing or ""])
        self._length = interval_length(self._interval)
        self._of = filters.get("symbol")
        self._last: datetime | None = None
        self._least: timedelta | None = None

    def record(self, batches: Iterable[Rows]) -> Iterator[Rows]:
        """Pass batches of rows on, and look at their times.

        :raises HyperoruContractError: they are of another interval.
        """
        for rows in batches:
            self.add(rows.times)
            yield rows
        self.finish()

    def add(self, times: Sequence[datetime | None]) -> None:
        """Look at the times of further rows.

        :raises HyperoruContractError: two are closer together.
        """
        for moment in times:
            if moment is not None and self._last is not None:
                gap = moment - self._last
                self._least = gap if self._least is None else min(gap, self._least)
                if gap % self._length:
                    raise self._ignored(f"some of {self._of} are closer together")
            self._last = moment

    def finish(self) -> None:
        """Look at all together, once there are no more.

        :raises HyperoruContractError: no two of them are next to each other.
        """
        if self._least is not None and self._least != self._length:
            raise self._ignored(f"those of {self._of} are at least {self._least} apart")

    def _ignored(self, found: str) -> HyperoruContractError:
        name = self._resource.name
        return HyperoruContractError(
            f"Candles of {self._interval} were requested, but {found}: the server seems to ignore the interval. "
            f"Correct the contract's {name}.params."
        )

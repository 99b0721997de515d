"""Whether a server looks for a time before it limits a list, or only among the rows it has limited. Pure: no I/O.

A server of the second kind shows of an older window those rows that happen to be among its newest ones, or none, and
nothing in its answers tells them from those of a window with few rows. What tells: the time of a row that it has shown,
asked for with a limit that ends before that row.
"""

from __future__ import annotations

from collections.abc import Set
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.lists.checks import FieldExtractor, RowCollector
from hyperoru_provider.client.lists.page import Page
from hyperoru_provider.client.lists.paginator import paginator_for
from hyperoru_provider.client.lists.rows import Key, Rows, TimeSlice

#: the limit: below what any server is known to cut lists at, but more than are merged into one row
_FEW = 8


class Witness(NamedTuple):
    """A row that was listed.

    :param time: its time.
    :param decides: whether so many rows of other times were listed before it that a limited list can't have it.
    :param time_slice: what was read when it was listed.
    :param known: keys of all rows that were listed about then; ``None`` if not all of the list was read.
    """

    time: datetime
    decides: bool
    time_slice: TimeSlice
    known: frozenset[Key] | None


def last_listed(rows: Rows, time_slice: TimeSlice) -> Witness | None:
    """Return the last of the rows, in the order of the list; ``None`` if there are none.

    :param time_slice: what they are all rows of.
    """
    times: Any = rows.times
    if not times:
        return None
    last, near = times[-1], 2 * time_slice.grain
    known = frozenset(key for key, moment in zip(rows.keys, times, strict=True) if abs(moment - last) <= near)
    return Witness(last, len(times) > _FEW and abs(times[_FEW - 1] - last) > near, time_slice, known)


class FilterProbe:
    """Asks for the time of a row that the list has shown.

    :param window: what was read.
    :param extractor: reads what is looked at of the rows.
    :param witness: a row of the window; ``None`` if it has none, and one from elsewhere is to be found.
    """

    def __init__(self, window: TimeSlice, extractor: FieldExtractor, witness: Witness | None) -> None:
        self.done = False
        #: whether the server was seen to look for the time first
        self.proved = False
        self._window = window
        self._extractor = extractor
        self._witness = witness

    def values(self) -> dict[str, Any]:
        """Return the parameters of the next request, by our names."""
        endpoint, limit = self._window.endpoint, self._window.endpoint.page_size
        values = self._window.filters
        if self._witness is not None:
            values, limit = self._part(self._witness.time).values(), min(limit or _FEW, _FEW)
        position = paginator_for(endpoint, limit, 1).position()
        return {**values, **position, **({"page": None} if "page" in position else {})}

    def accept(self, page: Page) -> None:
        """Take the answer.

        :raises HyperoruContractError: the window can't be believed.
        """
        if self._witness is None:
            self._find_witness(page)
            return
        self.done, self.proved = True, self._witness.decides
        if self._witness.known is not None:
            self._check_known(page, self._witness, self._witness.known)
        if not page.texts and not page.more and page.cursor is None:
            raise HyperoruContractError(
                f"Asked for the time of a row that it has listed, with a limit of {_FEW} rows, the server returned "
                "none: it seems to apply the limit before the time filter, or to compare times in another time zone. "
                "If no other parameter helps, set the contract's time_filter to none."
            )

    def _check_known(self, page: Page, witness: Witness, known: Set[Key]) -> None:
        """Raise an error if the list shows rows that it did not show when it was read.

        :raises HyperoruContractError: it does.
        """
        part = self._part(witness.time)
        listed = RowCollector(part, self._extractor)
        listed.add(page)
        for key, moment in zip(listed.rows.keys, listed.rows.times, strict=True):
            if part.holds(moment) and witness.time_slice.holds(moment) and key not in known:
                raise HyperoruContractError(
                    "Asked once more, the list shows a row that it did not show when it was read: rows are added, or "
                    "its pages come in another order each time. Export the window once it has settled."
                )

    def refuse(self) -> None:
        """Take it that the server can't be asked."""
        self.done = True

    def _find_witness(self, page: Page) -> None:
        """Look for a row where the window has none."""
        everything = TimeSlice(self._window.endpoint, self._window.filters)
        collector = RowCollector(everything, self._extractor)
        collector.add(page)
        rows = collector.rows
        if any(self._window.holds(moment) for moment in rows.times):
            raise HyperoruContractError(
                "The server returned no rows for the window, but without a time filter it lists some that are in it: "
                "its time filter does not work as expected. Correct the contract's params start and end, or its "
                "window_format."
            )
        witness = last_listed(rows, everything)
        self._witness = witness and witness._replace(known=None)
        self.done = self._witness is None or not self._witness.decides

    def _part(self, moment: datetime) -> TimeSlice:
        """Return the shortest part that holds a moment."""
        first = self._window.floor(moment)
        return self._window.part(first, self._window.ceiling(first + timedelta.resolution))

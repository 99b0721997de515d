"""Whether a list of one answer begins with the same rows when fewer of them are asked for. Pure: no I/O.

A server may take so many rows first, and drop or merge some of them afterwards; or take so many of each of its tables.
Then a list that is shorter than its limit, or that goes back far enough, need not have all rows of a time.
"""

from __future__ import annotations

from itertools import dropwhile, takewhile
from typing import Any

from hyperoru_provider.client.lists.checks import FieldExtractor, RowCollector
from hyperoru_provider.client.lists.page import Page
from hyperoru_provider.client.lists.paginator import paginator_for
from hyperoru_provider.client.lists.rows import Rows, TimeSlice

#: a list is limited to so many-th of its rows: of a few tables that are limited each, that is less than one of them has
_PARTS = 4
#: rows at the end of a limited list that may be others, as some of those that are merged into them are cut off
_AT_THE_EDGE = 2


class LimitProbe:
    """Asks for a list once more.

    :param time_slice: what was read.
    :param shown: its rows, in the order of the list.
    :param listed: how many rows the list has, with those outside of the slice.
    :param is_whole: whether the list is taken to be whole, so that it has as many rows as it is limited to.
    """

    def __init__(self, time_slice: TimeSlice, shown: Rows, listed: int, *, is_whole: bool) -> None:
        self._slice = time_slice
        self._shown = list(shown.keys)
        self._is_whole = is_whole
        self._limit = listed if is_whole else -(-listed // _PARTS)

    def values(self) -> dict[str, Any]:
        """Return the parameters of the request, by our names."""
        return {**self._slice.values(), **paginator_for(self._slice.endpoint, self._limit, 1).position()}

    def bears_out(self, page: Page, extractor: FieldExtractor) -> bool:
        """Return whether the answer is the beginning of what was shown, but for rows that have arrived since.

        :param page: the answer.
        :param extractor: reads what is looked at of its rows.
        """
        if self._is_whole and len(page.texts) < self._limit:
            return False
        if not self._slice.endpoint.key:
            return True
        collector = RowCollector(self._slice, extractor)
        collector.add(page)
        known, keys = set(self._shown), collector.rows.keys
        again = list(dropwhile(lambda key: key not in known, keys)) or keys
        common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(again, self._shown, strict=False)))
        return len(again) - common <= _AT_THE_EDGE

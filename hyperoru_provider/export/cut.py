"""Where one part ends and the next begins."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate

from hyperoru_provider.client.paging import Row

_BATCH_ROWS = 10_000


class Cutter:
    """Cuts rows into parts, and parts into batches: at the same rows always, in whatever lists they come.

    :param spans: the rows in their order.
    :param rows_per_part: rows of a part at most.
    :param bytes_per_part: bytes of a part's rows as JSON lines at most, but for a row that is longer by itself.
    """

    def __init__(self, spans: Iterable[list[Row]], rows_per_part: int, bytes_per_part: int | None = None) -> None:
        self._spans = iter(spans)
        self._rows: list[Row] = []
        self._rows_per_part = rows_per_part
        self._bytes_per_part = bytes_per_part

    def more(self) -> bool:
        """Tell whether there are rows for another part."""
        self._fill(1)
        return bool(self._rows)

    def part(self) -> Iterator[list[Row]]:
        """Give the next part, in batches."""
        rows, size = self._rows_per_part, self._bytes_per_part
        least = 1
        while True:
            count = min(_BATCH_ROWS, rows)
            self._fill(count)
            if size is not None:
                sizes = list(accumulate(len(row.raw) + 1 for row in self._rows[:count]))
                count = min(max(bisect_right(sizes, size), least), len(sizes))
                size -= sizes[count - 1] if count else 0
            batch, self._rows = self._rows[:count], self._rows[count:]
            if not batch:
                return
            yield batch
            rows -= len(batch)
            least = 0

    def _fill(self, count: int) -> None:
        while len(self._rows) < count and (span := next(self._spans, None)) is not None:
            self._rows += span

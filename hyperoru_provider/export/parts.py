"""Where one part ends and the next begins."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import accumulate, chain, islice
from typing import TypeAlias

from hyperoru_provider.client.lists.rows import Rows

Batch: TypeAlias = list[Rows]

BATCH_ROWS = 10_000


class PartSplitter:
    """Divides rows into parts, and parts into batches: at the same rows always, however the rows came.

    :param batches: the rows in their order, in batches of any length.
    :param rows_per_part: rows of a part at most.
    :param bytes_per_part: bytes of a part's rows as JSON lines at most, but for a row that is longer by itself.
    """

    def __init__(self, batches: Iterable[Rows], rows_per_part: int, bytes_per_part: int | None = None) -> None:
        self._batches = iter(batches)
        self._pieces: deque[Rows] = deque()
        self._held = 0
        self._rows_per_part = rows_per_part
        self._bytes_per_part = bytes_per_part

    def more(self) -> bool:
        """Return whether there are rows for another part."""
        self._fill(1)
        return bool(self._held)

    def part(self) -> Iterator[Batch]:
        """Yield the next part, in batches."""
        rows, size = self._rows_per_part, self._bytes_per_part
        least = 1
        while True:
            count = min(BATCH_ROWS, rows)
            self._fill(count)
            if size is not None:
                texts = islice(chain.from_iterable(piece.texts for piece in self._pieces), count)
                sizes = list(accumulate(memoryview(text).nbytes + 1 for text in texts))
                count = min(max(bisect_right(sizes, size), least), len(sizes))
                size -= sizes[count - 1] if count else 0
            if not min(count, self._held):
                return
            rows -= min(count, self._held)
            yield self._take(count)
            least = 0

    def _fill(self, count: int) -> None:
        while self._held < count and (rows := next(self._batches, None)) is not None:
            self._pieces.append(rows)
            self._held += len(rows)

    def _take(self, count: int) -> Batch:
        batch = []
        while count and self._pieces:
            piece = self._pieces.popleft()
            if len(piece) > count:
                self._pieces.appendleft(piece[count:])
                piece = piece[:count]
            batch.append(piece)
            count -= len(piece)
            self._held -= len(piece)
        return batch

"""Reads a window with several requests at once, and yields its rows in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple

from hyperoru_provider.client import HyperoruClient
from hyperoru_provider.client.lists.duplicates import DuplicateDetector
from hyperoru_provider.client.lists.rows import Rows
from hyperoru_provider.client.lists.window_reader import WindowReader
from hyperoru_provider.export.progress import Progress


class _ReadResult(NamedTuple):
    """What a reader gave: batches of rows, and readers for what is left."""

    batches: list[Rows]
    subplans: list[WindowReader]


def fetch(
    client: HyperoruClient,
    readers: Iterable[WindowReader],
    concurrency: int,
    progress: Progress | None = None,
    detector: DuplicateDetector | None = None,
    *,
    prepare: Callable[[Rows], Any] | None = None,
) -> Iterator[Rows]:
    """Yield the same rows in the same order as :meth:`HyperoruClient.iter_batches` of one reader after another.

    A window that is too large for one slice is read in several at a time. No more slices are read ahead than are read
    at once, so that memory does not grow with the window.

    :param client: shared by all threads, and so is its rate limit.
    :param readers: what to read: at least one, of the same list, in order.
    :param concurrency: how many requests to send at the same time, at least 1.
    :param progress: counts the pages.
    :param detector: has recorded the window's rows that the readers leave out, and records the others, in order.
    :param prepare: converts a batch to what a format writes, in the thread that read it; see :attr:`Rows.prepared`.
    :raises HyperoruApiError: see the client; no further page is asked for.
    """
    progress = Progress() if progress is None else progress
    detector = DuplicateDetector() if detector is None else detector
    stop = threading.Event()
    waiting = iter(readers)
    reader = next(waiting)
    first = _read(client, reader, prepare, progress, stop)
    yield from detector.record(first.batches)
    queue: deque[WindowReader | Future[_ReadResult]] = deque(first.subplans)
    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="hyperoru-fetch")
    try:
        while True:
            queue.extend(islice(waiting, max(concurrency + 1 - len(queue), 0)))
            if not queue:
                break
            for place in range(min(concurrency + 1, len(queue))):
                rest = queue[place]
                if isinstance(rest, WindowReader):
                    queue[place] = pool.submit(_read, client, rest, prepare, progress, stop)
            head = queue.popleft()
            read = head.result() if isinstance(head, Future) else _ReadResult([], [head])
            yield from detector.record(read.batches)
            queue.extendleft(reversed(read.subplans))
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
    detector.check(reader.endpoint)


def _read(
    client: HyperoruClient,
    reader: WindowReader,
    prepare: Callable[[Rows], Any] | None,
    progress: Progress,
    stop: threading.Event,
) -> _ReadResult:
    """Return what a reader gives until its window turns out to be too large for one slice."""
    batches: list[Rows] = []
    complete = 0
    while not reader.divided and not stop.is_set() and (values := reader.query()) is not None:
        if rows := client.read_page(reader, values):
            if prepare is not None:
                rows.prepared = prepare(rows)
            batches.append(rows)
            complete += len(rows)
        progress.count_page(complete + len(reader.shown), reader.total)
    return _ReadResult(batches, reader.subplans())

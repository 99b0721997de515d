"""Reads a window with several requests at once, and yields its rows in order."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from queue import SimpleQueue
from typing import Any, NamedTuple

from hyperoru_provider.client import HyperoruClient
from hyperoru_provider.client.http.concurrency import ConcurrencyController
from hyperoru_provider.client.lists.duplicates import DuplicateDetector
from hyperoru_provider.client.lists.rows import Rows
from hyperoru_provider.client.lists.window_reader import WindowReader
from hyperoru_provider.export.progress import Progress


class _ReadResult(NamedTuple):
    """What a reader gave: batches of rows, and readers for what is left."""

    batches: list[Rows]
    subplans: list[WindowReader]


class _Gate:
    """Lets as many requests be under way as a controller says, until it is closed.

    :param controller: is told by the client what becomes of each.
    """

    def __init__(self, controller: ConcurrencyController) -> None:
        self.controller = controller
        #: limits what is prepared at the same time, which needs a core and much memory
        self.preparing = threading.BoundedSemaphore(os.cpu_count() or 1)
        self._freed = threading.Condition(threading.Lock())
        #: wakes who waits for a future or a level; a lock could stay locked where a signal ends that wait
        self._news: SimpleQueue[None] = SimpleQueue()
        self._level = controller.level
        self._under_way = 0
        self._closed = threading.Event()

    @contextmanager
    def request(self) -> Iterator[bool]:
        """Return a context in which a request is sent, after waiting until there may be one more.

        Its value is whether the gate is open still; else no request is to be sent.
        """
        with self._freed:
            self._freed.wait_for(lambda: self._closed.is_set() or self._under_way < self.controller.level)
            self._under_way += 1
        try:
            yield not self._closed.is_set()
        finally:
            with self._freed:
                self._under_way -= 1
                self._freed.notify(max(self.controller.level - self._under_way, 0))
                if self.controller.level != self._level:
                    self._level = self.controller.level
                    self._news.put(None)

    def wait_for(self, future: Future[Any], more_than: int) -> None:
        """Return once a future is done, or more requests than so many may be under way."""
        if not future.done():
            future.add_done_callback(lambda _: self._news.put(None))
        while not future.done() and self.controller.level <= more_than:
            self._news.get()

    def sleep(self, seconds: float) -> None:
        """Wait before a request is sent, or sent again.

        :raises CancelledError: the gate is closed.
        """
        if self._closed.wait(seconds):
            raise CancelledError

    def close(self) -> None:
        """Let no further request be sent."""
        with self._freed:
            self._closed.set()
            self._freed.notify_all()


def fetch(
    client: HyperoruClient,
    readers: Iterable[WindowReader],
    concurrency: int | None,
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
    :param concurrency: how many requests to send at the same time, at least 1; ``None`` to find the best number.
    :param progress: counts the pages.
    :param detector: has recorded the window's rows that the readers leave out, and records the others, in order.
    :param prepare: converts a batch to what a format writes, in the thread that read it; see :attr:`Rows.prepared`.
    :raises HyperoruApiError: see the client; no further page is asked for.
    """
    progress = Progress() if progress is None else progress
    detector = DuplicateDetector() if detector is None else detector
    gate = _Gate(ConcurrencyController(concurrency))
    waiting = iter(readers)
    reader = next(waiting)
    first = _read(client, reader, prepare, progress, gate)
    yield from detector.record(first.batches)
    queue: deque[WindowReader | Future[_ReadResult]] = deque(first.subplans)
    pool = ThreadPoolExecutor(gate.controller.highest, thread_name_prefix="hyperoru-fetch")
    try:
        while True:
            level = gate.controller.level
            queue.extend(islice(waiting, max(level + 1 - len(queue), 0)))
            if not queue:
                break
            for place in range(min(level + 1, len(queue))):
                rest = queue[place]
                if isinstance(rest, WindowReader):
                    queue[place] = pool.submit(_read, client, rest, prepare, progress, gate)
                    progress.at_once = level
            head: Any = queue[0]
            gate.wait_for(head, more_than=level)
            if not head.done():
                continue
            queue.popleft()
            read: _ReadResult = head.result()
            yield from detector.record(read.batches)
            queue.extendleft(reversed(read.subplans))
    finally:
        gate.close()
        pool.shutdown(cancel_futures=True)
    detector.check(reader.endpoint)


def _read(
    client: HyperoruClient,
    reader: WindowReader,
    prepare: Callable[[Rows], Any] | None,
    progress: Progress,
    gate: _Gate,
) -> _ReadResult:
    """Return what a reader gives until its window turns out to be too large for one slice."""
    batches: list[Rows] = []
    complete = 0
    while not reader.divided and (values := reader.query()) is not None:
        with gate.request() as is_open:
            if not is_open:
                break
            rows = client.read_page(reader, values, gate.controller, sleep=gate.sleep)
            if rows:
                if prepare is not None:
                    with gate.preparing:
                        rows.prepared = prepare(rows)
                batches.append(rows)
                complete += len(rows)
        progress.count_page(complete + len(reader.shown), reader.total)
    return _ReadResult(batches, reader.subplans())

"""Reads a window with several requests at once, and yields its rows in order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice
from queue import SimpleQueue
from typing import Any

from hyperoru_provider.client import HyperoruClient
from hyperoru_provider.client.http.concurrency import ConcurrencyController
from hyperoru_provider.client.lists.duplicates import DuplicateDetector
from hyperoru_provider.client.lists.rows import Rows
from hyperoru_provider.client.lists.window_reader import WindowReader
from hyperoru_provider.export.progress import Progress


class _Gate:
    """Lets as many requests be under way as a controller says, until it is closed.

    :param controller: is told by the client what becomes of each.
    """

    def __init__(self, controller: ConcurrencyController) -> None:
        self.controller = controller
        self._freed = threading.Condition(threading.Lock())
        #: wakes who waits for a part or a level; unlike a lock, it is not left taken where a signal ends that wait
        self._news: SimpleQueue[None] = SimpleQueue()
        self._level = controller.level
        self._under_way = 0
        self.closed = threading.Event()

    @contextmanager
    def request(self) -> Iterator[bool]:
        """Return a context in which a request is sent, after waiting until there may be one more.

        Its value is whether the gate is open still; else no request is to be sent.
        """
        with self._freed:
            self._freed.wait_for(lambda: self.closed.is_set() or self._under_way < self.controller.level)
            self._under_way += 1
        try:
            yield not self.closed.is_set()
        finally:
            with self._freed:
                self._under_way -= 1
                self._freed.notify(max(self.controller.level - self._under_way, 0))
                if self.controller.level != self._level:
                    self._level = self.controller.level
                    self.wake()

    def wait(self) -> None:
        """Take a call of :meth:`wake`, or wait for one."""
        self._news.get()

    def wake(self) -> None:
        """Let who waits look at what has ended, or at the level."""
        self._news.put(None)

    def sleep(self, seconds: float) -> None:
        """Wait before a request is sent, or sent again.

        :raises CancelledError: the gate is closed.
        """
        if self.closed.wait(seconds):
            raise CancelledError

    def close(self) -> None:
        """Let no further request be sent."""
        with self._freed:
            self.closed.set()
            self._freed.notify_all()


class _Threads:
    """Threads that do what they are given, through a queue that a signal leaves intact wherever it comes.

    :param name: what their names begin with.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def grow(self, number: int) -> None:
        """Have at least so many of them."""
        while len(self._threads) < number:
            thread = threading.Thread(target=self._work, name=f"{self._name}-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def give(self, job: Callable[[], None]) -> None:
        """Have one of them do something, which raises no error."""
        self._jobs.put(job)

    def end(self) -> None:
        """Return once all is done."""
        self._jobs.put(None)
        for thread in self._threads:
            if thread.is_alive():  # it is not where a signal came while it was started
                thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            del job  # and the rows that it holds
        self._jobs.put(None)  # for the next one


class _Part:
    """A part of a window, and what was read of it.

    :param reader: reads it.
    """

    def __init__(self, reader: WindowReader) -> None:
        self.reader = reader
        self.batches: list[Rows] = []
        #: why there are no more, to be raised where they would have come
        self.error: BaseException | None = None
        self.is_begun = False
        self.is_ended = False

    def take(self, step: Callable[[], list[Rows]]) -> None:
        """Do a step of reading it, unless an earlier one has failed."""
        if self.error is None:
            try:
                self.batches = step()
            except BaseException as error:  # noqa: BLE001
                self.error = error

    def divided(self) -> Iterable[_Part]:
        """Return the part itself, or smaller ones that can be read at once if it turned out to be too large."""
        is_whole = self.batches or self.error or not self.is_ended
        return [self] if is_whole else map(_Part, self.reader.subplans())


class _Crew:
    """Reads parts of a window: some threads send requests, and another prepares rows to be written.

    :param client: is shared by them; for the others see :func:`fetch`.
    """

    def __init__(
        self,
        client: HyperoruClient,
        concurrency: int | None,
        progress: Progress,
        prepare: Callable[[Rows], Any] | None,
    ) -> None:
        self._client = client
        self._gate = _Gate(ConcurrencyController(concurrency))
        self._progress = progress
        self._prepare = prepare
        self._fetching = _Threads("hyperoru-fetch")
        self._preparing = _Threads("hyperoru-prepare")

    def read(self, parts: Iterator[_Part]) -> Iterator[Rows]:
        """Yield the rows of parts in order, where the first one is read before the others are begun."""
        parts = chain(self._read_alone(next(parts)), parts)
        queue: list[_Part] = []
        while True:
            queue = [part for before in queue for part in before.divided()]
            level = self._gate.controller.level
            most = level + 1
            queue.extend(islice(parts, max(most - len(queue), 0)))
            if not queue:
                return
            self._begin(queue, level, most)
            if not queue[0].is_ended:
                self._gate.wait()
            elif queue[0].error is not None:
                raise queue[0].error
            elif queue[0].batches:
                yield from queue.pop(0).batches

    def close(self) -> None:
        """Return once no request is under way, and none will be."""
        self._gate.close()
        self._fetching.end()
        self._preparing.end()

    def _read_alone(self, part: _Part) -> Iterable[_Part]:
        """Read a part, and return it, or those that it was divided into."""
        self._begin([part], 1, 1)
        while not part.is_ended:
            self._gate.wait()
        return part.divided()

    def _begin(self, queue: list[_Part], level: int, most: int) -> None:
        """Begin parts from the head of a queue on, until so many are under way or ready, and the head in any case."""
        waiting = [part for part in queue if not part.is_begun]
        free = most - (len(queue) - len(waiting))
        for part in waiting[: max(free, not queue[0].is_begun)]:
            self._progress.at_once = level
            self._fetching.grow(level)
            self._preparing.grow(1)
            part.is_begun = True
            self._fetching.give(partial(self._fetch_part, part))

    def _fetch_part(self, part: _Part) -> None:
        part.take(lambda: self._fetch(part.reader))
        if part.batches and self._prepare is not None:
            self._preparing.give(partial(self._prepare_part, part, self._prepare))
        else:
            self._end(part)

    def _prepare_part(self, part: _Part, prepare: Callable[[Rows], Any]) -> None:
        if not self._gate.closed.is_set():
            part.take(lambda: [Rows(rows.times, rows.keys, rows.texts, prepare(rows)) for rows in part.batches])
        self._end(part)

    def _end(self, part: _Part) -> None:
        part.is_ended = True
        self._gate.wake()

    def _fetch(self, reader: WindowReader) -> list[Rows]:
        """Return what a reader gives until its window turns out to be too large for one slice."""
        batches: list[Rows] = []
        complete = 0
        while not reader.divided and (values := reader.query()) is not None:
            with self._gate.request() as is_open:
                if not is_open:
                    break
                rows = self._client.read_page(reader, values, self._gate.controller, sleep=self._gate.sleep)
            if rows:
                batches.append(rows)
                complete += len(rows)
            self._progress.count_page(complete + len(reader.shown), reader.total)
        return batches


def fetch(
    client: HyperoruClient,
    readers: Iterable[WindowReader],
    concurrency: int | None,
    progress: Progress | None = None,
    detector: DuplicateDetector | None = None,
    *,
    prepare: Callable[[Rows], Any] | None = None,
) -> Generator[Rows]:
    """Yield the same rows in the same order as :meth:`HyperoruClient.iter_batches` of one reader after another.

    A window that is too large for one slice is read in several at a time. Few more slices are read ahead than are read
    at once, so that memory does not grow with the window.

    :param client: shared by all threads, and so is its rate limit.
    :param readers: what to read: at least one, of the same list, in order.
    :param concurrency: how many requests to send at the same time, at least 1; ``None`` to find the best number.
    :param progress: counts the pages.
    :param detector: has recorded the window's rows that the readers leave out, and records the others, in order.
    :param prepare: converts a batch to what a format writes, in a thread of its own; see :attr:`Rows.prepared`.
    :raises HyperoruApiError: see the client; no further page is asked for.
    """
    detector = DuplicateDetector() if detector is None else detector
    crew = _Crew(client, concurrency, Progress() if progress is None else progress, prepare)
    readers = iter(readers)
    first = next(readers)
    try:
        yield from detector.record(crew.read(map(_Part, chain([first], readers))))
    finally:
        crew.close()
    detector.check(first.endpoint)

"""Reads a window with several requests at once, and gives its rows in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import TypeAlias

from hyperoru_provider.client import HyperoruClient
from hyperoru_provider.client.lists.duplicates import DuplicateDetector
from hyperoru_provider.client.lists.rows import Row
from hyperoru_provider.client.lists.window_reader import Plan
from hyperoru_provider.export.progress import Progress

_Result: TypeAlias = tuple[list[Sequence[Row]], list[Plan], int]


def fetch(
    client: HyperoruClient,
    plan: Plan,
    concurrency: int,
    progress: Progress | None = None,
    keys: DuplicateDetector | None = None,
) -> Iterator[Sequence[Row]]:
    """Carry out a plan; the same rows in the same order as :meth:`HyperoruClient.iter_batches` gives.

    A window that is too large for one span is read in several at a time. No more spans are read ahead than are
    read at once, so that memory does not grow with the window.

    :param client: shared by all threads, and so is its pace.
    :param plan: what to read.
    :param concurrency: how many requests to have under way, at least 1.
    :param progress: told the pages.
    :param keys: those of the window's rows that the plan leaves out; those of the others join them, in order.
    :raises HyperoruApiError: see the client; no further page is begun.
    """
    progress = Progress() if progress is None else progress
    keys = DuplicateDetector() if keys is None else keys
    stop = Event()
    spans, parts, pages = _read(client, plan, stop)
    progress.pages += pages
    yield from keys.watch(spans)
    line: deque[Plan | Future[_Result]] = deque(parts)
    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="hyperoru-fetch")
    try:
        while line:
            for place in range(min(concurrency + 1, len(line))):
                part = line[place]
                if isinstance(part, Plan):
                    line[place] = pool.submit(_read, client, part, stop)
            first = line.popleft()
            spans, parts, pages = first.result() if isinstance(first, Future) else ([], [first], 0)
            progress.pages += pages
            yield from keys.watch(spans)
            line.extendleft(reversed(parts))
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
    keys.check(plan.endpoint)


def _read(client: HyperoruClient, plan: Plan, stop: Event) -> _Result:
    """Carry out a plan up to where it turns out to be too large; gives spans, parts that are left, and pages read."""
    spans = []
    pages = 0
    while not plan.divided and not stop.is_set() and (query := plan.query()) is not None:
        if rows := client.read_page(plan, query):
            spans.append(rows)
        pages += 1
    return spans, plan.parts(), pages

"""Reads a window with several requests at once, and gives its rows in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

from hyperoru_provider.client import HyperoruClient
from hyperoru_provider.client.paging import Row
from hyperoru_provider.client.plan import Plan


def fetch(client: HyperoruClient, plan: Plan, concurrency: int) -> Iterator[Sequence[Row]]:
    """Carry out a plan; the same rows in the same order as :meth:`HyperoruClient.iter_spans` gives.

    A window that is too large for one span is read in several at a time. No more spans are read ahead than are
    read at once, so that memory does not grow with the window.

    :param client: shared by all threads, and so is its pace.
    :param plan: what to read.
    :param concurrency: how many requests to have under way, at least 1.
    :raises HyperoruApiError: see the client; no further page is begun.
    """
    stop = Event()
    spans, parts = _read(client, plan, stop)
    yield from spans
    line: deque[Plan | Future[tuple[list[Sequence[Row]], list[Plan]]]] = deque(parts)
    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="hyperoru-fetch")
    try:
        while line:
            for place in range(min(concurrency + 1, len(line))):
                part = line[place]
                if isinstance(part, Plan):
                    line[place] = pool.submit(_read, client, part, stop)
            first = line.popleft()
            spans, parts = first.result() if isinstance(first, Future) else ([], [first])
            yield from spans
            line.extendleft(reversed(parts))
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
    plan.check()


def _read(client: HyperoruClient, plan: Plan, stop: Event) -> tuple[list[Sequence[Row]], list[Plan]]:
    """Carry out a plan up to where it turns out to be too large; gives its spans, and the parts that are left."""
    spans = []
    while not plan.divided and not stop.is_set() and (query := plan.query()) is not None:
        if rows := client.read_page(plan, query):
            spans.append(rows)
    return spans, plan.parts()

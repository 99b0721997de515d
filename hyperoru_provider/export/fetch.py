"""Reads a window with several requests at once, and gives its rows in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from hyperoru_provider.client import HyperoruClient
from hyperoru_provider.client.paging import Plan, Row


def fetch(client: HyperoruClient, plan: Plan, concurrency: int) -> Iterator[list[Row]]:
    """Carry out a plan; the same rows in the same order as :meth:`HyperoruClient.iter_spans` gives.

    A window that is too large for one span is read in several at a time. No more spans are read ahead than are
    read at once, so that memory does not grow with the window.

    :param client: shared by all threads, and so is its pace.
    :param plan: what to read.
    :param concurrency: how many requests to have under way, at least 1.
    :raises HyperoruApiError: see the client; no further request is begun.
    """
    while not plan.divided and (query := plan.query()) is not None:
        if rows := client.read_page(plan, query):
            yield rows
    waiting = deque(plan.parts())
    under_way: deque[Future[list[list[Row]]]] = deque()
    pool = ThreadPoolExecutor(concurrency, thread_name_prefix="hyperoru-fetch")
    try:
        while waiting or under_way:
            while waiting and len(under_way) <= concurrency:
                under_way.append(pool.submit(lambda part: list(client.iter_spans(part)), waiting.popleft()))
            yield from under_way.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
    plan.check()

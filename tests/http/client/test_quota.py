"""A server with a quota, asked by several threads over sockets."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor

from hyperoru_provider.client import HyperoruClient, RetryPolicy
from tests.json_server import Asked, RefusedError, answering

QUOTA, SECONDS = 25, 0.5
THREADS = 4


def test_after_a_429_a_client_asks_no_more_than_the_server_allows() -> None:
    lock, answered = threading.Lock(), deque[float]()
    refused = 0

    def price(asked: Asked) -> object:
        nonlocal refused
        with lock:
            now = time.monotonic()
            while answered and answered[0] <= now - SECONDS:
                answered.popleft()
            if len(answered) >= QUOTA:
                refused += 1
                raise RefusedError(429, {"detail": "Too many requests"})
            answered.append(now)
            return {"symbol": "BTC", "price": "1.5"}

    policy = RetryPolicy(initial_delay=SECONDS)
    with (
        answering({}, price) as (url, requests),
        HyperoruClient(url, "me", "secret", retry_policy=policy) as client,
        ThreadPoolExecutor(THREADS) as pool,
    ):
        assert len(list(pool.map(client.price, ["BTC"] * 8 * QUOTA))) == 8 * QUOTA
    # without what it learns, each of eight windows would end with a refusal of each thread
    assert 1 <= refused <= 3 * THREADS
    assert len(requests) == 8 * QUOTA + refused + 1

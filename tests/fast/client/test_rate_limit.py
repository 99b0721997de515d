"""Clients that ask as fast as they may, against models of servers with a quota."""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable

import pytest

from hyperoru_provider.client.http.rate_limit import RateLimiter

#: answers whether a request at a moment is within the quota, or the seconds to wait
Quota = Callable[[float], float | None]


def fixed_window(requests: int, seconds: float) -> Quota:
    began, used = 0.0, 0

    def allow(now: float) -> float | None:
        nonlocal began, used
        if now >= began + seconds:
            began, used = now - (now - began) % seconds, 0
        used += 1
        return None if used <= requests else began + seconds - now

    return allow


def sliding_window(requests: int, seconds: float) -> Quota:
    seen: deque[float] = deque()

    def allow(now: float) -> float | None:
        while seen and seen[0] <= now - seconds:
            seen.popleft()
        if len(seen) >= requests:
            return seen[0] + seconds - now
        seen.append(now)
        return None

    return allow


def token_bucket(rate: float, burst: int) -> Quota:
    tokens, at = float(burst), 0.0

    def allow(now: float) -> float | None:
        nonlocal tokens, at
        tokens, at = min(tokens + (now - at) * rate, burst), now
        if tokens < 1.0:
            return (1.0 - tokens) / rate
        tokens -= 1.0
        return None

    return allow


def run(
    limiter: RateLimiter, allow: Quota, seconds: float, *, latency: float, least_wait: float, longer: float = 1.0
) -> tuple[int, int]:
    """Return how many requests were answered, and how many refused.

    :param longer: how many times as long as it has to the client waits, as it adds something by chance.
    """
    now, answered, refused = 0.0, 0, 0
    while now < seconds:
        now += limiter.reserve(now)
        wait = allow(now)
        now += latency
        if wait is None:
            answered += 1
            limiter.answered(now)
        else:
            refused += 1
            asked = max(wait, least_wait)
            limiter.hold(now, longer * asked, asked)
    return answered, refused


@pytest.mark.parametrize("longer", [1.0, 1.25])
@pytest.mark.parametrize("least_wait", [0.05, 1.0], ids=["waits what it has to", "waits whole seconds"])
@pytest.mark.parametrize("latency", [0.0005, 0.005])
@pytest.mark.parametrize(
    ("make", "seconds"),
    [
        (lambda: fixed_window(20, 1.0), 20),
        (lambda: sliding_window(20, 1.0), 20),
        (lambda: token_bucket(20.0, 20), 120),
        (lambda: token_bucket(20.0, 5), 120),
        (lambda: fixed_window(600, 30.0), 120),
    ],
    ids=["fixed window", "sliding window", "bucket", "small bucket", "half a minute"],
)
def test_a_quota_is_filled_with_few_refusals(
    make: Callable[[], Quota], seconds: int, latency: float, least_wait: float, longer: float
) -> None:
    answered, refused = run(RateLimiter(), make(), seconds, latency=latency, least_wait=least_wait, longer=longer)
    assert answered >= 0.88 * 20 * seconds
    assert refused <= (5 if least_wait == 1.0 else 8)


def run_threads(
    limiter: RateLimiter, allow: Quota, count: int, *, jitter: float, least_wait: float
) -> tuple[float, int]:
    """Return when so many requests of four threads were answered, and how many were refused.

    :param jitter: seconds on average by which a request is late, and its answer.
    """
    chance = random.Random(1)
    events: list[tuple[float, int, str, float | None]] = []
    number = answered = refused = 0
    now = 0.0

    def add(moment: float, what: str, wait: float | None = None) -> None:
        nonlocal number
        number += 1
        heapq.heappush(events, (moment, number, what, wait))

    for _ in range(4):
        add(limiter.reserve(now), "begins")
    while answered < count:
        now, _, what, wait = heapq.heappop(events)
        if what == "begins":
            more = limiter.reserve_again(now)
            add(now + (more or chance.expovariate(1 / jitter)), "begins" if more else "arrives")
        elif what == "arrives":
            add(now + 0.005 + chance.expovariate(1 / jitter), "ends", allow(now))
        else:
            if wait is None:
                answered += 1
                limiter.answered(now)
            else:
                refused += 1
                asked = max(wait, least_wait)
                limiter.hold(now, chance.uniform(1.0, 1.25) * asked, asked)
            add(now + limiter.reserve(now), "begins")
    return now, refused


@pytest.mark.parametrize("least_wait", [0.05, 1.0], ids=["waits what it has to", "waits whole seconds"])
@pytest.mark.parametrize("jitter", [0.001, 0.02, 0.05])
@pytest.mark.parametrize(
    "make",
    [
        lambda: fixed_window(20, 1.0),
        lambda: sliding_window(20, 1.0),
        lambda: token_bucket(20.0, 20),
        lambda: token_bucket(20.0, 5),
        lambda: fixed_window(600, 30.0),
    ],
    ids=["fixed window", "sliding window", "bucket", "small bucket", "half a minute"],
)
def test_threads_that_are_late_fill_a_quota_with_few_refusals(
    make: Callable[[], Quota], jitter: float, least_wait: float
) -> None:
    seconds, refused = run_threads(RateLimiter(), make(), 4000, jitter=jitter, least_wait=least_wait)
    assert 4000 / 20 / seconds > 0.8
    assert refused <= (20 if least_wait == 1.0 else 100)


def test_refusals_by_chance_starve_nobody() -> None:
    chance = random.Random(7)

    def refuse(_: float) -> float | None:
        return 1.0 if chance.random() < 0.1 else None

    answered, _ = run(RateLimiter(), refuse, 600.0, latency=0.05, least_wait=1.0)
    later, _ = run(RateLimiter(), refuse, 1200.0, latency=0.05, least_wait=1.0)
    assert answered > 400
    assert later > 1.5 * answered


def test_a_quota_that_grows_is_found() -> None:
    limiter = RateLimiter()
    run(limiter, fixed_window(5, 1.0), 60.0, latency=0.01, least_wait=0.05)

    def rate(now: float) -> float:
        return 1.0 / (limiter.reserve(now) * -1 + limiter.reserve(now))

    assert rate(60.0) == pytest.approx(5, rel=0.15)
    assert rate(3600.0) > 10


def test_one_429_of_few_requests_slows_nobody_down() -> None:
    limiter = RateLimiter()
    limiter.answered(1.0)
    limiter.hold(1.1, 1.0)
    assert [limiter.reserve(3.0) for _ in range(5)] == [0.0] * 5


def test_answers_after_a_429_that_teaches_nothing_raise_nothing() -> None:
    limiter = RateLimiter()
    for _ in range(20):
        limiter.answered(0.1)
    limiter.hold(0.1, 1.0)
    limiter.hold(2.0, 60.0)  # no answer came between the two
    for _ in range(20):
        limiter.answered(3.0)
    begins = [limiter.reserve(62.0) for _ in range(2)]
    assert begins[1] - begins[0] == pytest.approx(1 / 19, rel=0.05)


def test_a_rate_that_was_set_is_never_exceeded() -> None:
    answered, refused = run(RateLimiter(10.0), fixed_window(20, 1.0), 60.0, latency=0.001, least_wait=0.05)
    assert (590 <= answered <= 601, refused) == (True, 0)


@pytest.mark.parametrize("interval", [1.5, 10.0, 30.0])
@pytest.mark.parametrize("wait", [0.0, 1.0, 60.0])
def test_a_429_to_who_asks_now_and_then_slows_nobody_down(interval: float, wait: float) -> None:
    limiter, now = RateLimiter(), 0.0
    for number in range(2000):
        now += interval + limiter.reserve(now)
        if number % 100 == 50:
            limiter.hold(now, wait)
        else:
            limiter.answered(now)
    now += 3600
    begins = [limiter.reserve(now) for _ in range(200)]
    assert begins[-1] <= 200 / 5


def test_whoever_waits_for_a_moment_within_a_hold_waits_on() -> None:
    limiter = RateLimiter(10.0)
    moments = [100.0 + limiter.reserve(100.0) for _ in range(5)]
    limiter.hold(100.05, 2.0)
    later = [moment + limiter.reserve_again(moment) for moment in moments[1:]]
    assert later == pytest.approx([102.05, 102.15, 102.25, 102.35])
    assert limiter.reserve_again(102.5) == 0

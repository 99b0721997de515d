from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperoru_provider.client.errors import (
    HyperoruAmbiguousWriteError,
    HyperoruApiError,
    HyperoruBadRequestError,
    HyperoruConnectError,
    HyperoruContractError,
    HyperoruNetworkError,
    HyperoruRateLimitError,
    HyperoruServerError,
)
from hyperoru_provider.client.http.rate_limit import RateLimiter
from hyperoru_provider.client.http.retry import RetryPolicy, as_final, parse_retry_after

NOW = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = RetryPolicy(max_retries=8, initial_delay=1.0, max_delay=60.0, deadline=600.0)


def wait(
    error: HyperoruApiError, *, attempts: int = 1, elapsed: float = 0.0, idempotent: bool = True, jitter: float = 0.0
) -> float | None:
    return POLICY.wait(error, attempts=attempts, elapsed=elapsed, idempotent=idempotent, jitter=jitter)


def test_waits_double_up_to_the_longest() -> None:
    assert [wait(HyperoruServerError(""), attempts=n) for n in range(1, 10)] == [1, 2, 4, 8, 16, 32, 60, 60, None]


@given(st.floats(0, 1), st.integers(1, 8))
def test_jitter_adds_a_quarter_at_most(jitter: float, attempts: int) -> None:
    plain = wait(HyperoruServerError(""), attempts=attempts)
    jittered = wait(HyperoruServerError(""), attempts=attempts, jitter=jitter)
    assert plain and jittered and plain <= jittered <= plain * 1.25


@pytest.mark.parametrize("cls", [HyperoruBadRequestError, HyperoruContractError])
def test_what_is_not_transient_is_final(cls: type[HyperoruApiError]) -> None:
    assert wait(cls("")) is None


def test_retry_after_is_honoured_and_capped() -> None:
    assert wait(HyperoruRateLimitError("", retry_after=7)) == 7
    assert wait(HyperoruServerError("", retry_after=7)) == 7
    assert wait(HyperoruRateLimitError("", retry_after=0)) == 1
    assert wait(HyperoruRateLimitError("", retry_after=3600)) == 60
    assert wait(HyperoruRateLimitError("", retry_after=float("inf"))) == 60


def test_no_try_begins_after_the_deadline() -> None:
    assert wait(HyperoruServerError(""), elapsed=598.9) == 1
    assert wait(HyperoruServerError(""), elapsed=599.1) is None


def test_a_write_is_repeated_only_if_nothing_acted_on_it() -> None:
    assert wait(HyperoruServerError(""), idempotent=False) is None
    assert wait(HyperoruNetworkError(""), idempotent=False) is None
    assert wait(HyperoruRateLimitError("", status=429), idempotent=False) == 1
    assert wait(HyperoruConnectError(""), idempotent=False) == 1
    assert wait(HyperoruServerError("", status=425), idempotent=False) == 1
    assert wait(HyperoruServerError("", status=408), idempotent=False) is None  # a part of it was read


def test_a_write_of_unknown_fate_says_so() -> None:
    lost = HyperoruNetworkError("cut off", method="POST", path="/api/x", request_id="r")
    error = as_final(lost, idempotent=False)
    assert type(error) is HyperoruAmbiguousWriteError
    assert (error.method, error.path, error.request_id) == ("POST", "/api/x", "r")
    assert not error.transient
    assert as_final(lost, idempotent=True) is lost
    for known in (HyperoruBadRequestError(""), HyperoruConnectError(""), HyperoruRateLimitError("", status=429)):
        assert as_final(known, idempotent=False) is known


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("5", 5.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("nan", None),
        ("1 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Thu, 01 Jan 0001 00:00:00 +2359", 0.0),
        ("soon", None),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0.0),
        ("Thu, 01 Jan 2026 00:00:10", 10.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


@given(st.text())
def test_no_header_breaks_the_parser(value: str) -> None:
    seconds = parse_retry_after(value, NOW)
    assert seconds is None or seconds >= 0


@given(st.floats(0.1, 100), st.lists(st.floats(0, 5), max_size=50))
def test_the_rate_limiter_keeps_its_distance(rate: float, pauses: list[float]) -> None:
    rate_limiter = RateLimiter(rate)
    now, begins = 100.0, []
    for pause in pauses:
        now += pause
        begins.append(now + rate_limiter.reserve(now))
    assert all(later - earlier >= 1 / rate - 1e-9 for earlier, later in pairwise(begins))


def test_a_hold_stops_everyone() -> None:
    rate_limiter = RateLimiter()
    assert rate_limiter.reserve(10.0) == 0
    rate_limiter.hold(10.0, 5.0)
    rate_limiter.hold(10.0, 2.0)
    assert [rate_limiter.reserve(11.0), rate_limiter.reserve(14.0), rate_limiter.reserve(16.0)] == [4, 1, 0]


@given(st.integers(1, 10_000), st.floats(0, 1), st.one_of(st.none(), st.floats(0, 1000)))
def test_a_lost_stream_is_connected_again_after_a_while_and_never_given_up(
    attempts: int, jitter: float, retry_after: float | None
) -> None:
    policy, error = RetryPolicy(), HyperoruNetworkError("lost", retry_after=retry_after)
    pause = policy.reconnect(error, attempts=attempts, jitter=jitter)
    assert min(2.0 ** min(attempts - 1, 10), policy.max_delay) / 2 <= pause <= policy.max_delay
    assert pause >= min(retry_after or 0, policy.max_delay)
    assert policy.reconnect(error, attempts=attempts + 1, jitter=jitter) >= pause

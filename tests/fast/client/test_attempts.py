from __future__ import annotations

import logging

import pytest

from hyperoru_provider.client.errors import (
    HyperoruAuthenticationError,
    HyperoruContractError,
    HyperoruNetworkError,
    HyperoruRateLimitError,
)
from hyperoru_provider.client.http.retry import RetryPolicy
from hyperoru_provider.client.stream.attempts import ConnectionAttempts

POLICY = RetryPolicy(initial_delay=1.0, max_delay=8.0)
LOST = HyperoruNetworkError("lost")
REFUSED = HyperoruAuthenticationError("refused")


def begin(give_up_after: float | None = None) -> ConnectionAttempts:
    return ConnectionAttempts(POLICY, give_up_after, now=0.0)


def lose(attempts: ConnectionAttempts, now: float) -> float:
    return attempts.failed(LOST, token_refused=False, now=now, jitter=1.0)


def refuse(attempts: ConnectionAttempts, now: float = 0.0) -> float:
    return attempts.failed(REFUSED, token_refused=True, now=now, jitter=1.0)


def test_failures_in_a_row_are_followed_by_longer_and_longer_waits() -> None:
    attempts = begin()
    assert [lose(attempts, now=1000.0 * number) for number in range(6)] == [1, 2, 4, 8, 8, 8]


def test_the_servers_wish_to_wait_is_granted() -> None:
    error = HyperoruRateLimitError("slow down", retry_after=5.0)
    assert begin().failed(error, token_refused=False, now=0.0, jitter=0.0) == 5


@pytest.mark.parametrize(("seconds", "pause"), [(9.9, 4), (10.0, 1)])
def test_only_a_connection_that_lasted_makes_the_next_failure_the_first(seconds: float, pause: float) -> None:
    attempts = begin()
    lose(attempts, now=0.0)
    lose(attempts, now=2.0)
    attempts.opened(now=4.0)
    assert lose(attempts, now=4.0 + seconds) == pause
    assert lose(attempts, now=100.0) == 2 * pause  # there was no connection this time, however long it took


def test_a_refused_token_is_replaced_at_once_and_remembered() -> None:
    attempts = begin()
    for token in ("one", "two"):
        attempts.session.token = token
        assert refuse(attempts) == 0
    assert attempts.session.refused == {"one", "two"}
    assert lose(attempts, now=0.0) == 1  # a refusal is no failure in a row


def test_a_refused_token_that_has_no_replacement_is_an_error() -> None:
    attempts = begin()
    attempts.session.final = True
    with pytest.raises(HyperoruAuthenticationError) as caught:
        refuse(attempts)
    assert caught.value is REFUSED
    assert not attempts.session.refused


@pytest.mark.parametrize(("seconds", "replaced"), [(9.9, False), (10.0, True)])
def test_a_token_that_was_good_for_a_while_may_be_replaced_again(seconds: float, replaced: bool) -> None:
    attempts = begin()
    attempts.session.token, attempts.session.final = "fresh", True
    attempts.opened(now=0.0)
    if replaced:
        assert refuse(attempts, now=seconds) == 0
    else:
        with pytest.raises(HyperoruAuthenticationError):
            refuse(attempts, now=seconds)


@pytest.mark.parametrize("error", [REFUSED, HyperoruContractError("no such path")])
def test_what_no_further_attempt_can_mend_is_raised_at_once(error: Exception) -> None:
    assert isinstance(error, HyperoruAuthenticationError | HyperoruContractError)
    with pytest.raises(type(error)) as caught:
        begin().failed(error, token_refused=False, now=0.0, jitter=0.0)
    assert caught.value is error


def test_it_gives_up_after_the_given_time_without_a_connection() -> None:
    attempts = begin(give_up_after=30.0)
    lose(attempts, now=30.0)
    with pytest.raises(HyperoruNetworkError):
        lose(attempts, now=30.1)


def test_the_time_with_a_connection_does_not_count() -> None:
    attempts = begin(give_up_after=30.0)
    attempts.opened(now=20.0)
    lose(attempts, now=500.0)
    lose(attempts, now=530.0)
    with pytest.raises(HyperoruNetworkError):
        lose(attempts, now=530.1)


def test_it_never_gives_up_by_itself() -> None:
    attempts = begin()
    assert [lose(attempts, now=86_400.0 * day) for day in range(2000)][-1] == 8


def lose_early(attempts: ConnectionAttempts, now: float, lasts: float = 0.9) -> float:
    attempts.connected(now)
    attempts.opened(now + 1)
    return lose(attempts, now + 1 + lasts)


def test_three_sockets_that_end_right_after_the_subscription_are_an_error() -> None:
    attempts = begin()
    for now in (0.0, 10.0):
        lose_early(attempts, now)
    with pytest.raises(HyperoruContractError, match=r"3 times in a row, .*: lost\. If the server is healthy, correct"):
        lose_early(attempts, 20.0)


def test_so_are_three_that_end_in_place_of_an_answer_to_it() -> None:
    attempts = begin()
    for now in (0.0, 10.0, 20.0):
        attempts.connected(now)
        if now < 20:
            lose(attempts, now + 0.9)
    with pytest.raises(HyperoruContractError):
        lose(attempts, 20.9)


def test_a_socket_that_brought_something_or_lasted_or_a_server_that_is_away_is_no_such_end() -> None:
    attempts = begin()

    def bring_something(now: float) -> None:
        attempts.opened(now)
        attempts.received()
        lose(attempts, now)

    for break_off in (
        bring_something,
        lambda now: lose_early(attempts, now, lasts=1.0),
        lambda now: lose(attempts, now),
    ):
        for now in (0.0, 10.0):
            lose_early(attempts, now)
        break_off(20.0)


def test_an_interruption_is_a_warning_and_a_replaced_token_is_none(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    attempts = begin()
    refuse(attempts)
    lose(attempts, now=0.0)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "The stream's token was refused: refused"),
        ("WARNING", "The stream was interrupted: lost. Connection attempt 1 in 1.0 s."),
    ]

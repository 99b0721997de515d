"""Which errors are worth another try, and when it comes; of real tasks see ``dag/test_trying_again.py``."""

from __future__ import annotations

import math
import pickle
import subprocess
import sys
from datetime import timedelta
from types import SimpleNamespace
from typing import cast

import pytest
from airflow.sdk import Context

from hyperoru_provider.client import errors
from hyperoru_provider.client.errors import HyperoruApiError, HyperoruConfigError, HyperoruError
from hyperoru_provider.hooks.failures import final
from hyperoru_provider.hooks.retries import HyperoruRetryPolicy

asked_by_airflow = pytest.mark.skipif(
    not hasattr(HyperoruRetryPolicy, "serialize"), reason="before Airflow 3.3 there are no policies"
)

CLASSES = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, HyperoruError)]
PERMANENT = {"HyperoruConfigError", "HyperoruAuthenticationError"}


def in_a_task(**retry_delay: float) -> Context:
    return cast("Context", {"task": SimpleNamespace(retry_delay=timedelta(**retry_delay))})


def decided(error: BaseException, context: Context | None = None) -> tuple[str, float | None]:
    decision = HyperoruRetryPolicy().evaluate(error, try_number=1, max_tries=3, context=context)
    delay = decision.retry_delay
    return decision.action.value, None if delay is None else delay.total_seconds()


@asked_by_airflow
@pytest.mark.parametrize("cls", CLASSES)
def test_a_policy_fails_at_once_what_the_operators_fail_at_once_on_any_version(cls: type[HyperoruError]) -> None:
    error = cls("a")
    assert (final(error) is not None) is (cls.__name__ in PERMANENT)
    assert decided(error) == ("fail" if cls.__name__ in PERMANENT else "default", None)


@asked_by_airflow
@pytest.mark.parametrize(
    ("asked", "own", "decision"),
    [
        (600, {"minutes": 5}, ("retry", 600)),
        (90, {"minutes": 5}, ("retry", 90)),  # longer than the client waits
        (60, {"minutes": 5}, ("default", None)),  # so long it has waited
        (30, {"seconds": 5}, ("retry", 30)),
        (30, {"seconds": 30}, ("default", None)),
        (0, {"seconds": 0}, ("default", None)),
        (None, {"seconds": 0}, ("default", None)),
        (1e9, {"days": 3}, ("retry", 86_400)),
        (math.inf, {"seconds": 1}, ("retry", 86_400)),
    ],
)
@pytest.mark.parametrize("cls", [errors.HyperoruRateLimitError, errors.HyperoruServerError, HyperoruApiError])
def test_the_server_is_waited_for_as_it_asked(
    cls: type[HyperoruApiError], asked: float | None, own: dict[str, float], decision: tuple[str, float | None]
) -> None:
    assert decided(cls("a", retry_after=asked), in_a_task(**own)) == decision


@asked_by_airflow
def test_where_the_task_is_not_known_the_server_is_waited_for() -> None:
    assert decided(HyperoruApiError("a", retry_after=5)) == ("retry", 5)


@asked_by_airflow
@pytest.mark.parametrize("error", [ValueError("a"), KeyboardInterrupt(), TimeoutError()])
def test_other_errors_are_left_to_the_task(error: BaseException) -> None:
    assert decided(error) == ("default", None)


@asked_by_airflow
def test_a_reason_says_nothing_that_a_server_said() -> None:
    refused = errors.HyperoruAuthenticationError("secret\x00", code="secret", request_id="secret")
    for error in (refused, HyperoruApiError("secret", retry_after=99), HyperoruConfigError("secret")):
        decision = HyperoruRetryPolicy().evaluate(error, 1, 3)
        assert decision.reason
        assert "secret" not in decision.reason


def test_it_is_the_same_in_each_process() -> None:
    code = "from hyperoru_provider.hooks.retries import HyperoruRetryPolicy as P; print(P())"
    shown = subprocess.check_output([sys.executable, "-c", code], text=True).strip()
    assert shown == repr(pickle.loads(pickle.dumps(HyperoruRetryPolicy()))) == "HyperoruRetryPolicy()"

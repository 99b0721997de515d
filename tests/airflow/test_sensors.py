"""Sensors: one table of what a server does, in poke and in deferred mode, which must agree."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.models.trigger import Trigger
from airflow.sdk.exceptions import AirflowException

from hyperoru_provider.client.errors import (
    HyperoruBadRequestError,
    HyperoruConfigError,
    HyperoruContractError,
    HyperoruNotFoundError,
    HyperoruPermissionError,
)
from hyperoru_provider.hooks.compat import (
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    TaskDeferred,
)
from hyperoru_provider.hooks.failures import HyperoruAuthenticationFailure
from hyperoru_provider.hooks.hyperoru import HyperoruHook
from hyperoru_provider.sandbox import Sandbox
from hyperoru_provider.sensors import base
from hyperoru_provider.sensors.base import HyperoruSensor
from hyperoru_provider.sensors.events import HyperoruEventSensor
from hyperoru_provider.sensors.health import HyperoruHealthSensor
from hyperoru_provider.sensors.klines import HyperoruKlineCoverageSensor
from hyperoru_provider.sensors.price import HyperoruPriceSensor
from hyperoru_provider.sensors.trades import HyperoruTradesSensor
from hyperoru_provider.triggers.poll import HyperoruPollTrigger
from tests.raw_server import Wire, raw_server
from tests.task_states import TaskStates

pytestmark = pytest.mark.usefixtures("connection")

DAY = {"start": "2026-01-15", "end": "2026-01-16"}
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
SENSORS: dict[type[HyperoruSensor], dict[str, Any]] = {
    HyperoruHealthSensor: {"checks": 2},
    HyperoruPriceSensor: {"symbol": "BTC", "above": "1.5"},
    HyperoruTradesSensor: {**DAY, "at_least": 3},
    HyperoruKlineCoverageSensor: {"symbol": "BTC", "start": NOW - timedelta(hours=5), "end": NOW},
}
DEAF = {  # what is there under no such name
    "health": {"path": "/__sandbox__/stats"},
    "price": {"path": "/api/users/profile", "params": {"symbol": None}},
    "trades": {"key": ["nope"]},
    "coverage": {"path": "/api/account/list"},
}
PATIENT = {"poke_interval": 0.1, "timeout": 100}
HASTY = {"poke_interval": 0.1, "timeout": 0.5}  # what can't come need not be waited for


async def fired(trigger: HyperoruPollTrigger) -> Any:
    async for event in trigger.run():
        return event.payload
    raise AssertionError("no event")


def resumed(sensor: HyperoruSensor, context: Any, deferred: TaskDeferred) -> Any:
    """Take a deferral as far as it goes, by what would be in the database."""
    while True:
        path, kwargs = deferred.trigger.serialize()
        assert path == "hyperoru_provider.triggers.poll.HyperoruPollTrigger"
        trigger = HyperoruPollTrigger(**Trigger(path, kwargs).kwargs)
        event = json.loads(json.dumps(asyncio.run(fired(trigger))))
        try:
            return sensor.resume_execution(deferred.method_name, {**(deferred.kwargs or {}), "event": event}, context)
        except TaskDeferred as again:
            deferred = again


def poke(sensor: HyperoruSensor) -> Any:
    return sensor.execute({})


def reschedule(sensor: HyperoruSensor) -> Any:
    """Poke in a new instance each time, as Airflow does."""
    context, begun = states(max_tries=0), datetime.now(UTC)
    context["ti"].get_first_reschedule_date = lambda _: begun
    arguments: dict[str, Any] = {name: getattr(sensor, name) for name in SENSORS[type(sensor)]}
    flags: dict[str, Any] = {
        name: getattr(sensor, name) for name in ("soft_fail", "never_fail", "silent_fail", "poke_interval", "timeout")
    }
    while True:
        again = type(sensor)(task_id="t", mode="reschedule", **arguments, **flags)
        try:
            return again.execute(context)
        except AirflowRescheduleException as error:
            threading.Event().wait(max((error.reschedule_date - datetime.now(UTC)).total_seconds(), 0))


def defer(sensor: HyperoruSensor) -> Any:
    sensor.deferrable = True
    try:
        return sensor.execute({})
    except TaskDeferred as deferred:
        return resumed(sensor, {}, deferred)


def only_trigger(sensor: HyperoruSensor) -> Any:
    """Let the trigger meet what else the worker's first question would."""
    since = datetime.now(UTC).timestamp()
    trigger = HyperoruPollTrigger(
        hyperoru_conn_id=sensor.hyperoru_conn_id,
        condition=sensor.condition().as_dict(),
        interval=sensor.poke_interval,
        since=since,
        deadline=since + sensor.timeout,
    )
    deferred = TaskDeferred(trigger=trigger, method_name="execute_complete", kwargs={"since": since, "state": None})
    return resumed(sensor, {}, deferred)


MODES = (poke, reschedule, defer, only_trigger)


@dataclass
class Row:
    """A server's behaviour, and what each sensor makes of it.

    :param ends: what comes of it: ``None`` for success, else an exception.
    :param health: what comes of it for the health sensor, if it is another.
    :param first: the faults in the beginning.
    :param then: those after a while.
    :param act: what else happens then.
    :param extra: of the connection.
    :param sensor: arguments of the sensors.
    :param health_sensor: further arguments of the health sensor.
    """

    ends: type[Exception] | None = None
    health: Any = ...
    first: dict[str, Any] = field(default_factory=dict)
    then: dict[str, Any] | None = None
    act: Callable[[Sandbox], None] | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    sensor: dict[str, Any] = field(default_factory=lambda: PATIENT)
    health_sensor: dict[str, Any] = field(default_factory=dict)


DOWN = {"error_rate": 1.0}
CALM = {"error_rate": 0.0, "rate_limit_rate": 0.0, "drop_rate": 0.0, "truncate_rate": 0.0, "latency": 0.0}
TABLE = {
    "good": Row(),
    "unhealthy, then healthy": Row(first={"health": "degraded"}, then={"health": "healthy"}),
    "unhealthy": Row(first={"health": "degraded"}, health_sensor=HASTY, health=AirflowSensorTimeout),
    "503 for a while": Row(first=DOWN, then=CALM),
    "408 for a while": Row(first=DOWN | {"error_status": 408}, then=CALM),
    "500 with a page for a while": Row(first=DOWN | {"error_status": 500, "error_body": "html"}, then=CALM),
    "429 for a while": Row(first={"rate_limit_rate": 1.0}, then=CALM),
    "429 with Retry-After": Row(first={"rate_limit_rate": 1.0, "retry_after": 0.2}, then=CALM),
    "dropped connections": Row(first={"drop_rate": 1.0}, then=CALM),
    "truncated bodies": Row(first={"truncate_rate": 1.0}, then=CALM),
    "too slow for a while": Row(first={"latency": 3.0}, then=CALM, extra={"timeout": 1}),
    "gone for a while": Row(first=DOWN, act=lambda sandbox: sandbox.stop(), then=CALM),
    "a token that ended": Row(first=DOWN, act=lambda sandbox: sandbox.revoke_tokens(), then=CALM),
    "401 for good": Row(HyperoruAuthenticationFailure, None, extra={"session_token": "wrong"}),
    "401 for good, later": Row(HyperoruAuthenticationFailure, first=DOWN, then={"error_status": 401}),
    "403 for good, later": Row(HyperoruPermissionError, first=DOWN, then={"error_status": 403}),
    "404": Row(HyperoruNotFoundError, first=DOWN | {"error_status": 404}),
    "404, later": Row(HyperoruNotFoundError, first=DOWN, then={"error_status": 404}),
    "400, later": Row(HyperoruBadRequestError, first=DOWN, then={"error_status": 400}),
    "other JSON": Row(HyperoruContractError, extra={"contract": DEAF}),
    "down for good": Row(AirflowSensorTimeout, first=DOWN, sensor=HASTY),
    "down, soft_fail": Row(AirflowSkipException, first=DOWN, sensor=HASTY | {"soft_fail": True}),
    "down, never_fail": Row(AirflowSensorTimeout, first=DOWN, sensor=HASTY | {"never_fail": True}),
    "404, soft_fail": Row(
        HyperoruNotFoundError, first=DOWN, then={"error_status": 404}, sensor=PATIENT | {"soft_fail": True}
    ),
    "404, never_fail": Row(
        AirflowSkipException, first=DOWN, then={"error_status": 404}, sensor=PATIENT | {"never_fail": True}
    ),
    "404 for a while, silent_fail": Row(
        first=DOWN | {"error_status": 404}, then=CALM, sensor=PATIENT | {"silent_fail": True}
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_all_modes_make_the_same_of_it(name: str, sandbox: Sandbox, connect: Callable[..., None]) -> None:
    row = TABLE[name]
    connect(sandbox, **({"token_cache": "memory", "max_retries": 0} | row.extra))
    HyperoruHook().get_conn().login()
    sandbox.set_faults(**row.first)

    def change() -> None:
        if row.act:
            row.act(sandbox)
        if row.then is not None:
            sandbox.set_faults(**row.then)
        if name == "gone for a while":
            threading.Event().wait(0.5)
            sandbox.start()

    def outcome(mode: Callable[..., Any], cls: type[HyperoruSensor]) -> Any:
        try:
            more = row.health_sensor if cls is HyperoruHealthSensor else {}
            return mode(cls(task_id="t", **SENSORS[cls], **(row.sensor | more)))
        except Exception as error:
            return type(error)

    later = threading.Timer(0.4, change)
    later.start()
    with ThreadPoolExecutor(len(MODES) * len(SENSORS)) as pool:
        ends = {(cls.__name__, mode.__name__): pool.submit(outcome, mode, cls) for cls in SENSORS for mode in MODES}
    later.join()
    found = {who: end.result() for who, end in ends.items()}
    for cls in SENSORS:
        expected = row.health if cls is HyperoruHealthSensor and row.health is not ... else row.ends
        for mode in MODES:
            end = found[cls.__name__, mode.__name__]
            if expected is None and cls is HyperoruPriceSensor:
                assert end["symbol"] == "BTC", mode
            else:
                assert end is expected, (cls, mode)


WRONG = [
    (HyperoruHealthSensor, {"checks": 0}, "checks"),
    (HyperoruPriceSensor, {"symbol": "BTC"}, "got none"),
    (HyperoruPriceSensor, {"symbol": "BTC", "above": 1, "below": 2}, "above and below"),
    (HyperoruPriceSensor, {"symbol": "BTC", "above": "high"}, "above"),
    (HyperoruPriceSensor, {"symbol": "BTC", "crosses": float("nan")}, "crosses"),
    (HyperoruPriceSensor, {"symbol": "", "above": 1}, "symbol"),
    (HyperoruPriceSensor, {"symbol": None, "above": 1}, "symbol"),
    (HyperoruTradesSensor, {"start": ""}, "start is missing"),
    (HyperoruTradesSensor, {"start": "2026-01-15", "end": "2026-01-15"}, "is empty"),
    (HyperoruTradesSensor, {**DAY, "account_id": "None"}, "account_id"),
    (HyperoruTradesSensor, {**DAY, "at_least": 0}, "at_least"),
    (HyperoruKlineCoverageSensor, {"symbol": "BTC", "start": "2026-01-16", "end": "2026-01-15"}, "ends before"),
    (HyperoruKlineCoverageSensor, {**DAY, "symbol": "BTC", "interval": "1x"}, "interval"),
    (HyperoruKlineCoverageSensor, {**DAY, "symbol": "BTC", "interval": None}, "interval"),
    (HyperoruKlineCoverageSensor, {**DAY, "symbol": "BTC", "interval": 5}, "interval"),
    (HyperoruKlineCoverageSensor, {**DAY, "symbol": " "}, "symbol"),
]


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize(("cls", "arguments", "named"), WRONG)
def test_wrong_arguments_are_named_before_anything_is_asked(
    sandbox: Sandbox, cls: type[HyperoruSensor], arguments: dict[str, Any], named: str, deferrable: bool
) -> None:
    with pytest.raises(HyperoruConfigError, match=named):
        cls(task_id="t", deferrable=deferrable, **arguments).execute({})
    assert sandbox.stats()["requests"] == 0


@pytest.mark.parametrize("cls", SENSORS)
def test_templated_fields_are_arguments(cls: type[HyperoruSensor]) -> None:
    sensor = cls(task_id="t", hyperoru_conn_id="other", **SENSORS[cls])
    assert "hyperoru_conn_id" in cls.template_fields
    for name in cls.template_fields:
        assert hasattr(sensor, name)
    for name in (*cls.template_fields, *SENSORS[cls], "deferrable"):
        assert f":param {name}:" in (cls.__doc__ or "")
    assert sensor.deferrable is False


@pytest.mark.parametrize("cls", SENSORS)
def test_what_is_there_already_is_not_deferred(cls: type[HyperoruSensor], sandbox: Sandbox) -> None:
    arguments = SENSORS[cls] | ({"checks": 1} if cls is HyperoruHealthSensor else {})
    cls(task_id="t", deferrable=True, **arguments).execute({})
    assert sandbox.stats()["requests"] <= 3  # at most a login, a look at how pages are numbered, and a page


def deferral(sensor: HyperoruSensor, context: Any = None) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as caught:
        sensor.execute({} if context is None else context)
    return caught.value


def test_the_deferral_bears_an_absolute_deadline_and_the_state() -> None:
    sensor = HyperoruHealthSensor(
        task_id="t", checks=3, deferrable=True, timeout=600, poke_interval=30, exponential_backoff=True, max_wait=120
    )
    deferred = deferral(sensor)
    _, kwargs = deferred.trigger.serialize()
    now = datetime.now(UTC).timestamp()
    assert kwargs["deadline"] == pytest.approx(now + 600, abs=5)
    assert deferred.timeout == pytest.approx(timedelta(seconds=660), abs=timedelta(seconds=5))
    assert {name: kwargs[name] for name in ("state", "interval", "doubling", "longest")} == {
        "state": 1,
        "interval": 30,
        "doubling": True,
        "longest": 120,
    }
    assert kwargs["condition"] == {"rule": "Healthy", "checks": 3}


def test_a_side_that_the_worker_saw_is_where_the_price_comes_from(sandbox: Sandbox) -> None:
    deferred = deferral(HyperoruPriceSensor(task_id="t", symbol="BTC", crosses=1, deferrable=True))
    assert deferred.trigger.serialize()[1]["state"] == "above"


def test_no_time_left_is_a_timeout_without_a_deferral(sandbox: Sandbox) -> None:
    sandbox.set_faults(health="degraded")
    with pytest.raises(AirflowSensorTimeout, match="degraded"):
        HyperoruHealthSensor(task_id="t", deferrable=True, timeout=0).execute({})


@pytest.mark.parametrize(
    ("level", "text"), [(0.1, "0.1"), ("1e3", "1000"), (" 7 ", "7"), (5, "5"), (1e-7, "0.0000001")]
)
def test_levels_are_exact(level: Any, text: str) -> None:
    condition = HyperoruPriceSensor(task_id="t", symbol="BTC", above=level).condition()
    assert condition.as_dict()["level"] == text


def states(max_tries: int, store: TaskStates | None = None) -> Any:
    """The context of a task with a state store."""
    ti = SimpleNamespace(max_tries=max_tries, try_number=1, get_first_reschedule_date=lambda _: None)
    return {"ti": ti, "task_state_store": TaskStates() if store is None else store}


def test_reschedule_mode_counts_on_in_another_process() -> None:
    store = TaskStates()

    def once(max_tries: int = 0) -> bool:
        sensor = HyperoruHealthSensor(task_id="t", checks=3, mode="reschedule")
        return bool(sensor.poke(states(max_tries, store)))

    assert [once() for _ in range(3)] == [False, False, True]
    assert not store.texts
    assert [once() for _ in range(2)] == [False, False]
    assert not once(max_tries=1)  # cleared: it begins anew
    assert [once(max_tries=1) for _ in range(2)] == [False, True]


def test_a_timeout_goes_on_over_retries(sandbox: Sandbox) -> None:
    sandbox.set_faults(health="degraded")
    store = TaskStates()

    def deadline(max_tries: int) -> float:
        sensor = HyperoruHealthSensor(task_id="t", deferrable=True, retries=2, timeout=600)
        found: float = deferral(sensor, states(max_tries, store)).trigger.serialize()[1]["deadline"]
        return found

    first = deadline(2)
    assert deadline(2) == first
    assert deadline(5) > first  # cleared
    sandbox.reset()
    HyperoruHealthSensor(task_id="t", deferrable=True, retries=2).execute(states(5, store))
    assert not store.texts


def test_a_state_store_that_fails_costs_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    sensor = HyperoruHealthSensor(task_id="t", mode="reschedule")
    assert sensor.poke(states(0, TaskStates("get", "set", "delete")))
    assert caplog.text.count("The task's state hyperoru_wait_state could not be") == 2


def test_what_is_kept_has_names_that_stay() -> None:
    store = TaskStates()
    HyperoruHealthSensor(task_id="t", checks=3, mode="reschedule", retries=1).poke(states(3, store))
    assert json.loads(store.texts["hyperoru_wait_state"]) == {"run": 2, "value": 1}
    assert len(store.texts) == 1
    deferral(HyperoruHealthSensor(task_id="t", checks=3, deferrable=True, retries=1), states(3, store))
    since = json.loads(store.texts["hyperoru_wait_since"])
    assert since == {"run": 2, "value": pytest.approx(datetime.now(UTC).timestamp(), abs=60)}


def test_an_error_that_silent_fail_passes_over_ends_a_row_of_checks(sandbox: Sandbox) -> None:
    sensor, context = HyperoruHealthSensor(task_id="t", checks=2, silent_fail=True, mode="reschedule"), states(0)
    assert not sensor.poke(context)
    sandbox.set_faults(error_rate=1.0, error_status=404)
    with pytest.raises(HyperoruNotFoundError):
        sensor.poke(context)
    sandbox.set_faults(error_rate=0.0)
    assert not sensor.poke(context)
    assert sensor.poke(context)


def test_an_error_that_silent_fail_passes_over_does_not_forget_the_side(sandbox: Sandbox) -> None:
    sensor = HyperoruPriceSensor(task_id="t", symbol="BTC", crosses="1e9", silent_fail=True, deferrable=True, **PATIENT)
    deferred = deferral(sensor)
    sandbox.set_faults(error_rate=1.0, error_status=404)
    event = asyncio.run(fired(deferred.trigger))
    again = HyperoruPriceSensor(task_id="t", symbol="BTC", crosses="1e9", silent_fail=True, deferrable=True, **PATIENT)
    with pytest.raises(TaskDeferred) as caught:
        again.resume_execution(deferred.method_name, {**(deferred.kwargs or {}), "event": event}, {})
    assert caught.value.trigger.serialize()[1]["state"] == "below"


def test_a_triggerer_that_is_gone(sandbox: Sandbox) -> None:
    for flags, expected in (
        ({}, AirflowSensorTimeout),
        ({"soft_fail": True}, AirflowSkipException),
        ({"never_fail": True}, AirflowSensorTimeout),
    ):
        sensor = HyperoruHealthSensor(task_id="t", **flags)
        with pytest.raises(expected):
            sensor.resume_execution("__fail__", {"error": "Trigger timeout"}, {})


def test_a_trigger_that_broke_is_not_skipped_by_soft_fail() -> None:
    for flags, expected in (
        ({}, AirflowException),
        ({"soft_fail": True}, AirflowException),
        ({"never_fail": True}, AirflowSkipException),
    ):
        sensor = HyperoruHealthSensor(task_id="t", **flags)
        with pytest.raises(expected) as raised:
            sensor.resume_execution("__fail__", {"error": "Trigger failure"}, {})
        assert isinstance(raised.value, AirflowSkipException) == (expected is AirflowSkipException)


@pytest.mark.parametrize("event", [None, {"status": "success"}, {"status": "done", "says": "", "result": [1]}])
def test_an_event_of_somebody_else_fails_the_task(event: Any) -> None:
    with pytest.raises(HyperoruContractError):
        HyperoruHealthSensor(task_id="t").resume_execution("execute_complete", {"event": event, "since": 0.0}, {})


def test_the_log_says_why_not(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    sandbox.set_faults(error_rate=1.0)
    assert not HyperoruHealthSensor(task_id="t").poke({})
    assert "Not known: The server answered 503" in caplog.text


@pytest.mark.parametrize("mode", ["deferred", "reschedule", "only the trigger"])
def test_execution_timeout_ends_a_try_in_every_mode(mode: str, sandbox: Sandbox) -> None:
    """In poke mode Airflow itself does it. The timeout of the sensor, and of its next question, is far away."""
    sandbox.set_faults(health="degraded")
    context, limit = states(max_tries=1), timedelta(seconds=1)
    arguments: dict[str, Any] = {"poke_interval": 300, "timeout": 1_000, "execution_timeout": limit, "retries": 1}
    with pytest.raises(AirflowTaskTimeout, match="execution_timeout of 1 s"):
        if mode == "reschedule":
            context["ti"].get_first_reschedule_date = lambda _: datetime.now(UTC) - timedelta(seconds=1)
            for _ in range(3):
                try:
                    HyperoruHealthSensor(task_id="t", mode="reschedule", **arguments).execute(context)
                except AirflowRescheduleException as error:
                    pause = (error.reschedule_date - datetime.now(UTC)).total_seconds()
                    assert pause <= 1
                    threading.Event().wait(max(pause, 0))
        sensor = HyperoruHealthSensor(task_id="t", deferrable=True, **arguments)
        try:
            sensor.execute(context)
        except TaskDeferred as deferred:
            assert deferred.trigger.deadline <= datetime.now(UTC).timestamp() + 1
            if mode == "only the trigger":
                sensor.resume_execution("__fail__", {"error": "Trigger timeout"}, context)
            resumed(sensor, context, deferred)


def test_a_try_after_an_execution_timeout_has_its_own_time(sandbox: Sandbox) -> None:
    sandbox.set_faults(health="degraded")
    context = states(max_tries=1)
    arguments: dict[str, Any] = {"poke_interval": 300, "execution_timeout": timedelta(seconds=100), "retries": 1}
    for try_number, kept in ((1, 100), (1, 40), (2, 100)):
        context["ti"].try_number = try_number
        with pytest.raises(AirflowRescheduleException) as again:
            HyperoruHealthSensor(task_id="t", mode="reschedule", **arguments).execute(context)
        assert kept - 5 < (again.value.reschedule_date - datetime.now(UTC)).total_seconds() <= kept
        noted = context["task_state_store"].get("hyperoru_wait_try")
        noted["value"]["at"] -= 60
        context["task_state_store"].set("hyperoru_wait_try", noted)


@pytest.mark.parametrize(("timeout", "execution_timeout", "seconds"), [(600, 8, 8), (8, 600, 8), (8, None, 8)])
def test_a_sensor_of_events_waits_no_longer_than_its_try_may_take(
    timeout: int, execution_timeout: int | None, seconds: int
) -> None:
    limit = None if execution_timeout is None else timedelta(seconds=execution_timeout)
    sensor = HyperoruEventSensor(task_id="t", timeout=timeout, execution_timeout=limit)
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute({})
    assert deferred.value.timeout == timedelta(seconds=seconds)
    expected = AirflowTaskTimeout if execution_timeout == seconds else AirflowSensorTimeout
    with pytest.raises(expected):
        sensor.resume_execution("__fail__", {"error": "Trigger timeout"}, {})


def test_in_poke_mode_a_server_that_drips_outlasts_no_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "SHORTEST_QUESTION", 0.2)
    with raw_server(drip) as server:
        connection = {"conn_type": "hyperoru", "host": server.url, "extra": {"session_token": "a-token"}}
        monkeypatch.setenv("AIRFLOW_CONN_HYPERORU_DEFAULT", json.dumps(connection))
        with pytest.raises(AirflowSensorTimeout):
            HyperoruPriceSensor(task_id="t", symbol="BTC", above="1", poke_interval=0.1, timeout=0.5).execute({})
    assert len(server.wires) <= 3
    assert all(wire.sent < 100 for wire in server.wires)


def drip(wire: Wire, request: str) -> None:
    wire.head(Content_Length="1000000")
    for _ in range(200):  # for twenty seconds
        wire.write(b" ")
        time.sleep(0.1)

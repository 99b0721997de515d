"""Sensors and backfills as Airflow runs them: what is deferred goes through JSON, and on in a new process."""

from __future__ import annotations

import gc
import json
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from hyperoru_provider.client.errors import HyperoruError
from hyperoru_provider.hooks.compat import AirflowRescheduleException, AirflowSensorTimeout, TaskDeferred
from hyperoru_provider.operators.klines import HyperoruBackfillKlinesOperator
from hyperoru_provider.sandbox.rows import SECOND
from hyperoru_provider.sensors.base import HyperoruSensor
from hyperoru_provider.triggers.backfill import HyperoruBackfillTrigger
from hyperoru_provider.triggers.poll import HyperoruPollTrigger
from hyperoru_provider.waiting.conditions import BackfillOver
from hyperoru_provider.waiting.payloads import parse_event
from tests.airflow.matrix.loops import run_in_loop
from tests.airflow.matrix.outcomes import EXACT, JOB_FAILED
from tests.airflow.matrix.place import Place
from tests.task_states import TaskStates

MODES = ("poke", "reschedule", "deferred", "trigger")
_INTERVAL = 0.2
_BACKFILL: dict[str, Any] = {"symbol": "BTC", "interval": "1h", "start": "2026-01-01", "end": "2026-01-02"}
_CANDLES = 24


def _context() -> Any:
    begun = datetime.now(UTC)
    ti = SimpleNamespace(max_tries=1, try_number=1, get_first_reschedule_date=lambda _: begun)
    return {"ti": ti, "task_state_store": TaskStates()}


def _stored(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _fire(place: Place, trigger: Any) -> Any:
    """Return the payload of a trigger that is made anew from what is stored of it."""
    path, kwargs = trigger.serialize()
    kwargs = place.keep(kwargs)
    module, _, name = path.rpartition(".")

    async def first() -> Any:
        async for event in getattr(import_module(module), name)(**kwargs).run():
            return event.payload

    return place.keep(run_in_loop(first()))


def _to_the_end(place: Place, make: Callable[[], Any], context: Any, act: Callable[[], Any]) -> Any:
    """Return what a task returns after all its deferrals, each in an instance of its own."""
    while True:
        try:
            return act()
        except TaskDeferred as deferred:
            kwargs = place.keep(deferred.kwargs or {}) | {"event": _fire(place, deferred.trigger)}
            method = deferred.method_name
            act = lambda: make().resume_execution(method, kwargs, context)  # noqa: B023, E731


def wait(
    cls: type[HyperoruSensor], mode: str, arguments: Callable[[Place], dict[str, Any]], is_true: Callable[..., str]
) -> Callable[[Place], str]:
    """Return what runs a sensor in a mode.

    :param arguments: of the sensor.
    :param is_true: returns whether its success is true.
    """

    def run(place: Place) -> str:
        context, begun = _context(), int(datetime.now(UTC).timestamp() * SECOND)
        flags: dict[str, Any] = {"mode": "reschedule"} if mode == "reschedule" else {}
        flags |= {"poke_interval": _INTERVAL, "timeout": place.patience, "deferrable": mode in ("deferred", "trigger")}
        given = arguments(place)

        def make() -> HyperoruSensor:
            return cls(task_id="t", **given, **flags)

        if mode == "reschedule":
            found = _rescheduled(make, context)
        else:
            begin = _only_trigger(make(), place) if mode == "trigger" else lambda: make().execute(context)
            found = _to_the_end(place, make, context, begin)
        return is_true(place, place.keep(found), begun)

    return run


def _rescheduled(make: Callable[[], HyperoruSensor], context: Any) -> Any:
    while True:
        try:
            return make().execute(context)
        except AirflowRescheduleException as error:
            threading.Event().wait(max((error.reschedule_date - datetime.now(UTC)).total_seconds(), 0))


def _only_trigger(sensor: HyperoruSensor, place: Place) -> Callable[[], Any]:
    """Let the trigger meet what else the worker's first question would."""

    def begin() -> Any:
        since = datetime.now(UTC).timestamp()
        trigger = HyperoruPollTrigger(
            hyperoru_conn_id=sensor.hyperoru_conn_id,
            condition=sensor.condition().as_dict(),
            interval=_INTERVAL,
            since=since,
            deadline=since + place.patience,
        )
        raise TaskDeferred(trigger=trigger, method_name="execute_complete", kwargs={"since": since, "state": None})

    return begin


def backfill(*, deferrable: bool) -> Callable[[Place], str]:
    """Return what runs a backfill, and tries once more if it fails, as Airflow does."""

    def run(place: Place) -> str:
        context, limit = _context(), timedelta(seconds=place.patience)

        def make() -> HyperoruBackfillKlinesOperator:
            return HyperoruBackfillKlinesOperator(
                task_id="t",
                deferrable=deferrable,
                poll_interval=_INTERVAL,
                execution_timeout=limit,
                **_BACKFILL,
            )

        def attempt() -> Any:
            return _to_the_end(place, make, context, lambda: make().execute(context))

        with suppress(HyperoruError):
            attempt()
        gc.collect()  # the next try is a process of its own
        try:
            found = place.keep(attempt())
        except HyperoruError as error:
            _check_jobs(place, 2 if type(error).__name__ == f"Hyperoru{JOB_FAILED}Error" else 1)
            raise
        _check_jobs(place, 1)
        whole = (found["status"], found["rows_written"]) == ("completed", _CANDLES)
        return EXACT if whole else f"lie: {found}"

    return run


def _check_jobs(place: Place, most: int) -> None:
    jobs = place.server.stats()["backfills"]
    assert jobs <= most, f"doubled: {jobs} jobs"


def prepare_backfill_trigger(place: Place) -> None:
    """Start the job that the trigger waits for, before anything misbehaves."""
    body = {"exchange": "hyperliquid", "symbol": "BTC", "period": "1h"}
    place.server.start_job(body | {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"})


def backfill_trigger(place: Place) -> str:
    """Wait for a job that is there already."""
    since = datetime.now(UTC).timestamp()
    trigger = HyperoruBackfillTrigger(
        hyperoru_conn_id="hyperoru_default",
        condition=BackfillOver(1, "Killed.").as_dict(),
        interval=_INTERVAL,
        since=since,
        deadline=since + place.patience,
    )
    verdict = parse_event(_fire(place, trigger))
    if not verdict.done:
        raise AirflowSensorTimeout(verdict.message)
    return EXACT

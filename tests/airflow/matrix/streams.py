"""The event stream over the stream manager of Airflow's triggerer: is everything that happens told?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from importlib import import_module
from typing import Any

from airflow.sdk.exceptions import AirflowSensorTimeout, TaskDeferred
from airflow.triggers.base import BaseEventTrigger
from airflow.triggers.shared_stream import SharedStreamManager

from hyperoru_provider.sensors.events import HyperoruEventSensor
from hyperoru_provider.triggers.events import HyperoruEventTrigger
from tests.airflow.matrix.loops import run_in_loop
from tests.airflow.matrix.outcomes import EXACT
from tests.airflow.matrix.place import Place

_TRADES = 10


class Listener:
    """Runs a trigger as the triggerer does, and notes what it fires.

    :param place: where the cell takes place.
    :param trigger: is made anew from what is stored of it.
    :param manager: shares the stream with other triggers; ``None`` to listen alone.
    """

    def __init__(self, place: Place, trigger: BaseEventTrigger, manager: SharedStreamManager | None) -> None:
        self.fired: list[dict[str, Any]] = []
        self._place = place
        path, kwargs = trigger.serialize()
        module, _, name = path.rpartition(".")
        self._trigger: BaseEventTrigger = getattr(import_module(module), name)(**place.keep(kwargs))
        self._manager = manager
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        if self._manager is None:
            async for event in self._trigger.run():
                self.fired.append(self._place.keep(event.payload))
            return
        key = self._trigger.shared_stream_key()
        stream = self._manager.subscribe(trigger_id=id(self), trigger=self._trigger, key=key)
        try:
            async for event in self._trigger.filter_shared_stream(stream):
                self.fired.append(self._place.keep(event.payload))
        finally:
            await self._manager.unsubscribe(id(self), key)

    async def until(self, what: Callable[[], Any]) -> None:
        """Wait, and raise what ended the trigger.

        :raises AirflowSensorTimeout: it did not happen in time.
        """
        deadline = asyncio.get_running_loop().time() + self._place.patience
        while not what():
            if self.task.done():
                self.task.result()
            if asyncio.get_running_loop().time() > deadline:
                raise AirflowSensorTimeout(f"Only {self.fired}")
            await asyncio.sleep(0.01)


@asynccontextmanager
async def _listening(place: Place, *triggers: BaseEventTrigger, shared: bool) -> AsyncIterator[list[Listener]]:
    manager = SharedStreamManager() if shared else None
    listeners = [Listener(place, trigger, manager) for trigger in triggers]
    try:
        yield listeners
    finally:
        for each in listeners:
            each.task.cancel()
        await asyncio.gather(*(each.task for each in listeners), return_exceptions=True)


def _trigger(*, shared: bool) -> Callable[[Place], str]:
    async def listen(place: Place) -> str:
        async with _listening(place, HyperoruEventTrigger(min_interval=0), shared=shared) as (listener,):
            await listener.until(lambda: listener.fired)
            rows = await asyncio.to_thread(place.server.trade, _TRADES)

            def told() -> list[dict[str, Any]]:
                return [summary for summary in listener.fired if summary["from"] is not None]

            await listener.until(lambda: all(_covered(row, told()) for row in rows))
            if place.is_crowded or any(summary["kind"] == "gap" for summary in told()):
                return EXACT
            # a summary covers what lies between its first and its last event, of which one may come later
            await listener.until(lambda: _count(told()) >= _TRADES)
            return EXACT if _count(told()) == _TRADES else f"lie: {_count(told())} events for {_TRADES} trades"

    return lambda place: run_in_loop(listen(place))


def _count(summaries: list[dict[str, Any]]) -> int:
    return sum(summary["count"] for summary in summaries)


def _covered(row: dict[str, Any], summaries: list[dict[str, Any]]) -> bool:
    moment = datetime.fromisoformat(row["trade_time"])
    return any(
        datetime.fromisoformat(each["from"]) <= moment < datetime.fromisoformat(each["to"]) for each in summaries
    )


event_trigger = _trigger(shared=True)
event_trigger_alone = _trigger(shared=False)


def event_sensor(place: Place) -> str:
    """Wait for one event, beside a trigger that tells when the stream is heard."""
    sensor = HyperoruEventSensor(task_id="t", timeout=place.patience)

    async def listen(trigger: Any) -> Any:
        async with _listening(place, trigger, HyperoruEventTrigger(), shared=True) as (waiting, probe):
            await probe.until(lambda: probe.fired)
            row = (await asyncio.to_thread(place.server.trade, _TRADES))[0]
            await waiting.until(lambda: waiting.fired)
            return row, waiting.fired[0]

    try:
        sensor.execute({})
    except TaskDeferred as deferred:
        row, summary = run_in_loop(listen(deferred.trigger))
        found = place.keep(getattr(sensor, deferred.method_name)({}, event=summary))
        return EXACT if _covered(row, [found]) or place.is_crowded or found["kind"] == "gap" else f"lie: {found}"
    raise AssertionError("It was not deferred")

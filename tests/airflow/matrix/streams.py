"""The event stream in an event loop, as a triggerer has one: is everything that happens told?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from importlib import import_module
from typing import Any

from airflow.triggers.base import BaseEventTrigger

from hyperoru_provider.hooks.compat import AirflowSensorTimeout, TaskDeferred
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
    """

    def __init__(self, place: Place, trigger: BaseEventTrigger) -> None:
        self.fired: list[dict[str, Any]] = []
        self._place = place
        path, kwargs = trigger.serialize()
        module, _, name = path.rpartition(".")
        self._trigger: BaseEventTrigger = getattr(import_module(module), name)(**place.keep(kwargs))
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async for event in self._trigger.run():
            self.fired.append(self._place.keep(event.payload))

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
async def _listening(place: Place, *triggers: BaseEventTrigger) -> AsyncIterator[list[Listener]]:
    listeners = [Listener(place, trigger) for trigger in triggers]
    try:
        yield listeners
    finally:
        for each in listeners:
            each.task.cancel()
        await asyncio.gather(*(each.task for each in listeners), return_exceptions=True)


def event_trigger(place: Place) -> str:
    """Tell of all trades that happen, in events or gaps, and of no other."""

    async def listen() -> str:
        async with _listening(place, HyperoruEventTrigger(min_interval=0)) as (listener,):
            await listener.until(lambda: listener.fired)
            counted = await _told_of_trades(place, listener)
            if counted not in (None, _TRADES):  # a trade of the market itself may have come between
                counted = await _told_of_trades(place, listener)
            return EXACT if counted in (None, _TRADES) else f"lie: {counted} events for {_TRADES} trades"

    return run_in_loop(listen())


async def _told_of_trades(place: Place, listener: Listener) -> int | None:
    """Make trades, and return how many a trigger tells of, or ``None`` if a gap tells of them."""
    before = len(listener.fired)
    rows = await asyncio.to_thread(place.server.trade, _TRADES)

    def told() -> list[dict[str, Any]]:
        return [summary for summary in listener.fired[before:] if summary["from"] is not None]

    await listener.until(lambda: all(_covered(row, told()) for row in rows))
    if place.is_crowded or any(summary["kind"] == "gap" for summary in told()):
        return None
    # a summary covers what lies between its first and its last event, of which one may come later
    await listener.until(lambda: _count(told()) >= _TRADES)
    return _count(told())


def _count(summaries: list[dict[str, Any]]) -> int:
    return sum(summary["count"] for summary in summaries)


def _covered(row: dict[str, Any], summaries: list[dict[str, Any]]) -> bool:
    moment = datetime.fromisoformat(row["trade_time"])
    return any(
        datetime.fromisoformat(each["from"]) <= moment < datetime.fromisoformat(each["to"]) for each in summaries
    )


def event_sensor(place: Place) -> str:
    """Wait for one event, beside a trigger that tells when the stream is heard."""
    sensor = HyperoruEventSensor(task_id="t", timeout=place.patience)

    async def listen(trigger: Any) -> Any:
        async with _listening(place, trigger, HyperoruEventTrigger()) as (waiting, probe):
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

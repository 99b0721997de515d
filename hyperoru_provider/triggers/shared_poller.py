"""One question for all who wait for the same answer in an event loop, however many they are."""

from __future__ import annotations

import asyncio
import logging
import time
from contextvars import copy_context
from datetime import UTC, datetime
from typing import Any, NamedTuple

from hyperoru_provider.client.errors import (
    HyperoruApiError,
    HyperoruAuthenticationError,
    HyperoruConnectError,
)
from hyperoru_provider.triggers.shared_client import ClientReference, client_reference
from hyperoru_provider.triggers.shared_work import SharedWork, joined
from hyperoru_provider.waiting.conditions import Condition, Question, Verdict
from hyperoru_provider.waiting.schedule import PollTicks, Schedule

log = logging.getLogger(__name__)

#: least seconds between two log lines of a waiter that say why its wait is not over
LOG_EVERY = 60.0
_WAITERS_AT_ONCE = 100  # each may write a log line, or wake a task that has more to do


class Waiter:
    """Waits until a condition is met. Make it in the task that waits: its log lines go where that task's do.

    :param condition: what to wait for.
    :param schedule: how often to ask.
    :param deadline: when to give up, in seconds since 1970.
    :param state: what the condition remembers so far.
    """

    def __init__(self, condition: Condition, schedule: Schedule, deadline: float, state: Any = None) -> None:
        self.condition = condition
        self.schedule = schedule
        self.deadline = deadline
        self.state = state
        #: why the wait is not over yet
        self.message = "Nothing was checked in time."
        #: tick at which the next answer is wanted, in seconds since 1970
        self.due = 0.0
        self._context = copy_context()
        self._logged_message, self._logged_at = "", -LOG_EVERY
        self._verdict: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()

    async def wait(self, hyperoru_conn_id: str) -> Verdict | None:
        """Wait together with all others in this loop who ask the same.

        :return: the verdict that ended the wait, or ``None`` if the deadline came first.
        :raises HyperoruError: waiting any longer is of no use.
        """
        key = (hyperoru_conn_id, self.condition.sharing_key, self.schedule.interval)
        async with joined(key, self, lambda: Poller(*key)):
            try:
                async with asyncio.timeout(max(self.deadline - time.time(), 0.0)):
                    return await self._verdict
            except TimeoutError:
                return None

    def handle(self, reply: object, now: datetime) -> None:
        """Take a reply: an answer, or the error that came in its place.

        :param now: when the question was asked.
        """
        if self._verdict.done():
            return
        trace = reply.__traceback__ if isinstance(reply, BaseException) else None
        try:
            verdict = self.condition.handle(reply, self.state, now)
        except Exception as error:  # noqa: BLE001 - raised where the wait is
            # waiters share the error: its traceback, which Airflow stores for each of them, must not grow with each
            self._verdict.set_exception(error.with_traceback(trace) if error is reply else error)
            return
        self.state, self.message = verdict.state, verdict.message
        if verdict.done:
            self._verdict.set_result(verdict)
        elif verdict.message != self._logged_message and time.monotonic() >= self._logged_at + LOG_EVERY:
            self._logged_message, self._logged_at = verdict.message, time.monotonic()
            self._context.run(log.info, "%s", verdict.message)


class _Tick(NamedTuple):
    """A moment at which a question may be asked.

    :param at: the moment, in seconds since 1970.
    :param waiters: all who wait at this moment, and take an answer.
    :param due: those of them for whom the question is asked.
    """

    at: float
    waiters: list[Waiter]
    due: list[Waiter]


class Poller(SharedWork[Waiter]):
    """Asks one question again and again, for all who wait for its answer.

    :param hyperoru_conn_id: the connection.
    :param sharing_key: the question, whatever the time is.
    :param interval: seconds between two questions.
    """

    def __init__(self, hyperoru_conn_id: str, sharing_key: Question, interval: float) -> None:
        super().__init__((hyperoru_conn_id, sharing_key, interval))
        self._conn_id = hyperoru_conn_id
        self._ticks = PollTicks(interval, (hyperoru_conn_id, sharing_key))
        self._last_tick_at = 0.0

    async def _run(self) -> None:
        try:
            next_tick = self._ticks.after(time.time())
            while True:
                # a wrong connection is read no more often than others are asked
                await _sleep_until(next_tick)
                async with client_reference(self._conn_id) as reference:
                    next_tick = await self._poll(reference)
        except Exception as error:  # noqa: BLE001 - raised where the waits are
            self.unregister()
            await _hand_out(error, list(self.members), datetime.now(UTC))

    async def _poll(self, reference: ClientReference) -> float:
        """Ask at each tick at which a waiter is due, until the client is retired.

        :return: the next tick.
        """
        while True:
            tick = self._begin_tick()
            if tick.due:
                await self._ask(tick, reference)
            next_tick = self._ticks.following(tick.at, time.time())
            if reference.retired:
                return next_tick
            await _sleep_until(next_tick)

    def _begin_tick(self) -> _Tick:
        now, waiters = time.time(), list(self.members)
        clock_was_put_back = now < self._last_tick_at  # by which everybody's next answer would be late
        self._last_tick_at = now
        soon = now + self._ticks.interval / 2
        return _Tick(now, waiters, [waiter for waiter in waiters if clock_was_put_back or waiter.due <= soon])

    async def _ask(self, tick: _Tick, reference: ClientReference) -> None:
        """Ask once, and hand out the reply.

        :raises HyperoruError: waiting any longer is of no use, for anybody.
        """
        now = datetime.fromtimestamp(tick.at, UTC)
        reply: object
        try:
            reply = await tick.waiters[0].condition.question(now).ask(reference.client)
        except HyperoruAuthenticationError:
            if not reference.stale:
                raise
            # the token or password may have been changed: what the connection holds now is to be refused, too
            reference.retired = True
            return
        except HyperoruApiError as error:
            if not error.transient:
                raise
            if isinstance(error, HyperoruConnectError) and reference.stale:
                reference.retired = True  # the host may have been changed
            reply = error
        for waiter in tick.due:
            waiter.due = self._ticks.due(waiter.schedule, tick.at, waiter.deadline)
        await _hand_out(reply, tick.waiters, now)


async def _sleep_until(moment: float) -> None:
    await asyncio.sleep(moment - time.time())


async def _hand_out(reply: object, waiters: list[Waiter], now: datetime) -> None:
    """Hand a reply to many waiters, without blocking the event loop."""
    for first in range(0, len(waiters), _WAITERS_AT_ONCE):
        for waiter in waiters[first : first + _WAITERS_AT_ONCE]:
            waiter.handle(reply, now)
        await asyncio.sleep(0)

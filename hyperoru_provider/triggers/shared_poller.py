"""One client and one question for all who wait in an event loop, however many they are."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import Context, copy_context
from datetime import UTC, datetime
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from hyperoru_provider.client import AsyncHyperoruClient
from hyperoru_provider.client.errors import (
    HyperoruApiError,
    HyperoruAuthenticationError,
    HyperoruConnectError,
    HyperoruError,
)
from hyperoru_provider.hooks.hyperoru import HyperoruHook
from hyperoru_provider.waiting.conditions import RETRY_FOR, Condition, Question, Verdict
from hyperoru_provider.waiting.schedule import PollTicks, Schedule

log = logging.getLogger(__name__)

_REREAD_AFTER = 60.0
_LOG_EVERY = 60.0
_AT_ONCE = 100  # each may write a log line, or wake a task that has more to do


class Waiter:
    """One who waits. Made in the task that waits: its log lines go where that task's do.

    :param condition: what is waited for.
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
        self.says = "Nothing was asked in time."
        self.due = 0.0
        self._context = copy_context()
        self._logged = ("", -_LOG_EVERY)
        self._end = asyncio.get_running_loop().create_future()

    async def wait(self, hyperoru_conn_id: str) -> Verdict | None:
        """Wait together with all others in this loop that ask the same; ``None`` if the deadline comes first.

        :raises HyperoruError: waiting on is of no use.
        """
        async with _joined(self, hyperoru_conn_id):
            try:
                async with asyncio.timeout(max(self.deadline - time.time(), 0.0)):
                    verdict: Verdict = await self._end
                    return verdict
            except TimeoutError:
                return None

    def tell(self, outcome: object, now: datetime) -> None:
        """Take an answer, or the error that came in its place."""
        if self._end.done():
            return
        trace = outcome.__traceback__ if isinstance(outcome, BaseException) else None
        try:
            verdict = self.condition.weigh(outcome, self.state, now)
        except Exception as error:  # noqa: BLE001 - it belongs to the one who waits
            # one that is for all would else get longer with each of them, and Airflow writes it out for each
            self._end.set_exception(error.with_traceback(trace) if error is outcome else error)
            return
        self.state, self.says = verdict.state, verdict.says
        if verdict.done:
            self._end.set_result(verdict)
            return
        said, at = self._logged
        if verdict.says != said and time.monotonic() >= at + _LOG_EVERY:
            self._logged = (verdict.says, time.monotonic())
            self._context.run(log.info, "%s", verdict.says)


@asynccontextmanager
async def shared_client(hyperoru_conn_id: str) -> AsyncIterator[AsyncHyperoruClient]:
    """Give this loop's client of a connection: made for the first user, closed with the last.

    An error that is not transient, raised in the block, makes the next user's client a new one, so that a connection
    that was corrected is read anew.

    :param hyperoru_conn_id: the connection.
    :raises HyperoruConfigError: the connection has a wrong value.
    """
    async with _leased(hyperoru_conn_id) as lease:
        yield lease.client


class ClientReference:
    """A client with its users.

    :param client: shared by all of them.
    """

    def __init__(self, client: AsyncHyperoruClient) -> None:
        self.client = client
        self.users = 0
        self._made_at = time.monotonic()

    @property
    def old(self) -> bool:
        """Whether the connection may have been changed since it was read."""
        return time.monotonic() > self._made_at + _REREAD_AFTER


class _Hub:
    """What there is in an event loop: a lease for each connection, a group for each question."""

    def __init__(self) -> None:
        self.leases: dict[str, ClientReference] = {}
        self.locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.groups: dict[_Key, Poller] = {}

    def end(self, group: Poller) -> None:
        """Let nobody else join this group."""
        if self.groups.get(group.key) is group:
            del self.groups[group.key]

    def forget(self, hyperoru_conn_id: str, lease: ClientReference) -> None:
        """Give this client to nobody else."""
        if self.leases.get(hyperoru_conn_id) is lease:
            del self.leases[hyperoru_conn_id]


_Key: TypeAlias = tuple[str, Question, float]
_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, _Hub] = WeakKeyDictionary()


def _hub() -> _Hub:
    return _hubs.setdefault(asyncio.get_running_loop(), _Hub())


@asynccontextmanager
async def _leased(hyperoru_conn_id: str) -> AsyncIterator[ClientReference]:
    hub = _hub()
    async with hub.locks[hyperoru_conn_id]:
        lease = hub.leases.get(hyperoru_conn_id)
        if lease is None:
            hook = HyperoruHook(hyperoru_conn_id, RETRY_FOR)
            lease = hub.leases[hyperoru_conn_id] = ClientReference(await asyncio.to_thread(hook.get_async_conn))
        lease.users += 1
    try:
        yield lease
    except HyperoruApiError as error:
        if not error.transient:
            hub.forget(hyperoru_conn_id, lease)
        raise
    finally:
        lease.users -= 1
        if not lease.users:
            hub.forget(hyperoru_conn_id, lease)
            await lease.client.aclose()


@asynccontextmanager
async def _joined(waiter: Waiter, hyperoru_conn_id: str) -> AsyncIterator[None]:
    """Make one who waits a member of the group that asks its question; the last to leave ends the group."""
    hub = _hub()
    key = (hyperoru_conn_id, waiter.condition.topic, waiter.schedule.interval)
    group = hub.groups.get(key)
    if group is None:
        group = hub.groups[key] = Poller(*key)
    group.waiters[waiter] = None
    try:
        yield
    finally:
        del group.waiters[waiter]
        if not group.waiters:
            hub.end(group)
            group.task.cancel()
            await asyncio.wait([group.task])


class Poller:
    """Asks one question again and again for all who wait for its answer.

    :param hyperoru_conn_id: the connection.
    :param topic: the question, whatever the time is.
    :param interval: seconds between two questions.
    """

    def __init__(self, hyperoru_conn_id: str, topic: Question, interval: float) -> None:
        self.key = (hyperoru_conn_id, topic, interval)
        self.waiters: dict[Waiter, None] = {}
        self._conn_id = hyperoru_conn_id
        self._grid = PollTicks(interval, (hyperoru_conn_id, topic))
        self._begun = 0.0
        # a context of its own: what the client logs is not about the first one who waits
        self.task = asyncio.create_task(self._run(), context=Context())

    async def _run(self) -> None:
        try:
            moment = self._grid.after(time.time())
            while True:
                moment = await self._ask_with_one_client(moment)
        except Exception as error:
            if not isinstance(error, HyperoruError):
                log.exception("Waiting for %s failed", self._conn_id)
            _hub().end(self)
            await self._tell(list(self.waiters), error, datetime.now(UTC))

    async def _ask_with_one_client(self, moment: float) -> float:
        """Ask at every moment of the grid at which somebody is due, until the connection had better be read anew.

        :param moment: the first one. A connection that is wrong is not read more often than others are asked.
        :return: the next one.
        """
        await asyncio.sleep(moment - time.time())
        async with _leased(self._conn_id) as lease:
            while True:
                begun = time.time()
                asked = list(self.waiters)
                outcome: object = None
                back = begun < self._begun  # the clock was put back: all that was due would come later by as much
                self._begun = begun
                due = [waiter for waiter in asked if back or waiter.due <= begun + self._grid.interval / 2]
                if due:
                    now = datetime.fromtimestamp(begun, UTC)
                    try:
                        outcome = await asked[0].condition.question(now).put_to(lease.client)
                    except HyperoruApiError as error:
                        if isinstance(error, HyperoruAuthenticationError) and lease.old:
                            # the password or token may have been changed: the present one is to be refused, too
                            _hub().forget(self._conn_id, lease)
                            return self._grid.following(begun, time.time())
                        if not error.transient:
                            raise
                        outcome = error
                    for waiter in due:
                        waiter.due = self._grid.due(waiter.schedule, begun, waiter.deadline)
                    await self._tell(asked, outcome, now)
                moment = self._grid.following(begun, time.time())
                if isinstance(outcome, HyperoruConnectError) and lease.old:
                    _hub().forget(self._conn_id, lease)
                    return moment
                await asyncio.sleep(moment - time.time())

    async def _tell(self, waiters: list[Waiter], outcome: object, now: datetime) -> None:
        """Give an outcome to many without holding up the loop."""
        for first in range(0, len(waiters), _AT_ONCE):
            for waiter in waiters[first : first + _AT_ONCE]:
                waiter.tell(outcome, now)
            await asyncio.sleep(0)

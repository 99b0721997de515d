"""Work that is done once in an event loop, for all who want the same."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

MemberT = TypeVar("MemberT")

_CANCEL_AGAIN_AFTER = 1.0  # seconds


class SharedWork(ABC, Generic[MemberT]):
    """A task in the background, which begins for its first member, and is stopped when the last one has left.

    :param key: those for whom it is equal share the work.
    """

    def __init__(self, key: Hashable) -> None:
        self.members: dict[MemberT, None] = {}
        self._key = key
        # a context of its own: the client's log lines are not about the first member
        self._task = asyncio.create_task(self._run(), context=Context())

    @abstractmethod
    async def _run(self) -> None:
        """Do the work, until it is stopped or fails."""

    def unregister(self) -> None:
        """Remove this work from that which can be joined."""
        works = _works()
        if works.get(self._key) is self:
            del works[self._key]

    async def stop(self) -> None:
        """Stop the work, and return when it holds nothing any more."""
        self.unregister()
        await end_task(self._task)


async def end_task(task: asyncio.Future[Any]) -> None:
    """Cancel a task, and return once it has ended, whatever came of it."""
    while not task.done():  # httpx loses a cancellation that comes together with a time-out of its own
        task.cancel()
        await asyncio.wait([task], timeout=_CANCEL_AGAIN_AFTER)
    await asyncio.gather(task, return_exceptions=True)  # else asyncio logs an error that nobody took


_works_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Hashable, SharedWork[Any]]] = WeakKeyDictionary()


def _works() -> dict[Hashable, SharedWork[Any]]:
    """Return the works of this event loop that can be joined."""
    return _works_by_loop.setdefault(asyncio.get_running_loop(), {})


@asynccontextmanager
async def joined(key: Hashable, member: MemberT, begin: Callable[[], SharedWork[MemberT]]) -> AsyncIterator[None]:
    """Join the work of a key, and leave it at the end; the last one to leave stops it.

    :param member: who joins.
    :param begin: begins the work, if nobody has.
    """
    work = _works().get(key)
    if work is None:
        work = _works()[key] = begin()
    work.members[member] = None
    try:
        yield
    finally:
        del work.members[member]
        if not work.members:
            await work.stop()

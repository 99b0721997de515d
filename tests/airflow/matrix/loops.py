"""The triggerer's event loop, and how long anything holds it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

_T = TypeVar("_T")
_BEAT = 0.005
_THREADS = Path("/proc/self/task")


class Heartbeat:
    """Notes the longest time for which the loop did not come back.

    :ivar held: its seconds, without those for which a thread of this process could have run and other processes did:
        nobody else's work is counted, nor who waits for a lock of one that is kept waiting itself.
    """

    def __init__(self) -> None:
        self.held = 0.0

    async def beat(self) -> None:
        """Look again and again."""
        while True:
            clock, before = time.perf_counter(), _delays()
            await asyncio.sleep(_BEAT)
            seconds = time.perf_counter() - clock - _BEAT
            if seconds > self.held:
                delays = _delays()
                seconds -= sum(delay - before.get(thread, 0.0) for thread, delay in delays.items())
                self.held = max(self.held, seconds)


def _delays() -> dict[str, float]:
    """Return for each thread the seconds that it was kept waiting for a processor; none where the system can't tell."""
    found = {}
    for thread in _THREADS.glob("*/schedstat"):
        with suppress(OSError):  # of one that has just ended
            found[thread.parent.name] = int(thread.read_text().split()[1]) / 1e9
    return found


#: of all loops of this process
HEARTBEAT = Heartbeat()


def run_in_loop(main: Coroutine[Any, Any, _T]) -> _T:
    """Return what a coroutine returns in a loop whose blocks are noted."""

    async def beside_the_heartbeat() -> _T:
        beating = asyncio.create_task(HEARTBEAT.beat())
        await asyncio.sleep(0)  # the first beat begins before, and the last one ends after
        try:
            return await main
        finally:
            await asyncio.sleep(2 * _BEAT)
            beating.cancel()

    return asyncio.run(beside_the_heartbeat())

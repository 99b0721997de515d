"""The triggerer's event loop, and how long anything holds it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

_T = TypeVar("_T")
_BEAT = 0.005
_SCHEDULER = Path("/proc/thread-self/schedstat")


class Heartbeat:
    """Notes the longest time for which the loop did not come back.

    :ivar held: its seconds, without those for which the system let others have the processor.
    """

    def __init__(self) -> None:
        self.held = 0.0

    async def beat(self) -> None:
        """Look again and again."""
        while True:
            clock, waited = time.perf_counter(), _waited()
            await asyncio.sleep(_BEAT)
            self.held = max(self.held, time.perf_counter() - clock - (_waited() - waited) - _BEAT)


def _waited() -> float:
    """Return the seconds for which this thread could have run, and others did; nothing where the system can't tell."""
    try:
        return int(_SCHEDULER.read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


#: of all loops of this process
HEARTBEAT = Heartbeat()


def run_in_loop(main: Coroutine[Any, Any, _T]) -> _T:
    """Return what a coroutine returns in a loop whose blocks are noted."""

    async def beside_the_heartbeat() -> _T:
        beating = asyncio.create_task(HEARTBEAT.beat())
        try:
            return await main
        finally:
            beating.cancel()

    return asyncio.run(beside_the_heartbeat())

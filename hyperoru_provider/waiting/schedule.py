"""When to ask: at ticks that all who wait for the same answer share. Pure: no clock."""

from __future__ import annotations

import math
import zlib
from collections.abc import Hashable
from dataclasses import dataclass

_SHORTEST_INTERVAL = 0.1
_EPSILON = 1e-6


@dataclass(frozen=True)
class Schedule:
    """How often a waiter asks. Times are seconds since 1970.

    :param interval: seconds between two questions.
    :param since: when the wait began.
    :param doubling: pause for as long as the wait has lasted, so that the pauses double; ``interval`` is the shortest.
    :param max_pause: the longest pause, in seconds; ``None`` for no limit.
    """

    interval: float
    since: float
    doubling: bool = False
    max_pause: float | None = None

    def pause(self, now: float, interval: float) -> int:
        """Return the pause after a question as a number of tick intervals, at least 1.

        :param now: when the question was asked.
        :param interval: seconds between two ticks.
        """
        if not self.doubling:
            return 1
        waited = round((now - self.since) / interval)
        return max(1, waited if self.max_pause is None else min(waited, int(self.max_pause / interval + _EPSILON)))


class PollTicks:
    """Moments at equal distances, the same in every process. Times are seconds since 1970.

    :param interval: seconds between two ticks; never less than 0.1.
    :param sharing_key: what is asked. Each key has its ticks at other times, so that questions spread out.
    """

    def __init__(self, interval: float, sharing_key: Hashable) -> None:
        self.interval = max(interval, _SHORTEST_INTERVAL)
        self._phase = self.interval * zlib.crc32(repr(sharing_key).encode()) / 2**32

    def after(self, moment: float) -> float:
        """Return the first tick later than a moment."""
        return self._at(math.floor((moment - self._phase) / self.interval) + 1)

    def before(self, moment: float) -> float:
        """Return the last tick not later than a moment."""
        return self._at(math.floor((moment - self._phase) / self.interval))

    def nearest(self, moment: float) -> float:
        """Return the tick nearest to a moment."""
        return self._at(round((moment - self._phase) / self.interval))

    def following(self, asked_at: float, answered_at: float) -> float:
        """Return the first tick after a question and its answer.

        :param asked_at: when the question was asked, near a tick.
        :param answered_at: when it was answered; earlier if the clock was put back in between.
        """
        return max(self.nearest(min(asked_at, answered_at) + self.interval), self.after(answered_at))

    def due(self, schedule: Schedule, asked_at: float, deadline: float) -> float:
        """Return the tick at which a waiter is due next, at the latest the last one before its deadline.

        :param asked_at: when the last question was asked, near a tick.
        """
        due = self.nearest(asked_at + schedule.pause(asked_at, self.interval) * self.interval)
        last = self.before(deadline)
        return last if asked_at + self.interval / 2 < last < due else due

    def _at(self, number: int) -> float:
        return self._phase + number * self.interval

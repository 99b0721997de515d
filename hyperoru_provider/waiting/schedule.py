"""When to ask: on a grid that all who wait for the same thing share. Pure: no clock."""

from __future__ import annotations

import math
import zlib
from collections.abc import Hashable
from dataclasses import dataclass

_SHORTEST = 0.1
_TINY = 1e-6


@dataclass(frozen=True)
class Schedule:
    """How often one asks who waits. Times are seconds since 1970.

    :param interval: seconds between two questions.
    :param since: when the wait began.
    :param doubling: wait as long as one has waited already, so that the pauses double, in place of ``interval``, which
        is then the shortest.
    :param longest: the longest pause, in seconds; ``None`` for none.
    """

    interval: float
    since: float
    doubling: bool = False
    longest: float | None = None

    def pause(self, now: float, interval: float) -> int:
        """Give how many intervals there are from a question to the next, at least 1."""
        if not self.doubling:
            return 1
        waited = round((now - self.since) / interval)
        return max(1, waited if self.longest is None else min(waited, int(self.longest / interval + _TINY)))


class PollTicks:
    """Moments at equal distances, the same in every process.

    :param interval: seconds between them; never less than 0.1.
    :param topic: what is asked: other topics have their moments at other times, so that questions spread out.
    """

    def __init__(self, interval: float, topic: Hashable) -> None:
        self.interval = max(interval, _SHORTEST)
        self._phase = self.interval * zlib.crc32(repr(topic).encode()) / 2**32

    def after(self, moment: float) -> float:
        """Give the first one that is later."""
        return self._at(math.floor((moment - self._phase) / self.interval) + 1)

    def before(self, moment: float) -> float:
        """Give the last one that is not later."""
        return self._at(math.floor((moment - self._phase) / self.interval))

    def nearest(self, moment: float) -> float:
        """Give the one that is next to a moment."""
        return self._at(round((moment - self._phase) / self.interval))

    def following(self, begun: float, now: float) -> float:
        """Give the one after a question.

        :param begun: when it was asked, about on the grid.
        :param now: when it was answered.
        """
        return max(self.nearest(begun + self.interval), self.after(now))

    def due(self, schedule: Schedule, begun: float, deadline: float) -> float:
        """Give when one who waits is to have the next answer, at the latest the last moment before the deadline."""
        due = self.nearest(begun + schedule.pause(begun, self.interval) * self.interval)
        last = self.before(deadline)
        return last if begun + self.interval / 2 < last < due else due

    def _at(self, number: int) -> float:
        return self._phase + number * self.interval

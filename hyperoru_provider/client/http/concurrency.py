"""How many requests to have under way at once: found by how the server answers. Pure: no clock, no waiting."""

from __future__ import annotations

import math
import threading
from bisect import bisect
from statistics import fmean
from typing import NamedTuple

#: the levels that are tried, with 32 as the bound
_LEVELS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 19, 22, 25, 28, 32)
_FIRST = _LEVELS.index(4)
_LEAST_ROUND = 4  # answers that are enough to judge by
_LEAST_SECONDS = 0.1  # of a round: who meets a quota within them is refused few requests
_ENOUGH = 0.9  # of the best throughput
_TRY_AGAIN = 12  # rounds at a level before one beside it is measured anew
_MOST_PATIENCE = 4096  # rounds before a level with refusals is tried again


class Flight(NamedTuple):
    """A request under way: when it began, in seconds of a monotonic clock, and how many were under way with it."""

    began: float
    crowd: int


class ConcurrencyController:
    """Finds how many requests at once are answered best, by what becomes of each.

    Answers are counted in rounds. How many a second there are is, by Little's law, how many requests are under way by
    the time that each takes. It begins with four at once, doubles while that brings nearly twice as much, climbs while
    it brings more, and stays at the lowest level that brings nearly as much as the best one; now and then a level
    beside it is measured anew. Where a request is refused as one too many, or is not answered in time, the level is
    halved, and the one that was too high is tried again only after a while, which doubles each time.

    Times are seconds of a monotonic clock that the caller reads. Threads may share a controller.

    :param fixed: a level that never changes; ``None`` to find it, between 1 and 32.
    """

    def __init__(self, fixed: int | None = None) -> None:
        self._fixed = fixed
        self._place = _FIRST
        self._throughput: dict[int, float] = {}  # answers a second, by the place of a level
        self._highest = len(_LEVELS) - 1  # place of the highest level that may be tried
        self._refused = len(_LEVELS)  # place of the lowest level that was too high
        self._patience = _TRY_AGAIN
        self._rounds = 0  # at the same level
        self._quiet_rounds = 0  # since a request was refused
        self._answered: list[tuple[int, float]] = []  # of this round: how many were under way, and seconds
        self._round_began = -math.inf  # requests that were sent before say nothing about this level
        self._under_way = 0
        self._lock = threading.Lock()

    @property
    def level(self) -> int:
        """How many requests to have under way at once, at least 1."""
        return self._fixed or _LEVELS[self._place]

    @property
    def highest(self) -> int:
        """What the level never exceeds."""
        return self._fixed or _LEVELS[-1]

    def begin(self, now: float) -> Flight:
        """Count a request as under way."""
        with self._lock:
            if self._round_began == -math.inf:
                self._round_began = now
            self._under_way += 1
            return Flight(now, self._under_way)

    def end(self, flight: Flight, now: float, *, refused: bool | None) -> None:
        """Take note of what became of a request.

        :param flight: the request.
        :param now: when it ended.
        :param refused: whether it was one too many, or not answered in time; ``None`` if it failed for another reason.
        """
        with self._lock:
            crowd, self._under_way = max(flight.crowd, self._under_way), self._under_way - 1
            if self._fixed is not None or refused is None or flight.began < self._round_began:
                return
            if refused:
                self._back_off(now)
                return
            self._answered.append((crowd, now - flight.began))
            if len(self._answered) >= max(self.level, _LEAST_ROUND) and now >= self._round_began + _LEAST_SECONDS:
                self._judge(now)

    def _back_off(self, now: float) -> None:
        """Halve the level, which was too high."""
        again = 0 < self._place >= self._refused
        self._patience = min(2 * self._patience, _MOST_PATIENCE) if again else _TRY_AGAIN
        self._quiet_rounds = 0
        self._refused, self._highest = self._place, max(self._place - 1, 0)
        self._throughput = {place: rate for place, rate in self._throughput.items() if place < self._place}
        self._go(max(bisect(_LEVELS, self.level // 2) - 1, 0), now)

    def _judge(self, now: float) -> None:
        """Decide about the level after a whole round."""
        seconds = fmean(seconds for _, seconds in self._answered)
        measured = fmean(crowd for crowd, _ in self._answered) / max(seconds, 1e-9)
        known = self._throughput.get(self._place)
        self._throughput[self._place] = measured if known is None else (known + measured) / 2
        self._quiet_rounds += 1
        self._refused = max(self._refused, self._place + 1)
        if self._quiet_rounds >= self._patience:
            self._highest = len(_LEVELS) - 1
        place = self._next()
        # after fewer are sent, those that are under way still are too many
        self._go(place, now + seconds if place < self._place else now)

    def _next(self) -> int:
        """Return the place of the level of the next round."""
        rates = self._throughput
        most = max(rates.values())
        best = min(place for place, rate in rates.items() if rate >= _ENOUGH * most)
        above, below = min(best + 1, self._highest), max(best - 1, 0)
        if above not in rates:
            may_double = self._highest == len(_LEVELS) - 1 and best == max(rates) and self._scales(best)
            return bisect(_LEVELS, 2 * _LEVELS[best]) - 1 if may_double else above
        if below not in rates and (rates[above] < _ENOUGH * most or not self._scales(best)):
            return (best + max((place for place in rates if place < best), default=best - 2)) // 2
        if best == self._place and self._rounds % _TRY_AGAIN == _TRY_AGAIN - 1:
            return above if below == best or (self._quiet_rounds % 2 and above != best) else below
        return best

    def _scales(self, place: int) -> bool:
        """Return whether a level brought as much more as it is more than the one measured below it."""
        below = max((other for other in self._throughput if other < place), default=place)
        gain = self._throughput[place] / self._throughput[below]
        return gain >= 0.8 * _LEVELS[place] / _LEVELS[below]

    def _go(self, place: int, moment: float) -> None:
        """Begin a round at a level.

        :param moment: when the first of its requests is sent.
        """
        self._rounds = self._rounds + 1 if place == self._place else 0
        self._place, self._answered, self._round_began = place, [], moment

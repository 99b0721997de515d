"""When requests may begin: within a rate that was set, and within what a server was seen to allow. Pure: no clock."""

from __future__ import annotations

import math
import threading
from collections import deque

_ENOUGH_ANSWERS = 5  # before the first 429, to learn from it what a server allows
_SHARE = 0.95  # of what it allows, to be on the safe side
_LEAST_SHARE = 0.5  # of what was seen to be allowed: some servers refuse by chance
_FIRST_PATIENCE = 12.0  # seconds until twice as much is asked again
_MORE_PATIENCE = 8  # times as many after each further 429
_MOST_PATIENCE = 2560.0
_QUIET = 10  # times its patience without a 429, and a client begins with the first one again


class RateLimiter:
    """Spaces all requests of a client: at most so many a second, none while a 429 tells it to wait, and after one no
    more than the server was seen to allow.

    What it allows is 95 % of what it answered before a 429, counted over the wait that it asks for, and a second at
    least; a 429 after few answers, or to who asks much less than is allowed, says nothing of that. Slowly more is
    tried again, and more slowly after each further 429 that does not follow at once.

    Times are seconds of a monotonic clock that the caller reads.

    :param requests_per_second: upper bound; ``None`` for none.
    """

    def __init__(self, requests_per_second: float | None = None) -> None:
        self._gap = 1.0 / requests_per_second if requests_per_second else 0.0
        self._next = 0.0
        self._held_until = -math.inf
        self._counted_from: float | None = None
        self._answers: deque[float] = deque(maxlen=10_000)  # when, since then
        self._allowed: float | None = None  # a second
        self._counted = math.inf  # seconds that this is known from, while a first 429 holds
        self._least = 0.0
        self._patience = _FIRST_PATIENCE
        self._lock = threading.Lock()

    def reserve(self, now: float) -> float:
        """Reserve the next free moment for a request, and return the seconds until then."""
        with self._lock:
            if self._counted_from is None:
                self._counted_from = now
            return self._reserve(now)

    def reserve_again(self, now: float) -> float:
        """Return 0 where the moment that was reserved has come, or reserve a later one if all are held back since."""
        with self._lock:
            return self._reserve(now) if now < self._held_until else 0.0

    def answered(self, now: float) -> None:
        """Take note that the server answered a request."""
        with self._lock:
            self._answers.append(now)
            if now < self._held_until and self._allowed is not None:  # it was sent before the first 429
                self._allowed += _SHARE / self._counted

    def hold(self, now: float, seconds: float, asked: float | None = None) -> None:
        """Hold back all requests, as a 429 asks.

        :param seconds: for how long.
        :param asked: how long the server asked for, which others may wait longer than; ``None`` if it did not say.
        """
        with self._lock:
            if now >= self._held_until:  # else it is of the crowd of the one before
                self._learn(now, min(asked or seconds, seconds))
                if self._allowed is not None:
                    self._counted_from = now + seconds
            self._held_until = max(self._held_until, now + seconds)
            self._next = max(self._next, self._held_until)

    def _reserve(self, now: float) -> float:
        moment = max(now, self._next)
        self._next = moment + self._gap_at(moment)
        return moment - now

    def _learn(self, now: float, seconds: float) -> None:
        """Learn what the server allows from a 429, where it says anything of that."""
        began = now if self._counted_from is None else self._counted_from
        span = max(seconds, 1.0)
        since = max(began, now - span)
        answers = sum(1 for moment in self._answers if moment >= since)
        elapsed = max(now - since, 1e-3)
        # what is asked within a span is answered; where it has not been a span yet, the wait is a part of it
        counted = elapsed if since > began else _window(elapsed, seconds)
        self._counted = math.inf
        if answers >= (_ENOUGH_ANSWERS if self._allowed is None else elapsed * self._allowed / 2):
            rate = answers / counted
            if self._allowed is None or now - self._held_until > _QUIET * self._patience:
                self._patience = _FIRST_PATIENCE
                self._counted = counted
            elif elapsed >= span:
                rate = min(rate, self._pace_at(now))
                self._patience = min(_MORE_PATIENCE * self._patience, _MOST_PATIENCE)
            if elapsed + seconds >= 1.0 and not self._least:
                self._least = _LEAST_SHARE * rate
            self._allowed = max(_SHARE * rate, self._least, (self._allowed or 0.0) / 4)
            self._answers.clear()

    def _pace_at(self, moment: float) -> float:
        """Return how many requests a second may be sent, as far as a 429 has shown."""
        if self._allowed is None:
            return math.inf
        return self._allowed * (1.0 + (max(moment - self._held_until, 0.0) / self._patience) ** 3)

    def _gap_at(self, moment: float) -> float:
        return max(self._gap, 1.0 / self._pace_at(moment))


def _window(elapsed: float, wait: float) -> float:
    """Return in how many seconds a server counts, which lets one wait until it begins anew.

    Whole seconds are rounded up.
    """
    return elapsed + wait if wait % 1.0 else max(math.floor(elapsed + wait), 1.0)

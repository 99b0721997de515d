"""Decides what follows when a connection to the stream fails or is lost. Pure: no clock, no sleep, no I/O."""

from __future__ import annotations

import logging
import math

from hyperoru_provider.client.errors import HyperoruApiError, HyperoruContractError
from hyperoru_provider.client.http.auth import Session
from hyperoru_provider.client.http.retry import RetryPolicy

log = logging.getLogger(__name__)

#: a connection that lasted for so many initial delays was a success: the next failure is the first in a row
_STEADY_AFTER = 10
#: so many connections in a row that ended within the initial delay, and brought nothing, are no accident
_MAX_EARLY_ENDS = 3


class ConnectionAttempts:
    """The attempts to hold a connection: which tokens were refused, how many failed in a row, since when it is lost.

    Times are seconds of a monotonic clock that the caller reads.

    :param policy: how long to wait between attempts.
    :param give_up_after: seconds without a connection after which a failure is final; ``None``: never.
    :param now: when the first attempt begins.
    """

    def __init__(self, policy: RetryPolicy, give_up_after: float | None, now: float) -> None:
        #: the token to connect with, and those that were refused
        self.session = Session()
        self._policy = policy
        self._give_up_after = math.inf if give_up_after is None else give_up_after
        self._failures = 0
        self._lost_at = now
        self._opened_at: float | None = None
        self._alive_at: float | None = None
        self._early_ends = 0

    def connected(self, now: float) -> None:
        """Note that there is a socket."""
        self._alive_at = now

    def opened(self, now: float) -> None:
        """Note that the stream is subscribed to."""
        self._opened_at = self._alive_at = now

    def received(self) -> None:
        """Note that the subscription brought something."""
        self._alive_at, self._early_ends = None, 0

    def failed(self, error: HyperoruApiError, *, token_refused: bool, now: float, jitter: float) -> float:
        """Return the seconds to wait before the next attempt.

        A refused token is replaced at once, unless it was new and the one before it was refused, too.

        :param error: why there was no connection, or why it ended.
        :param token_refused: whether the stream refused the token.
        :param jitter: a number from 0 to 1, drawn by the caller.
        :raises HyperoruApiError: the error itself, as a further attempt can't mend it, or it is time to give up; or
            an error about the contract, as each connection ends as soon as it is subscribed to.
        """
        self._note_end(now)
        if token_refused and not self.session.final:
            self.session.refused.add(self.session.token)
            log.info("The stream's token was refused: %s", error)
            return 0.0
        self._count_early_end(error, now)
        if not error.transient or now - self._lost_at > self._give_up_after:
            raise error
        self._failures += 1
        pause = self._policy.reconnect(error, attempts=self._failures, jitter=jitter)
        log.warning("The stream was interrupted: %s. Connection attempt %d in %.1f s.", error, self._failures, pause)
        return pause

    def _count_early_end(self, error: HyperoruApiError, now: float) -> None:
        ended_early = self._alive_at is not None and now - self._alive_at < self._policy.initial_delay
        self._early_ends = self._early_ends + 1 if ended_early else 0
        self._alive_at = None
        if self._early_ends >= _MAX_EARLY_ENDS and error.transient:
            raise error.as_type(
                HyperoruContractError,
                f"{self._early_ends} times in a row, the socket was closed right after the subscription: "
                f"{error.message}. If the server is healthy, correct the contract's stream: its path, auth, params, "
                "user_id or channels.",
            )

    def _note_end(self, now: float) -> None:
        """Note the end of a connection, if there was one."""
        if self._opened_at is None:
            return
        if now - self._opened_at >= _STEADY_AFTER * self._policy.initial_delay:
            self.session.final, self._failures = False, 0
        self._lost_at, self._opened_at = now, None

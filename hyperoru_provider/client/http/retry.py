"""Which failures are transient, and how long to wait. Pure: no clock, no sleep, no I/O."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from hyperoru_provider.client.errors import (
    HyperoruAmbiguousWriteError,
    HyperoruApiError,
    HyperoruConnectError,
    HyperoruNetworkError,
)


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how patiently a request is repeated.

    :param max_retries: repeats after the first attempt; 0 for none.
    :param initial_delay: first wait in seconds; it doubles with each repeat.
    :param max_delay: cap in seconds for a wait, and for what ``Retry-After`` may ask.
    :param deadline: seconds from the first attempt after which no further one begins.
    """

    max_retries: int = 8
    initial_delay: float = 1.0
    max_delay: float = 60.0
    deadline: float = 600.0

    def wait(
        self, error: HyperoruApiError, *, attempts: int, elapsed: float, idempotent: bool, jitter: float
    ) -> float | None:
        """Return the seconds to wait before the next attempt, or ``None`` to give up.

        :param error: the failure.
        :param attempts: how often the request was sent so far, at least 1.
        :param elapsed: seconds since the first attempt began.
        :param idempotent: whether the request may be sent twice.
        :param jitter: a number from 0 to 1, drawn by the caller.
        """
        if not error.transient or not (idempotent or refused_unread(error)) or attempts > self.max_retries:
            return None
        backoff = min(self.initial_delay * 2.0 ** (attempts - 1), self.max_delay) * (1 + jitter / 4)
        pause = max(backoff, min(error.retry_after or 0.0, self.max_delay))
        return pause if elapsed + pause <= self.deadline else None

    def reconnect(self, error: HyperoruApiError, *, attempts: int, jitter: float) -> float:
        """Return the seconds to wait before a lost stream is connected again, however often that failed.

        They are spread widely, as a server's restart cuts all off at once.

        :param error: how the last attempt failed, or the stream was lost.
        :param attempts: failures in a row, at least 1.
        :param jitter: a number from 0 to 1, drawn by the caller.
        """
        backoff = min(self.initial_delay * 2.0 ** min(attempts - 1, 60), self.max_delay) * (0.5 + jitter / 2)
        return max(backoff, min(error.retry_after or 0.0, self.max_delay))


def refused_unread(error: HyperoruApiError) -> bool:
    """Return whether nothing can have acted on the request, so that even a write can be repeated."""
    return error.status in (425, 429) or isinstance(error, HyperoruConnectError)


def one_too_many(error: HyperoruApiError, *, seconds: float, timeout: float) -> bool:
    """Return whether a server may have failed because too much was asked of it at once.

    :param seconds: how long the request took.
    :param timeout: seconds after which it was given up, if it was.
    """
    late = isinstance(error, HyperoruNetworkError) and seconds >= timeout
    return late or error.status == 429 or (error.status == 503 and error.retry_after is not None)


def as_final(error: HyperoruApiError, *, idempotent: bool) -> HyperoruApiError:
    """Return the error to raise when no further attempt follows; that of a write may leave open what became of it."""
    if idempotent or not error.transient or refused_unread(error):
        return error
    return error.as_type(
        HyperoruAmbiguousWriteError,
        f"It is not known whether the server carried out this request, so it was not sent again: {error.message}. "
        "Check the server before you repeat it.",
    )


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for, or ``None`` if it can't be read.

    :param value: the header: seconds, or an HTTP date.
    :param now: when the answer came, in UTC.
    """
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = parsedate_to_datetime(value)
            seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
    return None if math.isnan(seconds) else max(seconds, 0.0)

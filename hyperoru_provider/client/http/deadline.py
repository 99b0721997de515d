"""How long requests may take as a whole, for the sync client: a timeout of httpx is one for each wait.

A server that sends a byte now and then, in the head or in the body of an answer, never lets a wait become too long.
So each wait is given no more than is left of the whole. In asyncio, ``asyncio.timeout`` does the same.
"""

from __future__ import annotations

import math
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from hyperoru_provider.client.http.library import httpcore, httpx

_until: ContextVar[float] = ContextVar("until", default=math.inf)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Let all requests that this thread sends meanwhile end in time; a limit around this one holds, too.

    :param seconds: from now on, for all of them together.
    """
    token = _until.set(min(_until.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _until.reset(token)


def seconds_left() -> float:
    """Return the seconds until the limit; infinite if there is none, and negative if it is over."""
    return _until.get() - time.monotonic()


def check_time() -> None:
    """Raise an error if nothing is left, where waits are not limited by a :class:`LimitedTransport`.

    :raises httpx.ReadTimeout: nothing is left.
    """
    if seconds_left() <= 0:
        raise httpx.ReadTimeout("the time limit for the whole answer was reached")


class LimitedTransport(httpx.HTTPTransport):
    """A transport whose every wait ends at the limit."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._pool._network_backend = _LimitedBackend(self._pool._network_backend)


class _LimitedBackend(httpcore.NetworkBackend):
    def __init__(self, backend: httpcore.NetworkBackend) -> None:
        self._backend = backend

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        seconds = _limited(timeout, httpcore.ConnectTimeout)
        return _LimitedStream(self._backend.connect_tcp(host, port, seconds, local_address, socket_options))


class _LimitedStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _limited(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _limited(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        seconds = _limited(timeout, httpcore.ConnectTimeout)
        return _LimitedStream(self._stream.start_tls(ssl_context, server_hostname, seconds))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _limited(timeout: float | None, error: type[Exception]) -> float | None:
    """Return the seconds for a wait.

    :raises Exception: ``error``, as nothing is left of the whole.
    """
    left = seconds_left()
    if left <= 0:
        raise error("the time limit for the whole answer was reached")
    if left == math.inf:
        return timeout
    return left if timeout is None else min(timeout, left)

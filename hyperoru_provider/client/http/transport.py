"""Sends requests over HTTP: a sync and an async driver around the pure parts, and the only I/O of HTTP."""

from __future__ import annotations

import asyncio
import logging
import random
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlencode

import httpx
import msgspec

from hyperoru_provider.client.errors import (
    HyperoruApiError,
    HyperoruBadRequestError,
    HyperoruConnectError,
    HyperoruNetworkError,
    certificate_message,
    from_proxy,
    from_status,
)
from hyperoru_provider.client.http.auth import Session, SessionAuth
from hyperoru_provider.client.http.network import Network
from hyperoru_provider.client.http.retry import RateLimiter, RetryPolicy, as_final, parse_retry_after
from hyperoru_provider.client.redaction import redact_body, redact_error

log = logging.getLogger(__name__)

_SLOTS = 20  # as many connections as httpx keeps open

#: before a connection to the server came about; a proxy's error is one of its tunnel
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """What to ask.

    :param method: HTTP method.
    :param path: path with its values filled in.
    :param query: parameters as the server names them.
    :param body: JSON object to send.
    :param auth: whether it needs a session.
    :param retries: whether a transient failure is worth a repeat here; a health check wants to know it at once.
    :param idempotent: whether sending it twice does no more than sending it once.
    :param named: what it names, such as ``account_id``, which may be wrong.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    auth: bool = True
    retries: bool = True
    idempotent: bool = True
    named: Sequence[str] = ()


class Answer(NamedTuple):
    """A successful answer: its body, status and request id."""

    body: bytes
    status: int
    request_id: str | None


@dataclass(frozen=True)
class Settings:
    """How to ask.

    :param base_url: scheme, host, port and perhaps a path, without a slash at its end.
    :param auth: the session.
    :param timeout: seconds for each wait for the server within a request.
    :param policy: when to repeat.
    :param rate_limiter: when to begin; shared by all requests of a client.
    :param user_agent: the ``User-Agent`` header.
    :param network: the way to the server, for what does not go through an HTTP client.
    """

    base_url: str
    auth: SessionAuth
    timeout: float
    policy: RetryPolicy
    rate_limiter: RateLimiter
    user_agent: str
    network: Network

    def arguments(self, request: Request) -> dict[str, Any]:
        """Return the arguments of either httpx client's ``stream``.

        No redirect is followed, whatever the client does elsewhere: it may lead a token to another host.
        """
        body = None if request.body is None else msgspec.json.encode(request.body)
        return {
            "method": request.method,
            "url": self.base_url + request.path + (f"?{urlencode(request.query)}" if request.query else ""),
            "content": body,
            "headers": {} if body is None else {"Content-Type": "application/json"},
            "auth": self.auth if request.auth else None,
            "follow_redirects": False,
        }

    @contextmanager
    def map_errors(self, request: Request, answer: Answer | None = None) -> Iterator[None]:
        """Turn what goes wrong with a request, or with its answer, into this package's errors, without secrets.

        :param request: the request, for the errors' facts.
        :param answer: its answer; ``None`` before there is one.
        :raises HyperoruApiError: in place of any error of httpx.
        """
        facts: dict[str, Any] = {"method": request.method, "path": request.path}
        if answer:
            facts.update(status=answer.status, request_id=answer.request_id)
        try:
            yield
        except (httpx.RequestError, httpx.InvalidURL, HyperoruApiError) as error:
            explained = error if isinstance(error, HyperoruApiError) else _explain(error, self.base_url)
            raise redact_error(explained.with_context(**facts), self.auth.secrets).shortened() from None

    def check(self, request: Request, response: httpx.Response, body: bytes) -> Answer:
        """Return the answer if its status is one of success.

        :raises HyperoruApiError: it is not.
        """
        if response.is_success:
            return Answer(body, response.status_code, response.headers.get("x-request-id"))
        pause = parse_retry_after(response.headers.get("retry-after"), datetime.now(UTC))
        raise from_status(
            response.status_code,
            response.headers,
            redact_body(body, self.auth.secrets),
            method=request.method,
            path=request.path,
            retry_after=pause,
            named=request.named,
        )


def _explain(error: httpx.RequestError | httpx.InvalidURL, base_url: str) -> HyperoruApiError:
    """Return what an error of httpx means."""
    if isinstance(error, (httpx.LocalProtocolError, httpx.UnsupportedProtocol)):
        # its text may hold the header that is not allowed
        return HyperoruBadRequestError("The request can't be put in HTTP: check the base URL and the headers.")
    if isinstance(error, httpx.InvalidURL):
        return HyperoruConnectError(f"The address is not valid: {error}")
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return HyperoruBadRequestError(certificate_message(error))
    if isinstance(error, httpx.ProxyError) and (refusal := re.match(r"([45]\d\d)\b\s*(.*)", str(error), re.DOTALL)):
        return from_proxy(int(refusal[1]), refusal[2])
    cls = HyperoruConnectError if isinstance(error, _UNSENT) else HyperoruNetworkError
    return cls(f"No complete answer from {base_url}: {type(error).__name__}: {error}")


class Attempts:
    """Counts the attempts of one request, and decides about the next.

    :param settings: when to repeat, and when to begin.
    :param request: the request.
    """

    def __init__(self, settings: Settings, request: Request) -> None:
        self._settings = settings
        self._request = request
        self._attempts = 0
        self._begun = time.monotonic()

    def start(self) -> float:
        """Begin an attempt, and return the seconds to wait before it is sent."""
        self._attempts += 1
        return self._settings.rate_limiter.reserve(time.monotonic())

    def failed(self, error: HyperoruApiError) -> float:
        """Return the seconds to wait before the next attempt, or raise the error as final.

        :param error: how this one failed.
        :raises HyperoruApiError: no further attempt is allowed, or worth it.
        """
        now = time.monotonic()
        idempotent = self._request.idempotent
        pause = self._settings.policy.wait(
            error, attempts=self._attempts, elapsed=now - self._begun, idempotent=idempotent, jitter=random.random()
        )
        if pause is None or not self._request.retries:
            if error.status == 429 and error.retry_after:
                self._settings.rate_limiter.hold(now + min(error.retry_after, self._settings.policy.max_delay))
            raise as_final(error, idempotent=idempotent)
        log.info("Try %d: %s. The next follows in %.1f s.", self._attempts, error, pause)
        if error.status == 429:
            self._settings.rate_limiter.hold(now + pause)
            return 0.0
        return pause


class Transport:
    """The sync driver.

    :param settings: how to ask.
    :param http: what sends the requests.
    :param owned: whether it is closed with this transport.
    """

    def __init__(self, settings: Settings, http: httpx.Client, *, owned: bool) -> None:
        self._settings = settings
        self._http = http
        self._owned = owned
        #: whether :meth:`close` was called
        self.closed = False

    def send(self, request: Request) -> Answer:
        """Send a request, repeatedly if need be, and return its answer.

        :raises HyperoruApiError: see :mod:`hyperoru_provider.client.errors`.
        """
        return self._retried(request, lambda: self._send(request))

    def login(self, request: Request) -> None:
        """Log in, unless a usable token is known.

        :param request: what errors name as the request.
        :raises HyperoruApiError: see :mod:`hyperoru_provider.client.errors`.
        """
        return self._retried(request, self._login)

    def close(self) -> None:
        """Close all connections, but for those of an HTTP client that belongs to somebody else."""
        self.closed = True
        if self._owned:
            self._http.close()

    def _retried(self, request: Request, once: Callable[[], T]) -> T:
        attempts = Attempts(self._settings, request)
        while True:
            if pause := attempts.start():
                time.sleep(pause)
            try:
                with self._settings.map_errors(request):
                    return once()
            except HyperoruApiError as error:
                time.sleep(attempts.failed(error))

    def _send(self, request: Request) -> Answer:
        with self._http.stream(**self._settings.arguments(request)) as response:
            chunks = response.iter_raw() if _is_plain(response) else response.iter_bytes()
            body = b"".join(chunks)
        return self._settings.check(request, response, body)

    def _login(self) -> None:
        flow = self._settings.auth.sync_login_flow()
        with suppress(StopIteration), closing(flow):
            step = next(flow)
            while True:
                step = flow.send(self._http.send(step, auth=None, follow_redirects=False))


class AsyncTransport:
    """The async driver.

    :param settings: how to ask.
    :param http: what sends the requests.
    :param owned: whether it is closed with this transport.
    """

    def __init__(self, settings: Settings, http: httpx.AsyncClient, *, owned: bool) -> None:
        self._settings = settings
        # httpx looks through all requests that wait for a connection whenever one ends
        self._slots = asyncio.Semaphore(_SLOTS)
        self._http = http
        self._owned = owned

    async def send(self, request: Request) -> Answer:
        """Send a request, repeatedly if need be, and return its answer.

        :raises HyperoruApiError: see :mod:`hyperoru_provider.client.errors`.
        """
        return await self._retried(request, lambda: self._send(request))

    async def login(self, request: Request, session: Session | None = None) -> None:
        """Log in, unless a usable token is known.

        :param request: what errors name as the request.
        :param session: gets its next token; ``None`` if only the login matters.
        :raises HyperoruApiError: see :mod:`hyperoru_provider.client.errors`.
        """
        return await self._retried(request, lambda: self._login(session or Session()))

    async def aclose(self) -> None:
        """Close all connections, but for those of an HTTP client that belongs to somebody else."""
        if self._owned:
            await self._http.aclose()

    async def _retried(self, request: Request, once: Callable[[], Awaitable[T]]) -> T:
        attempts = Attempts(self._settings, request)
        while True:
            if pause := attempts.start():
                await asyncio.sleep(pause)
            try:
                with self._settings.map_errors(request):
                    return await once()
            except HyperoruApiError as error:
                await asyncio.sleep(attempts.failed(error))

    async def _send(self, request: Request) -> Answer:
        async with self._slots, self._http.stream(**self._settings.arguments(request)) as response:
            chunks = response.aiter_raw() if _is_plain(response) else response.aiter_bytes()
            body = b"".join([chunk async for chunk in chunks])
        return self._settings.check(request, response, body)

    async def _login(self, session: Session) -> None:
        async with aclosing(self._settings.auth.async_login_flow(session)) as flow:
            with suppress(StopAsyncIteration):
                step = await anext(flow)
                while True:
                    step = await flow.asend(await self._http.send(step, auth=None, follow_redirects=False))


def _is_plain(response: httpx.Response) -> bool:
    """Return whether a body still comes, and needs no unpacking: then it is read in much less time."""
    return not response.is_stream_consumed and response.headers.get("content-encoding", "identity") == "identity"

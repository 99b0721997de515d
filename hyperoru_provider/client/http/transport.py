"""Sends requests over HTTP: a sync and an async driver around the pure parts, and the only I/O of HTTP."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from contextlib import aclosing, closing, suppress
from typing import Any, TypeVar

from hyperoru_provider.client.errors import HyperoruApiError
from hyperoru_provider.client.http.auth import Session
from hyperoru_provider.client.http.body import Reply, ReplyReader, limit_packing
from hyperoru_provider.client.http.concurrency import ConcurrencyController
from hyperoru_provider.client.http.deadline import check_time, seconds_left, time_limit
from hyperoru_provider.client.http.library import httpx
from hyperoru_provider.client.http.library_logs import without_heads
from hyperoru_provider.client.http.request import Answer, Request, Settings
from hyperoru_provider.client.http.retry import as_final, one_too_many

log = logging.getLogger(__name__)

_SLOTS = 20  # as many connections as httpx keeps open
_MOMENT = 0.01  # seconds

T = TypeVar("T")

#: how either client sends: no redirect is followed, whatever it does elsewhere, as it may lead a token to another host
_SENDING: Mapping[str, Any] = {"stream": True, "auth": None, "follow_redirects": False}


class Attempts:
    """Counts the attempts of one request, and decides about the next.

    :param settings: when to repeat, and when to begin.
    :param request: the request.
    :param concurrency: is told what becomes of each attempt.
    """

    def __init__(self, settings: Settings, request: Request, concurrency: ConcurrencyController) -> None:
        self._settings = settings
        self._request = request
        self._concurrency = concurrency
        self._attempts = 0
        self._begun = self._sent = 0.0

    def start(self) -> float:
        """Begin an attempt, and return the seconds to wait before it may be sent; see :meth:`wait_on`."""
        now = time.monotonic()
        pause = self._settings.rate_limiter.reserve(now)
        self._sent = now + pause
        self._begun = self._begun or self._sent
        self._attempts += 1
        self._flight = self._concurrency.begin(now)
        return pause

    def wait_on(self) -> float:
        """Return the seconds to wait still, after a wait, as all may be held back meanwhile; 0 to send it."""
        now = time.monotonic()
        pause = self._settings.rate_limiter.reserve_again(now)
        self._sent = now + pause
        return pause

    def answered(self) -> None:
        """Take note that this one was answered."""
        now = time.monotonic()
        self._settings.rate_limiter.answered(now)
        self._concurrency.end(self._flight, now, refused=False)

    def abandoned(self) -> None:
        """Take note that this one ended without an answer, and that none follows."""
        self._concurrency.end(self._flight, time.monotonic(), refused=None)

    def failed(self, error: HyperoruApiError) -> float:
        """Return the seconds to wait before the next attempt, or raise the error as final.

        :param error: how this one failed.
        :raises HyperoruApiError: no further attempt is allowed, or worth it.
        """
        now = time.monotonic()
        refused = one_too_many(error, seconds=now - self._sent, timeout=self._settings.timeout)
        self._concurrency.end(self._flight, now, refused=refused or None)
        idempotent = self._request.idempotent
        pause = self._settings.policy.wait(
            error, attempts=self._attempts, elapsed=now - self._begun, idempotent=idempotent, jitter=random.random()
        )
        if pause is None or not self._request.retries or pause >= seconds_left():
            if error.status == 429 and error.retry_after:
                self._settings.rate_limiter.hold(now, min(error.retry_after, self._settings.policy.max_delay))
            raise as_final(error, idempotent=idempotent)
        log.info("Attempt %d failed: %s. Retrying in %.1f s.", self._attempts, error, pause)
        if error.status == 429:
            self._settings.rate_limiter.hold(now, pause, error.retry_after)
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
        self._uncontrolled = ConcurrencyController(1)
        #: whether :meth:`close` was called
        self.closed = False

    def send(
        self,
        request: Request,
        concurrency: ConcurrencyController | None = None,
        *,
        sleep: Callable[[float], object] = time.sleep,
    ) -> Answer:
        """Send a request, repeatedly if need be, and return its answer.

        :param concurrency: is told what becomes of it.
        :param sleep: waits for so many seconds; who raises an error in it lets no further attempt be sent.
        :raises HyperoruApiError: see :mod:`hyperoru_provider.client.errors`.
        """
        return self._retried(request, lambda: self._send(request), concurrency, sleep)

    def login(self, request: Request) -> None:
        """Log in, unless a usable token is known.

        :param request: what errors name as the request.
        :raises HyperoruApiError: see :mod:`hyperoru_provider.client.errors`.
        """
        return self._retried(request, self._login, None, time.sleep)

    def close(self) -> None:
        """Close all connections, but for those of an HTTP client that belongs to somebody else."""
        self.closed = True
        if self._owned:
            self._http.close()

    def _retried(
        self,
        request: Request,
        once: Callable[[], T],
        concurrency: ConcurrencyController | None,
        sleep: Callable[[float], object],
    ) -> T:
        attempts = Attempts(self._settings, request, concurrency or self._uncontrolled)
        while True:
            pause = attempts.start()
            try:
                while pause:
                    sleep(pause)
                    pause = attempts.wait_on()
                with self._settings.map_errors(request):
                    answer = once()
            except HyperoruApiError as error:
                sleep(attempts.failed(error))
            except BaseException:
                attempts.abandoned()
                raise
            else:
                attempts.answered()
                return answer

    def _send(self, request: Request) -> Answer:
        message = self._http.build_request(**self._settings.arguments(request))
        flow = self._settings.auth.sync_auth_flow(message, request.token_param) if request.auth else None
        reply = self._drive(flow)[-1] if flow else self._exchange(message)
        return self._settings.check(request, reply)

    def _login(self) -> None:
        self._drive(self._settings.auth.sync_login_flow())

    def _drive(self, flow: Generator[httpx.Request, Reply, None]) -> list[Reply]:
        """Send what a flow yields, and return the replies."""
        replies: list[Reply] = []
        with suppress(StopIteration), closing(flow):
            step = next(flow)
            while True:
                replies.append(self._exchange(step))
                step = flow.send(replies[-1])
        return replies

    def _exchange(self, message: httpx.Request) -> Reply:
        """Send a message once, and return its reply, whatever its status."""
        limit_packing(message)
        began = time.monotonic()
        with without_heads(), time_limit(self._settings.max_answer_seconds):
            try:
                with closing(self._http.send(message, **_SENDING)) as response:
                    reader = ReplyReader(response, self._settings.max_answer_bytes)
                    chunks = iter(()) if reader.complete else response.iter_raw()
                    for chunk in chunks:
                        reader.add(chunk)
                        if reader.complete:
                            break
                        check_time()
                    return reader.reply()
            except httpx.TimeoutException:
                if seconds_left() > _MOMENT:
                    raise
                raise self._settings.overdue(began) from None


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
        self._uncontrolled = ConcurrencyController(1)

    async def send(
        self,
        request: Request,
        concurrency: ConcurrencyController | None = None,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> Answer:
        """Send a request, repeatedly if need be, and return its answer.

        :param concurrency: is told what becomes of it.
        :param sleep: see :meth:`Transport.send`.
        :raises HyperoruApiError: see :mod:`hyperoru_provider.client.errors`.
        """
        return await self._retried(request, lambda: self._send(request), concurrency, sleep)

    async def login(self, request: Request, session: Session | None = None) -> None:
        """Log in, unless a usable token is known.

        :param request: what errors name as the request.
        :param session: gets its next token; ``None`` if only the login matters.
        :raises HyperoruApiError: see :mod:`hyperoru_provider.client.errors`.
        """
        return await self._retried(request, lambda: self._login(session or Session()), None, asyncio.sleep)

    async def aclose(self) -> None:
        """Close all connections, but for those of an HTTP client that belongs to somebody else."""
        if self._owned:
            await self._http.aclose()

    async def _retried(
        self,
        request: Request,
        once: Callable[[], Awaitable[T]],
        concurrency: ConcurrencyController | None,
        sleep: Callable[[float], Awaitable[object]],
    ) -> T:
        attempts = Attempts(self._settings, request, concurrency or self._uncontrolled)
        while True:
            pause = attempts.start()
            try:
                while pause:
                    await sleep(pause)
                    pause = attempts.wait_on()
                with self._settings.map_errors(request):
                    answer = await once()
            except HyperoruApiError as error:
                await sleep(attempts.failed(error))
            except BaseException:
                attempts.abandoned()
                raise
            else:
                attempts.answered()
                return answer

    async def _send(self, request: Request) -> Answer:
        message = self._http.build_request(**self._settings.arguments(request))
        flow = self._settings.auth.async_auth_flow(message, request.token_param) if request.auth else None
        reply = (await self._drive(flow))[-1] if flow else await self._exchange(message)
        return self._settings.check(request, reply)

    async def _login(self, session: Session) -> None:
        await self._drive(self._settings.auth.async_login_flow(session))

    async def _drive(self, flow: AsyncGenerator[httpx.Request, Reply]) -> list[Reply]:
        """See :meth:`Transport._drive`."""
        replies: list[Reply] = []
        async with aclosing(flow):
            with suppress(StopAsyncIteration):
                step = await anext(flow)
                while True:
                    replies.append(await self._exchange(step))
                    step = await flow.asend(replies[-1])
        return replies

    async def _exchange(self, message: httpx.Request) -> Reply:
        """See :meth:`Transport._exchange`."""
        limit_packing(message)
        async with self._slots:
            began = time.monotonic()
            try:
                with without_heads():
                    async with (
                        asyncio.timeout(self._settings.max_answer_seconds),
                        aclosing(await self._http.send(message, **_SENDING)) as response,
                    ):
                        reader = await self._read(response)
            except TimeoutError:
                raise self._settings.overdue(began) from None
        return await asyncio.to_thread(reader.reply) if reader.takes_long else reader.reply()

    async def _read(self, response: httpx.Response) -> ReplyReader:
        reader = ReplyReader(response, self._settings.max_answer_bytes)
        if not reader.complete:
            async for chunk in response.aiter_raw():
                reader.add(chunk)
                if reader.complete:
                    break
        return reader

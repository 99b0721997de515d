"""The WebSocket's driver: connect, subscribe, listen, notice silence, reconnect. Nothing else knows websockets."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import ssl
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import httpx

from hyperoru_provider.client import calls
from hyperoru_provider.client.api.contract import Contract
from hyperoru_provider.client.errors import (
    HyperoruApiError,
    HyperoruAuthenticationError,
    HyperoruBadRequestError,
    HyperoruConfigError,
    HyperoruConnectError,
    HyperoruContractError,
    HyperoruNetworkError,
    certificate_message,
    from_status,
)
from hyperoru_provider.client.http.auth import Session
from hyperoru_provider.client.http.retry import parse_retry_after
from hyperoru_provider.client.http.transport import AsyncTransport, Settings
from hyperoru_provider.client.redaction import redact_body, redact_error
from hyperoru_provider.client.stream.messages import (
    Event,
    EventReader,
    Gap,
    Refusal,
    read_frame,
    read_refusal,
    server_channels,
    write_frame,
)

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.http11 import Response

log = logging.getLogger(__name__)

# websockets logs addresses and messages at DEBUG, and both may hold the token
_silence = logging.Logger("hyperoru.stream.silence")
_silence.disabled = True

_QUIET, _PATIENCE = 20.0, 10.0
_LONGEST_MESSAGE, _MOST_MESSAGES = 2**20, 16
_MOST_EARLY = 1000
_STEADY = 10
_WARN_EVERY = 60.0
_CLOSING = 2.0
_ADVICE = "Check the connection's login and password, or its session_token."


class _RefusedError(Exception):
    """The server refused the token; never seen outside."""

    def __init__(self, error: HyperoruApiError) -> None:
        self.error = error


def _stay(error: Exception) -> Exception:
    """Follow no redirect, as it may lead a token away."""
    return error


class EventStream:
    """What :meth:`AsyncHyperoruClient.events` gives.

    :param settings: how to ask.
    :param transport: logs in.
    :param contract: how the server names things.
    :param channels: our names of the channels to subscribe to.
    :param give_up_after: seconds without a socket; ``None``: never.
    :raises HyperoruConfigError: there is no such channel.
    """

    def __init__(
        self,
        settings: Settings,
        transport: AsyncTransport,
        contract: Contract,
        channels: Iterable[str],
        give_up_after: float | None,
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._contract = contract
        self._channels = server_channels(contract, channels)
        self._give_up_after = math.inf if give_up_after is None else give_up_after
        self._reader = EventReader(contract, self._channels)
        self._address = f"ws{settings.base_url.removeprefix('http')}{contract.stream.path}"
        self._quiet, self._patience = min(_QUIET, settings.timeout), min(_PATIENCE, settings.timeout)
        self._request_ids = count(1)
        self._secrets: tuple[str, ...] = ()
        self._seen: datetime | None = None
        self._warned_at = -_WARN_EVERY

    async def items(self) -> AsyncGenerator[Event | Gap, None]:
        """Listen, and connect again whenever the socket is lost.

        :raises HyperoruApiError: connecting again can't mend it.
        """
        policy = self._settings.policy
        session, tries, reason = Session(), 0, "the stream begins here"
        lost_at = time.monotonic()
        while True:
            opened = None
            try:
                await self._transport.login(calls.login(self._contract), session)
                async with self._connected(session.token) as socket:
                    early = await self._subscribed(socket, session.token)
                    opened, begun = time.monotonic(), datetime.now(UTC)
                    log.info("Listening to %s at %s", ", ".join(self._channels.values()), self._address)
                    yield Gap(reason, self._seen, begun)
                    self._seen = begun
                    while early:
                        yield early.popleft()
                    while True:
                        for item in self._read(await self._receive(socket)):
                            yield item
            except _RefusedError as refusal:
                error, refused = refusal.error, True
            except HyperoruApiError as failure:
                error, refused = failure, False
            now = time.monotonic()
            if opened is not None:
                lost_at = now
                if now - opened >= _STEADY * policy.initial_delay:
                    session.final, tries = False, 0
            reason = error.message
            if refused and not session.final:
                session.refused.add(session.token)
                log.info("The stream's token was refused: %s", error)
                continue
            if not error.transient or now - lost_at > self._give_up_after:
                raise error
            tries += 1
            pause = policy.reconnect(error, attempts=tries, jitter=random.random())
            log.warning("The stream is interrupted: %s. Try %d to connect follows in %.1f s.", error, tries, pause)
            await asyncio.sleep(pause)

    @asynccontextmanager
    async def _connected(self, token: str) -> AsyncGenerator[ClientConnection, None]:
        """Hold a socket; what goes wrong with it becomes an error of this package, or a refusal of the token."""
        self._secrets = (*self._settings.auth.secrets, token)
        try:
            socket = await (await asyncio.to_thread(self._connection, token))
            try:
                yield socket
            finally:
                await socket.close()
        except Exception as error:  # noqa: BLE001 - each is looked at, and what is no failure of the socket goes on
            explained = self._explained(error)
            about = explained.error if isinstance(explained, _RefusedError) else explained
            if isinstance(about, HyperoruApiError):
                redact_error(about.with_context(method="GET", path=self._contract.stream.path), self._secrets)
            raise explained from None

    def _connection(self, token: str) -> connect:
        """Prepare a connection; in a thread, as reading the certificates takes a while."""
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidURI

        stream = self._contract.stream
        query = stream.query({"session_token": token}) if stream.auth == "query" else {}
        try:
            connection = connect(
                self._address + (f"?{urlencode(query)}" if query else ""),
                ssl=httpx.create_ssl_context() if self._address.startswith("wss:") else None,
                user_agent_header=self._settings.user_agent,
                open_timeout=self._patience,
                ping_interval=None,  # see _receive
                close_timeout=min(_CLOSING, self._patience),
                max_size=_LONGEST_MESSAGE,
                max_queue=_MOST_MESSAGES,
                logger=_silence,
            )
        except InvalidURI:
            raise HyperoruConfigError(f"The address {self._address} is none of a WebSocket.") from None
        connection.process_redirect = _stay  # type: ignore[method-assign,assignment]
        return connection

    async def _subscribed(self, socket: ClientConnection, token: str) -> deque[Event]:
        """Subscribe, and log in before where it is done by message; gives the events that came meanwhile.

        What is lost of them is covered by the gap that is told next.
        """
        early: deque[Event] = deque(maxlen=_MOST_EARLY)
        if self._contract.stream.auth == "message":
            name = self._contract.stream.params.get("session_token") or "session_token"
            await self._ask(socket, [("connect", {name: token})], early)
        await self._ask(socket, [("subscribe", {"channel": channel}) for channel in self._channels], early)
        return early

    async def _ask(
        self, socket: ClientConnection, requests: Sequence[tuple[str, Mapping[str, str]]], early: deque[Event]
    ) -> None:
        """Send requests and wait for the answers to all."""
        waiting = {}
        for kind, data in requests:
            request_id = str(next(self._request_ids))
            waiting[request_id] = f"{kind} {data.get('channel', '')}".strip()
            await socket.send(write_frame(kind, request_id, data))
        try:
            async with asyncio.timeout(self._patience):
                while waiting:
                    try:
                        frame = read_frame(await socket.recv())
                        events = self._reader.read(frame, datetime.now(UTC))
                    except HyperoruContractError as error:
                        self._warn(error)
                        continue
                    asked = waiting.pop(frame.request_id or "", None)
                    if refusal := read_refusal(frame, self._secrets):
                        self._refused(refusal, asked)
                    early.extend(events)
        except TimeoutError:
            what = ", ".join(waiting.values())
            raise HyperoruNetworkError(f"No answer to {what} within {self._patience:g} s") from None

    async def _receive(self, socket: ClientConnection) -> str | bytes:
        """Wait for a message, and find out whether the server still lives when none comes.

        The question follows from waiting here, so a slow consumer is not taken for a dead server.
        """
        while True:
            try:
                async with asyncio.timeout(self._quiet):
                    return await socket.recv()
            except TimeoutError:
                pass
            asked = datetime.now(UTC)
            pong = asyncio.ensure_future(await socket.ping())
            message = asyncio.ensure_future(socket.recv())
            try:
                await asyncio.wait({pong, message}, timeout=self._patience, return_when=asyncio.FIRST_COMPLETED)
                if message.done():
                    return message.result()
                if not pong.done():
                    raise HyperoruNetworkError(f"Nothing came for {self._quiet + self._patience:g} s, not even a pong")
                if pong.exception() is None:
                    self._saw(asked)
            finally:
                message.cancel()
                await asyncio.gather(message, return_exceptions=True)

    def _read(self, text: str | bytes) -> Sequence[Event | Gap]:
        """Make a message events, or a gap if it can't be read."""
        now = datetime.now(UTC)
        try:
            frame = read_frame(text)
            events = self._reader.read(frame, now)
        except HyperoruContractError as error:
            self._warn(error)
            gap = Gap(error.message, self._seen, now)
            self._saw(now)
            return [gap]
        if refusal := read_refusal(frame, self._secrets):
            self._refused(refusal, None)
        # what was sent before this message was seen, but when that was only its events tell
        self._saw(min(now, max((event.time for event in events), default=now)))
        return events

    def _saw(self, moment: datetime) -> None:
        self._seen = max(self._seen or moment, moment)

    def _refused(self, refusal: Refusal, asked: str | None) -> None:
        """Act on a message ``error``."""
        what = f"The server refuses {asked or 'a request'}: {refusal.message}"
        if refusal.of_token:
            raise _RefusedError(HyperoruAuthenticationError(f"{what}. {_ADVICE}", code=refusal.code or None))
        if asked:
            raise HyperoruContractError(
                f"{what}. If it has no such channel, set it to null in the contract's stream.channels.",
                code=refusal.code or None,
            )
        log.warning("The stream says: %s (%s)", refusal.message, refusal.code)

    def _warn(self, error: HyperoruContractError) -> None:
        """Log what can't be read, but not each time."""
        if (now := time.monotonic()) - self._warned_at >= _WARN_EVERY:
            self._warned_at = now
            log.warning("On the stream, %s; it is passed over and counts as a gap.", error.message)

    def _explained(self, error: Exception) -> Exception:
        """Say what a failure of the socket means, without secrets."""
        from websockets.exceptions import ConnectionClosed, InvalidProxy, InvalidStatus, WebSocketException

        if isinstance(error, InvalidStatus):
            return self._unopened(error.response)
        if isinstance(error, ConnectionClosed):
            close = error.rcvd
            if close and close.code in self._contract.stream.refused_codes:
                told = f"{close.code}: {close.reason or 'no reason given'}"
                return _RefusedError(
                    HyperoruAuthenticationError(f"The server closed the socket with {told}. {_ADVICE}")
                )
            return HyperoruNetworkError(f"The socket was closed: {error}")
        if isinstance(error, ssl.SSLCertVerificationError):
            return HyperoruBadRequestError(certificate_message(error))
        if isinstance(error, (OSError, EOFError, WebSocketException)):
            # a proxy's address may hold a password
            told = "see the environment's proxy" if isinstance(error, InvalidProxy) else str(error)
            return HyperoruConnectError(f"No socket: {type(error).__name__}: {told}")
        return error

    def _unopened(self, response: Response) -> Exception:
        """Say what an answer means that opens no socket."""
        status = response.status_code
        error = from_status(
            status,
            response.headers,
            redact_body(bytes(response.body or b""), self._secrets),
            method="GET",
            path=self._contract.stream.path,
            retry_after=parse_retry_after(response.headers.get("retry-after"), datetime.now(UTC)),
        )
        if status in (401, 403):
            return _RefusedError(error.as_type(HyperoruAuthenticationError, error.message))
        if status < 300:
            return error.as_type(
                HyperoruContractError,
                f"The server answered {status} instead of opening a WebSocket. Correct the contract's stream.path.",
            )
        return error

"""Drives one WebSocket: opens it, sends, receives, notices silence, and says what a failure means.

Nothing else knows ``websockets``, which is imported only where a stream is opened.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from hyperoru_provider.client.api.endpoints import StreamEndpoint
from hyperoru_provider.client.errors import (
    AUTHENTICATION_ADVICE,
    HyperoruApiError,
    HyperoruAuthenticationError,
    HyperoruBadRequestError,
    HyperoruConfigError,
    HyperoruConnectError,
    HyperoruContractError,
    HyperoruNetworkError,
    certificate_message,
    from_proxy,
    from_status,
)
from hyperoru_provider.client.http.request import Settings
from hyperoru_provider.client.http.retry import parse_retry_after
from hyperoru_provider.client.redaction import redact_body, redact_error

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.exceptions import ConnectionClosed
    from websockets.http11 import Response

# websockets logs addresses and messages at DEBUG, and both may hold the token
_disabled_log = logging.Logger("hyperoru.stream.disabled")
_disabled_log.disabled = True

#: seconds; a shorter timeout of the connection's settings comes first
_SILENCE_TIMEOUT = 20.0
_ANSWER_TIMEOUT = 10.0
_CLOSE_TIMEOUT = 2.0
#: bytes
_MAX_MESSAGE_SIZE = 2**20
#: messages; when so many wait to be read, no more are taken from the network
_MAX_QUEUE = 16


class TokenRefusedError(Exception):
    """The server refused the token: another one may do. Never leaves the stream.

    :param error: what to raise if there is no other token.
    """

    def __init__(self, error: HyperoruApiError) -> None:
        super().__init__(error)
        self.error = error


@dataclass(frozen=True)
class Pong:
    """The answer to a ping, from a server that has nothing to send.

    :param asked_at: all messages that were sent before this time were received.
    """

    asked_at: datetime


class Connection:
    """An open WebSocket; see :func:`open_connection`.

    :param socket: the WebSocket.
    :param timeout: seconds to wait for the server at most.
    :param secrets: texts that must not show in a message.
    """

    def __init__(self, socket: ClientConnection, timeout: float, secrets: tuple[str, ...]) -> None:
        self.secrets = secrets
        #: seconds to wait for the answer to a request
        self.answer_timeout = min(_ANSWER_TIMEOUT, timeout)
        self._silence_timeout = min(_SILENCE_TIMEOUT, timeout)
        self._socket = socket

    async def send(self, text: str) -> None:
        """Send a message."""
        await self._socket.send(text)

    async def receive(self) -> str | bytes:
        """Wait for the next message, however long it takes; others in the event loop have their turn before each."""
        await asyncio.sleep(0)
        return await self._socket.recv()

    async def receive_or_ping(self) -> str | bytes | Pong:
        """Wait for the next message, or for the answer to a ping when none comes.

        The server is pinged only while somebody waits here, so a slow consumer is not taken for a dead server.

        :raises HyperoruNetworkError: the server does not answer.
        """
        try:
            async with asyncio.timeout(self._silence_timeout):
                return await self.receive()
        except TimeoutError:
            pass
        asked_at = datetime.now(UTC)
        pong = asyncio.ensure_future(await self._socket.ping())
        message = asyncio.ensure_future(self.receive())
        try:
            await asyncio.wait({pong, message}, timeout=self.answer_timeout, return_when=asyncio.FIRST_COMPLETED)
            if message.done():
                return message.result()
            if not pong.done():
                silence = self._silence_timeout + self.answer_timeout
                raise HyperoruNetworkError(f"Nothing was received for {silence:g} s, not even a pong")
        finally:
            message.cancel()
            await asyncio.gather(message, return_exceptions=True)
        if pong.exception() is None:
            return Pong(asked_at)
        return await self.receive()  # what came before the socket was closed, and then why it was


@asynccontextmanager
async def open_connection(settings: Settings, endpoint: StreamEndpoint, token: str) -> AsyncGenerator[Connection, None]:
    """Open a WebSocket and close it at the end.

    Whatever goes wrong with it, or is raised while it is open, becomes an error of this package without secrets.

    :param token: the session token; sent in the address where the contract says so.
    :raises TokenRefusedError: the server refuses the token.
    :raises HyperoruApiError: there is no connection, or it was lost.
    :raises HyperoruConfigError: the address can't be one of a WebSocket.
    """
    secrets = (*settings.auth.secrets, token)
    try:
        # in a thread, as reading the certificates takes a while
        socket = await (await asyncio.to_thread(_prepare, settings, endpoint, token))
        try:
            yield Connection(socket, settings.timeout, secrets)
        finally:
            await socket.close()
    except Exception as error:  # noqa: BLE001 - each is looked at, and what is not a failure of the socket is raised again
        explained = _explain(error, settings.base_url, endpoint, secrets)
        api_error = explained.error if isinstance(explained, TokenRefusedError) else explained
        if isinstance(api_error, HyperoruApiError):
            redact_error(api_error.with_context(method="GET", path=endpoint.path), secrets).shortened()
        raise explained from None


def stream_address(settings: Settings, endpoint: StreamEndpoint) -> str:
    """Return the WebSocket's address, without a token."""
    return f"ws{settings.base_url.removeprefix('http')}{endpoint.path}"


def _prepare(settings: Settings, endpoint: StreamEndpoint, token: str) -> connect:
    """Return a connection that opens when it is awaited."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import InvalidURI

    address = stream_address(settings, endpoint)
    query = endpoint.sent({"session_token": token if endpoint.auth == "query" else None})
    try:
        connection = connect(
            address + (f"?{urlencode(query)}" if query else ""),
            ssl=settings.network.ssl_context if address.startswith("wss:") else None,
            proxy=settings.network.proxy,
            user_agent_header=None,
            additional_headers=settings.headers,
            open_timeout=min(_ANSWER_TIMEOUT, settings.timeout),
            ping_interval=None,  # see Connection.receive_or_ping
            close_timeout=min(_CLOSE_TIMEOUT, settings.timeout),
            max_size=_MAX_MESSAGE_SIZE,
            max_queue=_MAX_QUEUE,
            logger=_disabled_log,
        )
    except InvalidURI:
        raise HyperoruConfigError(f"The address {address} is not a WebSocket address.") from None
    connection.process_redirect = _refuse_redirect  # type: ignore[method-assign,assignment]
    return connection


def _refuse_redirect(error: Exception) -> Exception:
    """Follow no redirect, as it may lead a token away."""
    return error


def _explain(error: Exception, base_url: str, endpoint: StreamEndpoint, secrets: tuple[str, ...]) -> Exception:
    """Return what a failure of the socket means; any other error is returned as it is."""
    from websockets.exceptions import (
        ConnectionClosed,
        InvalidProxy,
        InvalidProxyStatus,
        InvalidStatus,
        WebSocketException,
    )

    explained = error
    if isinstance(error, InvalidStatus):
        explained = _explain_answer(error.response, endpoint, secrets)
    elif isinstance(error, ConnectionClosed):
        explained = _explain_close(error, endpoint)
    elif isinstance(error, ssl.SSLCertVerificationError):
        explained = HyperoruBadRequestError(certificate_message(error))
    elif isinstance(error, InvalidProxyStatus):
        explained = from_proxy(error.response.status_code, error.response.reason_phrase)
    elif isinstance(error, (InvalidProxy, ImportError)):  # an address may hold a password; SOCKS needs a package
        told = str(error) if isinstance(error, ImportError) else "correct its address"
        explained = HyperoruConfigError(f"The stream can't use the environment's proxy: {told}.")
    elif isinstance(error, (OSError, EOFError, WebSocketException)):
        explained = HyperoruConnectError(f"Could not open a socket to {base_url}: {type(error).__name__}: {error}")
    return explained


def _explain_close(error: ConnectionClosed, endpoint: StreamEndpoint) -> Exception:
    """Return what it means that the socket was closed."""
    close = error.rcvd
    if close and close.code in endpoint.refused_codes:
        told = f"{close.code}: {close.reason or 'no reason given'}"
        return TokenRefusedError(
            HyperoruAuthenticationError(f"The server closed the socket with {told}. {AUTHENTICATION_ADVICE}")
        )
    return HyperoruNetworkError(f"The socket was closed: {error}")


def _explain_answer(response: Response, endpoint: StreamEndpoint, secrets: tuple[str, ...]) -> Exception:
    """Return what an HTTP answer means that opened no socket."""
    status = response.status_code
    headers = {name.lower(): value for name, value in response.headers.raw_items()}  # one may be there twice
    error = from_status(
        status,
        headers,
        redact_body(bytes(response.body or b""), secrets),
        method="GET",
        path=endpoint.path,
        retry_after=parse_retry_after(headers.get("retry-after"), datetime.now(UTC)),
    )
    if status in (401, 403):
        return TokenRefusedError(error.as_type(HyperoruAuthenticationError, error.message))
    if status < 300:
        return error.as_type(
            HyperoruContractError,
            f"The server answered {status} instead of opening a WebSocket. Correct the contract's stream.path.",
        )
    return error

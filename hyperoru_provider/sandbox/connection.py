"""One WebSocket, over the Sans-I/O protocol of websockets: it can be cut off or fall silent, as ASGI has no way to."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, cast

from starlette.responses import Response as HttpResponse
from websockets.datastructures import Headers
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol

__all__ = ["Connection", "connection_class"]

_LARGEST_MESSAGE = 2**20
_SEND_BUFFER = 65_536

_MUTE = logging.Logger("muted")  # the address of a handshake holds a token
_MUTE.disabled = True


class Connection(asyncio.Protocol):
    """A connection that begins with the request for a WebSocket.

    :param serve: serves it, from the handshake on
    :param connections: holds it as long as it is open
    """

    #: Seconds in which the client is to read and answer a close frame.
    close_timeout = 10.0

    def __init__(self, serve: Callable[[Connection], Coroutine[Any, Any, None]], connections: set[Connection]) -> None:
        #: Whether nothing but the answer to the handshake is sent.
        self.is_silent: Callable[[], bool] = lambda: False
        self._serve = serve
        self._connections = connections
        self._protocol = ServerProtocol(max_size=_LARGEST_MESSAGE, logger=_MUTE)
        self._transport: asyncio.Transport
        self._request: Request
        self._parts: list[bytes] = []
        self._is_text = False
        self._inbox: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self._writable = asyncio.Event()
        self._writable.set()
        self._serving: asyncio.Task[None] | None = None
        self._deadline: asyncio.TimerHandle | None = None

    @property
    def target(self) -> str:
        """The path and the query of the handshake."""
        return self._request.path

    def accept(self) -> bool:
        """Answer the handshake; return whether the socket is open now.

        It isn't if the request was no handshake, or if the client has gone.
        """
        if self._transport.is_closing():
            return False
        response = self._protocol.accept(self._request)
        self._protocol.send_response(response)
        self._flush()
        return response.status_code == HTTPStatus.SWITCHING_PROTOCOLS

    def refuse(self, answer: HttpResponse) -> None:
        """Answer the handshake with an HTTP response, and close the connection."""
        if self._transport.is_closing():
            return
        headers = Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.raw_headers])
        headers["Connection"] = "close"
        phrase = HTTPStatus(answer.status_code).phrase
        self._protocol.send_response(Response(answer.status_code, phrase, headers, bytes(answer.body)))
        self._flush()

    async def receive(self) -> str | bytes | None:
        """Return the next message, or None when no more can come."""
        return await self._inbox.get()

    async def send(self, content: str | bytes) -> None:
        """Send a message, and wait until there is room for another one.

        :raises ConnectionError: if the socket is closed
        """
        if self._protocol.state is not State.OPEN:
            raise ConnectionError("The socket is closed")
        if isinstance(content, str):
            self._protocol.send_text(content.encode())
        else:
            self._protocol.send_binary(content)
        self._flush()
        await self._writable.wait()

    def close(self, code: int, reason: str) -> None:
        """Send a close frame; a client that doesn't answer it in ``close_timeout`` is cut off."""
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(code, reason)
            self._flush()
            self._deadline = asyncio.get_running_loop().call_later(self.close_timeout, self.abort)

    def abort(self) -> None:
        """Cut the connection off, without a close frame."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection over (asyncio)."""
        self._transport = cast("asyncio.Transport", transport)
        self._connections.add(self)
        # What a slow reader leaves unread waits in the client's queue, which is bounded, not in the kernel.
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)

    def data_received(self, data: bytes) -> None:
        """Take what came: the handshake, and then frames (asyncio)."""
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._request = event
                self._serving = asyncio.get_running_loop().create_task(self._run())
            elif isinstance(event, Frame):
                self._take(event)
        if self._protocol.close_expected() and not self.is_silent():
            self._inbox.put_nowait(None)
        self._flush()

    def pause_writing(self) -> None:
        """Let senders wait (asyncio)."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Let senders go on (asyncio)."""
        self._writable.set()

    def connection_lost(self, error: Exception | None) -> None:
        """End the socket (asyncio)."""
        self._connections.discard(self)
        self._protocol.receive_eof()
        self._writable.set()
        self._inbox.put_nowait(None)
        if self._deadline is not None:
            self._deadline.cancel()

    async def _run(self) -> None:
        try:
            await self._serve(self)
        except BaseException:
            self.abort()
            raise

    def _take(self, frame: Frame) -> None:
        """Put a message together from its frames; pings and closes are answered by the protocol itself."""
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            self._parts, self._is_text = [], frame.opcode is Opcode.TEXT
        elif frame.opcode is not Opcode.CONT:
            return
        self._parts.append(bytes(frame.data))
        if not frame.fin:
            return
        message = b"".join(self._parts)
        if not self._is_text:
            self._inbox.put_nowait(message)
            return
        try:
            self._inbox.put_nowait(message.decode())
        except UnicodeDecodeError:
            self._protocol.fail(CloseCode.INVALID_DATA)

    def _flush(self) -> None:
        """Send what the protocol has to send, or forget it."""
        for data in self._protocol.data_to_send():
            if self.is_silent():
                continue
            if data:
                self._transport.write(data)
            else:  # the end of all that there is to send
                self._transport.close()


def connection_class(
    serve: Callable[[Connection], Coroutine[Any, Any, None]], connections: set[Connection]
) -> type[asyncio.Protocol]:
    """Return the class of which uvicorn (its setting ``ws``) makes its WebSocket connections.

    :param serve: serves one connection
    :param connections: holds the open ones
    """

    class ServedConnection(Connection):
        def __init__(self, **_: object) -> None:
            super().__init__(serve, connections)

    return ServedConnection

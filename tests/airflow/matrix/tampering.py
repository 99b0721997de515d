"""A server in the middle that passes requests on to the sandbox, and does to its answers what no switch of it does."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, urlsplit

from tests.raw_server import Wire

_LOGIN = "/api/users/login"
_CHANNELS = 4


@dataclass
class Exchange:
    """A request that was answered by the sandbox.

    :param path: of the request, without its query.
    :param number: which one for this path it is, from 1 on.
    :param sent: the body of the request.
    :param token: the token that it bore.
    :param status: the status of the answer.
    :param body: its body.
    """

    path: str
    number: int
    sent: bytes
    token: str
    status: int
    body: bytes

    def answer(self, wire: Wire) -> None:
        """Answer as the sandbox did."""
        wire.answer(self.body, f"{self.status} As The Sandbox Says")


#: answers the client in place of the sandbox
Tamper = Callable[[Exchange, Wire], None]


def replacing(pattern: bytes, by: bytes) -> Tamper:
    """Put something else in the place of the first match in each answer."""
    compiled = re.compile(pattern)

    def tamper(exchange: Exchange, wire: Wire) -> None:
        exchange.body = compiled.sub(by, exchange.body, count=1)
        exchange.answer(wire)

    return tamper


def bodies(body: bytes, status: str = "200 OK", **headers: str) -> Tamper:
    """Answer everything with a body."""
    return lambda exchange, wire: wire.answer(body, status, **headers)


def at_first(tamper: Tamper) -> Tamper:
    """Tamper with the first answer of each path."""
    return lambda exchange, wire: tamper(exchange, wire) if exchange.number == 1 else exchange.answer(wire)


def at_data(tamper: Tamper) -> Tamper:
    """Leave the login alone."""
    return lambda exchange, wire: exchange.answer(wire) if exchange.path == _LOGIN else tamper(exchange, wire)


def at_login(tamper: Tamper) -> Tamper:
    """Leave all but the login alone."""
    return lambda exchange, wire: tamper(exchange, wire) if exchange.path == _LOGIN else exchange.answer(wire)


def endless(status: str) -> Tamper:
    """Answer with a body that never ends."""

    def tamper(exchange: Exchange, wire: Wire) -> None:
        wire.head(status, Transfer_Encoding="chunked")
        while True:
            wire.chunk(b" " * 100_000)

    return tamper


def drip(exchange: Exchange, wire: Wire) -> None:
    """Answer with a byte now and then."""
    wire.head(Content_Length="1000000")
    while True:
        wire.write(b" ")
        time.sleep(0.1)


def hang_up(exchange: Exchange, wire: Wire) -> None:
    """Say that an answer comes, and close the connection."""
    wire.head(Content_Length="10")
    raise ConnectionAbortedError


def no_http(exchange: Exchange, wire: Wire) -> None:
    """Answer with what is no HTTP."""
    wire.write(b"\x00\xff\x16\x03garbage\r\n\r\n")
    raise ConnectionAbortedError


def bomb(exchange: Exchange, wire: Wire) -> None:
    """Answer with four megabytes that unpack to four gigabytes."""
    packer = zlib.compressobj(wbits=-15)
    block = packer.compress(b" " * 1_000_000) + packer.flush(zlib.Z_FULL_FLUSH)  # which can stand anywhere
    wire.answer(4_000 * block + packer.flush(), Content_Encoding="deflate")


def echo_password(exchange: Exchange, wire: Wire) -> None:
    """Refuse a login, and repeat what was sent in every form that one may think of."""
    secret = json.loads(exchange.sent).get("password", "")
    told = [secret, json.dumps(secret), quote(secret, safe=""), secret[1:], secret[:-1], "  ".join(secret)]
    wire.answer({"error": f"No such login: {' | '.join(told)}", "code": secret}, "401 Unauthorized")


def echo_token(status: str) -> Tamper:
    """Repeat the token in the text of an error, whole and cut."""

    def tamper(exchange: Exchange, wire: Wire) -> None:
        token = exchange.token
        wire.answer(
            {"success": False, "message": f"{token} {token[1:]} {token[:-1]} {token[:20]}", "code": token}, status
        )

    return tamper


def token_of(value: str) -> Tamper:
    """Answer a login with a token."""
    return bodies(json.dumps({"session_token": value}).encode())


def frame(text: bytes) -> bytes:
    """Return a text frame of a WebSocket, as a server sends it."""
    size = len(text)
    if size < 126:
        return bytes([0x81, size]) + text
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + text
    return b"\x81\x7f" + size.to_bytes(8, "big") + text


class _Middle(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 100

    def __init__(self, upstream: str, tamper: Tamper | None, frames: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream).netloc
        self.tamper: Tamper = tamper or Exchange.answer
        self.frames = frames
        self.counts: Counter[str] = Counter()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that have had enough are what is wanted."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Middle

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing."""

    def do_GET(self) -> None:
        if self.headers.get("Upgrade"):
            self._tunnel()
        else:
            self._exchange()

    def do_POST(self) -> None:
        self._exchange()

    def _exchange(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        connection = http.client.HTTPConnection(self.server.upstream)
        headers = {name: self.headers[name] for name in ("Authorization", "Content-Type") if name in self.headers}
        connection.request(self.command, self.path, sent or None, headers)
        answer = connection.getresponse()
        path = self.path.partition("?")[0]
        self.server.counts[path] += 1
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        exchange = Exchange(path, self.server.counts[path], sent, token, answer.status, answer.read())
        connection.close()
        try:
            self.server.tamper(exchange, Wire(self.connection.sendall))
        except OSError:  # the client has had enough, or the connection is to be closed
            self.close_connection = True

    def _tunnel(self) -> None:
        """Pass a WebSocket on, and send frames of one's own once it is subscribed."""
        host, _, port = self.server.upstream.partition(":")
        with socket.create_connection((host, int(port))) as upstream:
            upstream.sendall(f"{self.requestline}\n{self.headers}".replace("\n", "\r\n").encode())
            threading.Thread(target=partial(self._pump_out, upstream), daemon=True).start()
            subscribed = 0
            with suppress(OSError):
                while data := upstream.recv(1_000_000):
                    self.connection.sendall(data)
                    before, subscribed = subscribed, subscribed + data.count(b'"subscribed"')
                    if before < _CHANNELS <= subscribed:
                        self.connection.sendall(self.server.frames)
        self.close_connection = True

    def _pump_out(self, upstream: socket.socket) -> None:
        with suppress(OSError):
            while data := self.connection.recv(65_536):
                upstream.sendall(data)
            upstream.shutdown(socket.SHUT_WR)


@contextmanager
def middle(upstream: str, tamper: Tamper | None, frames: bytes) -> Iterator[str]:
    """Run a server in the middle, in a process of its own, and yield its address."""
    server = _Middle(upstream, tamper, frames)
    pid = os.fork()
    if pid == 0:
        try:
            server.serve_forever()
        finally:
            os._exit(0)
    address = server.server_address
    server.server_close()
    try:
        yield f"http://{address[0]!s}:{address[1]}"
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

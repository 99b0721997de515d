"""A server of bytes: what it sends need not be HTTP, nor end."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

#: writes an answer to a request, of which it gets the first line
Script = Callable[["Wire", str], None]


class Wire:
    """A connection, and how many bytes went through it.

    :ivar done: is set when no more is sent.
    :param send: sends bytes.
    """

    def __init__(self, send: Callable[[bytes], Any]) -> None:
        self.sent = 0
        self.done = threading.Event()
        self._send = send

    def write(self, data: bytes) -> None:
        self._send(data)
        self.sent += len(data)

    def head(self, status: str = "200 OK", **headers: str) -> None:
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.write("\r\n".join([f"HTTP/1.1 {status}", "Content-Type: application/json", *lines, "", ""]).encode())

    def chunk(self, data: bytes) -> None:
        self.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def answer(self, body: bytes | dict[str, Any], status: str = "200 OK", **headers: str) -> None:
        body = json.dumps(body).encode() if isinstance(body, dict) else body
        self.head(status, Content_Length=str(len(body)), **headers)
        self.write(body)


class RawServer:
    """A running server.

    :ivar wires: one for each request.
    :ivar requests: the first line of each.
    """

    def __init__(self, script: Script) -> None:
        self.wires: list[Wire] = []
        self.requests: list[str] = []
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            disable_nagle_algorithm = True

            def handle(self) -> None:
                while request := self.rfile.readline().decode("latin-1").strip():
                    length = 0
                    while (line := self.rfile.readline().strip().lower()) != b"":
                        length = int(line[15:]) if line.startswith(b"content-length:") else length
                    self.rfile.read(length)
                    wire = Wire(self.connection.sendall)
                    outer.requests.append(request)
                    outer.wires.append(wire)
                    try:
                        script(wire, request)
                    except OSError:  # the client has had enough
                        return
                    finally:
                        wire.done.set()

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@contextmanager
def raw_server(script: Script) -> Iterator[RawServer]:
    """Run a server which lets a script answer."""
    running = RawServer(script)
    with serving(running.server):
        yield running


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    """Serve in a thread of its own."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

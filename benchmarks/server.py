"""The server that every contender asks: the default profile's login and trades, encoded before the first request.

It is meant to cost next to nothing: any page of any window is one slice of one block, sent as it is.
"""

# ruff: noqa: T201

from __future__ import annotations

import argparse
import asyncio
import json
import re
import socket
import sys
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import cast
from urllib.parse import parse_qs, urlsplit

from benchmarks.rows import Book, make_book

EMAIL, PASSWORD, TOKEN = "bench@example.com", "bench-password", "bench-session-token"
LOGIN, TRADES, COUNTS = "/api/users/login", "/api/arena/trades", "/counts"
PAGE = 500
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_BEARER = re.compile(rb"\r\nauthorization: *bearer " + TOKEN.encode() + rb"\r\n", re.IGNORECASE)

Parts = list[bytes | memoryview]


class Counter:
    """Counts requests, and answers no more than so many in any second; ``None`` for all.

    :param answer: answers a request's head and body.
    :param most: how many.
    """

    def __init__(self, answer: Callable[[bytes, bytes], Parts], most: int | None) -> None:
        self._answer = answer
        self._most = most
        self._allowed: deque[float] = deque(maxlen=most or 1)
        self._counts = {"answered": 0, "refused": 0}

    def answer(self, head: bytes, body: bytes) -> Parts:
        """Answer or refuse a request, or tell how many were."""
        if head.startswith(f"GET {COUNTS} ".encode()):
            return _framed(json.dumps(self._counts).encode())
        now = time.monotonic()
        if self._most is not None and len(self._allowed) == self._most and now - self._allowed[0] < 1.0:
            self._counts["refused"] += 1
            return _framed(b'{"detail":"slow down"}', status="429 Too Many Requests\r\nRetry-After: 1")
        self._allowed.append(now)
        self._counts["answered"] += 1
        return self._answer(head, body)


def make_answers(book: Book) -> Callable[[bytes, bytes], Parts]:
    """Give the function that answers a request's head and body."""
    text = memoryview(book.text)

    @lru_cache(4096)
    def parsed(target: str) -> tuple[int, int, int, int]:
        """Read a query: the positions of its window's rows, the page and its size."""
        query = {name: values[-1] for name, values in parse_qs(urlsplit(target).query).items()}
        if unknown := query.keys() - {"start", "end", "page", "per_page"}:
            raise ValueError(f"not known here: {', '.join(unknown)}")  # better than to answer with other rows
        first, last = book.within(_moment(query["start"]), _moment(query["end"]))
        page, size = int(query.get("page", 1)), min(int(query.get("per_page", PAGE)), PAGE)
        if page < 1 or size < 1:
            raise ValueError("page and per_page begin at 1")
        return first, max(first, last), page, size

    def answer(head: bytes, body: bytes) -> Parts:
        method, target, _ = head.decode().split(" ", 2)
        if (method, target) == ("POST", LOGIN):
            if json.loads(body) != {"email": EMAIL, "password": PASSWORD}:
                return _framed(b'{"detail":"wrong email or password"}', status="401 Unauthorized")
            return _framed(json.dumps({"session_token": TOKEN, "expires_at": "2099-01-01T00:00:00Z"}).encode())
        if method != "GET" or not target.startswith(TRADES):
            return _framed(b'{"detail":"no such address"}', status="404 Not Found")
        if not _BEARER.search(head):
            return _framed(b'{"detail":"no session"}', status="401 Unauthorized")
        try:
            first, last, page, size = parsed(target)
        except (KeyError, ValueError) as error:
            return _framed(json.dumps({"detail": repr(error)}).encode(), status="400 Bad Request")
        begin = min(first + (page - 1) * size, last)
        end = min(begin + size, last)
        rows = text[book.offsets[begin] : book.offsets[end] - 1] if begin < end else b""
        rest = f'"total":{last - first},"page":{page},"per_page":{size},"has_more":{"true" if end < last else "false"}'
        return _framed(b'{"items":[', rows, f"],{rest}}}".encode())

    return answer


class Connection(asyncio.Protocol):
    """One connection: answers each request, a while after it came, in order."""

    def __init__(self, answer: Callable[[bytes, bytes], Parts], latency: float) -> None:
        self._answer = answer
        self._latency = latency
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, and let it take whole pages."""
        self._transport = cast("asyncio.Transport", transport)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)

    def data_received(self, data: bytes) -> None:
        """Answer all requests that are complete."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n") + 4) > 3:
            head = bytes(self._received[:end])
            length = _LENGTH.search(head)
            whole = end + int(length[1] if length else 0)
            if len(self._received) < whole:
                return
            parts = self._answer(head, bytes(self._received[end:whole]))
            del self._received[:whole]
            if self._latency:
                asyncio.get_running_loop().call_later(self._latency, self._send, parts)
            else:
                self._send(parts)

    def _send(self, parts: Parts) -> None:
        if not self._transport.is_closing():
            self._transport.writelines(parts)


def _framed(*body: bytes | memoryview, status: str = "200 OK") -> Parts:
    length = sum(map(len, body))
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    return [head.encode(), *body]


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


async def serve(book: Book, latency: float, quota: int | None) -> None:
    """Serve on a free port until standard input ends; first say, in one line, where, and what the rows sum up to."""
    answer = Counter(make_answers(book), quota).answer
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(answer, latency), "127.0.0.1", 0, backlog=1024)
    print(json.dumps({"port": server.sockets[0].getsockname()[1], "total": str(book.total)}), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.server", description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--latency", type=float, default=0.0, help="milliseconds before each answer")
    parser.add_argument("--quota", type=int, help="requests that are answered in a second at most")
    options = parser.parse_args()
    asyncio.run(serve(make_book(options.rows), options.latency / 1000, options.quota))

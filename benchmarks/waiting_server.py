"""The server that all waiters ask: never healthy, always of the same price; it notes when it was asked what by whom."""

# ruff: noqa: T201

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import time

from benchmarks.server import EMAIL, PASSWORD, TOKEN, Connection, Parts

HEALTH, PRICE, MISSING, MARKS = "/api/health", "/api/crypto/price", "/api/missing", "/marks"
_WAITER = re.compile(rb"\r\nx-waiter: *(\d+)", re.IGNORECASE)


class Marks:
    """Answers requests, and notes the time of each.

    :param asked: pairs of a time and what was asked, by whom if they say so.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[float, str]] = []

    def answer(self, head: bytes, body: bytes) -> Parts:
        """Answer a request's head and body; a sensor of Airflow's HTTP provider takes a 404 for "not yet"."""
        target = head.split(b" ", 2)[1].decode()
        if target == MARKS:
            marks, self.asked = self.asked, []
            return _framed(marks)
        waiter = _WAITER.search(head)
        self.asked.append((time.time(), f"{target} {waiter[1].decode() if waiter else ''}"))
        path, _, query = target.partition("?")
        if path == HEALTH:
            return _framed({"status": "degraded"})
        if path == PRICE:
            return _framed({"symbol": query.partition("symbol=")[2], "price": 100})
        if path == "/api/users/login" and json.loads(body) == {"email": EMAIL, "password": PASSWORD}:
            return _framed({"session_token": TOKEN, "expires_at": "2099-01-01T00:00:00Z"})
        return _framed({"detail": "not yet"}, "404 Not Found")


def _framed(value: object, status: str = "200 OK") -> Parts:
    body = json.dumps(value).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return [head.encode(), body]


async def serve(latency: float) -> None:
    """Serve on a free port until standard input ends; first say where."""
    marks, loop = Marks(), asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(marks.answer, latency), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.waiting_server", description=__doc__)
    parser.add_argument("--latency", type=float, default=20.0, help="milliseconds before each answer")
    asyncio.run(serve(parser.parse_args().latency / 1000))

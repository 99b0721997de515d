"""What can be had at most: nothing at all, the bytes alone, and objects made of the rows. Nothing is written."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode

from benchmarks.job import Check, Job, Landed, query
from benchmarks.server import PAGE, TOKEN, TRADES

_own = threading.local()


def nothing(job: Job) -> Check:
    """Do nothing, to tell what a task's process needs before its task does anything."""
    return Landed


def wire(job: Job) -> Check:
    """Receive all pages, and throw them away."""
    scratch = memoryview(bytearray(1 << 20))
    with socket.create_connection(("127.0.0.1", job.port)) as connection, connection.makefile("rb") as answers:
        for page in range(1, -(-job.rows // PAGE) + 1):
            request = f"GET {_target(page)} HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
            connection.sendall(request.encode())
            length = 0
            while (line := answers.readline()) > b"\r\n":
                if line.startswith(b"Content-Length:"):
                    length = int(line[15:])
            received = answers.readinto(scratch[:length])
    if b'"has_more":false' not in scratch[:received].tobytes():
        raise RuntimeError("That was not the last page.")
    return Landed


def floor(job: Job, at_once: int = 1) -> Check:
    """Decode all pages with the fastest decoder that gives Python objects."""
    import orjson

    def body(page: int) -> dict[str, Any]:
        if not hasattr(_own, "connection"):
            _own.connection = HTTPConnection("127.0.0.1", job.port)
        _own.connection.request("GET", _target(page), headers={"Authorization": f"Bearer {TOKEN}"})
        decoded: dict[str, Any] = orjson.loads(_own.connection.getresponse().read())
        return decoded

    first = body(1)
    others = range(2, -(-first["total"] // PAGE) + 1)
    with ThreadPoolExecutor(at_once) as pool:
        pages = pool.map(body, others) if at_once > 1 else map(body, others)
        rows = len(first["items"]) + sum(len(page["items"]) for page in pages)
    return lambda: Landed(rows)


def _target(page: int) -> str:
    return f"{TRADES}?{urlencode(query(page))}"

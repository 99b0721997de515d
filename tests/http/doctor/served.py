"""Servers of a few lines for the doctor's tests, over real sockets: what the sandbox can't be made to be."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from hyperoru_provider.doctor.examination import examine
from hyperoru_provider.doctor.report import Finding, Report

LOGIN = {"email": "me@example.com", "password": "pw-Zq7Xk-of-the-doctor"}
TOKEN = "tok-9fK2mQ7vLx3"
DAY = datetime(2026, 1, 15, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


@dataclass
class Asked:
    """A request: its query, and its headers by their names in lower case."""

    query: dict[str, str]
    headers: dict[str, str]


class RefusedError(Exception):
    """Raised by an answer that is none of success."""

    def __init__(self, status: int, body: object) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


Answer = Callable[[Asked], object]
BASICS: dict[str, Answer] = {
    "/api/health": lambda asked: {"status": "healthy"},
    "/api/users/login": lambda asked: {"session_token": TOKEN},
    "/api/users/profile": lambda asked: {"id": 1, "username": "me"},
    "/api/account/list": lambda asked: [{"id": 1, "name": "one"}],
}


@contextmanager
def served(answers: Mapping[str, Answer], otherwise: Answer | None = None) -> Iterator[tuple[str, list[str]]]:
    """Serve answers by their paths beside the basic ones; yield the base URL, and the requests as they come.

    :param otherwise: answers all other paths; without it they are 404.
    """
    routes, requests = {**BASICS, **answers}, list[str]()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer in one packet, or each waits 40 ms for an acknowledgement

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            requests.append(f"{self.command} {self.path}")
            parts = urlsplit(self.path)
            answer = routes.get(parts.path, otherwise)
            asked = Asked(dict(parse_qsl(parts.query)), {name.lower(): value for name, value in self.headers.items()})
            try:
                if answer is None:
                    raise RefusedError(404, {"detail": "Not Found"})
                status, body = 200, answer(asked)
            except RefusedError as error:
                status, body = error.status, error.body
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", requests
        server.shutdown()


def trade(number: int, **more: object) -> dict[str, Any]:
    """Return a trade, one a minute."""
    time = (DAY + number * MINUTE).isoformat()
    return {
        "trade_id": number, "account_id": 1, "symbol": "BTC", "side": "BUY", "price": 1.5, "quantity": 2,
        "notional": 3, "trade_time": time, **more,
    }  # fmt: skip


def trades(number: int) -> list[dict[str, Any]]:
    """Return so many trades."""
    return [trade(each) for each in range(number)]


def within(rows: Sequence[dict[str, Any]], query: Mapping[str, str], time: str = "trade_time") -> list[dict[str, Any]]:
    """Return the rows of the window ``start <= time < end`` that a query has, newest first."""
    start, end = (datetime.fromisoformat(query.get(name) or other) for name, other in _FOREVER.items())
    return [row for row in reversed(rows) if start <= datetime.fromisoformat(row[time]) < end]


_FOREVER = {"start": "0001-01-02T00:00:00Z", "end": "9999-12-30T00:00:00Z"}


def paged(rows: Sequence[dict[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
    """Return the page of rows that a query asks for, as the contract's trades are."""
    page, size = int(query.get("page", 1)), int(query.get("per_page", 100))
    return {"trades": rows[(page - 1) * size : page * size], "total": len(rows)}


def doctor(url: str, **options: Any) -> Report:
    """Return what the doctor finds out."""
    return examine({"base_url": url, **LOGIN, **options.pop("more", {})}, **options)


def finding(report: Report, resource: str) -> Finding:
    """Return what was found out of a resource."""
    return next(each for each in report.resources if each.resource == resource)

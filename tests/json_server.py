"""A server of a few answers, each of which is a function: for servers that nobody has thought of yet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit


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
_LOGIN: dict[str, Answer] = {"/api/users/login": lambda asked: {"session_token": "tok-" + "a" * 40}}


@contextmanager
def answering(answers: Mapping[str, Answer], otherwise: Answer | None = None) -> Iterator[tuple[str, list[str]]]:
    """Serve answers by their paths beside a login for everyone; yield the base URL, and the requests as they come.

    :param otherwise: answers all other paths; without it they are 404.
    """
    routes, requests = {**_LOGIN, **answers}, list[str]()

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

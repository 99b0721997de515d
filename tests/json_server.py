"""A server of a few lists, each of which is a function: for servers that nobody has thought of yet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Answer = Callable[[dict[str, str]], Any]


@contextmanager
def serving(lists: Mapping[str, Answer]) -> Iterator[str]:
    """Serve lists by their paths, behind a login that lets everyone in; gives the base URL.

    :param lists: from the parameters of the query to what is sent as JSON.
    """
    known: dict[str, Answer] = {"/api/users/login": lambda query: {"session_token": "tok-" + "a" * 40}, **lists}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            url = urlsplit(self.path)
            answer = known.get(url.path)
            body = json.dumps(None if answer is None else answer(dict(parse_qsl(url.query)))).encode()
            self.send_response(404 if answer is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()

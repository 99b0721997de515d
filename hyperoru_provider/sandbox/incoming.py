"""A request as the routes see it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from hyperoru_provider.sandbox.errors import Refusal
from hyperoru_provider.sandbox.state import Call

__all__ = ["Handler", "Incoming", "Routes"]


class Incoming:
    """A request with its body, its query and its token."""

    def __init__(self, request: Request, body: bytes) -> None:
        self.method = request.method
        self.path = request.url.path
        self.query = QueryParams(request.scope["query_string"])
        self.content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        self.body = body
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        self.token = bearer.strip() if scheme.lower() == "bearer" else self.query.get("session_token")

    @property
    def call(self) -> Call:
        """What makes this request the same as another one."""
        pairs = [pair for pair in self.query.multi_items() if pair[0] != "session_token"]
        return self.method, self.path, urlencode(pairs), self.body

    def json(self) -> dict[str, Any]:
        """Return the body, an object.

        :raises Refusal: if it is not one
        """
        try:
            value = json.loads(self.body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise Refusal(400, "INVALID_JSON", "The body must be a JSON object")
        return value


#: Answers a request, given the parameters of its path; with None the connection is closed without an answer.
Handler = Callable[..., Response | None]
#: The handlers by path template and method.
Routes = dict[str, dict[str, Handler]]

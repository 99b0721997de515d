"""The HTTP interface: what every request goes through on its way to a route, and the faults that it meets there."""

from __future__ import annotations

import asyncio
import math
import re
import secrets
from collections.abc import Callable, Collection
from email.utils import formatdate
from typing import Any, Protocol

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hyperoru_provider.sandbox.control import CONTROL_PREFIX
from hyperoru_provider.sandbox.errors import Refusal, error_response
from hyperoru_provider.sandbox.incoming import Handler, Incoming, Routes
from hyperoru_provider.sandbox.state import State

__all__ = ["Dialect", "SandboxApp"]


class Dialect(Protocol):
    """An API that the sandbox speaks."""

    @property
    def routes(self) -> Routes:
        """The handlers by path template and method."""

    @property
    def public(self) -> Collection[str]:
        """The paths that need no token, and that ``fail_next`` leaves alone."""

    @property
    def checks_tokens(self) -> bool:
        """Whether the others need one."""

    @property
    def error_body(self) -> str:
        """The shape of errors, as long as the fault ``error_body`` says nothing else."""


class SandboxApp:
    """The sandbox as an ASGI application.

    :param state: tokens, faults and counts
    :param api: the API, whose requests are counted and meet faults
    :param control: the routes that steer the sandbox; no token, no counts, no faults
    """

    def __init__(self, state: State, api: Dialect, control: Routes) -> None:
        #: Closes the connection of a client (its address) without an answer; set by the server.
        self.hang_up: Callable[[Any], None] = lambda client: None
        self._state = state
        self._api = api
        self._routes = api.routes | control
        self._templates = {_pattern(path): path for path in self._routes if "{" in path}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        request = Request(scope, receive)
        try:
            incoming = Incoming(request, await request.body())
        except ClientDisconnect:
            return
        request_id = "req_" + secrets.token_hex(10)
        control = incoming.path.startswith(CONTROL_PREFIX)
        response = self._controlled(incoming, request_id) if control else await self._counted(incoming, request_id)
        if response is None:
            self.hang_up(scope["client"])
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        response.headers["X-Request-Id"] = request_id
        response.headers["Date"] = formatdate(usegmt=True)
        if not control and response.body and self._state.strikes("truncate_rate", self._state.faults.truncate_rate):
            await _send_half(response, send)
        else:
            await response(scope, receive, send)

    def _controlled(self, incoming: Incoming, request_id: str) -> Response | None:
        try:
            return self._dispatch(incoming)
        except Refusal as refusal:
            return error_response(refusal, request_id)

    async def _counted(self, incoming: Incoming, request_id: str) -> Response | None:
        """Return the answer to a request of the API; None when the connection is to be dropped."""
        state, call, status = self._state, incoming.call, None
        with state.lock:
            state.stats.begin(call, incoming.token)
        try:
            await asyncio.sleep(state.faults.latency)
            if state.strikes("drop_rate", state.faults.drop_rate):
                return None
            try:
                response = self._answer(incoming)
            except Refusal as refusal:
                shape = state.faults.error_body
                response = error_response(refusal, request_id, self._api.error_body if shape == "default" else shape)
            status = None if response is None else response.status_code
            return response
        finally:
            with state.lock:
                state.stats.end(call, incoming.token, status)

    def _answer(self, incoming: Incoming) -> Response | None:
        state, faults = self._state, self._state.faults
        if state.strikes("error_rate", faults.error_rate):
            raise self._failure(faults.error_status)
        if state.strikes("rate_limit_rate", faults.rate_limit_rate):
            raise self._failure(429)
        if incoming.body and incoming.content_type != "application/json":
            raise Refusal(400, "INVALID_JSON", "Invalid JSON: the Content-Type must be application/json")
        if incoming.path not in self._api.public:
            if self._api.checks_tokens and not state.accepts(incoming.token):
                raise Refusal(401, "UNAUTHORIZED", "The session token is missing, unknown or expired")
            if state.take_failure():
                raise self._failure(faults.error_status)
        return self._dispatch(incoming)

    def _dispatch(self, incoming: Incoming) -> Response | None:
        methods, parameters = self._find(incoming.path)
        if incoming.method not in methods:
            allowed = ", ".join(methods)
            raise Refusal(405, "METHOD_NOT_ALLOWED", f"Only {allowed} is allowed here", {"Allow": allowed})
        return methods[incoming.method](incoming, **parameters)

    def _find(self, path: str) -> tuple[dict[str, Handler], dict[str, str]]:
        """Return the handlers of a path by method, and the parameters of the path."""
        if path in self._routes and "{" not in path:
            return self._routes[path], {}
        for pattern, template in self._templates.items():
            if match := pattern.fullmatch(path):
                return self._routes[template], match.groupdict()
        raise Refusal(404, "NOT_FOUND", f"There is no {path} here")

    def _failure(self, status: int) -> Refusal:
        faults, headers = self._state.faults, {}
        if faults.retry_after is not None:
            headers["Retry-After"] = f"{faults.retry_after:g}"
            if faults.retry_after_as_date:
                headers["Retry-After"] = formatdate(math.ceil(self._state.clock() + faults.retry_after), usegmt=True)
        if status == 429:
            return Refusal(status, "RATE_LIMITED", "Too many requests", headers)
        return Refusal(status, "UNAVAILABLE", "The service failed on request of a fault", headers)


def _pattern(template: str) -> re.Pattern[str]:
    """Return the pattern of the paths that a template stands for."""
    return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(template)))


async def _send_half(response: Response, send: Send) -> None:
    """Announce the whole answer and send a half of it; the server then closes the connection."""
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    half = bytes(response.body)[: len(response.body) // 2]
    await send({"type": "http.response.body", "body": half, "more_body": True})

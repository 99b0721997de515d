"""The HTTP interface: routes, and what every request goes through."""

from __future__ import annotations

import asyncio
import json
import math
import secrets
from collections.abc import Callable
from email.utils import formatdate
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from hyperoru_provider.sandbox.errors import Refusal, error_response
from hyperoru_provider.sandbox.faults import FaultError
from hyperoru_provider.sandbox.jobs import Jobs
from hyperoru_provider.sandbox.lists import TradeList, join_rows
from hyperoru_provider.sandbox.live import Live
from hyperoru_provider.sandbox.prices import INTERVALS, Prices, number
from hyperoru_provider.sandbox.queries import boolean, moment, read_query, read_window, text
from hyperoru_provider.sandbox.rows import SECOND, Book, WindowTooLong, iso
from hyperoru_provider.sandbox.sockets import Sockets
from hyperoru_provider.sandbox.state import Call, State

__all__ = ["SandboxApp"]

_CONTROL = "/__sandbox__/"
_OPEN = ("/api/health", "/api/users/login")  # no token is needed
_BACKFILL_STATUS = "/api/klines/backfill/status/"  # and the id
_MOST_CANDLES = 50_000


class _Incoming:
    """A request with its body, its query and its token."""

    def __init__(self, request: Request, body: bytes) -> None:
        self.method = request.method
        self.path = request.url.path
        self.query = QueryParams(request.scope["query_string"])
        self.content_type = request.headers.get("content-type", "")
        self.body = body
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        self.token = bearer.strip() if scheme.lower() == "bearer" else self.query.get("session_token")

    @property
    def call(self) -> Call:
        pairs = [pair for pair in self.query.multi_items() if pair[0] != "session_token"]
        return self.method, self.path, urlencode(pairs), self.body

    def json(self) -> dict[str, Any]:
        """The body, an object."""
        try:
            value = json.loads(self.body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise Refusal(400, "INVALID_JSON", "The body must be a JSON object")
        return value


class SandboxApp:
    """The sandbox as an ASGI application.

    :param state: tokens, faults and counts
    :param book: traders and trades
    :param prices: prices and candles
    :param live: the live market
    """

    def __init__(self, state: State, book: Book, prices: Prices, live: Live) -> None:
        self.state = state
        self.jobs = Jobs(book, prices.symbols, state.clock)
        #: The WebSocket ``/ws``.
        self.sockets = Sockets(state, live)
        #: Closes the connection of a client (its address) without an answer; set by the server.
        self.hang_up: Callable[[Any], None] = lambda client: None
        self._book = book
        self._prices = prices
        self._live = live
        self._trades = TradeList(book)
        self._routes: dict[str, dict[str, Callable[[_Incoming], Response | None]]] = {
            "/api/health": {"GET": self._health},
            "/api/users/login": {"POST": self._login},
            "/api/users/logout": {"POST": self._logout},
            "/api/users/profile": {"GET": self._profile},
            "/api/account/list": {"GET": self._accounts},
            "/api/crypto/price": {"GET": self._price},
            "/api/klines/data": {"GET": self._klines},
            "/api/klines/coverage": {"GET": self._coverage},
            "/api/klines/supported-symbols": {"GET": self._symbols},
            "/api/klines/backfill": {"POST": self._start_backfill},
            "/api/klines/backfill-tasks": {"GET": self._backfills},
            _BACKFILL_STATUS: {"GET": self._backfill},
            "/api/arena/trades": {"GET": self._list_trades},
            "/__sandbox__/stats": {"GET": self._stats},
            "/__sandbox__/faults": {"GET": self._faults, "PUT": self._set_faults},
            "/__sandbox__/revoke": {"POST": self._revoke},
            "/__sandbox__/reset": {"POST": self._reset},
            "/__sandbox__/trade": {"POST": self._trade},
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or serve one WebSocket (ASGI)."""
        if scope["type"] == "websocket":
            await self.sockets(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            incoming = _Incoming(request, await request.body())
        except ClientDisconnect:
            return
        request_id = "req_" + secrets.token_hex(10)
        control = incoming.path.startswith(_CONTROL)
        response = self._controlled(incoming, request_id) if control else await self._counted(incoming, request_id)
        if response is None:
            self.hang_up(scope["client"])
            while (await receive())["type"] != "http.disconnect":
                pass
            return
        response.headers["X-Request-Id"] = request_id
        response.headers["Date"] = formatdate(usegmt=True)
        if not control and response.body and self.state.strikes("truncate_rate", self.state.faults.truncate_rate):
            await _send_half(response, send)
        else:
            await response(scope, receive, send)

    def _controlled(self, incoming: _Incoming, request_id: str) -> Response | None:
        try:
            return self._dispatch(incoming)
        except Refusal as refusal:
            return error_response(refusal, request_id)

    async def _counted(self, incoming: _Incoming, request_id: str) -> Response | None:
        """The answer to a request of the API, which is counted; None when the connection is to be dropped."""
        state, call, status = self.state, incoming.call, None
        with state.lock:
            state.stats.begin(call, incoming.token)
        try:
            await asyncio.sleep(state.faults.latency)
            if state.strikes("drop_rate", state.faults.drop_rate):
                return None
            try:
                response = self._answer(incoming)
            except Refusal as refusal:
                response = error_response(refusal, request_id, state.faults.error_body)
            status = None if response is None else response.status_code
            return response
        finally:
            with state.lock:
                state.stats.end(call, incoming.token, status)

    def _answer(self, incoming: _Incoming) -> Response | None:
        state, faults = self.state, self.state.faults
        if state.strikes("error_rate", faults.error_rate):
            raise self._failure(faults.error_status)
        if state.strikes("rate_limit_rate", faults.rate_limit_rate):
            raise self._failure(429)
        if incoming.body and incoming.content_type.partition(";")[0].strip().lower() != "application/json":
            raise Refusal(400, "INVALID_JSON", "Invalid JSON: the Content-Type must be application/json")
        if incoming.path not in _OPEN:
            if not state.accepts(incoming.token):
                raise Refusal(401, "UNAUTHORIZED", "The session token is missing, unknown or expired")
            if state.take_failure():
                raise self._failure(faults.error_status)
        return self._dispatch(incoming)

    def _dispatch(self, incoming: _Incoming) -> Response | None:
        path = _BACKFILL_STATUS if incoming.path.startswith(_BACKFILL_STATUS) else incoming.path
        methods = self._routes.get(path)
        if methods is None:
            raise Refusal(404, "NOT_FOUND", f"There is no {incoming.path} here")
        if incoming.method not in methods:
            allowed = ", ".join(methods)
            raise Refusal(405, "METHOD_NOT_ALLOWED", f"Only {allowed} is allowed here", {"Allow": allowed})
        return methods[incoming.method](incoming)

    def _failure(self, status: int) -> Refusal:
        faults, headers = self.state.faults, {}
        if faults.retry_after is not None:
            headers["Retry-After"] = f"{faults.retry_after:g}"
            if faults.retry_after_as_date:
                headers["Retry-After"] = formatdate(math.ceil(self.state.clock() + faults.retry_after), usegmt=True)
        if status == 429:
            return Refusal(status, "RATE_LIMITED", "Too many requests", headers)
        return Refusal(status, "UNAVAILABLE", "The service failed on request of a fault", headers)

    def _query(self, incoming: _Incoming, **known: Callable[[str], Any]) -> dict[str, Any]:
        return read_query(incoming.query, known, self.state.faults)

    def _list(self, body: bytes) -> Response:
        """The answer of a list endpoint."""
        if self.state.faults.false_success:
            return JSONResponse({"success": False, "message": "The list could not be read"})
        return Response(body, media_type="application/json")

    def _health(self, incoming: _Incoming) -> Response:
        self._query(incoming)
        return JSONResponse({"status": self.state.faults.health})

    def _login(self, incoming: _Incoming) -> Response:
        self._query(incoming)
        body = incoming.json()
        names = sorted(body)
        if names not in (["email", "password"], ["password", "username"]):
            raise Refusal(400, "INVALID_LOGIN", "The body needs email and password, or username and password")
        if not all(isinstance(value, str) for value in body.values()):
            raise Refusal(400, "INVALID_LOGIN", "Login fields must be strings")
        name = "email" if "email" in body else "username"
        found = self.state.log_in(name, body[name], body["password"])
        if found is None:
            raise Refusal(401, "INVALID_CREDENTIALS", "Wrong email, user name or password")
        token, expires = found
        expires_at = iso(int(expires * SECOND), "milliseconds")
        return JSONResponse({"session_token": token, "expires_at": expires_at, "user": self.state.user})

    def _logout(self, incoming: _Incoming) -> Response:
        self._query(incoming)
        self.state.log_out(incoming.token or "")
        return Response(status_code=204)

    def _profile(self, incoming: _Incoming) -> Response:
        self._query(incoming)
        return JSONResponse(self.state.user)

    def _accounts(self, incoming: _Incoming) -> Response:
        hidden = self._query(incoming, include_hidden=boolean).get("include_hidden", False)
        listed = [trader for trader in self._book.traders if hidden or trader["show_on_dashboard"]]
        return self._list(json.dumps(listed).encode())

    def _price(self, incoming: _Incoming) -> Response:
        symbol = self._symbol(self._query(incoming, symbol=text))
        price = number(self._prices.at(symbol, int(self.state.clock() * SECOND)))
        body = f'{{"symbol":{json.dumps(symbol)},"price":{price},"market":"hyperliquid"}}'
        return Response(body, media_type="application/json")

    def _klines(self, incoming: _Incoming) -> Response:
        query = self._query(incoming, symbol=text, interval=text, start=moment, end=moment)
        symbol, interval = self._symbol(query), query.get("interval", "1h")
        if interval not in INTERVALS:
            raise Refusal(422, "INVALID_INTERVAL", f"interval must be one of {', '.join(INTERVALS)}")
        start, end = read_window(query, self._book, self.state.faults)
        end = min(end, int(self.state.clock() * SECOND))
        if end - start > _MOST_CANDLES * INTERVALS[interval]:
            raise Refusal(422, "WINDOW_TOO_LONG", f"The window has more than {_MOST_CANDLES} candles")
        candles = list(self._prices.candles(symbol, interval, start, end))
        return self._list(join_rows(candles[-(self.state.faults.cap or len(candles)) :]))

    def _coverage(self, incoming: _Incoming) -> Response:
        self._query(incoming)
        start, end = self._book.window()
        rows = []
        for symbol in self._prices.symbols:
            for interval, step in INTERVALS.items():
                spans = [
                    range(-(-start // step) * step, end, step),
                    *self.jobs.written(symbol, interval, self.state.faults),
                ]
                spans = sorted(filter(None, spans), key=lambda span: span.start)
                total, reached = 0, 0
                for span in spans:
                    total += len(range(max(span.start, reached), span.stop, step))
                    reached = max(reached, span[-1] + step)
                row = {
                    "symbol": symbol,
                    "interval": interval,
                    "earliest": iso(spans[0].start) if spans else None,
                    "latest": iso(reached - step) if spans else None,
                }
                rows.append(row | {"total_candles": total})
        return self._list(json.dumps(rows).encode())

    def _symbols(self, incoming: _Incoming) -> Response:
        self._query(incoming)
        return JSONResponse({"symbols": self._prices.symbols})

    def _start_backfill(self, incoming: _Incoming) -> Response | None:
        self._query(incoming)
        job = self.jobs.start(incoming.json(), self.state.faults)
        with self.state.lock:
            self.state.stats.backfills += 1
        return None if self.state.faults.backfill_lose_answer else JSONResponse(job, 202)

    def _backfill(self, incoming: _Incoming) -> Response:
        self._query(incoming)
        return JSONResponse(self.jobs.show(incoming.path.removeprefix(_BACKFILL_STATUS), self.state.faults))

    def _backfills(self, incoming: _Incoming) -> Response:
        self._query(incoming)
        return self._list(json.dumps(self.jobs.all(self.state.faults)).encode())

    def _symbol(self, query: dict[str, Any]) -> str:
        symbol = query.get("symbol")
        if symbol is None:
            raise Refusal(400, "MISSING_PARAMETER", "Query parameter 'symbol' is missing")
        if symbol not in self._prices.symbols:
            raise Refusal(404, "SYMBOL_NOT_FOUND", f"Unknown symbol {symbol!r}")
        return str(symbol)

    def _list_trades(self, incoming: _Incoming) -> Response:
        faults = self.state.faults
        query = self._query(incoming, **self._trades.parameters(faults))
        try:
            with self._book.lock:
                page = self._trades.page(query, faults)
        except WindowTooLong as error:
            raise Refusal(422, "WINDOW_TOO_LONG", str(error)) from None
        if not faults.false_success:
            with self.state.lock:
                self.state.stats.rows_served += page.rows
        return self._list(page.body)

    def _stats(self, incoming: _Incoming) -> Response:
        with self.state.lock:
            return JSONResponse(self.state.stats.as_dict())

    def _faults(self, incoming: _Incoming) -> Response:
        return JSONResponse(self.state.faults.as_dict())

    def _set_faults(self, incoming: _Incoming) -> Response:
        try:
            self.state.set_faults(incoming.json())
        except FaultError as error:
            raise Refusal(400, "INVALID_FAULT", str(error)) from None
        return JSONResponse(self.state.faults.as_dict())

    def _revoke(self, incoming: _Incoming) -> Response:
        self.state.revoke_tokens()
        return Response(status_code=204)

    def _trade(self, incoming: _Incoming) -> Response:
        try:
            rows = self._live.trade(**incoming.json())
        except (TypeError, ValueError) as error:
            raise Refusal(400, "INVALID_TRADE", str(error)) from None
        return Response(join_rows([row.body for row in rows]), media_type="application/json")

    def _reset(self, incoming: _Incoming) -> Response:
        self.state.reset()
        self._book.forget_arrivals()
        self.jobs.forget()
        return Response(status_code=204)


async def _send_half(response: Response, send: Send) -> None:
    """Announce the whole answer and send a half of it; the server then closes the connection."""
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    half = bytes(response.body)[: len(response.body) // 2]
    await send({"type": "http.response.body", "body": half, "more_body": True})

"""The WebSocket ``/ws``: its messages, its events, and the ways in which it goes wrong."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Callable, Iterator
from secrets import token_hex
from typing import Any, NamedTuple

from starlette.datastructures import QueryParams
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from hyperoru_provider.sandbox.errors import Refusal, error_response
from hyperoru_provider.sandbox.faults import Faults
from hyperoru_provider.sandbox.lists import changed
from hyperoru_provider.sandbox.live import Live
from hyperoru_provider.sandbox.prices import number
from hyperoru_provider.sandbox.queries import read_query
from hyperoru_provider.sandbox.rows import SECOND
from hyperoru_provider.sandbox.state import State

__all__ = ["Connection", "Sockets"]

_CHANNELS = ("trades", "positions", "model_chat", "asset_curve")
_TICK = 0.1
_BURST = 100  # messages of a tick after which clients may read first
_BREATH = 0.01
_PATIENCE = 5.0  # for that, in one tick
_STUCK = 0.5  # without a message sent
_SEND_BUFFER = 65_536
_LAST_WORDS = 10.0  # for a close frame to be read and answered

_MUTE = logging.Logger("muted")
_MUTE.disabled = True


#: The channel of an event, and its JSON text.
_Event = tuple[str, str]


class Connection(WebSocketsSansIOProtocol):
    """A WebSocket connection of uvicorn that logs nothing, as its URL holds a token, and that can fall silent."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.logger = self.conn.logger = _MUTE
        self.close_timeout = _LAST_WORDS
        self.silent: Callable[[], bool] = lambda: False

    def handle_connect(self, event: Any) -> None:
        """Let the application reach this connection."""
        super().handle_connect(event)
        if not self.transport.is_closing():
            # What a slow reader leaves unread waits in the client's queue, which is bounded, not in the kernel.
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            self.scope["state"]["connection"] = self

    def handle_ping(self) -> None:
        """Answer a ping."""
        if self.silent():
            self.conn.data_to_send()
        else:
            super().handle_ping()

    def handle_close(self, event: Any) -> None:
        """Answer a close frame."""
        if self.silent():
            self.conn.data_to_send()
        else:
            super().handle_close(event)


class _Message(NamedTuple):
    """What goes out at a time of the loop's clock; ``events`` of a channel are in it, or it is an answer."""

    due: float
    channel: str | None
    events: int
    content: str | bytes


class _Client:
    """One open socket.

    :param connection: what it came by
    :param token: that of its URL
    :param faults: gives the present faults
    """

    def __init__(self, connection: Connection, token: str | None, faults: Callable[[], Faults]) -> None:
        self.connection = connection
        self.token = token
        self.account_id: int | None = None
        self.channels: set[str] = set()
        self.sent_at = asyncio.get_running_loop().time()
        self.queue: asyncio.Queue[_Message] = asyncio.Queue()
        #: The code and the reason that the socket is to be closed with.
        self.ended: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        self._faults = faults

    def put(self, content: str | bytes, channel: str | None = None, events: int = 1) -> None:
        """Send a message as soon as the client reads; it comes to its end when too many wait."""
        faults = self._faults()
        if self.queue.qsize() >= faults.socket_queue:
            self.end(1013, "The client reads too slowly")
        else:
            due = asyncio.get_running_loop().time() + faults.socket_latency
            self.queue.put_nowait(_Message(due, channel, events, content))

    def lags(self) -> bool:
        """Whether the client reads, but has much to read yet: a burst is no reason to close its socket."""
        stuck = asyncio.get_running_loop().time() - self.sent_at > _STUCK
        return self.queue.qsize() * 2 > self._faults().socket_queue and not stuck

    def end(self, code: int, reason: str) -> None:
        """Close the socket."""
        if not self.ended.done():
            self.ended.set_result((code, reason))


class Sockets:
    """All sockets, and the clock that trades and events go by.

    :param state: tokens, faults and counts
    :param live: the live market
    """

    def __init__(self, state: State, live: Live) -> None:
        self._state = state
        self._live = live
        self._clients: set[_Client] = set()
        self._held: list[_Event] = []
        self._period = 0
        self._answers: dict[str, Callable[[_Client, dict[str, Any]], tuple[str, str]]] = {
            "connect": self._connect,
            "subscribe": self._subscribe,
            "bootstrap": self._bootstrap,
            "get_snapshot": self._snapshot,
            "get_asset_curve": self._asset_curve,
            "switch_user": self._switch_user,
            "switch_account": self._switch_account,
            "place_order": self._place_order,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket (ASGI)."""
        await receive()
        await asyncio.sleep(self._state.faults.socket_latency)
        try:
            token = self._greet(scope)
        except Refusal as refusal:
            with self._state.lock:
                self._state.stats.sockets["refused"] += 1
            await _refuse(error_response(refusal, "req_" + token_hex(10), self._state.faults.error_body), send)
            return
        await send({"type": "websocket.accept"})
        connection: Connection = scope["state"]["connection"]
        connection.silent = lambda: self._state.faults.socket_silent
        client = _Client(connection, token, lambda: self._state.faults)
        with self._state.lock:
            self._state.stats.open_socket()
        self._clients.add(client)
        tasks = [asyncio.create_task(self._read(client, receive)), asyncio.create_task(self._write(client, send))]
        waited: list[asyncio.Future[Any]] = [*tasks, client.ended]
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._clients.discard(client)
            with self._state.lock:
                self._state.stats.sockets_open -= 1
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if client.ended.done():
            code, reason = client.ended.result()
            # A client that doesn't read makes no room for the close frame, and is not waited for any longer.
            asyncio.get_running_loop().call_later(_LAST_WORDS, connection.transport.abort)
            await send({"type": "websocket.close", "code": code, "reason": reason})

    async def run(self) -> None:
        """Let time pass: make the trades that are due, and send what is new."""
        self._live.skip_news()
        self._live.advance(0)
        while True:
            self._live.advance(self._state.faults.pace)
            await self._tick()
            await asyncio.sleep(_TICK)

    async def _tick(self) -> None:
        faults = self._state.faults
        channels: set[str] = set()
        for client in self._clients:
            channels |= client.channels
            if client.token is not None and not self._state.accepts(client.token) and not faults.socket_silent:
                client.end(4401, "The session token has ended")
        before, self._period = self._period, self._live.now // int(faults.asset_curve_seconds * SECOND)
        if not channels or faults.socket_silent:
            self._live.skip_news()
            self._held.clear()
            return
        events: list[_Event] = []
        for row in self._live.news():
            events += self._live.events(row._replace(body=changed(row.body, faults)), channels)
        if "asset_curve" in channels and self._period != before:
            events += [("asset_curve", point) for point in self._live.asset_curve()]
        loop = asyncio.get_running_loop()
        patience = loop.time() + _PATIENCE
        for sent, (channel, count, content) in enumerate(self._messages(events, faults), start=1):
            for client in list(self._clients):
                if channel in client.channels:
                    client.put(content, channel, count)
            if sent % _BURST == 0:
                await asyncio.sleep(0)
                while any(client.lags() for client in self._clients) and loop.time() < patience:
                    await asyncio.sleep(_BREATH)

    def _messages(self, events: list[_Event], faults: Faults) -> Iterator[tuple[str, int, str | bytes]]:
        """What is sent for the events of a tick: channel, number of events, and text or bytes."""
        events = [event for event in events if not self._state.strikes("socket_lose_rate", faults.socket_lose_rate)]
        held, self._held = self._held, []
        if faults.socket_shuffle:
            dice = self._state.dice("socket_shuffle")
            places = [dice.random() < 0.3 for _ in events]
            self._held = [event for event, later in zip(events, places, strict=True) if later]
            events = [event for event, later in zip(events, places, strict=True) if not later]
            events += held
            dice.shuffle(events)
        else:
            events = held + events
        messages = [(channel, 1, text) for channel, text in events]
        if size := faults.socket_batch:
            trades = [text for channel, text in events if channel == "trades"]
            batches = [trades[first : first + size] for first in range(0, len(trades), size)]
            messages = [message for message in messages if message[0] != "trades"]
            messages += [("trades", len(batch), f"[{','.join(batch)}]") for batch in batches]
        for channel, count, data in messages:
            text = _frame(channel, data)
            if self._state.strikes("socket_malformed_rate", faults.socket_malformed_rate):
                half = text[: len(text) // 2]
                yield channel, 0, self._state.dice("socket_malformed").choice((half, half.encode()))
            yield channel, count, text
            if self._state.strikes("socket_duplicate_rate", faults.socket_duplicate_rate):
                yield channel, count, text

    def _greet(self, scope: Scope) -> str | None:
        """The token of a handshake, which is valid; None where a message is to bring it."""
        query = QueryParams(scope["query_string"])
        if scope["path"] != "/ws":
            raise Refusal(404, "NOT_FOUND", f"There is no {scope['path']} here")
        read_query(query, {}, self._state.faults)
        token = query.get("session_token")
        if token is not None:
            with self._state.lock:
                self._state.stats.sockets["tokens_in_url"] += 1
            if not self._state.accepts(token) or self._state.take_refusal():
                raise _unauthorized()
        return token

    async def _read(self, client: _Client, receive: Receive) -> None:
        while (message := await receive())["type"] != "websocket.disconnect":
            if not self._state.faults.socket_silent:
                self._answer(client, message.get("text"))

    async def _write(self, client: _Client, send: Send) -> None:
        while True:
            message = await client.queue.get()
            await asyncio.sleep(message.due - asyncio.get_running_loop().time())
            faults = self._state.faults
            if faults.socket_silent:
                continue
            if message.channel and self._state.strikes("socket_drop_rate", faults.socket_drop_rate):
                client.connection.transport.abort()
                return
            kind = "text" if isinstance(message.content, str) else "bytes"
            await send({"type": "websocket.send", kind: message.content})
            client.sent_at = asyncio.get_running_loop().time()
            if message.channel and message.events:
                with self._state.lock:
                    self._state.stats.socket_events[message.channel] += message.events

    def _answer(self, client: _Client, text: str | None) -> None:
        """Do what a message asks for, and answer it."""
        kind, request_id = "invalid", None
        try:
            try:
                message = json.loads(text or "")
            except (ValueError, RecursionError):
                message = None
            if not isinstance(message, dict) or not isinstance(message.setdefault("data", {}), dict):
                raise Refusal(400, "INVALID_MESSAGE", "A message is a JSON object, and so is its data")
            request_id = message.get("request_id")
            kind = "unknown"
            if message.get("type") not in list(self._answers):
                raise Refusal(400, "UNKNOWN_MESSAGE", f"type must be one of {', '.join(self._answers)}")
            kind = str(message["type"])
            if kind != "connect" and not self._state.accepts(client.token):
                if client.token is not None:
                    client.end(4401, "The session token has ended")
                    return
                raise _unauthorized()
            answer, data = self._answers[kind](client, message["data"])
        except Refusal as refusal:
            answer, data = "error", json.dumps({"code": refusal.code, "message": str(refusal)})
        finally:
            with self._state.lock:
                self._state.stats.socket_messages[kind] += 1
        client.put(_frame(answer, data, request_id))

    def _connect(self, client: _Client, data: dict[str, Any]) -> tuple[str, str]:
        token = data.get("session_token")
        if not isinstance(token, str) or not self._state.accepts(token) or self._state.take_refusal():
            with self._state.lock:
                self._state.stats.sockets["refused"] += 1
            raise _unauthorized()
        client.token = token
        return "connected", "{}"

    def _subscribe(self, client: _Client, data: dict[str, Any]) -> tuple[str, str]:
        channel = data.get("channel")
        if channel not in _CHANNELS:
            raise Refusal(400, "UNKNOWN_CHANNEL", f"channel must be one of {', '.join(_CHANNELS)}")
        client.channels.add(channel)
        return "subscribed", json.dumps({"channel": channel})

    def _bootstrap(self, client: _Client, data: dict[str, Any]) -> tuple[str, str]:
        accounts, positions = json.dumps(self._live.traders), ",".join(self._live.positions())
        return "bootstrap", f'{{"accounts":{accounts},"positions":[{positions}],"active_orders":[]}}'

    def _snapshot(self, client: _Client, data: dict[str, Any]) -> tuple[str, str]:
        account_id = self._account(client, data)
        positions = ",".join(self._live.positions(account_id))
        equity = number(self._live.equity(account_id, self._live.now))
        return "snapshot", f'{{"account_id":{account_id},"equity":{equity},"positions":[{positions}]}}'

    def _asset_curve(self, client: _Client, data: dict[str, Any]) -> tuple[str, str]:
        account_id, timeframe = self._account(client, data), data.get("timeframe", "7d")
        try:
            points = ",".join(self._live.curve_points(account_id, str(timeframe)))
        except ValueError as error:
            raise Refusal(400, "INVALID_TIMEFRAME", str(error)) from None
        return "asset_curve", f'{{"account_id":{account_id},"timeframe":{json.dumps(timeframe)},"points":[{points}]}}'

    def _switch_user(self, client: _Client, data: dict[str, Any]) -> tuple[str, str]:
        user_id = self._state.user["id"]
        if data.get("user_id") != user_id:
            raise Refusal(404, "USER_NOT_FOUND", "User not found")
        return "switched", json.dumps({"user_id": user_id})

    def _switch_account(self, client: _Client, data: dict[str, Any]) -> tuple[str, str]:
        client.account_id = self._account(client, data)
        return "switched", json.dumps({"account_id": client.account_id})

    def _place_order(self, client: _Client, data: dict[str, Any]) -> tuple[str, str]:
        raise Refusal(403, "READ_ONLY", "The sandbox takes no orders")

    def _account(self, client: _Client, data: dict[str, Any]) -> int:
        """The account that a message is about: the one it names, was switched to before, or the first one."""
        known = self._live.account_ids
        account_id = data.get("account_id", client.account_id or known[0] if known else None)
        if account_id not in known:
            raise Refusal(404, "ACCOUNT_NOT_FOUND", "Account not found")
        return int(account_id)


def _frame(kind: str, data: str, request_id: object = None) -> str:
    echo = "" if request_id is None else f'"request_id":{json.dumps(request_id)},'
    return f'{{"type":"{kind}",{echo}"data":{data}}}'


def _unauthorized() -> Refusal:
    return Refusal(401, "UNAUTHORIZED", "The session token is missing, unknown or expired")


async def _refuse(response: Response, send: Send) -> None:
    """Answer a handshake with an HTTP response."""
    start = {"type": "websocket.http.response.start", "status": response.status_code}
    await send(start | {"headers": response.raw_headers})
    await send({"type": "websocket.http.response.body", "body": response.body})

"""The WebSocket ``/ws``: handshakes, and the messages that clients send."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from secrets import token_hex
from typing import Any

from starlette.datastructures import QueryParams

from hyperoru_provider.sandbox.connection import Connection
from hyperoru_provider.sandbox.errors import Refusal, error_response
from hyperoru_provider.sandbox.feed import Client, Feed, Message, message_text
from hyperoru_provider.sandbox.live import Live
from hyperoru_provider.sandbox.prices import number
from hyperoru_provider.sandbox.queries import read_query
from hyperoru_provider.sandbox.state import State

__all__ = ["CHANNELS", "Sockets"]

#: What can be subscribed to.
CHANNELS = ("trades", "positions", "model_chat", "asset_curve")


class Sockets:
    """All sockets of a sandbox.

    :param state: tokens, faults and counts
    :param live: the live market
    """

    def __init__(self, state: State, live: Live) -> None:
        #: Sends the events.
        self.feed = Feed(state, live, self.event_text)
        self._state = state
        self._live = live
        self._answers: dict[str, Callable[[Client, dict[str, Any]], tuple[str, str]]] = {
            "connect": self._connect,
            "subscribe": self._subscribe,
            "bootstrap": self._bootstrap,
            "get_snapshot": self._snapshot,
            "get_asset_curve": self._asset_curve,
            "switch_user": self._switch_user,
            "switch_account": self._switch_account,
            "place_order": self._place_order,
        }

    def event_text(self, channel: str, text: str) -> str:
        """Return the message of an event.

        :param channel: its channel
        :param text: the JSON text of what happened
        """
        return message_text(channel, text)

    async def serve(self, connection: Connection) -> None:
        """Serve one socket, from its handshake to its end."""
        await asyncio.sleep(self._state.faults.socket_latency)
        try:
            token = self.greet(connection.target)
        except Refusal as refusal:
            self._count("refused")
            connection.refuse(error_response(refusal, "req_" + token_hex(10), self._state.faults.error_body))
            return
        if not connection.accept():
            return
        connection.is_silent = lambda: self._state.faults.socket_silent
        client = Client(connection, token, lambda: self._state.faults)
        with self._state.lock:
            self._state.stats.open_socket()
        self.feed.clients.add(client)
        tasks = [asyncio.create_task(self._read(client)), asyncio.create_task(self._write(client))]
        waited: list[asyncio.Future[Any]] = [*tasks, client.ended]
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.feed.clients.discard(client)
            with self._state.lock:
                self._state.stats.sockets_open -= 1
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if client.ended.done():
            connection.close(*client.ended.result())

    def greet(self, target: str) -> str | None:
        """Return the token of a handshake, which is valid; None where a message is to bring it.

        :param target: the path and the query of the handshake
        :raises Refusal: if it is refused
        """
        path, _, text = target.partition("?")
        query = QueryParams(text)
        if path != "/ws":
            raise Refusal(404, "NOT_FOUND", f"There is no {path} here")
        read_query(query, {}, self._state.faults)
        token = query.get("session_token")
        if token is not None:
            self._count("tokens_in_url")
            if not self._state.accepts(token) or self._state.take_refusal():
                raise _unauthorized()
        return token

    def _count(self, name: str) -> None:
        with self._state.lock:
            self._state.stats.sockets[name] += 1

    async def _read(self, client: Client) -> None:
        while (content := await client.connection.receive()) is not None:
            if not self._state.faults.socket_silent:
                self.answer(client, content)

    async def _write(self, client: Client) -> None:
        while True:
            due, message = await client.queue.get()
            await asyncio.sleep(due - asyncio.get_running_loop().time())
            faults = self._state.faults
            if faults.socket_silent:
                continue
            if message.channel and self._state.strikes("socket_drop_rate", faults.socket_drop_rate):
                client.connection.abort()
                return
            await client.connection.send(message.content)
            client.sent_at = asyncio.get_running_loop().time()
            if message.channel and message.events:
                with self._state.lock:
                    self._state.stats.socket_events[message.channel] += message.events

    def answer(self, client: Client, content: str | bytes) -> None:
        """Do what a message asks for, and answer it."""
        kind, request_id = "invalid", None
        try:
            message = _parse(content)
            kind, request_id = "unknown", message.get("request_id")
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
        client.put(Message(message_text(answer, data, request_id)))

    def _connect(self, client: Client, data: dict[str, Any]) -> tuple[str, str]:
        token = data.get("session_token")
        if not isinstance(token, str) or not self._state.accepts(token) or self._state.take_refusal():
            self._count("refused")
            raise _unauthorized()
        client.token = token
        return "connected", "{}"

    def _subscribe(self, client: Client, data: dict[str, Any]) -> tuple[str, str]:
        channel = data.get("channel")
        if channel not in CHANNELS:
            raise Refusal(400, "UNKNOWN_CHANNEL", f"channel must be one of {', '.join(CHANNELS)}")
        client.channels.add(channel)
        return "subscribed", json.dumps({"channel": channel})

    def _bootstrap(self, client: Client, data: dict[str, Any]) -> tuple[str, str]:
        accounts, positions = json.dumps(self._live.traders), ",".join(self._live.positions())
        return "bootstrap", f'{{"accounts":{accounts},"positions":[{positions}],"active_orders":[]}}'

    def _snapshot(self, client: Client, data: dict[str, Any]) -> tuple[str, str]:
        account_id = self._account(client, data)
        positions = ",".join(self._live.positions(account_id))
        equity = number(self._live.equity(account_id, self._live.now))
        return "snapshot", f'{{"account_id":{account_id},"equity":{equity},"positions":[{positions}]}}'

    def _asset_curve(self, client: Client, data: dict[str, Any]) -> tuple[str, str]:
        account_id, timeframe = self._account(client, data), data.get("timeframe", "7d")
        try:
            points = ",".join(self._live.curve_points(account_id, str(timeframe)))
        except ValueError as error:
            raise Refusal(400, "INVALID_TIMEFRAME", str(error)) from None
        return "asset_curve", f'{{"account_id":{account_id},"timeframe":{json.dumps(timeframe)},"points":[{points}]}}'

    def _switch_user(self, client: Client, data: dict[str, Any]) -> tuple[str, str]:
        user_id = self._state.user["id"]
        if data.get("user_id") != user_id:
            raise Refusal(404, "USER_NOT_FOUND", "User not found")
        return "switched", json.dumps({"user_id": user_id})

    def _switch_account(self, client: Client, data: dict[str, Any]) -> tuple[str, str]:
        client.account_id = self._account(client, data)
        return "switched", json.dumps({"account_id": client.account_id})

    def _place_order(self, client: Client, data: dict[str, Any]) -> tuple[str, str]:
        raise Refusal(403, "READ_ONLY", "The sandbox takes no orders")

    def _account(self, client: Client, data: dict[str, Any]) -> int:
        """Return the account that a message is about: the one it names, was switched to before, or the first one."""
        known = self._live.account_ids
        account_id = data.get("account_id", client.account_id or known[0] if known else None)
        if account_id not in known:
            raise Refusal(404, "ACCOUNT_NOT_FOUND", "Account not found")
        return int(account_id)


def _parse(content: str | bytes) -> dict[str, Any]:
    """Return a message, with its ``data``.

    :raises Refusal: if it is not one
    """
    try:
        message = json.loads(content) if isinstance(content, str) else None
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict) or not isinstance(message.setdefault("data", {}), dict):
        raise Refusal(400, "INVALID_MESSAGE", "A message is a JSON object, and so is its data")
    return message


def _unauthorized() -> Refusal:
    return Refusal(401, "UNAUTHORIZED", "The session token is missing, unknown or expired")

"""The WebSocket of the family: no token, no request ids, and events of all kinds for whoever subscribes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hyperoru_provider.sandbox.errors import Refusal
from hyperoru_provider.sandbox.family.table import Table, epoch, naive, trade_record
from hyperoru_provider.sandbox.feed import Client, Message
from hyperoru_provider.sandbox.live import Live
from hyperoru_provider.sandbox.rows import micros, parse_row
from hyperoru_provider.sandbox.sockets import CHANNELS, Sockets
from hyperoru_provider.sandbox.state import State

__all__ = ["FamilySockets"]

#: Our name of a channel -> the type of its events, and the key of what happened; None where it is the message itself.
_EVENTS = {
    "trades": ("trade_update", "trade"),
    "positions": ("position_update", "positions"),
    "model_chat": ("model_chat_update", "decision"),
    "asset_curve": ("arena_asset_update", None),
}


class FamilySockets(Sockets):
    """All sockets of a sandbox.

    :param state: faults and counts
    :param live: the live market
    :param table: the rows of mainnet
    """

    def __init__(self, state: State, live: Live, table: Table) -> None:
        super().__init__(state, live)
        self._table = table
        self._requests: dict[str, Callable[[Client, dict[str, Any]], str | None]] = {
            "subscribe": self._subscribe_to_all,
            "bootstrap": self._bootstrapped,
            "get_asset_curve": self._curve,
            "ping": lambda client, message: '{"type":"pong"}',
        }

    def event_text(self, channel: str, text: str) -> str:
        """Return the message of an event, which has no ``data``."""
        kind, key = _EVENTS[channel]
        happened = json.loads(text)
        sent = [_sent(channel, each) for each in (happened if isinstance(happened, list) else [happened])]
        if key is None:
            return _message(kind, **sent[0])
        return _message(kind, **{key: sent if channel == "positions" or isinstance(happened, list) else sent[0]})

    def greet(self, target: str) -> str | None:
        """Let everybody in: this server asks nobody for a token.

        :raises Refusal: if there is no socket at the address
        """
        if target.partition("?")[0] != "/ws":
            raise Refusal(404, "NOT_FOUND", "Not Found")
        return None

    def answer(self, client: Client, content: str | bytes) -> None:
        """Do what a message asks for; the socket of one that is not as it has to be dies without a close frame."""
        try:
            message = json.loads(content)
            kind = message["type"]
            with self._state.lock:
                self._state.stats.socket_messages[kind if kind in self._requests else "unknown"] += 1
            if kind not in self._requests:
                answer: str | None = _message("error", message=f"Unknown message type {kind}")
            else:
                answer = self._requests[kind](client, message)
        except (ValueError, TypeError, KeyError):
            client.connection.abort()
            return
        if answer:
            client.put(Message(answer))

    def _subscribe_to_all(self, client: Client, message: dict[str, Any]) -> None:
        int(message["user_id"])
        client.channels.update(CHANNELS)

    def _bootstrapped(self, client: Client, message: dict[str, Any]) -> str:
        return _message("bootstrap_ok", user=self._state.user, accounts=self._live.traders)

    def _curve(self, client: Client, message: dict[str, Any]) -> str:
        end = self._table.records.now
        points = self._table.texts("asset_curve", end - 86_400_000_000, end, timeframe=message.get("timeframe", "1h"))
        return f'{{"type":"asset_curve_data","data":[{",".join(reversed(points))}]}}'


def _sent(channel: str, happened: dict[str, Any]) -> dict[str, Any]:
    """Return what happened, in the words of this server."""
    if channel == "trades":
        row, _ = parse_row(happened)
        return dict(trade_record(row).fields)
    if channel == "model_chat":
        happened["decision_time"] = naive(micros(happened.pop("created_at")))
    if channel == "asset_curve":
        happened["total_assets"] = happened.pop("equity")
        happened["timestamp"] = epoch(micros(happened["timestamp"]))
    return happened


def _message(kind: str, **fields: object) -> str:
    return json.dumps({"type": kind, **fields}, separators=(",", ":"), ensure_ascii=False)

"""What time brings to the sockets: trades, the events that follow from them, and the faults of events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from hyperoru_provider.sandbox.connection import Connection
from hyperoru_provider.sandbox.faults import Faults
from hyperoru_provider.sandbox.live import Live
from hyperoru_provider.sandbox.row_faults import changed
from hyperoru_provider.sandbox.rows import SECOND
from hyperoru_provider.sandbox.state import State

__all__ = ["Client", "Feed", "Message", "message_text"]

_TICK = 0.1
_BURST = 100  # messages of a tick after which clients may read first
_BREATH = 0.01
_PATIENCE = 5.0  # for that, in one tick
_STUCK = 0.5  # without a message sent

#: The channel of an event, and its JSON text.
_Event = tuple[str, str]


class Message(NamedTuple):
    """What is sent to a client; ``events`` of a channel are in it, or it is an answer and has no channel."""

    content: str | bytes
    channel: str | None = None
    events: int = 0


class Client:
    """A client with an open socket.

    :param connection: its socket
    :param token: that of the socket's URL
    :param faults: gives the present faults
    """

    def __init__(self, connection: Connection, token: str | None, faults: Callable[[], Faults]) -> None:
        self.connection = connection
        self.token = token
        self.account_id: int | None = None
        self.channels: set[str] = set()
        self.sent_at = asyncio.get_running_loop().time()
        #: Messages, each with the time of the loop's clock at which it is due.
        self.queue: asyncio.Queue[tuple[float, Message]] = asyncio.Queue()
        #: The code and the reason that the socket is to be closed with.
        self.ended: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        self._faults = faults

    def put(self, message: Message) -> None:
        """Send a message as soon as the client reads; its socket is closed when too many wait."""
        faults = self._faults()
        if self.queue.qsize() >= faults.socket_queue:
            self.end(1013, "The client reads too slowly")
        else:
            self.queue.put_nowait((asyncio.get_running_loop().time() + faults.socket_latency, message))

    def lags(self) -> bool:
        """Return whether the client reads, but has much to read yet: a burst is no reason to close its socket."""
        stuck = asyncio.get_running_loop().time() - self.sent_at > _STUCK
        return self.queue.qsize() * 2 > self._faults().socket_queue and not stuck

    def end(self, code: int, reason: str) -> None:
        """Close the socket."""
        if not self.ended.done():
            self.ended.set_result((code, reason))


class Feed:
    """The clock that trades and events go by.

    :param state: tokens, faults and counts
    :param live: the live market
    :param event_text: returns the message of an event, of its channel and the JSON text of what happened
    """

    def __init__(self, state: State, live: Live, event_text: Callable[[str, str], str]) -> None:
        #: Who gets the events.
        self.clients: set[Client] = set()
        self._state = state
        self._live = live
        self._event_text = event_text
        self._held: list[_Event] = []
        self._period = 0

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
        channels = {channel for client in self.clients for channel in client.channels}
        curve_is_due = self._curve_is_due(faults)
        if not faults.socket_silent:
            self._end_clients_without_a_token()
        if not channels or faults.socket_silent:
            self._live.skip_news()
            self._held.clear()
            return
        await self._send(self._messages(self._events(channels, curve_is_due, faults), faults))

    def _end_clients_without_a_token(self) -> None:
        for client in self.clients:
            if client.token is not None and not self._state.accepts(client.token):
                client.end(4401, "The session token has ended")

    def _curve_is_due(self, faults: Faults) -> bool:
        before, self._period = self._period, self._live.now // int(faults.asset_curve_seconds * SECOND)
        return self._period != before

    def _events(self, channels: set[str], curve_is_due: bool, faults: Faults) -> list[_Event]:
        events: list[_Event] = []
        for row in self._live.news():
            (body,) = changed([row.body], faults)
            events += self._live.events(row._replace(body=body), channels)
        if "asset_curve" in channels and curve_is_due:
            events += [("asset_curve", point) for point in self._live.asset_curve()]
        return events

    async def _send(self, messages: Iterable[Message]) -> None:
        loop = asyncio.get_running_loop()
        patience = loop.time() + _PATIENCE
        for sent, message in enumerate(messages, start=1):
            for client in list(self.clients):
                if message.channel in client.channels:
                    client.put(message)
            if sent % _BURST == 0:
                await asyncio.sleep(0)
                while any(client.lags() for client in self.clients) and loop.time() < patience:
                    await asyncio.sleep(_BREATH)

    def _messages(self, events: list[_Event], faults: Faults) -> Iterator[Message]:
        """Yield what is sent for the events of a tick, with the faults of messages."""
        for message in self._in_batches(self._in_faulty_order(events, faults), faults.socket_batch):
            text = str(message.content)
            if self._state.strikes("socket_malformed_rate", faults.socket_malformed_rate):
                half = text[: len(text) // 2]
                content = self._state.dice("socket_malformed").choice((half, half.encode()))
                yield Message(content, message.channel)
            yield message
            if self._state.strikes("socket_duplicate_rate", faults.socket_duplicate_rate):
                yield message

    def _in_faulty_order(self, events: list[_Event], faults: Faults) -> list[_Event]:
        """Return the events of a tick without those that are lost or come with the next one."""
        events = [event for event in events if not self._state.strikes("socket_lose_rate", faults.socket_lose_rate)]
        held, self._held = self._held, []
        if not faults.socket_shuffle:
            return held + events
        dice = self._state.dice("socket_shuffle")
        present = list(held)
        for event in events:
            (self._held if dice.random() < 0.3 else present).append(event)
        dice.shuffle(present)
        return present

    def _in_batches(self, events: list[_Event], size: int | None) -> list[Message]:
        """Return the message of each event, with up to ``size`` trades in one."""
        if size is None:
            return [Message(self._event_text(channel, text), channel, 1) for channel, text in events]
        others = [event for event in events if event[0] != "trades"]
        trades = [text for channel, text in events if channel == "trades"]
        batches = [trades[first : first + size] for first in range(0, len(trades), size)]
        return self._in_batches(others, None) + [
            Message(self._event_text("trades", f"[{','.join(batch)}]"), "trades", len(batch)) for batch in batches
        ]


def message_text(kind: str, data: str, request_id: object = None) -> str:
    """Return the JSON text of a message.

    :param kind: its ``type``
    :param data: the JSON text of its ``data``
    :param request_id: that of the message that it answers
    """
    echo = "" if request_id is None else f'"request_id":{json.dumps(request_id)},'
    return f'{{"type":"{kind}",{echo}"data":{data}}}'

"""The WebSocket's messages: requests to write, events and refusals to read. Pure: no clock, no I/O."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from hyperoru_provider.client.amounts import parse_amount
from hyperoru_provider.client.api.contract import Contract
from hyperoru_provider.client.errors import HyperoruConfigError, HyperoruContractError, read_failure
from hyperoru_provider.client.escaping import printable, shorten
from hyperoru_provider.client.redaction import redact_text
from hyperoru_provider.client.stream.event_filter import FILTERS
from hyperoru_provider.client.surrogates import replace_halves
from hyperoru_provider.client.times import parse_time, to_utc

log = logging.getLogger(__name__)

_decoder = msgspec.json.Decoder(float_hook=Decimal)

_ERROR = "error"
_MAX_WARNINGS = 20
_MAX_REFUSAL_LENGTH = 300
#: events that are read of one message, and values that it may hold: an event loop has others who wait
MAX_EVENTS = 1000
_MAX_VALUES = 100_000
#: how far a server's clock may be ahead of this machine's
_MAX_CLOCK_SKEW = timedelta(seconds=60)
_TOKEN_CODES = ("UNAUTHORIZED", "UNAUTHENTICATED", "INVALID_TOKEN", "TOKEN_EXPIRED")
_FIELDS = ("account_id", "symbol", "side", "notional", "quantity", "price", "time")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, as a channel of the stream reports it.

    :param channel: ``trades``, ``positions``, ``model_chat`` or ``asset_curve``.
    :param data: the server's fields under the server's names; numbers have all their digits.
    :param account_id: the trader's id; ``None`` if the event has none.
    :param symbol: such as ``BTC``; ``None`` if the event has none.
    :param side: such as ``BUY`` or ``long``; for ``model_chat`` the operation; ``None`` if the event has none.
    :param notional: its amount, or quantity times price where it has none; never negative. ``None`` if unknown.
    :param time: the server's time in UTC; the time of receipt if there is none, or if it lies far ahead.
    """

    channel: str
    data: Mapping[str, Any]
    account_id: int | str | None
    symbol: str | None
    side: str | None
    notional: Decimal | None
    time: datetime


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which events may have been missed.

    :param reason: why.
    :param since: all events before this time were seen, by this machine's clock; ``None``: none was seen before.
    :param until: all events from this time on are seen.
    """

    reason: str
    since: datetime | None
    until: datetime


class Message(NamedTuple):
    """A message of the server.

    :param type: a channel's name, ``error``, or the type of an answer.
    :param request_id: id of the request that it answers; ``None`` if it answers none.
    :param data: any JSON value.
    :param beside: the message's other fields.
    """

    type: str
    request_id: str | None
    data: Any
    beside: Mapping[str, Any] = MappingProxyType({})

    @property
    def is_cut(self) -> bool:
        """Whether it holds more events than are read."""
        values = (self.data, *self.beside.values())
        return any(isinstance(value, list) and len(value) > MAX_EVENTS for value in values)

    def payload(self, key: str | None) -> Any:
        """Return what stands under a key; without a key, all fields but the type and the id of a request."""
        if key is None:
            return {**self.beside} if self.data is None else {**self.beside, "data": self.data}
        return self.data if key == "data" else self.beside.get(key)


class Refusal(NamedTuple):
    """An error that the server reported.

    :param code: the server's machine code; may be empty.
    :param message: the server's explanation.
    """

    code: str
    message: str

    @property
    def is_about_token(self) -> bool:
        """Whether the session token was refused."""
        return self.code.upper() in _TOKEN_CODES


def write_message(message_type: str, request_id: str, data: Mapping[str, Any]) -> str:
    """Return a request as the text of a message."""
    return msgspec.json.encode({"type": message_type, "request_id": request_id, "data": data}).decode()


def write_subscription(user_id: int | str) -> str:
    """Return the text of the message that subscribes to all events of a user."""
    return msgspec.json.encode({"type": "subscribe", "user_id": user_id}).decode()


def read_message(text: str | bytes) -> Message:
    """Return the message that a text holds.

    :raises HyperoruContractError: it is not a message; the error does not repeat the text.
    """
    raw = text.encode() if isinstance(text, str) else text
    if sum(map(raw.count, (b",", b"[", b"{"))) > _MAX_VALUES:
        raise HyperoruContractError(f"a message holds more than {_MAX_VALUES:,} values")
    try:
        message = _decoder.decode(replace_halves(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, ArithmeticError, RecursionError) as error:
        raise HyperoruContractError(f"a message is not JSON: {type(error).__name__}") from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise HyperoruContractError("a message is not a JSON object with a type")
    kind, request_id, data = message.pop("type"), message.pop("request_id", None), message.pop("data", None)
    return Message(kind, None if request_id is None else str(request_id), data, message)


def read_refusal(message: Message, secrets: Iterable[str] = ()) -> Refusal | None:
    """Return the error that a message reports, in its data or beside it, or ``None`` if it reports none.

    :param secrets: texts to redact, as the server may repeat them.
    """
    if message.type != _ERROR:
        return None
    data = message.data if isinstance(message.data, dict) else {"message": message.data}
    failure = read_failure({**message.beside, **{name: value for name, value in data.items() if value is not None}})
    told = (failure.code or "", failure.message or "no reason given")
    secrets = tuple(secrets)
    return Refusal(*(shorten(redact_text(text, secrets), _MAX_REFUSAL_LENGTH) for text in told))


def server_channels(contract: Contract, channels: Iterable[str]) -> dict[str, str]:
    """Return a mapping of the server's names of channels to ours.

    :param channels: our names.
    :raises HyperoruConfigError: there is no such channel, or the server has none, or none is named.
    """
    known = contract.stream.channels
    names = {}
    for channel in channels:
        if channel not in known:
            raise HyperoruConfigError(f"unknown channel {channel!r}; known are {', '.join(known)}.")
        name = known[channel]
        if name is None:
            raise HyperoruConfigError(f"channel {channel!r}: the contract's stream.channels says that there is none.")
        names[name] = channel
    if not names:
        raise HyperoruConfigError("channels: name at least one.")
    return names


class EventReader:
    """Reads the events out of messages, and warns once of each thing that the contract may have wrong.

    :param contract: the server's names of fields.
    :param channels: the server's names of the channels -> ours; see :func:`server_channels`.
    """

    def __init__(self, contract: Contract, channels: Mapping[str, str]) -> None:
        self._channels = channels
        self._payloads = contract.stream.payloads
        # whoever subscribes as a user gets the events of all channels
        unwanted = contract.stream.channels.values() if contract.stream.user_id is not None else ()
        self._unwanted = {*unwanted} - {*channels}
        self._names = {channel: _server_fields(contract, channel) for channel in channels.values()}
        self._warned: set[str] = set()

    def read(self, message: Message, received_at: datetime) -> list[Event]:
        """Return a message's first events; an answer to a request, an error, or a message of no channel, has none.

        :raises HyperoruContractError: the message belongs to a channel, but holds something other than objects.
        """
        if message.request_id is not None or message.type == _ERROR or message.type in self._unwanted:
            return []
        channel = self._channels.get(message.type)
        if channel is None:
            self._warn_once(
                f"type {message.type[:40]}",
                f"Messages of type {message.type[:40]!r} belong to no channel that was subscribed to, and are "
                "skipped. If it is a channel's name, set it in the contract's stream.channels.",
            )
            return []
        payload = message.payload(self._payloads[channel])
        rows = payload[:MAX_EVENTS] if isinstance(payload, list) else [payload]
        if not all(isinstance(row, dict) for row in rows):
            raise HyperoruContractError(f"a message of {channel} holds something that is not an object")
        return [self._event(channel, row, received_at) for row in rows]

    def _event(self, channel: str, row: dict[str, Any], received_at: datetime) -> Event:
        names = self._names[channel]
        values = {field: next((row[name] for name in names[field] if name in row), None) for field in _FIELDS}
        values["notional"] = _notional(values["notional"], values["quantity"], values["price"])
        self._warn_of_missing(channel, row, values)
        account_id, symbol, side = values["account_id"], values["symbol"], values["side"]
        return Event(
            channel=channel,
            data=row,
            account_id=account_id if account_id is None or isinstance(account_id, int) else str(account_id),
            symbol=None if symbol is None else str(symbol),
            side=None if side is None else str(side),
            notional=values["notional"],
            time=_event_time(values["time"], received_at),
        )

    def _warn_of_missing(self, channel: str, row: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        """Warn of what a filter needs and neither the row nor what was read out of it has."""
        for field in (*FILTERS[channel], "time"):
            if values[field] is None and not any(name in row for name in self._names[channel][field]):
                self._warn_once(
                    f"{channel} {field}",
                    f"An event of {channel} has no {field}; its fields are {', '.join(islice(row, 20))[:300]}. "
                    f"{'The time of receipt is used' if field == 'time' else 'Filters by it reject it'}. Name the "
                    f"field in the contract's {'trades' if channel == 'trades' else 'stream'}.fields.",
                )

    def _warn_once(self, subject: str, text: str) -> None:
        """Log a warning, but once for each subject, and of few subjects: a server may vary what it does wrong."""
        if subject not in self._warned and len(self._warned) < _MAX_WARNINGS:
            self._warned.add(subject)
            log.warning("%s", printable(text))


def _server_fields(contract: Contract, channel: str) -> dict[str, tuple[str, ...]]:
    """Return the names under which the server may send each field of a channel's events."""
    if channel != "trades":
        return {field: contract.stream.names_of(field) for field in _FIELDS}
    trades = contract.trades
    return {field: trades.names_of(trades.time if field == "time" else field) for field in _FIELDS}


def _notional(notional: Any, quantity: Any, price: Any) -> Decimal | None:
    """Return an event's amount without its sign, or ``None`` if it has none that can be read."""
    try:
        amount = parse_amount(quantity) * parse_amount(price) if notional is None else parse_amount(notional)
    except ValueError:
        return None
    return amount.copy_abs()


def _event_time(value: Any, received_at: datetime) -> datetime:
    """Return an event's time, or that of receipt if it has none that can be believed.

    A time that lies ahead would tell those who look up to it that they have seen what is still to come.
    """
    received_at = to_utc(received_at)
    try:
        time = parse_time(value)
    except ValueError:
        return received_at
    return time if time <= received_at + _MAX_CLOCK_SKEW else received_at

"""Reads and writes the WebSocket's frames, and says what a refusal and a lost socket mean. Pure: no clock, no I/O."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from hyperoru_provider.client.amounts import parse_amount
from hyperoru_provider.client.api.contract import Contract
from hyperoru_provider.client.errors import HyperoruConfigError, HyperoruContractError
from hyperoru_provider.client.redaction import redact_text
from hyperoru_provider.client.times import parse_time, to_utc

log = logging.getLogger(__name__)

_json = msgspec.json.Decoder(float_hook=Decimal)

_MOST_WARNINGS = 20
_FARTHEST_AHEAD = timedelta(seconds=60)
_FACTS = ("account_id", "symbol", "side", "notional", "quantity", "price", "time")
#: what tells events apart, channel by channel
FILTERS: Mapping[str, tuple[str, ...]] = {
    "trades": ("account_id", "symbol", "side", "notional"),
    "positions": ("account_id", "symbol", "side", "notional"),
    "model_chat": ("account_id", "symbol", "side"),
    "asset_curve": ("account_id",),
}


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, as a channel of the stream tells it.

    :param channel: ``trades``, ``positions``, ``model_chat`` or ``asset_curve``.
    :param data: the server's fields under the server's names; numbers have all their digits.
    :param account_id: whose it is, if the event says so.
    :param symbol: of what, if the event says so.
    :param side: such as ``BUY`` or ``long``; of ``model_chat`` the operation.
    :param notional: its amount, or quantity times price where it has none; never negative.
    :param time: the server's time in UTC, or that of receipt where there is none, or one that lies far ahead.
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
    """Events may be missing.

    :param reason: why.
    :param since: up to here all was seen, by this machine's clock; ``None``: nothing was seen before.
    :param until: from here on all is seen.
    """

    reason: str
    since: datetime | None
    until: datetime


class Frame(NamedTuple):
    """One message."""

    type: str
    request_id: str | None
    data: Any


class Refusal(NamedTuple):
    """What the server said when it refused a request."""

    code: str
    message: str

    @property
    def of_token(self) -> bool:
        """Whether it is the token that was refused."""
        return self.code.upper() in ("UNAUTHORIZED", "UNAUTHENTICATED", "INVALID_TOKEN", "TOKEN_EXPIRED")


def write_frame(kind: str, request_id: str, data: Mapping[str, Any]) -> str:
    """Write a request."""
    return msgspec.json.encode({"type": kind, "request_id": request_id, "data": data}).decode()


def read_frame(text: str | bytes) -> Frame:
    """Read a message.

    :raises HyperoruContractError: it is none; its text is not repeated.
    """
    try:
        frame = _json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, ArithmeticError, RecursionError) as error:
        raise HyperoruContractError(f"a message is no JSON: {type(error).__name__}") from None
    if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
        raise HyperoruContractError("a message is no JSON object with a type")
    request_id = frame.get("request_id")
    return Frame(frame["type"], None if request_id is None else str(request_id), frame.get("data"))


def read_refusal(frame: Frame, secrets: Iterable[str] = ()) -> Refusal | None:
    """Give what a message refuses; ``None`` if it does not.

    :param frame: the message.
    :param secrets: what it may repeat, to be blotted out before its text is cut.
    """
    if frame.type != "error":
        return None
    data = frame.data if isinstance(frame.data, dict) else {}
    code, message = str(data.get("code") or ""), str(data.get("message") or "no reason given")
    secrets = tuple(secrets)
    return Refusal(redact_text(code, secrets)[:300], redact_text(message, secrets)[:300])


def server_channels(contract: Contract, channels: Iterable[str]) -> dict[str, str]:
    """Give the server's names of channels, with ours.

    :raises HyperoruConfigError: there is no such channel, or the server has none.
    """
    known = contract.stream.channels
    names = {}
    for channel in channels:
        if channel not in known:
            raise HyperoruConfigError(f"channel {channel!r}: there are {', '.join(known)}.")
        name = known[channel]
        if name is None:
            raise HyperoruConfigError(f"channel {channel!r}: the contract's stream.channels says that there is none.")
        names[name] = channel
    if not names:
        raise HyperoruConfigError("channels: name at least one.")
    return names


class EventReader:
    """Makes messages events.

    :param contract: how the server names things.
    :param channels: the server's names of the channels -> ours.
    """

    def __init__(self, contract: Contract, channels: Mapping[str, str]) -> None:
        self._channels = channels
        self._names = {
            channel: {
                fact: endpoint.names_of(
                    contract.trades.time if endpoint is contract.trades and fact == "time" else fact
                )
                for fact in _FACTS
            }
            for channel in channels.values()
            for endpoint in [contract.trades if channel == "trades" else contract.stream]
        }
        self._warned: set[str] = set()

    def read(self, frame: Frame, received_at: datetime) -> list[Event]:
        """Give a message's events; other messages have none.

        :raises HyperoruContractError: the message of a channel holds no objects.
        """
        channel = self._channels.get(frame.type)
        if channel is None or frame.request_id is not None:
            if channel is None and frame.request_id is None:
                self._warn(
                    f"type {frame.type[:40]}",
                    f"Messages of type {frame.type[:40]!r} belong to no channel that was subscribed to, and are passed "
                    "over. If it is a channel's name, set it in the contract's stream.channels.",
                )
            return []
        rows = frame.data if isinstance(frame.data, list) else [frame.data]
        if not all(isinstance(row, dict) for row in rows):
            raise HyperoruContractError(f"a message of {channel} holds something that is no object")
        return [self._event(channel, row, received_at) for row in rows]

    def _event(self, channel: str, row: dict[str, Any], received_at: datetime) -> Event:
        facts = {
            fact: next((row[name] for name in names if name in row), None)
            for fact, names in self._names[channel].items()
        }
        facts["notional"] = _notional(facts["notional"], facts["quantity"], facts["price"])
        for fact in (*FILTERS[channel], "time"):
            if facts[fact] is None and not any(name in row for name in self._names[channel][fact]):
                self._warn(
                    f"{channel} {fact}",
                    f"An event of {channel} has no {fact}; its fields are {', '.join(row)[:300]}. "
                    f"{'The time of receipt is taken' if fact == 'time' else 'No filter by it lets it pass'}. "
                    f"Name the field in the contract's {'trades' if channel == 'trades' else 'stream'}.fields.",
                )
        time = to_utc(received_at)
        with suppress(ValueError):
            told = parse_time(facts["time"])
            # one that looks up to a time in the future would take it that what comes until then was seen
            time = told if told <= time + _FARTHEST_AHEAD else time
        account_id, symbol, side = facts["account_id"], facts["symbol"], facts["side"]
        return Event(
            channel=channel,
            data=row,
            account_id=account_id if account_id is None or isinstance(account_id, int) else str(account_id),
            symbol=None if symbol is None else str(symbol),
            side=None if side is None else str(side),
            notional=facts["notional"],
            time=time,
        )

    def _warn(self, about: str, text: str) -> None:
        """Say it once; a server that varies what it does wrong is not repeated forever."""
        if about not in self._warned and len(self._warned) < _MOST_WARNINGS:
            self._warned.add(about)
            log.warning("%s", text)


def _notional(notional: Any, quantity: Any, price: Any) -> Decimal | None:
    """Return the amount that an event is about, or ``None`` if it has none that can be read."""
    try:
        amount = parse_amount(quantity) * parse_amount(price) if notional is None else parse_amount(notional)
        return amount.copy_abs()
    except ValueError:
        return None

"""Summaries of events: which events pass a trigger's filter, and how many become one summary. Pure: no clock."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from hyperoru_provider.client.amounts import parse_amount
from hyperoru_provider.client.errors import HyperoruConfigError
from hyperoru_provider.client.escaping import printable
from hyperoru_provider.client.stream.messages import FILTERS, Event, Gap
from hyperoru_provider.client.times import format_time, shift

#: how far clocks may differ, and how late an event may arrive
OVERLAP = timedelta(seconds=60)

_MAX_EVENTS = 1000
_MAX_NAMES = 50
_MAX_NAME_LENGTH = 200


@dataclass
class EventBatch:
    """What the stream delivered within a moment. Triggers share it, so they must not change it.

    :param channels: the subscribed channels.
    :param gap: where events may be missing; ``None`` for nowhere.
    :param events: in the order of their arrival.
    """

    channels: frozenset[str]
    gap: Gap | None = None
    events: list[Event] = field(default_factory=list)

    def add(self, item: Event | Gap) -> None:
        """Add an item. When the batch is full, only an event's time is kept, as a gap."""
        if isinstance(item, Event) and len(self.events) >= _MAX_EVENTS:
            item = Gap("more events than a batch holds", item.time, item.time + datetime.resolution)
        if isinstance(item, Event):
            self.events.append(item)
        else:
            self.gap = merge_gaps(self.gap, item)


def merge_gaps(one: Gap | None, other: Gap) -> Gap:
    """Return the shortest gap that holds both."""
    if one is None:
        return other
    since = None if one.since is None or other.since is None else min(one.since, other.since)
    return Gap(one.reason, since, max(one.until, other.until))


@dataclass(frozen=True)
class EventSummary:
    """A note that something happened, and where to look for it.

    :param channel: the channel.
    :param gap: whether events may be missing: there may be more than were seen, or none at all.
    :param account_ids: whose events they are; ``None`` for anybody's.
    :param symbols: which symbols they are about; ``None`` for any.
    :param count: how many events were seen.
    :param start: the earliest time, inclusive; ``None`` if it is not known.
    :param end: the latest time, exclusive.
    """

    channel: str
    gap: bool
    account_ids: frozenset[int | str] | None
    symbols: frozenset[str] | None
    count: int
    start: datetime | None
    end: datetime

    def merge(self, other: EventSummary) -> EventSummary:
        """Return a summary of the events of both."""
        return EventSummary(
            channel=self.channel,
            gap=self.gap or other.gap,
            account_ids=_union(self.account_ids, other.account_ids),
            symbols=_union(self.symbols, other.symbols),
            count=self.count + other.count,
            start=None if self.start is None or other.start is None else min(self.start, other.start),
            end=max(self.end, other.end),
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as JSON; times in UTC, ``from`` inclusive and ``to`` exclusive."""
        return {
            "kind": "gap" if self.gap else "events",
            "channel": self.channel,
            "account_ids": None if self.account_ids is None else _printable(self.account_ids),
            "symbols": None if self.symbols is None else _printable(self.symbols),
            "count": self.count,
            "from": None if self.start is None else format_time(self.start),
            "to": format_time(self.end),
        }


def _printable(names: Iterable[int | str]) -> list[int | str]:
    """Return names in order, and in a form that any database and terminal takes."""
    return [printable(name) if isinstance(name, str) else name for name in sorted(names, key=str)]


def _union(one: frozenset[Any] | None, other: frozenset[Any] | None) -> frozenset[Any] | None:
    if one is None or other is None:
        return None
    both = one | other
    return both if len(both) <= _MAX_NAMES else None


class EventFilter:
    """Selects the events that a trigger is interested in.

    :param channel: the channel.
    :param account_id: one or several; ``None`` for all.
    :param symbol: one or several, in upper or lower case; ``None`` for all.
    :param side: one or several, in upper or lower case; ``None`` for all.
    :param min_notional: the least notional; ``None`` for any.
    :raises HyperoruConfigError: there is no such channel, its events have no such field, or no event can have a value.
    """

    def __init__(
        self,
        channel: str,
        account_id: int | str | Sequence[int | str] | None = None,
        symbol: str | Sequence[str] | None = None,
        side: str | Sequence[str] | None = None,
        min_notional: Decimal | int | float | str | None = None,
    ) -> None:
        if channel not in FILTERS:
            raise HyperoruConfigError(f"channel {channel!r}: there are {', '.join(FILTERS)}.")
        given = {"account_id": account_id, "symbol": symbol, "side": side}
        for name, value in (given | {"notional": min_notional}).items():
            if value is not None and name not in FILTERS[channel]:
                raise HyperoruConfigError(
                    f"Events of {channel} have no {name} to filter by, only {', '.join(FILTERS[channel])}."
                )
        for name, value in given.items():
            values = normalize(value)
            if values is not None and (not values or {"", "None"} & {str(each).strip() for each in values}):
                raise HyperoruConfigError(f"{name} is {value!r}, as no event has it: give a value, or leave it out.")
        self.channel = channel
        self._account_ids = normalize(account_id)
        self._symbols = normalize(symbol)
        self._accepted = {
            name: {str(each).strip().casefold() for each in values}
            for name, value in given.items()
            if (values := normalize(value)) is not None
        }
        self._min_notional = _amount(min_notional)

    def summarize(self, batch: EventBatch) -> EventSummary | None:
        """Return a summary of the batch's events that pass, or ``None`` if there are none."""
        found = [event for event in batch.events if event.channel == self.channel and self._passes(event)]
        if not found:
            return None
        accounts, symbols = {event.account_id for event in found}, {event.symbol for event in found}
        return EventSummary(
            channel=self.channel,
            gap=False,
            account_ids=_named(accounts),
            symbols=_named(symbols),
            count=len(found),
            start=min(event.time for event in found),
            end=max(event.time for event in found) + datetime.resolution,
        )

    def summarize_gap(self, gap: Gap) -> EventSummary:
        """Return a summary of the events that may be missing in a gap."""
        return EventSummary(
            channel=self.channel,
            gap=True,
            account_ids=_named(self._account_ids),
            symbols=_named(self._symbols),
            count=0,
            start=None if gap.since is None else shift(gap.since, -OVERLAP),
            end=gap.until,
        )

    def _passes(self, event: Event) -> bool:
        for name, accepted in self._accepted.items():
            if str(getattr(event, name)).casefold() not in accepted:
                return False
        return self._min_notional is None or (event.notional is not None and event.notional >= self._min_notional)


def normalize(value: Any) -> list[Any] | None:
    """Return one or several values as a sorted list without duplicates, or ``None`` for ``None``."""
    if value is None:
        return None
    values = [value] if isinstance(value, (str, int)) else value
    return sorted(set(values), key=lambda each: (str(each), type(each).__name__))


class Throttle:
    """Lets one summary through in each interval, and merges those that come meanwhile.

    The first one passes at once, and the last one is never lost. Times are seconds of a monotonic clock that the
    caller reads.

    :param interval: seconds.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._pending: EventSummary | None = None
        self._opens_at = -math.inf

    def add(self, summary: EventSummary) -> None:
        """Add a summary to those that are to pass."""
        self._pending = summary if self._pending is None else self._pending.merge(summary)

    def delay(self, now: float) -> float | None:
        """Return the seconds until a summary passes, or ``None`` if there is none."""
        return None if self._pending is None else max(self._opens_at - now, 0.0)

    def take(self, now: float) -> EventSummary | None:
        """Return the summary that passes now, or ``None`` if there is none."""
        if self._pending is None or now < self._opens_at:
            return None
        summary, self._pending, self._opens_at = self._pending, None, now + self._interval
        return summary


def _named(values: Any) -> frozenset[Any] | None:
    """Return names as a summary holds them, or ``None`` if one is unknown or long, or they are too many."""
    if values is None or None in values or len(values) > _MAX_NAMES:
        return None
    return None if any(len(str(each)) > _MAX_NAME_LENGTH for each in values) else frozenset(values)


def _amount(value: Any) -> Decimal | None:
    try:
        return None if value is None else parse_amount(value)
    except ValueError as error:
        raise HyperoruConfigError(f"min_notional {value!r} is no amount: {error}.") from None

"""From events to hints: which events concern a trigger, and how many become one. Pure: no clock, no Airflow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from hyperoru_provider.client.amounts import parse_amount
from hyperoru_provider.client.errors import HyperoruConfigError
from hyperoru_provider.client.stream.messages import FILTERS, Event, Gap
from hyperoru_provider.client.times import format_time

#: how far clocks may differ, and how late an event may be told
OVERLAP = timedelta(seconds=60)

_MOST_EVENTS = 1000
_MOST_NAMES = 50


@dataclass
class Batch:
    """What came on the stream within a moment; for all triggers, so that none may change it.

    :param channels: those that are listened to.
    :param gap: where events may be missing.
    :param events: in the order in which they came.
    """

    channels: frozenset[str]
    gap: Gap | None = None
    events: list[Event] = field(default_factory=list)

    def add(self, item: Event | Gap) -> None:
        """Take an item; of more than can be told one by one only the time is kept, as a gap."""
        if isinstance(item, Event) and len(self.events) >= _MOST_EVENTS:
            item = Gap("more events than can be told one by one", item.time, item.time + datetime.resolution)
        if isinstance(item, Event):
            self.events.append(item)
        else:
            self.gap = joined(self.gap, item)


def joined(one: Gap | None, other: Gap) -> Gap:
    """Give the gap that holds both."""
    if one is None:
        return other
    since = None if one.since is None or other.since is None else min(one.since, other.since)
    return Gap(one.reason, since, max(one.until, other.until))


@dataclass(frozen=True)
class EventSummary:
    """That something happened, and where to look.

    :param channel: the channel.
    :param gap: whether events may be missing, so that there may be more, or none.
    :param account_ids: whose; ``None`` for any.
    :param symbols: of what; ``None`` for any.
    :param count: how many events were seen.
    :param start: the earliest time; ``None``: not known how early.
    :param end: just after the latest time.
    """

    channel: str
    gap: bool
    account_ids: frozenset[int | str] | None
    symbols: frozenset[str] | None
    count: int
    start: datetime | None
    end: datetime

    def joined(self, other: EventSummary) -> EventSummary:
        """Give the hint that says both."""
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
        """Give it as JSON; times in UTC, ``from`` inclusive and ``to`` exclusive."""
        return {
            "kind": "gap" if self.gap else "events",
            "channel": self.channel,
            "account_ids": None if self.account_ids is None else sorted(self.account_ids, key=str),
            "symbols": None if self.symbols is None else sorted(self.symbols),
            "count": self.count,
            "from": None if self.start is None else format_time(self.start),
            "to": format_time(self.end),
        }


def _union(one: frozenset[Any] | None, other: frozenset[Any] | None) -> frozenset[Any] | None:
    if one is None or other is None:
        return None
    both = one | other
    return both if len(both) <= _MOST_NAMES else None


class Filter:
    """Which events concern a trigger.

    :param channel: the channel.
    :param account_id: one or several; ``None`` for all.
    :param symbol: one or several, in upper or lower case; ``None`` for all.
    :param side: one or several, in upper or lower case; ``None`` for all.
    :param min_notional: the least amount; ``None`` for any.
    :raises HyperoruConfigError: there is no such channel, its events have no such field, or a value can't be.
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
            values = listed(value)
            if values is not None and (not values or {"", "None"} & {str(each).strip() for each in values}):
                raise HyperoruConfigError(f"{name} is {value!r}, as no event has it: give a value, or leave it out.")
        self.channel = channel
        self._account_ids = listed(account_id)
        self._symbols = listed(symbol)
        self._wanted = {
            name: {str(each).strip().casefold() for each in values}
            for name, value in given.items()
            if (values := listed(value)) is not None
        }
        self._min_notional = _amount(min_notional)

    def hint(self, batch: Batch) -> EventSummary | None:
        """Give what a batch's events say to the trigger."""
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

    def gap_hint(self, gap: Gap) -> EventSummary:
        """Give what a gap says to the trigger."""
        return EventSummary(
            channel=self.channel,
            gap=True,
            account_ids=_named(self._account_ids),
            symbols=_named(self._symbols),
            count=0,
            start=None if gap.since is None else gap.since - OVERLAP,
            end=gap.until,
        )

    def _passes(self, event: Event) -> bool:
        for name, wanted in self._wanted.items():
            if str(getattr(event, name)).casefold() not in wanted:
                return False
        return self._min_notional is None or (event.notional is not None and event.notional >= self._min_notional)


def listed(value: Any) -> list[Any] | None:
    """Give one or several values as a list that is the same for equal filters; ``None`` stays."""
    if value is None:
        return None
    values = [value] if isinstance(value, (str, int)) else value
    return sorted(set(values), key=lambda each: (str(each), type(each).__name__))


class Throttle:
    """Conflates hints: the first goes at once, then at most one in each interval, and the last always.

    Times are seconds of a monotonic clock that the caller reads.

    :param interval: seconds.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._hint: EventSummary | None = None
        self._next = -math.inf

    def add(self, hint: EventSummary) -> None:
        """Take a hint that is to go."""
        self._hint = hint if self._hint is None else self._hint.joined(hint)

    def wait(self, now: float) -> float | None:
        """Give the seconds until one goes; ``None`` if there is none."""
        return None if self._hint is None else max(self._next - now, 0.0)

    def take(self, now: float) -> EventSummary | None:
        """Give the hint that goes now."""
        if self._hint is None or now < self._next:
            return None
        hint, self._hint, self._next = self._hint, None, now + self._interval
        return hint


def _named(values: Any) -> frozenset[Any] | None:
    """Give names as a hint holds them: all known, and not too many."""
    return None if values is None or None in values or len(values) > _MOST_NAMES else frozenset(values)


def _amount(value: Any) -> Decimal | None:
    try:
        return None if value is None else parse_amount(value)
    except ValueError as error:
        raise HyperoruConfigError(f"min_notional {value!r} is no amount: {error}.") from None

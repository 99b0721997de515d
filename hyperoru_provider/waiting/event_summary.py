"""Summaries of events: which events pass a trigger's filter, and how many become one summary. Pure: no clock."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hyperoru_provider.client.escaping import printable
from hyperoru_provider.client.stream.event_filter import EventFilter
from hyperoru_provider.client.stream.messages import Event, Gap
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

    def joined_by(self, later: EventBatch) -> EventBatch:
        """Return a batch of both, for one who has not taken this one before the next came."""
        both = EventBatch(self.channels, self.gap, list(self.events))
        if later.gap is not None:
            both.add(later.gap)
        for event in later.events:
            both.add(event)
        return both


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


def summarize(event_filter: EventFilter, batch: EventBatch) -> EventSummary | None:
    """Return a summary of the batch's events that pass a filter, or ``None`` if there are none."""
    found = [event for event in batch.events if event_filter.passes(event)]
    if not found:
        return None
    accounts, symbols = {event.account_id for event in found}, {event.symbol for event in found}
    return EventSummary(
        channel=event_filter.channel,
        gap=False,
        account_ids=_named(accounts),
        symbols=_named(symbols),
        count=len(found),
        start=min(event.time for event in found),
        end=max(event.time for event in found) + datetime.resolution,
    )


def summarize_gap(event_filter: EventFilter, gap: Gap) -> EventSummary:
    """Return a summary of the events that pass a filter and may be missing in a gap."""
    return EventSummary(
        channel=event_filter.channel,
        gap=True,
        account_ids=_named(event_filter.account_ids),
        symbols=_named(event_filter.symbols),
        count=0,
        start=None if gap.since is None else shift(gap.since, -OVERLAP),
        end=gap.until,
    )


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

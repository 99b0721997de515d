"""The event stream as a trigger, to wake DAGs by what happens on a Hyperoru account."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Hashable, Sequence
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from hyperoru_provider.client.errors import HyperoruApiError, HyperoruConfigError, HyperoruError
from hyperoru_provider.client.stream.messages import FILTERS, Event, Gap
from hyperoru_provider.client.times import parse_time
from hyperoru_provider.hooks.hyperoru import HyperoruHook
from hyperoru_provider.triggers.containment import contained
from hyperoru_provider.triggers.shared_client import shared_client
from hyperoru_provider.waiting.event_summary import OVERLAP, EventBatch, EventFilter, Throttle, merge_gaps, normalize

log = logging.getLogger(__name__)

#: seconds of silence after which a batch without events is sent
HEARTBEAT = 5.0
#: seconds to wait before an error that connecting again can't mend is raised
ERROR_DELAY = 60.0
#: seconds without a socket after which the stream gives up, and the connection is read again
GIVE_UP_AFTER = 300.0
_BATCH_SECONDS = 0.1


class HyperoruEventTrigger(BaseEventTrigger):
    """Fire when something happens on the event stream; for an ``AssetWatcher``.

    All triggers of a connection share one socket. An event is a small summary that says where to look, without rows::

        {"kind": "events", "channel": "trades", "account_ids": [1], "symbols": ["BTC", "ETH"], "count": 7,
         "from": "2026-01-15T08:30:00.125Z", "to": "2026-01-15T08:30:04.500001Z"}

    ``kind`` is ``gap`` where events may be missing: at the start (``from`` is ``null`` then), and after the socket was
    lost. A list is ``null`` for any value, or if it would be long.

    :param channel: ``trades``, ``positions``, ``model_chat`` or ``asset_curve``. Default: ``trades``.
    :param account_id: only of this trader, or of these. Default: all.
    :param symbol: only of this symbol, or of these; upper or lower case. Default: all.
    :param side: only this side, or these, such as ``BUY`` or ``long``, or for ``model_chat`` the operation; upper or
        lower case. Default: all.
    :param min_notional: only events of this amount or more. Default: any.
    :param min_interval: least seconds between two events of the trigger; those meanwhile become one. Default: 5.
    :param hyperoru_conn_id: the connection. Default: ``hyperoru_default``.
    :param gaps: whether to fire where events may be missing, too. Without, an event that is missed is never told, and
        ``from`` is never ``null``. Default: ``True``.
    :param since: when the wait began, if :class:`~hyperoru_provider.sensors.events.HyperoruEventSensor` waits; the
        trigger then fires once.
    :raises HyperoruConfigError: there is no such channel, or its events have no such field.
    """

    def __init__(
        self,
        channel: str = "trades",
        *,
        account_id: int | str | Sequence[int | str] | None = None,
        symbol: str | Sequence[str] | None = None,
        side: str | Sequence[str] | None = None,
        min_notional: Decimal | int | float | str | None = None,
        min_interval: float = 5.0,
        hyperoru_conn_id: str = HyperoruHook.default_conn_name,
        gaps: bool = True,
        since: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        EventFilter(channel, account_id, symbol, side, min_notional)
        self.channel = channel
        self.account_id = account_id
        self.symbol = symbol
        self.side = side
        self.min_notional = min_notional
        self.min_interval = min_interval
        self.hyperoru_conn_id = hyperoru_conn_id
        self.gaps = gaps
        self.since = since

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class path and arguments that make the same trigger; they are the same for equal filters."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "channel": self.channel,
                "account_id": normalize(self.account_id),
                "symbol": normalize(self.symbol),
                "side": normalize(self.side),
                "min_notional": None if self.min_notional is None else str(self.min_notional),
                "min_interval": float(self.min_interval),
                "hyperoru_conn_id": self.hyperoru_conn_id,
                "since": self.since,
                **({} if self.gaps else {"gaps": False}),
            },
        )

    def shared_stream_key(self) -> Hashable:
        """Return the key of the socket, which all channels and filters of a connection share."""
        return ("hyperoru", self.hyperoru_conn_id)

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncGenerator[EventBatch, None]:
        """Yield what the stream delivers, for all triggers of a connection.

        :param kwargs: the arguments of one of the triggers.
        :raises HyperoruError: connecting again can't mend it; raised after a minute, see :data:`ERROR_DELAY`.
        """
        hyperoru_conn_id = kwargs["hyperoru_conn_id"]
        try:
            while True:
                try:
                    async with aclosing(_listen(hyperoru_conn_id)) as batches:
                        async for batch in batches:
                            yield batch
                except HyperoruApiError as error:
                    if not error.transient:
                        raise
                    log.warning("The connection %s is read again, as nothing answers: %s", hyperoru_conn_id, error)
        except Exception as raised:  # noqa: BLE001
            failure = contained(raised)
            await _delay_error(failure, f"Can't listen to the events of the connection {hyperoru_conn_id}")
            raise failure from None

    async def filter_shared_stream(
        self, shared_stream: AsyncIterator[EventBatch]
    ) -> AsyncGenerator[TriggerEvent, None]:
        """Yield this trigger's events.

        :raises HyperoruConfigError: the filter can't work; raised after a minute, too.
        """
        since = None if self.since is None else parse_time(self.since)
        began = datetime.now(UTC)
        throttle, event_filter = Throttle(self.min_interval), None
        async with aclosing(_with_timeouts(shared_stream, lambda: throttle.delay(time.monotonic()))) as batches:
            async for batch in batches:
                if batch is not None:
                    gap = batch.gap
                    if event_filter is None:
                        event_filter = await self._make_filter(batch.channels)
                        gap = _first_gap(gap, began, since)
                    if gap is not None and self.gaps:
                        throttle.add(event_filter.summarize_gap(gap))
                    if summary := event_filter.summarize(batch):
                        throttle.add(summary)
                if due := throttle.take(time.monotonic()):
                    yield TriggerEvent(due.as_dict())  # type: ignore[no-untyped-call]
                    if since is not None:
                        return

    async def _make_filter(self, channels: frozenset[str]) -> EventFilter:
        try:
            if self.channel in FILTERS and self.channel not in channels:
                raise HyperoruConfigError(f"The contract's stream.channels says that there is no {self.channel}.")
            return EventFilter(self.channel, self.account_id, self.symbol, self.side, self.min_notional)
        except HyperoruConfigError as error:
            await _delay_error(error, "A trigger for events can't work")
            raise

    async def run(self) -> AsyncGenerator[TriggerEvent, None]:
        """Listen alone, where no triggerer shares the stream, as in ``dag.test()``."""
        async with (
            aclosing(self.open_shared_stream(self.serialize()[1])) as stream,
            aclosing(self.filter_shared_stream(stream)) as events,
        ):
            async for event in events:
                yield event


def _first_gap(gap: Gap | None, began: datetime, since: datetime | None) -> Gap | None:
    """Return the gap that ends when a trigger hears the stream, or ``None`` if a wait for an event missed nothing.

    :param gap: the stream's own gap at that moment.
    :param began: when the trigger began.
    :param since: when a sensor began to wait for an event; a gap no longer than :data:`OVERLAP` is none for it.
    """
    missed = merge_gaps(gap, Gap("the trigger begins here", None, began))
    if since is None:
        return missed
    return Gap(missed.reason, since, missed.until) if missed.until - since > OVERLAP else None


async def _listen(hyperoru_conn_id: str) -> AsyncGenerator[EventBatch, None]:
    """Yield what comes on all channels that the service has."""
    async with shared_client(hyperoru_conn_id) as client:
        channels = [name for name, server in client.contract.stream.channels.items() if server is not None]
        events = client.events(channels, give_up_after=GIVE_UP_AFTER)
        async with aclosing(batch_events(events, frozenset(channels))) as batches:
            async for batch in batches:
                yield batch


async def batch_events(
    items: AsyncGenerator[Event | Gap, None], channels: frozenset[str]
) -> AsyncGenerator[EventBatch, None]:
    """Yield what comes within a moment as one batch, so that many triggers take it at once.

    After some silence there is an empty batch, by which a trigger that joined later knows that it hears the stream.

    :param items: what the stream delivers; closed at the end.
    :param channels: the subscribed channels.
    """
    batch, arrived = EventBatch(channels), asyncio.Event()

    async def collect() -> None:
        try:
            async with aclosing(items):
                async for item in items:
                    batch.add(item)
                    arrived.set()
        finally:
            arrived.set()

    collecting = asyncio.create_task(collect())
    first = True
    try:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(None if first else HEARTBEAT):
                    await arrived.wait()
            await asyncio.sleep(_BATCH_SECONDS)
            arrived.clear()
            full, batch, first = batch, EventBatch(channels), False
            if collecting.done() and full == batch:
                collecting.result()  # raises what ended the stream
            yield full
    finally:
        collecting.cancel()
        await asyncio.gather(collecting, return_exceptions=True)


async def _with_timeouts(
    batches: AsyncIterator[EventBatch], timeout: Callable[[], float | None]
) -> AsyncGenerator[EventBatch | None, None]:
    """Yield each batch, and ``None`` whenever a timeout comes first.

    :param timeout: returns the seconds to wait for the next item; ``None`` for any time.
    """
    coming: asyncio.Future[EventBatch] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(batches))
            await asyncio.wait({coming}, timeout=timeout())
            if coming.done():
                batch, coming = coming.result(), None
                yield batch
            else:
                yield None
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)


async def _delay_error(error: HyperoruError, what: str) -> None:
    """Log an error that connecting again can't mend, and wait: Airflow starts again two seconds after it is raised."""
    log.error("%s: %s. The next try follows in a minute.", what, error)
    await asyncio.sleep(ERROR_DELAY)

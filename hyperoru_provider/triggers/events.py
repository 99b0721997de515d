"""The event stream as a trigger, to wake DAGs by what happens on a Hyperoru account."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from hyperoru_provider.client.stream.event_filter import FILTERS, EventFilter, normalize
from hyperoru_provider.hooks.hyperoru import HyperoruHook

if TYPE_CHECKING:
    from hyperoru_provider.client.stream.messages import Gap

log = logging.getLogger(__name__)

#: seconds between two log lines of a sensor that waits for an event
LOG_EVERY = 600.0


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
    :param min_interval: minimum seconds between two events of the trigger; those in between are merged into one.
        Default: 5.
    :param hyperoru_conn_id: the connection. Default: ``hyperoru_default``.
    :param gaps: whether to fire where events may be missing, too. Otherwise missed events are not reported, and
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

    async def run(self) -> AsyncGenerator[TriggerEvent, None]:
        """Yield this trigger's events, by the stream that all triggers of the connection share in an event loop.

        :raises HyperoruError: connecting again can't mend it, or the filter can't work; raised after a minute, see
            :data:`~hyperoru_provider.triggers.shared_stream.ERROR_DELAY`.
        """
        from hyperoru_provider.client.times import parse_time
        from hyperoru_provider.triggers.shared_stream import shared_stream
        from hyperoru_provider.waiting.event_summary import Throttle, summarize, summarize_gap

        since = None if self.since is None else parse_time(self.since)
        began = datetime.now(UTC)
        throttle, event_filter = Throttle(self.min_interval), None
        passed, logged_at = 0, time.monotonic()
        async with shared_stream(self.hyperoru_conn_id) as listener:
            while True:
                batch = await listener.take(throttle.delay(time.monotonic()))
                if batch is not None:
                    gap = batch.gap
                    if event_filter is None:
                        event_filter = await self._make_filter(batch.channels)
                        gap = _first_gap(gap, began, since)
                    if gap is not None and self.gaps:
                        throttle.add(summarize_gap(event_filter, gap))
                    if summary := summarize(event_filter, batch):
                        throttle.add(summary)
                    passed += sum(event.channel == self.channel for event in batch.events)
                if since is not None and time.monotonic() >= logged_at + LOG_EVERY:
                    logged_at = time.monotonic()
                    log.info(
                        "Waiting since %s; %d events of %s did not match",
                        self.since,
                        passed,
                        self.channel,
                    )
                if due := throttle.take(time.monotonic()):
                    yield TriggerEvent(due.as_dict())  # type: ignore[no-untyped-call]
                    if since is not None:
                        return

    async def _make_filter(self, channels: frozenset[str]) -> EventFilter:
        from hyperoru_provider.client.errors import HyperoruConfigError
        from hyperoru_provider.triggers.shared_stream import delay_error

        try:
            if self.channel in FILTERS and self.channel not in channels:
                raise HyperoruConfigError(f"The contract's stream.channels says that there is no {self.channel}.")
            return EventFilter(self.channel, self.account_id, self.symbol, self.side, self.min_notional)
        except HyperoruConfigError as error:
            await delay_error(error, "The trigger for events can't work")
            raise


def _first_gap(gap: Gap | None, began: datetime, since: datetime | None) -> Gap | None:
    """Return the gap that ends when a trigger hears the stream, or ``None`` if a wait for an event missed nothing.

    :param gap: the stream's own gap at that moment.
    :param began: when the trigger began.
    :param since: when a sensor began to wait for an event; a gap no longer than ``OVERLAP`` is none for it.
    """
    from hyperoru_provider.client.stream.messages import Gap
    from hyperoru_provider.waiting.event_summary import OVERLAP, merge_gaps

    missed = merge_gaps(gap, Gap("the trigger begins here", None, began))
    if since is None:
        return missed
    return Gap(missed.reason, since, missed.until) if missed.until - since > OVERLAP else None

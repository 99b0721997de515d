"""The event stream as a trigger, to wake DAGs by what happens on a Hyperoru account."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Hashable, Sequence
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from hyperoru_provider.client.errors import HyperoruApiError, HyperoruConfigError
from hyperoru_provider.client.stream.messages import FILTERS, Event, Gap
from hyperoru_provider.client.times import parse_time
from hyperoru_provider.hooks.hyperoru import HyperoruHook
from hyperoru_provider.triggers.shared_poller import shared_client
from hyperoru_provider.waiting.event_summary import OVERLAP, Batch, Filter, Throttle, joined, listed

log = logging.getLogger(__name__)

_TICK = 0.1
_PULSE = 5.0
_PENALTY = 60.0
_REREAD_AFTER = 300.0


class HyperoruEventTrigger(BaseEventTrigger):
    """Fire when something happens on the event stream; for an ``AssetWatcher``.

    All triggers of a connection share one socket. An event is a small hint that says where to look, and holds no rows::

        {"kind": "events", "channel": "trades", "account_ids": [1], "symbols": ["BTC", "ETH"], "count": 7,
         "from": "2026-01-15T08:30:00.125Z", "to": "2026-01-15T08:30:04.500001Z"}

    ``kind`` is ``gap`` where events may be missing: at the start (``from`` is ``null`` then), and after the socket was
    lost. A list is ``null`` for any, or if it would be long.

    :param channel: ``trades``, ``positions``, ``model_chat`` or ``asset_curve``. Default: ``trades``.
    :param account_id: only of this trader, or of these. Default: all.
    :param symbol: only of this symbol, or of these; upper or lower case. Default: all.
    :param side: only this side, or these, such as ``BUY`` or ``long``, or for ``model_chat`` the operation; upper or
        lower case. Default: all.
    :param min_notional: only events of this amount or more. Default: any.
    :param min_interval: least seconds between two events of the trigger; what comes meanwhile becomes one. Default: 5.
    :param hyperoru_conn_id: the connection. Default: ``hyperoru_default``.
    :param since: set by :class:`~hyperoru_provider.sensors.events.HyperoruEventSensor`: when it began to wait; then
        the trigger fires once.
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
        since: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.channel = channel
        self.account_id = account_id
        self.symbol = symbol
        self.side = side
        self.min_notional = min_notional
        self.min_interval = min_interval
        self.hyperoru_conn_id = hyperoru_conn_id
        self.since = since

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give what makes the same trigger elsewhere, and is the same for equal filters."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "channel": self.channel,
                "account_id": listed(self.account_id),
                "symbol": listed(self.symbol),
                "side": listed(self.side),
                "min_notional": None if self.min_notional is None else str(self.min_notional),
                "min_interval": float(self.min_interval),
                "hyperoru_conn_id": self.hyperoru_conn_id,
                "since": self.since,
            },
        )

    def shared_stream_key(self) -> Hashable:
        """Share one socket for all channels and filters of a connection."""
        return ("hyperoru", self.hyperoru_conn_id)

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncGenerator[Batch, None]:
        """Listen for all triggers of a connection.

        :raises HyperoruError: connecting again can't mend it. A minute passes before: Airflow begins anew at once.
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
                    log.warning("The connection %s is read anew, as nothing answers: %s", hyperoru_conn_id, error)
        except Exception as error:
            await _pay_for(error, f"Can't listen to the events of the connection {hyperoru_conn_id}")
            raise

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Batch]) -> AsyncIterator[TriggerEvent]:
        """Give this trigger's events.

        :raises HyperoruConfigError: the filter can't be; after a minute, too.
        """
        began = datetime.now(UTC)
        since = None if self.since is None else parse_time(self.since)
        pace, wanted = Throttle(self.min_interval), None
        coming: asyncio.Future[Batch] | None = None
        try:
            while True:
                coming = coming or asyncio.ensure_future(anext(shared_stream))
                await asyncio.wait({coming}, timeout=pace.wait(time.monotonic()))
                if coming.done():
                    batch, coming = coming.result(), None
                    gap = batch.gap
                    if wanted is None:
                        wanted = await self._filter(batch.channels)
                        gap = _first_gap(gap, began, since)
                    if gap is not None:
                        pace.add(wanted.gap_hint(gap))
                    if hint := wanted.hint(batch):
                        pace.add(hint)
                if due := pace.take(time.monotonic()):
                    yield TriggerEvent(due.as_dict())  # type: ignore[no-untyped-call]
                    if since is not None:
                        return
        finally:
            if coming is not None:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)

    async def _filter(self, channels: frozenset[str]) -> Filter:
        try:
            if self.channel in FILTERS and self.channel not in channels:
                raise HyperoruConfigError(f"The contract's stream.channels says that there is no {self.channel}.")
            return Filter(self.channel, self.account_id, self.symbol, self.side, self.min_notional)
        except HyperoruConfigError as error:
            await _pay_for(error, "A trigger for events can't work")
            raise

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Listen alone, where no triggerer shares the stream, as in ``dag.test()``."""
        async with aclosing(self.open_shared_stream(self.serialize()[1])) as stream:
            async for event in self.filter_shared_stream(stream):
                yield event


def _first_gap(gap: Gap | None, began: datetime, since: datetime | None) -> Gap | None:
    """Say what a trigger may have missed until it listens.

    :param gap: what the stream says.
    :param began: when the trigger began.
    :param since: when one who waits for an event began to; a moment of deafness then is no gap.
    """
    missed = joined(gap, Gap("the trigger begins here", None, began))
    if since is None:
        return missed
    return Gap(missed.reason, since, missed.until) if missed.until - since > OVERLAP else None


async def _listen(hyperoru_conn_id: str) -> AsyncGenerator[Batch, None]:
    """Listen to all channels that the service has."""
    async with shared_client(hyperoru_conn_id) as client:
        channels = [name for name, server in client.contract.stream.channels.items() if server is not None]
        events = client.events(channels, give_up_after=_REREAD_AFTER)
        async with aclosing(_batches(events, frozenset(channels))) as batches:
            async for batch in batches:
                yield batch


async def _batches(items: AsyncGenerator[Event | Gap, None], channels: frozenset[str]) -> AsyncGenerator[Batch, None]:
    """Put together what comes within a tick, so that it is told to many triggers at once.

    In silence there is an empty batch now and then, by which a trigger that joins later knows that it listens.
    """
    batch, came = Batch(channels), asyncio.Event()

    async def collect() -> None:
        try:
            async with aclosing(items):
                async for item in items:
                    batch.add(item)
                    came.set()
        finally:
            came.set()

    collecting = asyncio.create_task(collect())
    begun = False
    try:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_PULSE if begun else None):
                    await came.wait()
            await asyncio.sleep(_TICK)
            came.clear()
            told, batch, begun = batch, Batch(channels), True
            if collecting.done() and told == batch:
                collecting.result()
            yield told
    finally:
        collecting.cancel()
        await asyncio.gather(collecting, return_exceptions=True)


async def _pay_for(error: Exception, what: str) -> None:
    """Wait before an error that asking again can't mend, as Airflow begins anew two seconds after it."""
    log.error("%s: %s. The next try follows in a minute.", what, error)
    await asyncio.sleep(_PENALTY)

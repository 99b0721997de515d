"""One socket for all who listen to the events of a connection in an event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress

from hyperoru_provider.client.errors import HyperoruApiError
from hyperoru_provider.client.stream.messages import Event, Gap
from hyperoru_provider.triggers.containment import contained
from hyperoru_provider.triggers.shared_client import shared_client
from hyperoru_provider.triggers.shared_work import SharedWork, end_task, joined
from hyperoru_provider.waiting.event_summary import EventBatch

log = logging.getLogger(__name__)

#: seconds of silence after which a batch without events is sent
HEARTBEAT = 5.0
#: seconds to wait before an error that connecting again can't mend is raised
ERROR_DELAY = 60.0
#: seconds without a socket after which the stream gives up, and the connection is read again
GIVE_UP_AFTER = 300.0
_BATCH_SECONDS = 0.1


class Listener:
    """One who takes what the stream delivers, at its own pace: what it has not taken yet becomes one batch."""

    def __init__(self) -> None:
        self._pending: EventBatch | None = None
        self._error: BaseException | None = None
        self._arrived = asyncio.Event()

    def put(self, batch: EventBatch) -> None:
        """Deliver a batch."""
        self._pending = batch if self._pending is None else self._pending.joined_by(batch)
        self._arrived.set()

    def fail(self, error: BaseException) -> None:
        """Deliver the error that ends the stream."""
        self._error = error
        self._arrived.set()

    async def take(self, timeout: float | None) -> EventBatch | None:
        """Wait for a batch, and return it, or ``None`` if there is none within the timeout.

        :param timeout: seconds; ``None`` for any time.
        :raises HyperoruError: connecting again can't mend it.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._arrived.wait()
        batch, self._pending = self._pending, None
        if batch is None and self._error is not None:
            raise self._error.with_traceback(None)  # all listeners raise it, each with a traceback of its own
        if self._error is None:
            self._arrived.clear()
        return batch


class SharedStream(SharedWork[Listener]):
    """The stream of a connection, and all who listen to it.

    :param hyperoru_conn_id: the connection.
    """

    def __init__(self, hyperoru_conn_id: str) -> None:
        super().__init__(hyperoru_conn_id)
        self._conn_id = hyperoru_conn_id

    async def _run(self) -> None:
        try:
            async with aclosing(open_stream(self._conn_id)) as batches:
                async for batch in batches:
                    for listener in self.members:
                        listener.put(batch)
        except Exception as error:  # noqa: BLE001 - raised where the listeners are
            self.unregister()
            for listener in self.members:
                listener.fail(error)


@asynccontextmanager
async def shared_stream(hyperoru_conn_id: str) -> AsyncIterator[Listener]:
    """Listen to the stream of a connection; the last one to leave closes it.

    :param hyperoru_conn_id: the connection.
    """
    listener = Listener()
    async with joined(hyperoru_conn_id, listener, lambda: SharedStream(hyperoru_conn_id)):
        yield listener


async def open_stream(hyperoru_conn_id: str) -> AsyncGenerator[EventBatch, None]:
    """Yield what the stream of a connection delivers.

    :param hyperoru_conn_id: the connection.
    :raises HyperoruError: connecting again can't mend it; raised after a minute, see :data:`ERROR_DELAY`.
    """
    try:
        while True:
            try:
                async with aclosing(_listen(hyperoru_conn_id)) as batches:
                    async for batch in batches:
                        yield batch
            except HyperoruApiError as error:
                if not error.transient:
                    raise
                log.warning("Reading the connection %s again, as nothing answers: %s", hyperoru_conn_id, error)
    except Exception as raised:  # noqa: BLE001
        failure = contained(raised)
        await delay_error(failure, f"Can't listen to the events of the connection {hyperoru_conn_id}")
        raise failure from None


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
        await end_task(collecting)


async def delay_error(error: Exception, what: str) -> None:
    """Log an error that connecting again can't mend, and wait: Airflow starts again two seconds after it is raised."""
    log.error("%s: %s. Trying again in a minute.", what, error)
    await asyncio.sleep(ERROR_DELAY)

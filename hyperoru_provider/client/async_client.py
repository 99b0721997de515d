"""AsyncHyperoruClient: the methods of HyperoruClient for asyncio, and the event stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Self, TypeVar, cast

from hyperoru_provider.client import calls
from hyperoru_provider.client.api.models import (
    BackfillJob,
    Health,
    Kline,
    Model,
    Price,
    Profile,
    Trade,
    Trader,
)
from hyperoru_provider.client.backfills import Backfill
from hyperoru_provider.client.base import BaseClient
from hyperoru_provider.client.errors import REFUSALS
from hyperoru_provider.client.http.concurrency import ConcurrencyController
from hyperoru_provider.client.http.library import httpx
from hyperoru_provider.client.http.transport import AsyncTransport
from hyperoru_provider.client.lists.duplicates import DuplicateDetector
from hyperoru_provider.client.lists.readers import SpacingCheck, known_resource, trade_counter
from hyperoru_provider.client.lists.rows import Row, Rows
from hyperoru_provider.client.lists.window_reader import WindowReader
from hyperoru_provider.client.stream.event_filter import FILTERS
from hyperoru_provider.client.stream.messages import Event, Gap
from hyperoru_provider.client.times import Moment, utc_window

T = TypeVar("T")

_LARGE = 2**19  #: bytes of an answer that takes too long to read for others in an event loop to wait


class AsyncHyperoruClient(BaseClient[httpx.AsyncClient, httpx.AsyncBaseTransport]):
    """The Hyperoru API, for asyncio: the methods of :class:`.HyperoruClient`, to be awaited.

    Use it as an async context manager, or call :meth:`aclose`.
    """

    def _create_transport(self, **options: Any) -> httpx.AsyncBaseTransport:
        return httpx.AsyncHTTPTransport(**options)

    def _create_http(self, **options: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(**options)

    def _open(self, http: httpx.AsyncClient, *, owned: bool) -> None:
        self._transport = AsyncTransport(self._settings, http, owned=owned)

    async def health(self) -> Health:
        """See :meth:`.HyperoruClient.health`."""
        return await self.run(calls.health(self.contract))

    async def login(self) -> None:
        """See :meth:`.HyperoruClient.login`."""
        await self._transport.login(calls.login(self.contract))

    async def profile(self) -> Profile:
        """See :meth:`.HyperoruClient.profile`."""
        return await self.run(calls.profile(self.contract))

    async def list_rows(
        self, resource: str, start: Moment | None = None, end: Moment | None = None, **filters: Any
    ) -> list[Model]:
        """See :meth:`.HyperoruClient.list_rows`."""
        reader = self.list_reader(resource, start, end, **filters)
        rows = [row async for batch in self.iter_batches(reader) for row in batch]
        with self.explaining(reader.endpoint):
            return calls.models(self.contract, resource, rows, filters)

    async def read_object(self, resource: str, **filters: Any) -> Model | None:
        """See :meth:`.HyperoruClient.read_object`."""
        return next(iter(await self.list_rows(resource, **filters)), None)

    async def list_traders(self, include_hidden: bool = True) -> list[Trader]:
        """See :meth:`.HyperoruClient.list_traders`."""
        return cast("list[Trader]", await self.list_rows("traders", include_hidden=include_hidden))

    async def price(self, symbol: str) -> Price:
        """See :meth:`.HyperoruClient.price`."""
        return await self.run(calls.price(self.contract, symbol))

    async def klines(self, symbol: str, interval: str, start: Moment, end: Moment) -> list[Kline]:
        """See :meth:`.HyperoruClient.klines`."""
        filters = {"symbol": symbol, "interval": interval}
        spacing = SpacingCheck(known_resource("klines"), filters)
        rows: list[Row] = []
        for reader in self.list_readers("klines", start, end, filters):
            async for batch in self.iter_batches(reader):
                with self.explaining(reader.endpoint):
                    spacing.add(batch.times)
                rows += batch
        with self.explaining(self.contract.klines):
            spacing.finish()
            return cast("list[Kline]", calls.models(self.contract, "klines", rows, filters))

    async def backfill_klines(self, wanted: Backfill) -> BackfillJob:
        """See :meth:`.HyperoruClient.backfill_klines`."""
        return await self.run(calls.backfill_klines(self.contract, wanted))

    async def backfill_job(self, task_id: int | str) -> BackfillJob:
        """See :meth:`.HyperoruClient.backfill_job`."""
        return self.redacted(await self.run(calls.backfill_job(self.contract, task_id)))

    async def count_trades(
        self,
        start: Moment,
        end: Moment,
        account_id: int | str | None = None,
        symbol: str | None = None,
        limit: int | None = None,
    ) -> int:
        """See :meth:`.HyperoruClient.count_trades`."""
        filters = {"account_id": account_id, "symbol": symbol}
        window = utc_window(start, end)
        counter = trade_counter(self.contract, *window, filters, limit=limit, learned=self._learned)
        while (values := counter.query()) is not None:
            counter.add(await self.read_page(counter.reader, values))
        return counter.rows

    async def iter_trades(
        self, start: Moment, end: Moment, account_id: int | str | None = None, symbol: str | None = None
    ) -> AsyncIterator[Trade]:
        """See :meth:`.HyperoruClient.iter_trades`."""
        reader = self.list_reader("trades", start, end, account_id=account_id, symbol=symbol)
        with self.explaining(reader.endpoint):
            async for batch in self.iter_batches(reader):
                for row in batch:
                    yield calls.trade(self.contract, row)

    async def iter_batches(self, reader: WindowReader) -> AsyncIterator[Rows]:
        """See :meth:`.HyperoruClient.iter_batches`."""
        detector = DuplicateDetector()
        while (values := reader.query()) is not None:
            if rows := await self.read_page(reader, values):
                detector.add(rows)
                yield rows
        detector.check(reader.endpoint)

    async def read_page(
        self,
        reader: WindowReader,
        values: Mapping[str, Any],
        concurrency: ConcurrencyController | None = None,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> Rows:
        """See :meth:`.HyperoruClient.read_page`."""
        try:
            return await self.run(calls.page(reader, values), concurrency, sleep=sleep)
        except REFUSALS as error:
            return reader.accept_refusal(error)

    def events(
        self, channels: Sequence[str] = tuple(FILTERS), give_up_after: float | None = None
    ) -> AsyncGenerator[Event | Gap, None]:
        """Listen to the event stream, forever: it connects again by itself, and says where events may be missing.

        The first item is a gap, too: what happened before it was not seen. Close the generator when done, with
        :func:`contextlib.aclosing`. A slow consumer holds the server's messages back; none are piled up here.

        :param channels: of ``trades``, ``positions``, ``model_chat`` and ``asset_curve``. Default: all.
        :param give_up_after: seconds without a connection after which the failure is raised. Default: never.
        :raises HyperoruConfigError: there is no such channel.
        :raises HyperoruApiError: connecting again can't mend it: a refused login or session token, a wrong path.
        """
        from hyperoru_provider.client.stream.event_stream import EventStream

        return EventStream(self._settings, self._transport, self.contract, channels, give_up_after).items()

    async def aclose(self) -> None:
        """Close all connections, but for those of an injected HTTP client."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def run(
        self,
        call: calls.Call[T],
        concurrency: ConcurrencyController | None = None,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> T:
        """Return what the answer to a call means.

        :param concurrency: is told how the server answers.
        :param sleep: waits for so many seconds before the request is sent, or sent again.
        :raises HyperoruApiError: the server refuses, or its answer is not as expected.
        """
        answer = await self._transport.send(call.request, concurrency, sleep=sleep)
        with self._settings.map_errors(call.request, answer):
            if len(answer.body) > _LARGE:
                return await asyncio.to_thread(call.read, answer.body)
            return call.read(answer.body)

"""HyperoruClient: the API in typed methods, for threads. What each asks and reads is in ``calls``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from time import sleep as _sleep
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
from hyperoru_provider.client.http.deadline import LimitedTransport
from hyperoru_provider.client.http.library import httpx
from hyperoru_provider.client.http.transport import Transport
from hyperoru_provider.client.lists.duplicates import DuplicateDetector
from hyperoru_provider.client.lists.readers import SpacingCheck, known_resource, trade_counter
from hyperoru_provider.client.lists.rows import Row, Rows
from hyperoru_provider.client.lists.window_reader import WindowReader
from hyperoru_provider.client.times import Moment, utc_window

T = TypeVar("T")


class HyperoruClient(BaseClient[httpx.Client, httpx.BaseTransport]):
    """The Hyperoru API, for threads. Use it as a context manager, or call :meth:`close`.

    No request is sent before the first call. Every call may raise a
    :class:`~hyperoru_provider.client.errors.HyperoruApiError`, after the retries that its kind deserves.

    The options are those of :class:`~hyperoru_provider.client.base.BaseClient`.
    """

    def _create_transport(self, **options: Any) -> httpx.BaseTransport:
        return LimitedTransport(**options)

    def _create_http(self, **options: Any) -> httpx.Client:
        return httpx.Client(**options)

    def _open(self, http: httpx.Client, *, owned: bool) -> None:
        self._transport = Transport(self._settings, http, owned=owned)

    def health(self) -> Health:
        """Return the state of the service; never repeated, needs no session."""
        return self.run(calls.health(self.contract))

    def login(self) -> None:
        """Log in, unless a usable token is known."""
        self._transport.login(calls.login(self.contract))

    def profile(self) -> Profile:
        """Return the user behind the session."""
        return self.run(calls.profile(self.contract))

    def list_rows(
        self, resource: str, start: Moment | None = None, end: Moment | None = None, **filters: Any
    ) -> list[Model]:
        """Return all rows of any list, in order, each once and none missing.

        :param resource: its name, such as ``orders`` or ``trades``.
        :param start: start of the window, inclusive: a datetime, a date, or ISO 8601 text; without an offset, in UTC.
            Only of a list that is read by time.
        :param end: end of the window, exclusive; likewise.
        :param filters: what limits the rows, such as ``account_id``; what is ``None`` does not.
        :raises HyperoruConfigError: there is no such list or filter, a filter that is needed is missing, or the window
            is empty, missing, or given for a list that has none.
        :raises HyperoruContractError: the server's answers can't be proved right and complete.
        """
        reader = self.list_reader(resource, start, end, **filters)
        with self.explaining(reader.endpoint):
            return calls.models(self.contract, resource, chain.from_iterable(self.iter_batches(reader)), filters)

    def read_object(self, resource: str, **filters: Any) -> Model | None:
        """Return the only row of a list that is an object, or ``None`` if there is none; see :meth:`list_rows`."""
        return next(iter(self.list_rows(resource, **filters)), None)

    def list_traders(self, include_hidden: bool = True) -> list[Trader]:
        """Return the user's traders.

        :param include_hidden: whether to list those that the dashboard hides, too.
        """
        return cast("list[Trader]", self.list_rows("traders", include_hidden=include_hidden))

    def price(self, symbol: str) -> Price:
        """Return a symbol's price.

        :param symbol: for example ``BTC``.
        """
        return self.run(calls.price(self.contract, symbol))

    def klines(self, symbol: str, interval: str, start: Moment, end: Moment) -> list[Kline]:
        """Return the candles that begin in ``start <= timestamp < end``, oldest first.

        :param symbol: for example ``BTC``.
        :param interval: for example ``1m``, ``1h`` or ``1d``.
        :param start: start of the window, inclusive: a datetime, a date, or ISO 8601 text; without an offset, in UTC.
        :param end: end of the window, exclusive; likewise.
        :raises HyperoruConfigError: the window is empty, or the interval is not one.
        """
        filters = {"symbol": symbol, "interval": interval}
        spacing = SpacingCheck(known_resource("klines"), filters)
        rows: list[Row] = []
        for reader in self.list_readers("klines", start, end, filters):
            for batch in self.iter_batches(reader):
                with self.explaining(reader.endpoint):
                    spacing.add(batch.times)
                rows += batch
        with self.explaining(self.contract.klines):
            spacing.finish()
            return cast("list[Kline]", calls.models(self.contract, "klines", rows, filters))

    def backfill_klines(self, wanted: Backfill) -> BackfillJob:
        """Start a job that writes candles at the server: the one call that changes something there.

        It is sent once. What leaves open whether the server took it is a
        :class:`~hyperoru_provider.client.errors.HyperoruAmbiguousWriteError`: then look at :meth:`backfill_jobs`.

        :param wanted: which candles.
        :raises HyperoruConfigError: its window is empty, or its interval is not one.
        """
        return self.run(calls.backfill_klines(self.contract, wanted))

    def backfill_job(self, task_id: int | str) -> BackfillJob:
        """Return how a job is.

        :param task_id: its id.
        """
        return self.redacted(self.run(calls.backfill_job(self.contract, task_id)))

    def count_trades(
        self,
        start: Moment,
        end: Moment,
        account_id: int | str | None = None,
        symbol: str | None = None,
        limit: int | None = None,
    ) -> int:
        """Count the trades of ``start <= trade_time < end``, each once.

        :param start: start of the window, inclusive: a datetime, a date, or ISO 8601 text; without an offset, in UTC.
        :param end: end of the window, exclusive; likewise.
        :param account_id: only this trader's.
        :param symbol: only this symbol's.
        :param limit: stop reading once there are so many; the count is then this or a little more.
        :raises HyperoruConfigError: the window is empty.
        :raises HyperoruContractError: the server's pages can't be proved right and complete.
        """
        filters = {"account_id": account_id, "symbol": symbol}
        window = utc_window(start, end)
        counter = trade_counter(self.contract, *window, filters, limit=limit, learned=self._learned)
        while (values := counter.query()) is not None:
            counter.add(self.read_page(counter.reader, values))
        return counter.rows

    def iter_trades(
        self, start: Moment, end: Moment, account_id: int | str | None = None, symbol: str | None = None
    ) -> Iterator[Trade]:
        """Yield the trades of ``start <= trade_time < end``, by time and then key, each once and none missing.

        :param start: start of the window, inclusive: a datetime, a date, or ISO 8601 text; without an offset, in UTC.
        :param end: end of the window, exclusive; likewise.
        :param account_id: only this trader's.
        :param symbol: only this symbol's.
        :raises HyperoruConfigError: the window is empty.
        :raises HyperoruContractError: the server's pages can't be proved right and complete.
        """
        reader = self.list_reader("trades", start, end, account_id=account_id, symbol=symbol)
        with self.explaining(reader.endpoint):
            for batch in self.iter_batches(reader):
                yield from (calls.trade(self.contract, row) for row in batch)

    def iter_batches(self, reader: WindowReader) -> Iterator[Rows]:
        """Yield the rows of a list as the server sent them, in order, slice by slice."""
        detector = DuplicateDetector()
        while (values := reader.query()) is not None:
            if rows := self.read_page(reader, values):
                detector.add(rows)
                yield rows
        detector.check(reader.endpoint)

    def read_page(
        self,
        reader: WindowReader,
        values: Mapping[str, Any],
        concurrency: ConcurrencyController | None = None,
        *,
        sleep: Callable[[float], object] = _sleep,
    ) -> Rows:
        """Return the rows of a slice if the next answer completes it, else no rows.

        :param reader: takes the answer.
        :param values: what its ``query`` returned.
        :param concurrency: is told how the server answers.
        :param sleep: waits for so many seconds before the request is sent, or sent again.
        """
        try:
            return self.run(calls.page(reader, values), concurrency, sleep=sleep)
        except REFUSALS as error:
            return reader.accept_refusal(error)

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._transport.closed

    def close(self) -> None:
        """Close all connections, but for those of an injected HTTP client."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(
        self,
        call: calls.Call[T],
        concurrency: ConcurrencyController | None = None,
        *,
        sleep: Callable[[float], object] = _sleep,
    ) -> T:
        """Return what the answer to a call means.

        :param concurrency: is told how the server answers.
        :param sleep: waits for so many seconds before the request is sent, or sent again.
        :raises HyperoruApiError: the server refuses, or its answer is not as expected.
        """
        answer = self._transport.send(call.request, concurrency, sleep=sleep)
        with self._settings.map_errors(call.request, answer):
            return call.read(answer.body)

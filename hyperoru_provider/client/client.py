"""HyperoruClient and AsyncHyperoruClient: the API in typed methods, in one line of logic each."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Self, TypeVar

import httpx

from hyperoru_provider.client import calls
from hyperoru_provider.client.api.contract import Contract, load_contract
from hyperoru_provider.client.api.models import BackfillJob, Coverage, Health, Kline, Price, Profile, Trade, Trader
from hyperoru_provider.client.backfills import Backfill
from hyperoru_provider.client.decoding import canonical
from hyperoru_provider.client.errors import HyperoruConfigError
from hyperoru_provider.client.http.auth import Credentials, MemoryTokenStore, SessionAuth, TokenStore
from hyperoru_provider.client.http.retry import RateLimiter, RetryPolicy
from hyperoru_provider.client.http.transport import AsyncTransport, Settings, Transport
from hyperoru_provider.client.lists.duplicates import DuplicateDetector
from hyperoru_provider.client.lists.readers import kline_readers, list_reader, trade_counter
from hyperoru_provider.client.lists.rows import Rows
from hyperoru_provider.client.lists.window_reader import WindowReader
from hyperoru_provider.client.stream.messages import FILTERS, Event, Gap
from hyperoru_provider.version import __version__

DEFAULT_BASE_URL = "https://api.production.hyperoru.com"

T = TypeVar("T")


class _Client:
    def __init__(
        self,
        base_url: str = DEFAULT_BASE_URL,
        email: str | None = None,
        password: str | None = None,
        session_token: str | None = None,
        *,
        contract: Contract | Mapping[str, Any] | None = None,
        timeout: float = 30.0,
        retry_policy: RetryPolicy | None = None,
        requests_per_second: float | None = None,
        token_stores: Sequence[TokenStore] | None = None,
        on_token: Callable[[str], None] | None = None,
    ) -> None:
        self.base_url = _checked_url(base_url)
        self.contract = contract if isinstance(contract, Contract) else load_contract(contract)
        stores = (MemoryTokenStore(),) if token_stores is None else token_stores
        if session_token is not None and not (session_token.isascii() and session_token.isprintable()):
            raise HyperoruConfigError("The session_token holds characters that no token has, such as a line's end.")
        credentials = Credentials(self.base_url, email, password, session_token)
        self._user = session_token or email
        self._first_pages: dict[str, int] = {}
        self._settings = Settings(
            base_url=self.base_url,
            auth=SessionAuth(credentials, self.contract.login, stores, on_token),
            timeout=timeout,
            policy=retry_policy or RetryPolicy(),
            rate_limiter=RateLimiter(requests_per_second),
            user_agent=f"airflow-provider-hyperoru/{__version__}",
        )
        self._open()

    def _open(self) -> None:
        raise NotImplementedError

    def list_reader(
        self, resource: str, start: datetime | None = None, end: datetime | None = None, **filters: Any
    ) -> WindowReader:
        """Return a reader of a list; see :func:`hyperoru_provider.client.lists.readers.list_reader`."""
        return list_reader(self.contract, resource, start, end, filters, first_pages=self._first_pages)

    @property
    def user(self) -> str:
        """Tells a user of a service from another, without naming either."""
        return hashlib.sha256(f"{self.base_url}\n{self._user}".encode()).hexdigest()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self.base_url!r})"


class HyperoruClient(_Client):
    """The Hyperoru API, for threads. Use it as a context manager, or call :meth:`close`.

    Nothing is asked before the first call. Every call may raise a
    :class:`~hyperoru_provider.client.errors.HyperoruApiError`, after the retries that its kind deserves.

    :param base_url: scheme, host, and where needed port and path prefix.
    :param email: email or user name to log in with.
    :param password: its password.
    :param session_token: a token issued elsewhere; with it there is no login at all.
    :param contract: overrides of the API's contract, per resource, or a whole contract.
    :param timeout: seconds to wait for each part of an answer.
    :param retry_policy: when and how often a failed request is repeated.
    :param requests_per_second: upper bound for this client; ``None`` for none.
    :param token_stores: where to look for a session token before logging in, and to keep it; by default this
        process's memory.
    :param on_token: told each token before its first use, to mask it in logs.
    :raises HyperoruConfigError: the URL or the contract is wrong.
    """

    def _open(self) -> None:
        self._transport = Transport(self._settings)

    def health(self) -> Health:
        """Ask for the state of the service; never repeated, needs no session."""
        return self._run(calls.health(self.contract))

    def login(self) -> None:
        """Make sure that there is a session: reuse a known token, or log in."""
        self._transport.login(calls.login(self.contract))

    def profile(self) -> Profile:
        """Ask for the user behind the session."""
        return self._run(calls.profile(self.contract))

    def list_traders(self, include_hidden: bool = False) -> list[Trader]:
        """Ask for the user's traders.

        :param include_hidden: whether to list those that the dashboard hides, too.
        """
        return self._run(calls.list_traders(self.contract, include_hidden))

    def price(self, symbol: str) -> Price:
        """Ask for a symbol's price.

        :param symbol: for example ``BTC``.
        """
        return self._run(calls.price(self.contract, symbol))

    def klines(self, symbol: str, interval: str, start: datetime, end: datetime) -> list[Kline]:
        """Ask for the candles that begin in ``start <= timestamp < end``, oldest first.

        :param symbol: for example ``BTC``.
        :param interval: for example ``1m``, ``1h`` or ``1d``.
        :param start: begin of the window; a naive time is UTC.
        :param end: end of the window, exclusive; a naive time is UTC.
        :raises HyperoruConfigError: the window is empty, or the interval none.
        """
        readers = kline_readers(self.contract, symbol, interval, start, end)
        rows = [row for reader in readers for batch in self.iter_batches(reader) for row in batch]
        return calls.candles(self.contract, symbol, interval, rows)

    def backfill_klines(self, wanted: Backfill) -> BackfillJob:
        """Start a job that writes candles at the server: the one call that changes something there.

        It is sent once. What leaves open whether the server took it is a
        :class:`~hyperoru_provider.client.errors.HyperoruAmbiguousWriteError`: then look at :meth:`backfill_jobs`.

        :param wanted: which candles.
        :raises HyperoruConfigError: its window is empty, or its interval none.
        """
        return self._run(calls.backfill_klines(self.contract, wanted))

    def backfill_job(self, task_id: int | str) -> BackfillJob:
        """Ask how a job is.

        :param task_id: its id.
        """
        return self._run(calls.backfill_job(self.contract, task_id))

    def backfill_jobs(self) -> list[BackfillJob]:
        """Ask for all jobs that the server knows."""
        return self._run(calls.backfill_jobs(self.contract))

    def kline_coverage(self) -> list[Coverage]:
        """Ask which candles there are, of each symbol and interval."""
        return self._run(calls.kline_coverage(self.contract))

    def count_trades(
        self,
        start: datetime,
        end: datetime,
        account_id: int | str | None = None,
        symbol: str | None = None,
        limit: int | None = None,
    ) -> int:
        """Count the trades of ``start <= trade_time < end``, each once.

        :param start: begin of the window; a naive time is UTC.
        :param end: end of the window, exclusive; a naive time is UTC.
        :param account_id: only this trader's.
        :param symbol: only this symbol's.
        :param limit: stop reading once there are so many; the count is then this or a little more.
        :raises HyperoruConfigError: the window is empty.
        :raises HyperoruContractError: the server's pages don't prove to be right and complete.
        """
        filters = {"account_id": account_id, "symbol": symbol}
        counter = trade_counter(self.contract, start, end, filters, limit=limit, first_pages=self._first_pages)
        while (values := counter.query()) is not None:
            counter.add(self.read_page(counter.reader, values))
        return counter.rows

    def iter_trades(
        self, start: datetime, end: datetime, account_id: int | str | None = None, symbol: str | None = None
    ) -> Iterator[Trade]:
        """Give the trades of ``start <= trade_time < end``, by time and then key, each once and none missing.

        :param start: begin of the window; a naive time is UTC.
        :param end: end of the window, exclusive; a naive time is UTC.
        :param account_id: only this trader's.
        :param symbol: only this symbol's.
        :raises HyperoruConfigError: the window is empty.
        :raises HyperoruContractError: the server's pages don't prove to be right and complete.
        """
        for batch in self.iter_batches(self.list_reader("trades", start, end, account_id=account_id, symbol=symbol)):
            yield from (calls.validated(Trade, canonical(row.raw, self.contract.trades)) for row in batch)

    def iter_batches(self, reader: WindowReader) -> Iterator[Rows]:
        """Yield the rows of a list as the server sent them, in order, slice by slice."""
        detector = DuplicateDetector()
        while (values := reader.query()) is not None:
            if rows := self.read_page(reader, values):
                detector.add(rows)
                yield rows
        detector.check(reader.endpoint)

    def read_page(self, reader: WindowReader, values: Mapping[str, Any]) -> Rows:
        """Ask for what a reader needs next; return a slice's rows if the answer completes one."""
        return self._run(calls.page(reader, values))

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._transport.closed

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, call: calls.Call[T]) -> T:
        answer = self._transport.send(call.request)
        with self._settings.map_errors(call.request, answer):
            return call.read(answer.body)


class AsyncHyperoruClient(_Client):
    """The Hyperoru API, for asyncio: the same methods and arguments as :class:`HyperoruClient`, to be awaited.

    Use it as an async context manager, or call :meth:`aclose`.
    """

    def _open(self) -> None:
        self._transport = AsyncTransport(self._settings)

    async def health(self) -> Health:
        """See :meth:`HyperoruClient.health`."""
        return await self._run(calls.health(self.contract))

    async def login(self) -> None:
        """See :meth:`HyperoruClient.login`."""
        await self._transport.login(calls.login(self.contract))

    async def profile(self) -> Profile:
        """See :meth:`HyperoruClient.profile`."""
        return await self._run(calls.profile(self.contract))

    async def list_traders(self, include_hidden: bool = False) -> list[Trader]:
        """See :meth:`HyperoruClient.list_traders`."""
        return await self._run(calls.list_traders(self.contract, include_hidden))

    async def price(self, symbol: str) -> Price:
        """See :meth:`HyperoruClient.price`."""
        return await self._run(calls.price(self.contract, symbol))

    async def klines(self, symbol: str, interval: str, start: datetime, end: datetime) -> list[Kline]:
        """See :meth:`HyperoruClient.klines`."""
        readers = kline_readers(self.contract, symbol, interval, start, end)
        rows = [row for reader in readers async for batch in self.iter_batches(reader) for row in batch]
        return calls.candles(self.contract, symbol, interval, rows)

    async def backfill_klines(self, wanted: Backfill) -> BackfillJob:
        """See :meth:`HyperoruClient.backfill_klines`."""
        return await self._run(calls.backfill_klines(self.contract, wanted))

    async def backfill_job(self, task_id: int | str) -> BackfillJob:
        """See :meth:`HyperoruClient.backfill_job`."""
        return await self._run(calls.backfill_job(self.contract, task_id))

    async def backfill_jobs(self) -> list[BackfillJob]:
        """See :meth:`HyperoruClient.backfill_jobs`."""
        return await self._run(calls.backfill_jobs(self.contract))

    async def kline_coverage(self) -> list[Coverage]:
        """See :meth:`HyperoruClient.kline_coverage`."""
        return await self._run(calls.kline_coverage(self.contract))

    async def count_trades(
        self,
        start: datetime,
        end: datetime,
        account_id: int | str | None = None,
        symbol: str | None = None,
        limit: int | None = None,
    ) -> int:
        """See :meth:`HyperoruClient.count_trades`."""
        filters = {"account_id": account_id, "symbol": symbol}
        counter = trade_counter(self.contract, start, end, filters, limit=limit, first_pages=self._first_pages)
        while (values := counter.query()) is not None:
            counter.add(await self.read_page(counter.reader, values))
        return counter.rows

    async def iter_trades(
        self, start: datetime, end: datetime, account_id: int | str | None = None, symbol: str | None = None
    ) -> AsyncIterator[Trade]:
        """See :meth:`HyperoruClient.iter_trades`."""
        reader = self.list_reader("trades", start, end, account_id=account_id, symbol=symbol)
        async for batch in self.iter_batches(reader):
            for row in batch:
                yield calls.validated(Trade, canonical(row.raw, self.contract.trades))

    async def iter_batches(self, reader: WindowReader) -> AsyncIterator[Rows]:
        """See :meth:`HyperoruClient.iter_batches`."""
        detector = DuplicateDetector()
        while (values := reader.query()) is not None:
            if rows := await self.read_page(reader, values):
                detector.add(rows)
                yield rows
        detector.check(reader.endpoint)

    async def read_page(self, reader: WindowReader, values: Mapping[str, Any]) -> Rows:
        """See :meth:`HyperoruClient.read_page`."""
        return await self._run(calls.page(reader, values))

    def events(
        self, channels: Sequence[str] = tuple(FILTERS), give_up_after: float | None = None
    ) -> AsyncGenerator[Event | Gap, None]:
        """Listen to the event stream, forever: it connects again by itself, and says where events may be missing.

        The first item is a gap, too: what happened before it was not seen. Close the generator when done, with
        :func:`contextlib.aclosing`. A slow consumer holds the server's messages back, and nothing is piled up.

        :param channels: of ``trades``, ``positions``, ``model_chat`` and ``asset_curve``. Default: all.
        :param give_up_after: seconds without a connection after which the failure is raised. Default: never.
        :raises HyperoruConfigError: there is no such channel.
        :raises HyperoruApiError: connecting again can't mend it: a refused login or session token, a wrong path.
        """
        from hyperoru_provider.client.stream.event_stream import EventStream

        return EventStream(self._settings, self._transport, self.contract, channels, give_up_after).items()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _run(self, call: calls.Call[T]) -> T:
        answer = await self._transport.send(call.request)
        with self._settings.map_errors(call.request, answer):
            return call.read(answer.body)


def _checked_url(base_url: str) -> str:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise HyperoruConfigError(f"The base URL is not valid: {error}") from None
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query or url.fragment:
        raise HyperoruConfigError(
            "The base URL must be like https://host[:port][/prefix], with login and password in fields of their own."
        )
    return str(url).rstrip("/")

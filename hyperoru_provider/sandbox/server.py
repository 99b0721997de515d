"""Runs the sandbox in a thread of this process."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import uvicorn

from hyperoru_provider.sandbox.api import Api
from hyperoru_provider.sandbox.app import SandboxApp
from hyperoru_provider.sandbox.book import Book, FileBook, read_rows
from hyperoru_provider.sandbox.connection import Connection, connection_class
from hyperoru_provider.sandbox.control import Control
from hyperoru_provider.sandbox.family.api import FamilyApi
from hyperoru_provider.sandbox.faults import Faults
from hyperoru_provider.sandbox.live import Live
from hyperoru_provider.sandbox.market import BUSY, QUIET, Market
from hyperoru_provider.sandbox.orders import OrderBook
from hyperoru_provider.sandbox.prices import SYMBOLS, Prices
from hyperoru_provider.sandbox.records import Records
from hyperoru_provider.sandbox.row_faults import is_merged
from hyperoru_provider.sandbox.rows import micros
from hyperoru_provider.sandbox.served import list_routes
from hyperoru_provider.sandbox.served_accounts import AccountLists
from hyperoru_provider.sandbox.served_records import RecordLists
from hyperoru_provider.sandbox.served_set_up import SetUpLists
from hyperoru_provider.sandbox.sockets import Sockets
from hyperoru_provider.sandbox.state import State

__all__ = ["Sandbox"]


class Sandbox:
    """A Hyperoru server on loopback, for demos and tests; it runs while the ``with`` block does.

    .. code-block:: python

        with Sandbox(error_rate=0.2, retry_after=1) as sandbox:
            client = HyperoruClient(
                base_url=sandbox.url, email=sandbox.email, password=sandbox.password
            )

    :param dialect: ``default``, the API that the provider assumes, or ``family``, that of the servers from which the
        service descends
    :param seed: of the market and of the random faults
    :param data: a file with one trade on each line (``.ndjson`` or ``.ndjson.gz``), in place of the market
    :param rows: the trades themselves, in place of a file
    :param orders: the orders, in place of made-up ones; with at least ``account_id``, ``symbol`` and ``created_at``
    :param email: of the one user; the user name is the part before the ``@``
    :param password: of the one user
    :param host: the address to listen on
    :param port: the port to listen on; 0 takes a free one
    :param clock: the present, in seconds since 1970
    :param faults: fields of :class:`~hyperoru_provider.sandbox.faults.Faults`
    :raises FaultError: for an unknown fault or a value that it can't take
    """

    def __init__(
        self,
        *,
        dialect: Literal["default", "family"] = "default",
        seed: int = 7,
        data: str | Path | None = None,
        rows: Sequence[bytes] | Sequence[dict[str, Any]] | None = None,
        orders: Sequence[bytes] | Sequence[dict[str, Any]] | None = None,
        email: str = "demo@hyperoru.example",
        password: str = "demo-password",
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Callable[[], float] = time.time,
        **faults: object,
    ) -> None:
        if data is not None and rows is not None:
            raise ValueError("Give data or rows, not both")
        if dialect not in ("default", "family"):
            raise ValueError(f"dialect can't be {dialect!r}; it takes default or family")
        self.email = email
        self.password = password
        self._state = State(email, password, Faults().merged(faults), seed, clock)
        self._book: Book
        given = rows if data is None else read_rows(data)
        if given is not None:
            self._book = FileBook(given)
            prices = Prices(seed, self._book.symbols)
        else:
            prices = Prices(seed, SYMBOLS)
            self._book = Market(seed, prices, clock, fills=QUIET if dialect == "family" else BUSY)
        self._orders = OrderBook(seed, self._book.traders, prices, orders)
        self._live = Live(seed, self._book, prices, self._state.clock)
        records = Records(seed, self._book, prices, clock)
        self._lists = [
            *RecordLists(records, self._book).all(),
            *AccountLists(records, self._book, self._orders).all(),
            *SetUpLists(seed, records, self._book).all(),
        ]
        self._api: Api | FamilyApi
        if dialect == "family":
            self._api = FamilyApi(seed, self._state, self._book, prices)
        else:
            further = list_routes(self._lists, records, self._state)
            self._api = Api(self._state, self._book, self._orders, prices, further)
        control = Control(self._state, self._live, self.reset)
        self._app = SandboxApp(self._state, self._api, control.routes)
        self._address = (host, port)
        self._server: _Server | None = None

    @property
    def username(self) -> str:
        """The user name of the one user."""
        return self._state.username

    @property
    def url(self) -> str:
        """The base URL, while the sandbox runs."""
        host, port = self._address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def start(self) -> None:
        """Listen, and serve from a thread; returns when requests are taken."""
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        listener = socket.create_server(self._address, family=family)
        # Accepted connections inherit it; without it an answer in two writes waits for a delayed ACK.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._address = listener.getsockname()[:2]
        self._server = _Server(self._app, self._api.sockets(self._live), listener)
        self._server.start()

    def stop(self) -> None:
        """Close all connections and end the thread."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def __enter__(self) -> Sandbox:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def stats(self) -> dict[str, Any]:
        """Return what was asked and answered since the start or the last :meth:`reset`."""
        with self._state.lock:
            return self._state.stats.as_dict()

    @property
    def faults(self) -> Faults:
        """The present faults."""
        return self._state.faults

    def set_faults(self, **faults: object) -> None:
        """Change some faults, from the next request on.

        :param faults: fields of :class:`~hyperoru_provider.sandbox.faults.Faults`
        :raises FaultError: for an unknown fault or a value that it can't take
        """
        self._state.set_faults(faults)

    def revoke_tokens(self) -> None:
        """End all tokens."""
        self._state.revoke_tokens()

    def trade(
        self,
        count: int = 1,
        *,
        account_id: int | None = None,
        symbol: str | None = None,
        side: str | None = None,
        notional: float | str | Decimal | None = None,
        late: float = 0,
    ) -> list[dict[str, Any]]:
        """Make trades, now; what is left out is random. Their events come within 0.1 s.

        :param count: how many, up to 10,000
        :param account_id: of one trader
        :param symbol: of one symbol
        :param side: ``BUY`` or ``SELL``
        :param notional: what each is worth
        :param late: seconds that ``trade_time`` lies back
        :returns: the rows as the list of trades has them
        :raises ValueError: for a value that can't be
        """
        rows = self._live.trade(count, account_id=account_id, symbol=symbol, side=side, notional=notional, late=late)
        return [json.loads(row.body) for row in rows]

    def trades(
        self,
        start: str,
        end: str,
        *,
        account_id: int | None = None,
        symbol: str | None = None,
    ) -> list[dict[str, Any]]:
        """Return the trades that there are, newest first, whatever the faults; without those that are merged.

        :param start: the start of the window, in ISO 8601
        :param end: its end, which is not in it
        :param account_id: of one trader
        :param symbol: of one symbol
        """
        return [json.loads(text) for text in self.rows("trades", start, end, account_id=account_id, symbol=symbol)]

    def rows(self, resource: str, start: str, end: str, **of: Any) -> list[str]:
        """Return the rows that there are of a list, to the last digit, newest first, whatever the faults.

        :param resource: ``trades``; of the family also ``decisions``, ``program_runs``, ``closed_trades``,
            ``signal_triggers``, ``account_snapshots`` and ``asset_curve``
        :param start: the start of the window, in ISO 8601
        :param end: its end, which is not in it
        :param of: ``account_id`` and ``symbol``; of the family also the trading ``mode`` (``mainnet`` without it)
            and the ``timeframe`` of the asset curve
        :raises ValueError: for another list
        """
        return self._api.rows(resource, micros(start), micros(end), **of)

    def orders(self, account_id: int) -> list[dict[str, Any]]:
        """Return the orders of an account, newest first, whatever the faults; without those that are merged.

        :param account_id: the account
        :raises KeyError: if there is no such account
        """
        share, rows = self.faults.merge_after_limit, list(self._orders.select(account_id))
        return [json.loads(row.body) for row in reversed(rows) if not is_merged(row.body, share)]

    def facts(self, name: str, start: str | None = None, end: str | None = None, **given: object) -> list[str]:
        """Return the rows of a list as JSON text, oldest first, whatever the faults; not of trades, orders and candles.

        :param name: what the list is called
        :param start: the start of the window, in ISO 8601, if it has one
        :param end: its end, which is not in it
        :param given: the parameters of its path and query
        """
        (served,) = (each for each in self._lists if each.name == name)
        window = {} if start is None or end is None else {"start": micros(start), "end": micros(end)}
        return [row.body.decode() for row in served.select({**given, **window})]

    def reset(self) -> None:
        """Set counters to zero, faults off, trades to those of the start, and remove all jobs; tokens stay."""
        self._state.reset()
        self._book.forget_arrivals()
        self._api.jobs.forget()


class _Server(uvicorn.Server):
    """uvicorn in a thread, on a socket that listens already, which stops without waiting for anyone."""

    def __init__(self, app: SandboxApp, sockets: Sockets, listener: socket.socket) -> None:
        self._connections: set[Connection] = set()
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",
                ws=connection_class(sockets.serve, self._connections),
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                server_header=False,
                date_header=False,
            )
        )
        app.hang_up = self._hang_up
        self._feed = sockets.feed
        self._listener = listener
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hyperoru-sandbox", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._ready.wait()
        if not self.started:
            raise RuntimeError("The sandbox could not start")

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            with self._listener:
                asyncio.run(self.serve(sockets=[self._listener]))
        finally:
            self._ready.set()

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        stopping = asyncio.create_task(self._stopped.wait())
        ticking = asyncio.create_task(self._feed.run())
        self._ready.set()
        await asyncio.wait({ticking, stopping}, return_when=asyncio.FIRST_COMPLETED)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        for websocket in list(self._connections):
            websocket.abort()

    def _hang_up(self, client: Any) -> None:
        for connection in list(self.server_state.connections):
            if getattr(connection, "client", None) == client:
                connection.transport.close()

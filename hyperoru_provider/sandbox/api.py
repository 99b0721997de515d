"""The HTTP API that the provider assumes, route by route. Another dialect is another module like this one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from starlette.responses import JSONResponse, Response

from hyperoru_provider.sandbox.book import Book
from hyperoru_provider.sandbox.envelopes import ListAnswer, list_answer
from hyperoru_provider.sandbox.errors import Refusal
from hyperoru_provider.sandbox.incoming import Incoming, Routes
from hyperoru_provider.sandbox.jobs import Jobs
from hyperoru_provider.sandbox.lists import OrderList, TradeList
from hyperoru_provider.sandbox.live import Live
from hyperoru_provider.sandbox.orders import OrderBook
from hyperoru_provider.sandbox.prices import INTERVALS, Prices, number
from hyperoru_provider.sandbox.queries import boolean, integer, moment, read_query, read_window, text
from hyperoru_provider.sandbox.row_faults import is_merged
from hyperoru_provider.sandbox.rows import SECOND, iso
from hyperoru_provider.sandbox.sockets import Sockets
from hyperoru_provider.sandbox.state import State

__all__ = ["Api"]

_MOST_CANDLES = 50_000
_OPENAPI = Path(__file__).with_name("openapi.json")  # written by scripts/api_document.py


class Api:
    """The handlers of the API.

    :param state: tokens, faults and counts
    :param book: traders and trades
    :param orders: their orders
    :param prices: prices and candles
    :param further: the routes of all other lists
    """

    #: The paths that need no token.
    public = ("/api/health", "/api/users/login", "/openapi.json")
    #: Whether the others need one.
    checks_tokens = True
    #: The shape of errors.
    error_body = "default"

    def __init__(self, state: State, book: Book, orders: OrderBook, prices: Prices, further: Routes) -> None:
        #: The backfill jobs.
        self.jobs = Jobs(book, prices.symbols, state.clock)
        self._state = state
        self._book = book
        self._prices = prices
        self._trades = TradeList(book, self._now)
        self._orders = OrderList(orders)
        self._further = further

    @property
    def routes(self) -> Routes:
        """The handlers by path template and method."""
        return {
            "/openapi.json": {"GET": self._openapi},
            "/api/health": {"GET": self._health},
            "/api/users/login": {"POST": self._login},
            "/api/users/logout": {"POST": self._logout},
            "/api/users/profile": {"GET": self._profile},
            "/api/account/list": {"GET": self._accounts},
            "/api/crypto/price": {"GET": self._price},
            "/api/klines/data": {"GET": self._klines},
            "/api/klines/coverage": {"GET": self._coverage},
            "/api/klines/supported-symbols": {"GET": self._symbols},
            "/api/klines/backfill": {"POST": self._start_backfill},
            "/api/klines/backfill-tasks": {"GET": self._backfills},
            "/api/klines/backfill/status/{task_id}": {"GET": self._backfill},
            "/api/arena/trades": {"GET": self._list_trades},
            "/api/orders/account/{account_id}": {"GET": self._list_orders},
            **self._further,
        }

    def sockets(self, live: Live) -> Sockets:
        """Return the WebSocket of this API."""
        return Sockets(self._state, live)

    def rows(
        self, resource: str, start: int, end: int, *, account_id: int | None = None, symbol: str | None = None
    ) -> list[str]:
        """Return the rows that there are in a window as JSON text, newest first, without those that are merged.

        :raises ValueError: if the sandbox has no rows of this resource by time
        """
        if resource != "trades":
            raise ValueError(f"There are no rows of {resource!r} by time here")
        with self._book.lock:
            rows = list(self._book.select(account_id, symbol, start, end))
        share = self._state.faults.merge_after_limit
        return [row.body.decode() for row in reversed(rows) if not is_merged(row.body, share)]

    def _query(self, incoming: Incoming, **known: Callable[[str], Any]) -> dict[str, Any]:
        return read_query(incoming.query, known, self._state.faults)

    def _list(self, answer: ListAnswer, *, counted: bool = False) -> Response:
        """Return the answer of a list endpoint; ``counted`` rows are among those served."""
        if counted:
            with self._state.lock:
                self._state.stats.rows_served += answer.rows
        return Response(answer.body, media_type="application/json")

    def _now(self) -> int:
        """Return the present, in microseconds since 1970."""
        return int(self._state.clock() * SECOND)

    def _openapi(self, incoming: Incoming) -> Response:
        return Response(_OPENAPI.read_bytes(), media_type="application/json")

    def _health(self, incoming: Incoming) -> Response:
        self._query(incoming)
        return JSONResponse({"status": self._state.faults.health})

    def _login(self, incoming: Incoming) -> Response:
        self._query(incoming)
        body = incoming.json()
        names = sorted(body)
        if names not in (["email", "password"], ["password", "username"]):
            raise Refusal(400, "INVALID_LOGIN", "The body needs email and password, or username and password")
        if not all(isinstance(value, str) for value in body.values()):
            raise Refusal(400, "INVALID_LOGIN", "Login fields must be strings")
        name = "email" if "email" in body else "username"
        found = self._state.log_in(name, body[name], body["password"])
        if found is None:
            raise Refusal(401, "INVALID_CREDENTIALS", "Wrong email, user name or password")
        token, expires = found
        expires_at = iso(int(expires * SECOND), "milliseconds")
        return JSONResponse({"session_token": token, "expires_at": expires_at, "user": self._state.user})

    def _logout(self, incoming: Incoming) -> Response:
        self._query(incoming)
        self._state.log_out(incoming.token or "")
        return Response(status_code=204)

    def _profile(self, incoming: Incoming) -> Response:
        self._query(incoming)
        return JSONResponse(self._state.user)

    def _accounts(self, incoming: Incoming) -> Response:
        hidden = self._query(incoming, include_hidden=boolean).get("include_hidden", False)
        listed = [trader for trader in self._book.traders if hidden or trader["show_on_dashboard"]]
        return self._list(list_answer(_bodies(listed), self._state.faults))

    def _price(self, incoming: Incoming) -> Response:
        symbol = self._symbol(self._query(incoming, symbol=text))
        price = number(self._prices.at(symbol, self._now()))
        body = f'{{"symbol":{json.dumps(symbol)},"price":{price},"market":"hyperliquid"}}'
        return Response(body, media_type="application/json")

    def _klines(self, incoming: Incoming) -> Response:
        query = self._query(incoming, symbol=text, interval=text, start=moment, end=moment)
        symbol, interval = self._symbol(query), query.get("interval", "1h")
        if interval not in INTERVALS:
            raise Refusal(422, "INVALID_INTERVAL", f"interval must be one of {', '.join(INTERVALS)}")
        start, end = read_window(query, self._book, self._state.faults)
        end = min(end, self._now())
        if end - start > _MOST_CANDLES * INTERVALS[interval]:
            raise Refusal(422, "WINDOW_TOO_LONG", f"The window has more than {_MOST_CANDLES} candles")
        candles = list(self._prices.candles(symbol, interval, start, end))
        return self._list(list_answer(candles[-(self._state.faults.cap or len(candles)) :], self._state.faults))

    def _coverage(self, incoming: Incoming) -> Response:
        self._query(incoming)
        rows = [
            {
                "symbol": symbol,
                "interval": interval,
                "earliest": None if first is None else iso(first),
                "latest": None if last is None else iso(last),
                "total_candles": total,
            }
            for symbol, interval, first, last, total in self.jobs.coverage(self._state.faults)
        ]
        return self._list(list_answer(_bodies(rows), self._state.faults))

    def _symbols(self, incoming: Incoming) -> Response:
        self._query(incoming)
        return JSONResponse({"symbols": self._prices.symbols})

    def _start_backfill(self, incoming: Incoming) -> Response | None:
        self._query(incoming)
        job = self.jobs.start(incoming.json(), self._state.faults)
        with self._state.lock:
            self._state.stats.backfills += 1
        return None if self._state.faults.backfill_lose_answer else JSONResponse(job, 202)

    def _backfill(self, incoming: Incoming, task_id: str) -> Response:
        self._query(incoming)
        return JSONResponse(self.jobs.show(task_id, self._state.faults))

    def _backfills(self, incoming: Incoming) -> Response:
        self._query(incoming)
        return self._list(list_answer(_bodies(self.jobs.all(self._state.faults)), self._state.faults))

    def _list_trades(self, incoming: Incoming) -> Response:
        faults = self._state.faults
        query = self._query(incoming, **self._trades.parameters(faults))
        return self._list(self._trades.answer(query, faults), counted=True)

    def _list_orders(self, incoming: Incoming, account_id: str) -> Response:
        faults = self._state.faults
        query = self._query(incoming, **self._orders.parameters(faults))
        try:
            wanted = integer(account_id)
        except ValueError as error:
            raise Refusal(422, "INVALID_PARAMETER", f"account_id can't be {account_id!r}: {error}") from None
        return self._list(self._orders.answer(wanted, query, faults), counted=True)

    def _symbol(self, query: dict[str, Any]) -> str:
        symbol = query.get("symbol")
        if symbol is None:
            raise Refusal(400, "MISSING_PARAMETER", "Query parameter 'symbol' is missing")
        if symbol not in self._prices.symbols:
            raise Refusal(404, "SYMBOL_NOT_FOUND", f"Unknown symbol {symbol!r}")
        return str(symbol)


def _bodies(rows: Iterable[Mapping[str, object]]) -> list[bytes]:
    """Return the JSON text of each row."""
    return [json.dumps(row).encode() for row in rows]

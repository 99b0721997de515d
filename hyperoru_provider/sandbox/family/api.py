"""The HTTP API of the family, operation by operation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from starlette.responses import Response

from hyperoru_provider.sandbox.book import Book
from hyperoru_provider.sandbox.errors import Refusal
from hyperoru_provider.sandbox.family.lists import Lists
from hyperoru_provider.sandbox.family.openapi import document, reference
from hyperoru_provider.sandbox.family.operations import (
    Operation,
    Parameter,
    day,
    flag,
    instant,
    invalid,
    number,
    switch,
    text,
)
from hyperoru_provider.sandbox.family.sockets import FamilySockets
from hyperoru_provider.sandbox.family.table import Table, naive
from hyperoru_provider.sandbox.faults import Faults
from hyperoru_provider.sandbox.incoming import Routes
from hyperoru_provider.sandbox.jobs import Jobs
from hyperoru_provider.sandbox.live import Live
from hyperoru_provider.sandbox.market import QUIET, Market
from hyperoru_provider.sandbox.prices import Prices
from hyperoru_provider.sandbox.records import Records
from hyperoru_provider.sandbox.rows import SECOND
from hyperoru_provider.sandbox.sockets import Sockets
from hyperoru_provider.sandbox.state import State

__all__ = ["FamilyApi"]

_MODES = ("paper", "testnet", "mainnet")
_NEWEST_TASKS = 50
_BREAKDOWNS = ("account", "symbol", "strategy", "operation", "trigger-type", "factor")


class FamilyApi:
    """The handlers of the family's API.

    :param seed: of what the modes beside mainnet have
    :param state: tokens, faults and counts
    :param book: the traders, and the trades of mainnet
    :param prices: prices
    """

    public = ("/api/health", "/api/users/login", "/openapi.json")
    checks_tokens = False
    error_body = "detail"

    def __init__(self, seed: int, state: State, book: Book, prices: Prices) -> None:
        self.jobs = Jobs(book, prices.symbols, state.clock)
        self._state = state
        self._book = book
        self._prices = prices
        testnet = Market(seed + 1, prices, state.clock, fills=QUIET)
        self._tables = {
            "mainnet": Table(book, Records(seed, book, prices, state.clock)),
            "testnet": Table(testnet, Records(seed + 1, testnet, prices, state.clock)),
        }
        self._lists = Lists(state, self._tables)

    @property
    def routes(self) -> Routes:
        """The handlers by path template and method."""
        routes: Routes = {"/openapi.json": {"GET": Operation("GET", "/openapi.json", self._openapi)}}
        for operation in self._operations():
            routes.setdefault(operation.path, {})[operation.method] = operation
        return routes

    def _operations(self) -> list[Operation]:
        """Return all operations, as the document of the API lists them."""
        return [*self._calls(), *self._rows(), *self._analytics()]

    def _calls(self) -> Iterable[Operation]:
        """Yield what is no list, and the lists of what was set up."""

        def get(path: str, handle: Callable[..., Any], *parameters: Parameter, answer: Any = None) -> Operation:
            return Operation("GET", path, handle, parameters, answer=answer)

        lists, price, profile = self._lists, reference("PriceResponse"), reference("UserOut")
        login, task = reference("UserAuthResponse"), reference("BackfillTask")
        symbol, token = text("symbol", required=True), text("session_token", required=True)
        yield get("/api/health", self._health)
        yield Operation("POST", "/api/users/login", self._login, body="UserLogin", answer=login)
        yield get("/api/users/profile", self._profile, token, answer=profile)
        yield get("/api/account/list", self._traders, flag("include_hidden"))
        yield get("/api/crypto/price/{symbol}", self._price, answer=price)
        yield get("/api/klines/data", self._klines, symbol, text("period"), number("limit", 1, 1000, 100))
        yield get("/api/klines/coverage", self._coverage)
        yield get("/api/klines/supported-symbols", lambda: {"symbols": self._prices.symbols})
        yield Operation("POST", "/api/klines/backfill", self._start_backfill, body="BackfillRequest")
        yield get("/api/klines/backfill/status/{task_id}", self._backfill, answer=task)
        yield get("/api/klines/backfill-tasks", self._backfills)
        yield get("/api/orders/user/{user_id}", _fail, number("user_id"))
        yield get("/api/orders/pending", _fail)
        yield get("/api/signals/", lists.signals)
        yield get("/api/programs/", lists.programs)
        yield get("/api/prompts/", lists.prompts)
        yield get("/api/factors/custom", lists.factors)
        yield get("/api/factors/effectiveness", lists.factor_effectiveness)
        yield get("/api/factors/effectiveness/{factor_name}/history", lists.factor_history)

    def _rows(self) -> Iterable[Operation]:
        """Yield the lists of what happened."""
        lists, mode, account = self._lists, switch("trading_mode", *_MODES), number("account_id")
        symbol, wallet, exchange = text("symbol"), text("wallet_address"), text("exchange")
        of_trades = (number("limit", 1, 500, 100), account, wallet, mode, symbol, exchange)
        environment = switch("environment", "testnet", "mainnet", default="mainnet", as_pattern=True)
        of_decisions = (
            number("limit", 1, 200, 60), account, symbol, switch("operation", "buy", "sell", "close", "hold"), mode,
            flag("include_snapshots"), instant("after_time"), instant("before_time"),
        )  # fmt: skip
        of_runs = (number("limit", 1, 200, 50), account, number("program_id"), instant("after"), instant("before"))
        of_closed = (
            day("start_date"), day("end_date"), account, environment, number("limit", 1, 200, 50),
            number("offset", 0, default=0),
        )  # fmt: skip
        of_curve = (
            switch("timeframe", "5m", "1h", "1d", default="1h", as_pattern=True), account,
            switch("trading_mode", *_MODES, default="testnet"), instant("start_date"), instant("end_date"),
        )  # fmt: skip
        of_logs = (number("limit", 1, 500, 50), number("offset", 0, default=0), number("pool_id"), number("signal_id"))
        points = {"type": "array", "items": reference("AssetCurvePoint")}
        of_snapshots = (account, number("limit", 1, 1000, 100))
        yield Operation("GET", "/api/arena/trades", lists.trades, of_trades)
        yield Operation("GET", "/api/arena/model-chat", lists.decisions, of_decisions)
        yield Operation("GET", "/api/arena/positions", lists.positions, (mode,))
        yield Operation("GET", "/api/analytics/trades", lists.closed_trades, of_closed)
        yield Operation("GET", "/api/programs/executions/", lists.program_runs, of_runs)
        yield Operation("GET", "/api/account/asset-curve", lists.asset_curve, of_curve, answer=points)
        path = "/api/hyperliquid/accounts/{account_id}/snapshots"
        yield Operation("GET", path, lists.account_snapshots, of_snapshots)
        yield Operation("GET", "/api/signals/logs", lists.signal_triggers, (*of_logs, symbol))

    def _analytics(self) -> Iterable[Operation]:
        environment = switch("environment", "testnet", "mainnet", default="mainnet", as_pattern=True)
        limits = (day("start_date"), day("end_date"), environment, number("account_id"), text("exchange"))
        yield Operation("GET", "/api/analytics/summary", self._lists.summary, limits)
        for name in _BREAKDOWNS:
            yield Operation("GET", f"/api/analytics/by-{name}", self._lists.breakdown(name), limits)

    def sockets(self, live: Live) -> Sockets:
        """Return the WebSocket of this API."""
        return FamilySockets(self._state, live, self._tables["mainnet"])

    def rows(
        self,
        resource: str,
        start: int,
        end: int,
        *,
        account_id: int | None = None,
        symbol: str | None = None,
        mode: str = "mainnet",
        timeframe: str = "1h",
    ) -> list[str]:
        """Return the rows that there are in a window, newest first; see :meth:`Table.texts`."""
        return self._tables[mode].texts(resource, start, end, account_id=account_id, symbol=symbol, timeframe=timeframe)

    def _openapi(self) -> dict[str, Any]:
        return document(self._operations())

    def _health(self) -> dict[str, Any]:
        return {"status": self._state.faults.health, "message": "The sandbox is running", "version": "0.1.0"}

    def _login(self, body: dict[str, Any]) -> dict[str, Any]:
        for name in ("username", "password"):
            if name not in body:
                raise invalid(["body", name], "Field required", "missing")
            if not isinstance(body[name], str):
                raise invalid(["body", name], "Input should be a valid string", "string_type")
        for name in sorted({*body} - {"username", "password"}):
            raise invalid(["body", name], "Extra inputs are not permitted", "extra_forbidden")
        found = self._state.log_in("username", body["username"], body["password"])
        if found is None:
            raise Refusal(401, "unauthorized", "Invalid username or password")
        token, expires = found
        return {"user": self._state.user, "session_token": token, "expires_at": naive(int(expires * SECOND))}

    def _profile(self, session_token: str) -> dict[str, Any]:
        if not self._state.accepts(session_token):
            raise Refusal(401, "unauthorized", "Invalid or expired session token")
        return self._state.user

    def _traders(self, include_hidden: bool) -> list[dict[str, Any]]:
        shown = [each for each in self._book.traders if include_hidden or each["show_on_dashboard"]]
        return [{**each, "api_key": f"sk-sandbox-{each['id']:0>32}"} for each in shown]

    def _price(self, symbol: str) -> dict[str, Any]:
        if symbol not in self._prices.symbols:
            raise Refusal(404, "not_found", f"No price of {symbol}")
        now = int(self._state.clock() * SECOND)
        return {"symbol": symbol, "price": float(self._prices.at(symbol, now)), "market": "hyperliquid"}

    def _klines(self, symbol: str, period: str | None, limit: int) -> dict[str, Any]:
        return {"success": False, "data": [], "message": "Kline data is not implemented yet"}

    def _coverage(self) -> list[dict[str, Any]]:
        return [
            {
                "exchange": "hyperliquid",
                "symbol": symbol,
                "period": period,
                "earliest_time": None if first is None else first // SECOND,
                "latest_time": None if last is None else last // SECOND,
                "total_records": total,
            }
            for symbol, period, first, last, total in self.jobs.coverage(self._state.faults)
        ]

    def _start_backfill(self, body: dict[str, Any]) -> dict[str, Any] | None:
        symbols = body.get("symbols")
        if not isinstance(symbols, list) or not all(isinstance(each, str) for each in symbols):
            raise invalid(["body", "symbols"], "Input should be a valid list", "list_type")
        asked = {
            "interval": body.get("period", "1m"),
            "start_date": body.get("start_time"),
            "end_date": body.get("end_time"),
        }
        ids = [self.jobs.start({**asked, "symbol": each}, self._faults)["id"] for each in symbols]
        with self._state.lock:
            self._state.stats.backfills += len(ids)
        return None if self._state.faults.backfill_lose_answer else {"success": True, "task_ids": ids}

    def _backfill(self, task_id: str) -> dict[str, Any]:
        return _shown(self.jobs.show(task_id, self._faults))

    def _backfills(self) -> dict[str, Any]:
        return {"tasks": [_shown(job) for job in self.jobs.all(self._faults)[:_NEWEST_TASKS]]}

    @property
    def _faults(self) -> Faults:
        """The faults, with jobs as the older documentation has them: this API's are nearest to those."""
        return self._state.faults.merged({"backfill_old": True})


def _shown(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return a job as this API shows it, without its times."""
    return {
        "task_id": job["id"],
        "exchange": "hyperliquid",
        "symbol": job["symbol"],
        "period": job["interval"],
        "status": job["status"],
        "progress": int(job["progress_pct"]),
        "error_message": job.get("error"),
    }


def _fail(**_: object) -> Response:
    raise Refusal(500, "internal_error", "Internal Server Error")

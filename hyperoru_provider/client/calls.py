"""The API's calls as pure functions: what each asks, and how its answer is read. Written once for both clients."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from hyperoru_provider.client.api.contract import Contract
from hyperoru_provider.client.api.endpoints import Endpoint, ListEndpoint
from hyperoru_provider.client.api.models import BackfillJob, Coverage, Health, Kline, Model, Price, Profile, Trader
from hyperoru_provider.client.backfills import Backfill
from hyperoru_provider.client.decoding import canonical, parse_object, rename
from hyperoru_provider.client.errors import HyperoruConfigError, HyperoruContractError
from hyperoru_provider.client.http.transport import Request
from hyperoru_provider.client.lists.duplicates import DuplicateDetector
from hyperoru_provider.client.lists.page import parse_page
from hyperoru_provider.client.lists.pass_reader import Bulk
from hyperoru_provider.client.lists.rows import Row
from hyperoru_provider.client.lists.window_reader import Plan
from hyperoru_provider.client.times import utc_window

_CANDLES = 100

T = TypeVar("T")
R = TypeVar("R", bound=Model)


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request, and what makes its answer's body a result."""

    request: Request
    read: Callable[[bytes], T]


def health(contract: Contract) -> Call[Health]:
    """Ask for the state of the service, without a session."""
    request = Request("GET", contract.health.path, auth=False, retries=False)
    return Call(request, lambda body: validated(Health, parse_object(body), contract.health))


def login(contract: Contract) -> Request:
    """Say what a login is: sent twice, it only gives two tokens."""
    return Request("POST", contract.login.path, auth=False)


def profile(contract: Contract) -> Call[Profile]:
    """Ask for the user behind the session."""
    return Call(
        Request("GET", contract.profile.path), lambda body: validated(Profile, parse_object(body), contract.profile)
    )


def list_traders(contract: Contract, include_hidden: bool) -> Call[list[Trader]]:
    """Ask for the user's traders."""
    endpoint = contract.traders
    request = Request("GET", *endpoint.target({"include_hidden": include_hidden}))

    def read(body: bytes) -> list[Trader]:
        traders = _whole_list(Trader, body, endpoint, "traders")
        if len({trader.id for trader in traders}) < len(traders):
            raise HyperoruContractError(
                f"One of the {len(traders)} traders is listed twice. Correct the contract's traders."
            )
        return traders

    return Call(request, read)


def kline_coverage(contract: Contract) -> Call[list[Coverage]]:
    """Ask which candles there are."""
    endpoint = contract.coverage
    return Call(
        Request("GET", endpoint.path, endpoint.query({})),
        lambda body: _whole_list(Coverage, body, endpoint, "coverage"),
    )


def price(contract: Contract, symbol: str) -> Call[Price]:
    """Ask for a symbol's price."""

    def read(body: bytes) -> Price:
        data = rename(parse_object(body), contract.price)
        sent = data.setdefault("symbol", symbol)
        if str(sent).casefold() != symbol.casefold():
            raise HyperoruContractError(
                f"The price is of {sent}, but {symbol} was asked for: the server seems to ignore the symbol. "
                "Correct the contract's price.params."
            )
        return validated(Price, data)

    return Call(Request("GET", *contract.price.target({"symbol": symbol})), read)


def trades(
    contract: Contract,
    start: datetime,
    end: datetime,
    account_id: int | str | None = None,
    symbol: str | None = None,
    *,
    bulk: Bulk | None = None,
) -> Plan:
    """Plan to read the trades of a window."""
    return Plan(contract.trades, *utc_window(start, end), {"account_id": account_id, "symbol": symbol}, bulk=bulk)


def count_trades(
    contract: Contract,
    start: datetime,
    end: datetime,
    account_id: int | str | None = None,
    symbol: str | None = None,
    *,
    enough: int | None = None,
) -> Count:
    """Plan to count the trades of a window."""
    filters = {"account_id": account_id, "symbol": symbol}
    if enough is None:
        return Count(Plan(contract.trades, *utc_window(start, end), filters), None)
    # all pages count from the first on, as no more is held than is enough
    return Count(Plan(contract.trades, *utc_window(start, end), filters, span_rows=sys.maxsize), enough)


class Count:
    """Counts the rows of a plan, each once, and stops reading where there are enough.

    :param plan: what to read.
    :param enough: how many rows are enough; ``None`` to count all.
    """

    def __init__(self, plan: Plan, enough: int | None) -> None:
        self.plan = plan
        self._enough = enough
        self._whole = 0
        self._keys = DuplicateDetector()

    @property
    def rows(self) -> int:
        """How many there are, as far as was read."""
        return self._whole + len(self.plan.shown)

    def query(self) -> dict[str, str] | None:
        """Give the parameters of the next request; ``None`` when the count is done.

        :raises HyperoruContractError: a row came at two times.
        """
        enough = self._enough is not None and self.rows >= self._enough
        query = None if enough else self.plan.query()
        if query is None:
            if self.plan.shown:
                self._keys.add(self.plan.shown)
            self._keys.check(self.plan.endpoint)
        return query

    def add(self, rows: Sequence[Row]) -> None:
        """Take what a step of the plan gave."""
        if rows:
            self._whole += len(rows)
            self._keys.add(rows)


def page(plan: Plan, query: Mapping[str, str]) -> Call[Sequence[Row]]:
    """Ask for the next page of a plan; gives the rows of a span if the page completes one."""
    endpoint = plan.endpoint
    return Call(Request("GET", endpoint.path, query), lambda body: plan.accept(parse_page(body, endpoint)))


def klines(contract: Contract, symbol: str, interval: str, start: datetime, end: datetime) -> Iterator[Plan]:
    """Plan to read the candles of a window, in spans that a capped list can mostly show whole."""
    start, end = utc_window(start, end)
    length, cap = interval_length(interval), contract.klines.cap
    span = length * max((cap or _CANDLES) - 2, 1)
    while start < end:
        filters = {"symbol": symbol, "interval": interval}
        plan = Plan(contract.klines, start, min(start + span, end), filters, spacing=length, cap=cap)
        yield plan
        start, cap = start + span, plan.cap


def candles(contract: Contract, symbol: str, interval: str, rows: Sequence[Row]) -> list[Kline]:
    """Make rows candles, and check that they are of the interval.

    :raises HyperoruContractError: they are not.
    """
    length = interval_length(interval)
    gaps = {later.time - earlier.time for earlier, later in pairwise(rows)}
    if gaps and length not in gaps:
        raise HyperoruContractError(
            f"Candles of {interval} were asked for, but those of {symbol} are at least {min(gaps)} apart: the server "
            "seems to ignore the interval. Correct the contract's klines.params."
        )
    if any(gap % length for gap in gaps):
        raise HyperoruContractError(
            f"Candles of {interval} were asked for, but some of {symbol} are closer together: the server seems to "
            "ignore the interval. Correct the contract's klines.params."
        )
    known = {"symbol": symbol, "interval": interval}
    return [validated(Kline, {**canonical(row.raw, contract.klines), **known}) for row in rows]


def backfill_klines(contract: Contract, wanted: Backfill) -> Call[BackfillJob]:
    """Start a job that writes candles at the server. Sent twice, it would start two."""
    interval_length(wanted.interval)
    utc_window(wanted.start, wanted.end)
    endpoint = contract.backfill
    request = Request("POST", endpoint.path, body=endpoint.query(wanted.as_dict()), idempotent=False)
    return Call(request, lambda body: validated(BackfillJob, parse_object(body), endpoint))


def backfill_job(contract: Contract, task_id: int | str) -> Call[BackfillJob]:
    """Ask how a job is."""
    endpoint = contract.backfill_status
    path, query = endpoint.target({"task_id": task_id})

    def read(body: bytes) -> BackfillJob:
        data = rename(parse_object(body), endpoint)
        if str(data.setdefault("id", task_id)) != str(task_id):
            raise HyperoruContractError(
                f"The answer is about job {data['id']}, but {task_id} was asked for: the server seems to ignore the "
                "id. Correct the contract's backfill_status: its path, or its params task_id."
            )
        task = validated(BackfillJob, data)
        return task.model_copy(update={"meaning": endpoint.meaning(task.status)})

    return Call(Request("GET", path, query), read)


def backfill_jobs(contract: Contract) -> Call[list[BackfillJob]]:
    """Ask for all jobs that the server knows."""
    endpoint = contract.backfill_jobs
    request = Request("GET", endpoint.path)
    return Call(request, lambda body: _whole_list(BackfillJob, body, endpoint, "backfill_jobs"))


def interval_length(interval: str) -> timedelta:
    """Read an interval such as ``1m``, ``4h`` or ``1d``.

    :raises HyperoruConfigError: it is none.
    """
    units = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
    match = re.fullmatch(r"([1-9]\d{0,3})([mhdw])", interval)
    if match is None:
        raise HyperoruConfigError(f"interval {interval!r}: expected such as 1m, 5m, 15m, 1h, 4h or 1d.")
    return timedelta(**{units[match[2]]: int(match[1])})


def _whole_list(cls: type[R], body: bytes, endpoint: ListEndpoint, resource: str) -> list[R]:
    """Read a list that comes in one answer."""
    page = parse_page(body, endpoint)
    if page.more or (page.total or 0) > len(page.rows):
        raise HyperoruContractError(
            f"The list has {len(page.rows)} {resource}, but the server says that there are more. "
            f"Correct the contract's {resource}."
        )
    return [validated(cls, canonical(raw, endpoint)) for raw in page.rows]


def validated(cls: type[R], data: dict[str, Any], endpoint: Endpoint | None = None) -> R:
    """Make decoded JSON a model.

    :param endpoint: whose names its fields have; ``None`` if they have ours.
    :raises HyperoruContractError: it is not as the model says; the text names the item and its fields.
    """
    try:
        return cls.model_validate(rename(data, endpoint) if endpoint else data)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)[:5]
        )
        named = ", ".join(f"{name}={data[name]}" for name in ("trade_id", "id", "timestamp", "symbol") if name in data)
        raise HyperoruContractError(
            f"The {cls.__name__.lower()} {named or '(unnamed)'} is not as expected: {problems}. "
            "If the server names a field otherwise, say so in the contract's fields."
        ) from None

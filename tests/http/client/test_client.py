"""Both clients over real sockets against the sandbox: each behaviour is checked in both."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pendulum
import pytest

from hyperoru_provider.client import AsyncHyperoruClient, Backfill, HyperoruClient, RetryPolicy, errors
from hyperoru_provider.client.http.library import httpx
from hyperoru_provider.sandbox import Sandbox
from tests.conftest import FAST

START = datetime(2026, 1, 15, tzinfo=UTC)
END = START + timedelta(hours=6)

#: options of a client that need not find out how pages are counted
KNOWN_FIRST_PAGE = {"contract": {"trades": {"first_page": 1}}}

Call = Callable[..., Any]


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest, sandbox: Sandbox) -> Call:
    """Call one method of a new client; an iterator's items come as a list."""

    def make(cls: type, options: dict[str, Any]) -> Any:
        known = {"email": sandbox.email, "password": sandbox.password, "retry_policy": FAST}
        return cls(sandbox.url, **(known | options))

    def sync(method: str, *args: Any, client: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        with make(HyperoruClient, client or {}) as made:
            result = getattr(made, method)(*args, **kwargs)
            return list(result) if inspect.isgenerator(result) else result

    def in_loop(method: str, *args: Any, client: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        async def run() -> Any:
            async with make(AsyncHyperoruClient, client or {}) as made:
                result = getattr(made, method)(*args, **kwargs)
                return [item async for item in result] if inspect.isasyncgen(result) else await result

        return asyncio.run(run())

    return sync if request.param == "sync" else in_loop


def test_both_clients_have_the_same_methods() -> None:
    def methods(cls: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(member).parameters)
            for name, member in inspect.getmembers(cls, inspect.isfunction)
            if not name.startswith("_")
        }

    sync, other = methods(HyperoruClient), methods(AsyncHyperoruClient)
    assert sync.pop("close") == other.pop("aclose")
    assert other.pop("events") == ["self", "channels", "give_up_after"]  # a stream is for asyncio only
    assert sync == other


def test_health_needs_no_session(call: Call, sandbox: Sandbox) -> None:
    health = call("health", client={"password": None})
    assert health.healthy
    assert sandbox.stats()["login_attempts"] == 0


def test_health_is_not_repeated(call: Call, sandbox: Sandbox) -> None:
    sandbox.set_faults(error_rate=1.0)
    with pytest.raises(errors.HyperoruServerError):
        call("health")
    assert sandbox.stats()["requests"] == 1


def test_profile(call: Call, sandbox: Sandbox) -> None:
    assert call("profile").email == sandbox.email


def test_a_client_with_another_contract_is_in_the_same_session(sandbox: Sandbox) -> None:
    with HyperoruClient(sandbox.url, email=sandbox.email, password=sandbox.password, token_stores=()) as client:
        assert client.profile().email == sandbox.email
        other = client.with_contract({"price": {"path": "/api/nowhere"}})
        assert other.profile().email == sandbox.email
        with pytest.raises(errors.HyperoruNotFoundError):
            other.price("BTC")
        assert client.price("BTC").price > 0
        with pytest.raises(errors.HyperoruConfigError, match=r"contract\.prize"):
            client.with_contract({"prize": {}})
    assert sandbox.stats()["logins"] == 1


def test_traders(call: Call) -> None:
    shown = call("list_traders", include_hidden=False)
    everyone = call("list_traders")
    assert {trader.id for trader in shown} < {trader.id for trader in everyone}
    assert isinstance(shown[0].initial_capital, Decimal)
    assert shown[0].user_id == 1  # a field that the model does not know


def test_price(call: Call) -> None:
    price = call("price", "BTC")
    assert (price.symbol, type(price.price)) == ("BTC", Decimal)


def test_coverage(call: Call) -> None:
    rows = call("kline_coverage")
    (hours,) = (row for row in rows if (row.symbol, row.interval) == ("BTC", "1h"))
    assert hours.earliest.tzinfo is UTC
    assert hours.total_candles == (hours.latest - hours.earliest) // timedelta(hours=1) + 1


def test_coverage_that_goes_on_is_an_error(call: Call, sandbox: Sandbox) -> None:
    contract = {"coverage": {"path": "/api/arena/trades"}}  # a list of which this is the first page
    with pytest.raises(errors.HyperoruContractError, match=r"total of .* rows|may have cut it off"):
        call("kline_coverage", client={"contract": contract})


@pytest.mark.parametrize("cap", [None, 100])
def test_the_count_is_that_of_the_trades(call: Call, sandbox: Sandbox, cap: int | None) -> None:
    sandbox.set_faults(cap=cap, duplicate_rows=True)
    window = {"start": datetime(2026, 1, 15), "end": datetime(2026, 1, 20)}
    trades = call("iter_trades", **window)
    assert len(trades) > 1_000
    assert call("count_trades", **window) == len(trades)
    assert call("count_trades", **window, limit=len(trades)) == len(trades)
    assert call("count_trades", **window, limit=len(trades) + 1) == len(trades)


def test_the_count_stops_where_there_are_enough(call: Call, sandbox: Sandbox) -> None:
    window = {"start": datetime(2025, 1, 15), "end": datetime(2026, 1, 15)}
    assert call("count_trades", **window, limit=1, client=KNOWN_FIRST_PAGE) >= 1
    assert sandbox.stats()["by_path"]["/api/arena/trades"] == 1
    sandbox.reset()
    assert 1_200 <= call("count_trades", **window, limit=1_200, client=KNOWN_FIRST_PAGE) <= 1_500
    assert sandbox.stats()["by_path"]["/api/arena/trades"] == 3


def test_the_count_takes_no_row_twice(call: Call, sandbox: Sandbox) -> None:
    """Although there are enough before the end."""
    sandbox.set_faults(recurring_ids=5)
    with pytest.raises(errors.HyperoruContractError, match="twice"):
        call("count_trades", START, END, limit=6)


def test_an_async_client_has_no_more_requests_under_way_than_connections(sandbox: Sandbox) -> None:
    sandbox.set_faults(latency=0.5)

    async def run() -> None:
        async with AsyncHyperoruClient(sandbox.url) as client:
            await asyncio.gather(*(client.health() for _ in range(60)))

    asyncio.run(run())
    assert sandbox.stats()["max_in_flight"] == 20


def test_an_ignored_symbol_is_an_error(call: Call) -> None:
    contract = {"price": {"params": {"symbol": None}}}
    with pytest.raises(errors.HyperoruBadRequestError):
        call("price", "ETH", client={"contract": contract})


def test_a_price_of_another_symbol_is_an_error(call: Call) -> None:
    contract = {"price": {"fields": {"symbol": "market"}}}
    with pytest.raises(errors.HyperoruContractError, match="symbol") as caught:
        call("price", "ETH", client={"contract": contract})
    assert (caught.value.status, caught.value.path) == (200, "/api/crypto/price")
    assert caught.value.request_id


@pytest.mark.parametrize("cap", [100, 98, 97, 30, 2])
def test_klines_of_more_candles_than_a_capped_list_shows(call: Call, sandbox: Sandbox, cap: int) -> None:
    sandbox.set_faults(cap=cap, inclusive_end=True)
    candles = call("klines", "BTC", "1m", START, END)
    assert [candle.timestamp for candle in candles] == [START + timedelta(minutes=n) for n in range(360)]
    assert (candles[0].symbol, candles[0].interval) == ("BTC", "1m")


def test_klines_of_another_interval_are_an_error(call: Call, sandbox: Sandbox) -> None:
    contract = {"klines": {"params": {"interval": "period"}}}
    sandbox.set_faults(ignore_unknown=True)
    with pytest.raises(errors.HyperoruApiError):
        call("klines", "BTC", "5m", START, END, client={"contract": contract})


@pytest.mark.parametrize("interval", ["", "5", "h", "0m", "1M", "1 h", "99999m"])
def test_an_interval_that_is_none(call: Call, interval: str) -> None:
    with pytest.raises(errors.HyperoruConfigError, match="interval"):
        call("klines", "BTC", interval, START, END)


def test_trades_are_those_of_the_window(call: Call, sandbox: Sandbox) -> None:
    trades = call("iter_trades", START, END, client=KNOWN_FIRST_PAGE)
    assert trades
    assert all(START <= trade.trade_time < END for trade in trades)
    assert len({trade.trade_id for trade in trades}) == len(trades) <= sandbox.stats()["rows_served"]
    assert [trade.trade_time for trade in trades] == sorted(trade.trade_time for trade in trades)
    mine = call("iter_trades", START, END, account_id=2, symbol=trades[0].symbol)
    assert mine == [trade for trade in trades if trade.account_id == 2 and trade.symbol == trades[0].symbol]


def test_naive_times_are_utc(call: Call, sandbox: Sandbox) -> None:
    trades = call("iter_trades", START, END)
    sandbox.set_faults(naive_times=True)
    naive = call("iter_trades", START.replace(tzinfo=None), END.replace(tzinfo=None))
    assert [(trade.trade_id, trade.trade_time) for trade in naive] == [
        (trade.trade_id, trade.trade_time) for trade in trades
    ]


@pytest.mark.parametrize(
    ("start", "end"), [("2026-01-15", "2026-01-16T00:00:00Z"), (date(2026, 1, 15), pendulum.datetime(2026, 1, 16))]
)
def test_text_and_dates_are_times_as_the_operators_take_them(call: Call, start: Any, end: Any) -> None:
    day: dict[str, Any] = {"start": START, "end": START + timedelta(days=1)}
    window: dict[str, Any] = {"start": start, "end": end}
    assert call("iter_trades", **window) == call("iter_trades", **day)
    assert call("list_rows", "trades", **window, account_id=2) == call("list_rows", "trades", **day, account_id=2)
    assert call("count_trades", **window) == call("count_trades", **day)
    assert call("klines", "BTC", "1h", **window) == call("klines", "BTC", "1h", **day)
    job = call("backfill_klines", Backfill("BTC", "1h", **window))
    assert call("backfill_job", job.id).meaning in ("running", "finished")
    assert Backfill("BTC", "1h", **window) == Backfill("BTC", "1h", **day)


@pytest.mark.parametrize("moment", ["soon", "now", "10:00", 5, ""])
def test_what_is_no_time_is_named(call: Call, sandbox: Sandbox, moment: Any) -> None:
    for method, args in (
        ("iter_trades", ()),
        ("count_trades", ()),
        ("klines", ("BTC", "1h")),
        ("list_rows", ("trades",)),
    ):
        with pytest.raises(errors.HyperoruConfigError, match=f"end is {moment!r}: an ISO 8601 date"):
            call(method, *args, start=START, end=moment)
    with pytest.raises(errors.HyperoruConfigError, match="start is"):
        Backfill("BTC", "1h", moment, END)
    assert sandbox.stats()["requests"] == 0


def test_a_trader_without_trades(call: Call) -> None:
    assert call("iter_trades", START, END, account_id=5) == []


@pytest.mark.parametrize(("start", "end"), [(START, START), (END, START)])
def test_an_empty_window_is_an_error(call: Call, sandbox: Sandbox, start: datetime, end: datetime) -> None:
    for method, args in (("iter_trades", ()), ("klines", ("BTC", "1h"))):
        with pytest.raises(errors.HyperoruConfigError, match="window"):
            call(method, *args, start, end)
    assert sandbox.stats()["requests"] == 0


def test_a_404_of_the_health_check_speaks_of_no_id(call: Call, sandbox: Sandbox) -> None:
    sandbox.set_faults(error_rate=1.0, error_status=404)
    with pytest.raises(errors.HyperoruNotFoundError, match="Check the host; if the server has another path"):
        call("health")
    sandbox.set_faults(error_rate=0.0)
    with pytest.raises(errors.HyperoruNotFoundError, match="Check the account_id; if"):
        call("orders", 999)


def test_a_wrong_id_is_asked_once(call: Call, sandbox: Sandbox) -> None:
    with pytest.raises(errors.HyperoruNotFoundError) as caught:
        call("iter_trades", START, END, account_id=999)
    assert caught.value.code == "ACCOUNT_NOT_FOUND"
    assert caught.value.request_id
    assert sandbox.stats()["by_status"] == {"200": 1, "404": 1}


@pytest.mark.parametrize("shape", ["default", "details", "detail", "detail_list", "html", "empty"])
def test_hazard_7_every_shape_of_error(call: Call, sandbox: Sandbox, shape: str) -> None:
    sandbox.set_faults(error_body=shape)
    with pytest.raises(errors.HyperoruNotFoundError) as caught:
        call("iter_trades", START, END, account_id=999)
    assert caught.value.status == 404
    assert "/api/arena/trades" in str(caught.value)


def test_hazard_8_a_200_that_failed(call: Call, sandbox: Sandbox) -> None:
    sandbox.set_faults(false_success=True)
    with pytest.raises(errors.HyperoruContractError, match="request failed"):
        call("list_traders")
    assert sandbox.stats()["by_path"]["/api/account/list"] == 1


@pytest.mark.parametrize(
    "fault", [{"error_rate": 0.3}, {"rate_limit_rate": 0.3}, {"drop_rate": 0.3}, {"truncate_rate": 0.3}]
)
def test_transient_failures_are_mended(call: Call, sandbox: Sandbox, fault: dict[str, float]) -> None:
    calm = call("iter_trades", START, END)
    sandbox.set_faults(**fault)
    for _ in range(3):
        assert call("iter_trades", START, END, client={"contract": {"trades": {"page_size": 50}}}) == calm
    stats = sandbox.stats()
    assert stats["repeated_refusals"] == 0
    assert sum(stats["by_status"].values()) - stats["by_status"]["200"] > 0 or "truncate_rate" in fault


@pytest.mark.parametrize("status", [408, 425])
def test_408_and_425_are_repeated(call: Call, sandbox: Sandbox, status: int) -> None:
    call("login")
    sandbox.set_faults(fail_next=2, error_status=status)
    assert call("profile").email == sandbox.email
    assert sandbox.stats()["by_path"]["/api/users/profile"] == 3


def test_tries_are_limited(call: Call, sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    call("login")
    sandbox.reset()
    sandbox.set_faults(error_rate=1.0)
    policy = RetryPolicy(max_retries=3, initial_delay=0.001)
    with pytest.raises(errors.HyperoruServerError):
        call("profile", client={"retry_policy": policy})
    assert sandbox.stats()["requests"] == 4
    told = [record for record in caplog.records if record.name.startswith("hyperoru") and "profile" in record.message]
    assert len(told) == 3  # each wait is told, and why


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_waited_for(call: Call, sandbox: Sandbox, as_date: bool) -> None:
    call("login")
    sandbox.set_faults(fail_next=1, error_status=429, retry_after=1 if not as_date else 2, retry_after_as_date=as_date)
    begun = time.monotonic()
    call("profile", client={"retry_policy": RetryPolicy(initial_delay=0.001, max_delay=5.0)})
    assert time.monotonic() - begun >= 0.9


def test_a_429_slows_the_whole_client_down(sandbox: Sandbox) -> None:
    async def run() -> float:
        policy = RetryPolicy(initial_delay=0.001, max_delay=5.0)
        async with AsyncHyperoruClient(sandbox.url, sandbox.email, sandbox.password, retry_policy=policy) as client:
            await client.login()
            sandbox.set_faults(fail_next=1, error_status=429, retry_after=1)
            first = asyncio.create_task(client.profile())
            await asyncio.sleep(0.3)
            begun = time.monotonic()
            await client.price("BTC")
            waited = time.monotonic() - begun
            await first
            return waited

    assert asyncio.run(run()) >= 0.5


def test_requests_per_second(call: Call, sandbox: Sandbox) -> None:
    begun = time.monotonic()
    call("klines", "BTC", "1m", START, END, client={"requests_per_second": 10})  # four requests, and the login's
    assert 0.25 <= time.monotonic() - begun < 2


def test_no_server_is_a_network_error(call: Call, sandbox: Sandbox) -> None:
    sandbox.stop()
    with pytest.raises(errors.HyperoruConnectError):
        call("profile", client={"retry_policy": RetryPolicy(max_retries=0)})


def test_a_slow_server_is_a_network_error(call: Call, sandbox: Sandbox) -> None:
    sandbox.set_faults(latency=1)
    with pytest.raises(errors.HyperoruNetworkError):
        call("health", client={"timeout": 0.1})


@pytest.mark.parametrize(
    "url", ["", "example.com", "ftp://example.com", "https://", "https://me:secret@example.com", "https://x/?a=b"]
)
def test_a_wrong_url_is_named_without_its_secret(url: str) -> None:
    with pytest.raises(errors.HyperoruConfigError) as caught:
        HyperoruClient(url)
    assert "secret" not in str(caught.value)


def test_two_threads_share_a_client(client_of: Callable[..., HyperoruClient], sandbox: Sandbox) -> None:
    from concurrent.futures import ThreadPoolExecutor

    client = client_of(sandbox)
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(client.price, ["BTC"] * 16))) >= 1
    assert sandbox.stats()["logins"] == 1


def test_orders(call: Call, sandbox: Sandbox) -> None:
    found = call("orders", 2)
    assert found and {order.account_id for order in found} == {2}
    assert isinstance(found[0].quantity, Decimal)
    assert sandbox.stats()["by_path"]["/api/orders/account/2"] == 1
    with pytest.raises(errors.HyperoruNotFoundError):
        call("orders", 999)


ORDER = {"id": 1, "account_id": 2, "symbol": "BTC", "side": "buy", "price": 1.00, "status": "filled"}


def orders(*rows: Any, **beside: Any) -> httpx.MockTransport:
    """A server with these orders."""
    return httpx.MockTransport(lambda request: httpx.Response(200, json={"orders": rows, **beside}))


def test_a_list_is_a_row(call: Call) -> None:
    asked: list[httpx.URL] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url)
        return httpx.Response(200, json={"accounts": [{"id": 2}], "orders": [ORDER, {**ORDER, "id": 2}]})

    options = {"session_token": "tok-1", "transport": httpx.MockTransport(answer)}
    found = call("orders", 2, client=options)
    assert [(order.id, order.symbol, order.status) for order in found] == [(1, "BTC", "filled"), (2, "BTC", "filled")]
    assert found == call("list_rows", "orders", account_id="2", client=options)
    assert {url.raw_path for url in asked} == {b"/api/orders/account/2"}


def test_a_page_past_the_end_may_be_absent(call: Call, sandbox: Sandbox) -> None:
    window = (datetime(2026, 1, 15, tzinfo=UTC), datetime(2026, 1, 16, tzinfo=UTC))
    wanted = call("count_trades", *window)
    sandbox.set_faults(past_the_end="absent", total="none", has_more=False)
    assert call("count_trades", *window) == wanted > 0
    assert len(call("iter_trades", *window)) == wanted


def test_a_row_that_does_not_say_whose_it_is_is_of_what_was_asked_for(call: Call) -> None:
    row = {name: value for name, value in ORDER.items() if name != "account_id"}
    (order,) = call("orders", 2, client={"session_token": "tok-1", "transport": orders(row)})
    assert order.account_id == 2


def test_the_id_in_a_path_is_quoted(call: Call) -> None:
    asked: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path)
        return httpx.Response(200, json=[])

    assert call("orders", "../2?x=1", client={"session_token": "t", "transport": httpx.MockTransport(answer)}) == []
    assert asked == [b"/api/orders/account/..%2F2%3Fx%3D1"]


@pytest.mark.parametrize(
    ("transport", "told"),
    [
        (orders(ORDER, {**ORDER, "price": 2}), "id=1 occurs twice, with different content"),
        (orders({**ORDER, "account_id": 3}), "account_id 3, but 2 was requested"),
        (orders(ORDER, has_more=True), "may have cut it off"),
        (orders(ORDER, total=2), "reports a total of 2 rows, but listed 1"),
        (orders({"id": 1, "coin": "BTC"}), r"symbol: Field required.* Its fields are account_id, id, coin\."),
    ],
)
def test_a_list_that_is_not_whole_or_not_what_was_asked_for(
    call: Call, transport: httpx.MockTransport, told: str
) -> None:
    with pytest.raises(errors.HyperoruContractError, match=told):
        call("orders", 2, client={"session_token": "tok-1", "transport": transport})


@pytest.mark.parametrize("text", ["a\0b", "a\u202eb", "a\ud83d", "a\x1b[2J", "tok-1", "x" * 1_000_000])
@pytest.mark.parametrize(
    ("method", "arguments"),
    [("orders", (2,)), ("iter_trades", (START, END)), ("klines", ("BTC", "1h", START, END)), ("price", ("BTC",))],
)
def test_what_an_error_repeats_of_a_row_is_escaped_short_and_no_secret(
    call: Call, text: str, method: str, arguments: tuple[Any, ...]
) -> None:
    row = {"id": text, "trade_id": text, "symbol": text, "account_id": 2, "timestamp": START.isoformat()}
    wrong = {**row, "interval": "1h", "open": "no number"}

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=json.dumps(wrong if method == "price" else [wrong]).encode())

    options = {"session_token": "tok-1", "transport": httpx.MockTransport(answer)}
    contract = {"trades": {"paging": "none"}, "klines": {"verified_fields": []}}
    with pytest.raises(errors.HyperoruContractError) as caught:
        call(method, *arguments, client={**options, "contract": contract})
    error = caught.value
    assert str(error).isprintable() and error.message.isprintable()
    assert len(str(error)) < 1_200 and "tok-1" not in str(error)
    assert error.path.startswith("/api/")


@pytest.mark.parametrize(
    ("resource", "filters", "told"),
    [
        ("order", {}, "unknown resource 'order'; known are trades, klines"),
        ("trades", {"account_id": 1}, "trades is read by time: give start and end"),
        ("orders", {"account_id": 1, "start": START, "end": END}, "orders is not read by time"),
        ("orders", {"acount_id": 1}, "can't be filtered by acount_id; its filters are account_id"),
        ("orders", {}, "orders can't be listed without account_id: add the filter"),
        ("coverage", {"symbol": "BTC"}, "can't be filtered by symbol; its filters are none"),
    ],
)
def test_a_wrong_list_or_filter_is_named(call: Call, resource: str, filters: dict[str, Any], told: str) -> None:
    with pytest.raises(errors.HyperoruConfigError) as caught:
        call("list_rows", resource, **filters)
    assert told in str(caught.value)


def test_any_list_can_be_read_by_its_name(call: Call) -> None:
    window = {"start": START, "end": END}
    assert call("list_rows", "trades", **window, account_id=2) == call("iter_trades", **window, account_id=2)
    assert call("list_rows", "klines", **window, symbol="BTC", interval="1h") == call("klines", "BTC", "1h", **window)

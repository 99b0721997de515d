"""What a server does not say is no proof, what it says may be odd, and what can't be read to the end does not work."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from hyperoru_provider.client.api.contract import load_contract
from hyperoru_provider.doctor.report import Verdict
from tests.http.doctor.served import DAY, MINUTE, doctor, finding, paged, served, trade, trades, within
from tests.json_server import Answer, Asked, RefusedError

FULL = trades(200)


def right(asked: Asked) -> object:
    return paged(within(FULL, asked.query), asked.query)


def documented(*parameters: dict[str, Any], path: str = "/api/arena/trades") -> Answer:
    return lambda asked: {"paths": {path: {"get": {"parameters": [*parameters]}}}}


@pytest.mark.parametrize("document", [documented(path="/api/health"), documented()], ids=["stub", "no parameters"])
def test_silence_of_a_document_proves_nothing(document: Answer) -> None:
    with served({"/api/arena/trades": right, "/openapi.json": document}) as (url, _):
        trades = finding(doctor(url), "trades")
    assert (trades.verdict, trades.override) == (Verdict.WORKS, {})


@pytest.mark.parametrize(("unit", "each"), [("seconds", 1), ("milliseconds", 1000)])
@pytest.mark.parametrize("is_documented", [True, False])
def test_a_window_of_numbers(unit: str, each: int, is_documented: bool) -> None:
    def answer(asked: Asked) -> object:
        query = dict(asked.query)
        for name, theirs in (("start", "start_time"), ("end", "end_time")):
            try:
                number = int(query.pop(theirs if is_documented else name, ""))
            except ValueError:
                if (theirs if is_documented else name) in asked.query:
                    raise RefusedError(422, {"detail": f"{name} should be a valid integer"}) from None
            else:
                query[name] = (datetime.fromisoformat("1970-01-01T00:00:00Z") + timedelta(0, number / each)).isoformat()
        return paged(within(FULL, query), query)

    names = ("start_time", "end_time")
    document = documented(*({"name": name, "in": "query", "schema": {"type": "integer"}} for name in names))
    with served({"/api/arena/trades": answer, **({"/openapi.json": document} if is_documented else {})}) as (url, _):
        trades = finding(doctor(url), "trades")
    assert (trades.verdict, trades.override.get("window_format")) == (Verdict.DIFFERS, unit), trades
    assert not trades.impossible


def test_rows_that_are_thinned_by_the_length_of_a_window() -> None:
    def thinned(asked: Asked) -> object:
        rows = within(FULL, asked.query)
        length = {name: datetime.fromisoformat(asked.query[name]) for name in ("start", "end") if name in asked.query}
        if length and length["end"] - length["start"] > 12 * MINUTE:
            rows = [row for row in rows if row["trade_id"] % 5]
        return paged(rows, asked.query)

    def curve(asked: Asked) -> object:
        times = [DAY + number * MINUTE for number in range(3 * 1440)]
        start, end = (asked.query.get(name) for name in ("start_date", "end_date"))
        if start and end:
            times = [time for time in times if datetime.fromisoformat(start) <= time <= datetime.fromisoformat(end)]
        step = -(-len(times) // 300) or 1
        return [{"account_id": 1, "timestamp": int(time.timestamp()), "total_assets": 1} for time in times][::step]

    with served({"/api/arena/trades": thinned, "/api/account/asset-curve": curve}) as (url, _):
        report = doctor(url)
    assert finding(report, "trades").verdict is Verdict.DIFFERS
    assert "missing from a window" in finding(report, "trades").impossible[0]
    assert finding(report, "asset_curve").verdict is not Verdict.WORKS


def test_what_could_not_be_read_to_the_end_can_not_be_told() -> None:
    def crowded(asked: Asked) -> object:
        rows = within(
            [trade(each, trade_time=(DAY + each * MINUTE / 60).isoformat()) for each in range(9000)], asked.query
        )
        return {"trades": rows[: 5 if "start" in asked.query else 100]}

    contract = {"trades": {"paging": "none", "page_size": None}}
    with served({"/api/arena/trades": crowded}) as (url, _):
        trades = finding(doctor(url, contract=contract), "trades")
    assert trades.verdict is Verdict.UNKNOWN, trades
    assert "more requests than there were" in trades.notes[-1]


@pytest.mark.parametrize("pages", [True, False])
def test_an_honest_server_is_read_to_the_end_in_few_requests(pages: bool) -> None:
    with served({"/api/arena/trades": right if pages else lambda asked: within(FULL, asked.query)}) as (url, asked):
        trades = finding(doctor(url), "trades")
    assert trades.verdict is (Verdict.WORKS if pages else Verdict.DIFFERS)
    assert trades.believed == [] == trades.impossible
    assert sum("/api/arena/trades" in each for each in asked) <= 25


ODD: dict[str, Answer] = {
    "no name": lambda asked: {"": [trade(1)]},
    "brackets": lambda asked: {"a[]b": [trade(1)], "c": [1]},
    "braces": lambda asked: {"{a b}": [trade(1)], "c": [1]},
    "half a character": lambda asked: b'{"\\ud800": [{"trade_id": 1}], "c": [1]}',
    "no id": lambda asked: [{"id": "", "name": "x", "trade_id": "", "account_id": ""}],
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_name_is_told_of_its_list_only(name: str) -> None:
    answers = {"/api/orders/account/1": ODD[name], "/api/account/overview": ODD[name], "/api/arena/trades": ODD[name]}
    with served({**answers, "/api/programs/": lambda asked: [{"id": 1, "name": "x"}]}) as (url, _):
        report = doctor(url)
    load_contract(report.contract)
    assert finding(report, "programs").verdict is Verdict.WORKS
    assert finding(report, "trades").verdict is not Verdict.WORKS


@pytest.mark.parametrize("place", ["{}", "{a b}", "{x}?y", "{a}{b}"])
def test_an_odd_path_in_a_document_is_told_of_its_list_only(place: str) -> None:
    document = documented(path=f"/api/orders/account/{place}")
    orders = {"/api/orders/account/1": lambda asked: [{"id": 1, "symbol": "BTC", "side": "BUY"}]}
    with served({**orders, "/api/arena/trades": right, "/openapi.json": document}) as (url, _):
        report = doctor(url)
    assert (finding(report, "trades").verdict, finding(report, "orders").verdict) == (Verdict.WORKS, Verdict.WORKS)


def test_lists_that_are_alike_get_the_override_of_the_one_that_was_asked() -> None:
    with served({"/api/analytics/by-symbol": lambda asked: {"groups": [{"symbol": "BTC"}], "o": [{"x": 1}]}}) as (
        url,
        _,
    ):
        report = doctor(url)
    assert report.contract["analytics_by_account"] == {"rows": "groups"}
    assert "it was not asked" in finding(report, "analytics_by_account").believed[0]


def test_a_list_is_never_taken_for_two_resources() -> None:
    with served({"/api/signals/": lambda asked: {"entries": [{"id": 1, "name": "s"}], "o": [{"x": 1}]}}) as (url, _):
        report = doctor(url)
    assert "signal_pools" not in report.contract
    assert "entries" in str(finding(report, "signals").believed)


def test_guesses_are_believed_and_a_last_price_is_no_price() -> None:
    rows = [{**trade(each), "last_price": 9} for each in range(60)]
    for row in rows:
        row.pop("price")
        row["qty"] = row.pop("quantity")
    with served({"/api/arena/trades": lambda asked: paged(within(rows, asked.query), asked.query)}) as (url, _):
        lacking = finding(doctor(url), "trades")
        for row in rows:
            row["price"] = 1
        guessed = finding(doctor(url), "trades")
    assert "price: Field required" in lacking.impossible[0]
    assert guessed.override == {"fields": {"quantity": "qty"}}
    assert "qty" in guessed.believed[0]


def test_accounts_tell_rows_apart_before_a_kind_does() -> None:
    rows = [
        trade(
            each,
            account_id=account,
            type="x" if account == 1 else "y",
            trade_time=(DAY + (3 * each + account) * MINUTE).isoformat(),
        )
        for each in range(40)
        for account in (1, 2)
    ]
    with served({"/api/arena/trades": lambda asked: paged(within(rows, asked.query), asked.query)}) as (url, _):
        assert finding(doctor(url), "trades").override == {"key": ["account_id", "trade_id"]}


def test_nothing_is_said_of_an_empty_list() -> None:
    with served({"/api/arena/positions": lambda asked: {"accounts": []}}) as (url, _):
        assert doctor(url).contract == {}

"""Lists that hide rows, or that carry an error: each fault by itself, and those that matter together."""

from __future__ import annotations

from typing import Any

import pytest

from hyperoru_provider.sandbox import FaultError, Faults, Sandbox
from tests.http.sandbox.sandbox_caller import TRADES, Caller, Rows, Serve

DAYS: dict[str, Any] = {"start": "2026-03-01", "end": "2026-03-03"}

ERRORS: dict[str, dict[str, Any]] = {
    "error_object": {"error": {"code": "LIST_FAILED", "message": "The list could not be read"}},
    "error_text": {"error": "The list could not be read"},
    "errors": {"errors": [{"code": "LIST_FAILED", "message": "The list could not be read"}]},
    "ok": {"ok": False},
    "status": {"status": "error"},
    "success_text": {"success": "false"},
    "success_zero": {"success": 0},
    "code": {"code": "LIST_FAILED", "message": "The list could not be read"},
}


def read(caller: Caller, path: str = TRADES, **params: Any) -> Any:
    answer = caller.get(path, **params)
    assert answer.status_code == 200, answer.text
    return answer.json()


# An error beside a list


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_beside_an_empty_list(serve: Serve, rows: Rows, kind: str) -> None:
    caller = serve(rows=rows, error_beside=kind)
    assert read(caller, per_page=4) == {"items": []} | ERRORS[kind]
    assert set(read(caller, per_page=4, page=2)) == {"items", "total", "page", "per_page", "has_more"}
    assert caller.sandbox.stats()["rows_served"] == 4  # of the second page


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_beside_a_list_that_is_there(serve: Serve, rows: Rows, kind: str) -> None:
    caller = serve(rows=rows)
    right = read(caller)
    caller.sandbox.set_faults(error_beside=kind, error_beside_rows=True)
    assert read(caller) == right | ERRORS[kind]


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_beside_a_further_page(serve: Serve, rows: Rows, kind: str) -> None:
    caller = serve(rows=rows, error_beside=kind, error_beside_page="further")
    assert caller.ids(per_page=4) == [10, 9, 8, 7]
    assert read(caller, per_page=4, page=2) == read(caller, per_page=4, page=3) == {"items": []} | ERRORS[kind]


@pytest.mark.parametrize(
    ("paging", "further"), [("offset", {"limit": 4, "offset": 4}), ("cursor", {"limit": 4, "cursor": "Ng=="})]
)
def test_an_error_beside_a_further_page_of_each_style(serve: Serve, rows: Rows, paging: str, further: Any) -> None:
    caller = serve(rows=rows, error_beside="ok", error_beside_page="further", paging=paging)
    assert caller.ids(limit=4) == [10, 9, 8, 7]
    assert read(caller, **further) == {"items": [], "ok": False}


@pytest.mark.parametrize(
    "path",
    [
        "/api/account/list",
        "/api/klines/data?symbol=BTC&start=2026-03-01&end=2026-03-02",
        "/api/klines/coverage",
        "/api/klines/backfill-tasks",
        "/api/orders/account/1",
    ],
)
def test_an_error_beside_a_list_that_is_bare_otherwise(serve: Serve, rows: Rows, path: str) -> None:
    caller = serve(rows=rows)
    right = caller.client.get(path).json()
    assert isinstance(right, list)
    caller.sandbox.set_faults(error_beside="status")
    assert caller.client.get(path).json() == {"items": [], "status": "error"}
    caller.sandbox.set_faults(error_beside_rows=True)
    assert caller.client.get(path).json() == {"items": right, "status": "error"}
    caller.sandbox.set_faults(error_beside_page="further")
    assert caller.client.get(path).json() == right


def test_an_error_stands_where_the_envelope_is(serve: Serve, rows: Rows) -> None:
    caller = serve(rows=rows, error_beside="error_text", error_beside_rows=True, envelope="data", total="none")
    assert set(read(caller)) == {"data", "page", "per_page", "has_more", "error"}


# The limit first, merges afterwards


def test_merged_rows_leave_a_capped_list_short(serve: Serve) -> None:
    caller = serve(paging="none", cap=500, merge_after_limit=0.5, total="none", has_more=False)
    window: dict[str, Any] = {"start": "2026-01-01", "end": "2026-01-08"}
    found = caller.ids(**window)
    right = [row["trade_id"] for row in caller.sandbox.trades(**window)]
    assert 200 < len(found) < 300
    assert found == right[: len(found)]
    caller.sandbox.set_faults(merge_after_limit=0)
    everything = [row["trade_id"] for row in caller.sandbox.trades(**window)]
    assert caller.ids(**window) == everything[:500]
    assert len(right) < 0.6 * len(everything)


def test_merged_rows_leave_pages_short_or_empty(serve: Serve) -> None:
    caller = serve(merge_after_limit=0.6)
    window: dict[str, Any] = {"start": "2026-01-15", "end": "2026-01-16"}
    pages = caller.pages(**window, per_page=2)
    lengths = [len(page) for page in pages]
    assert {0, 1, 2} == set(lengths)
    assert 0 in lengths[: lengths.index(2)] or 0 in lengths[:-1]
    right = [row["trade_id"] for row in caller.sandbox.trades(**window)]
    assert [key for page in pages for key in page] == right
    assert caller.trades(**window, per_page=2)["total"] == len(right)
    assert [key for page in caller.pages(**window, per_page=500) for key in page] == right


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_the_same_rows_are_merged_in_every_window(serve: Serve, order: str) -> None:
    caller = serve(merge_after_limit=0.5, order=order, max_per_page=1_000)
    day = caller.ids(start="2026-01-15", end="2026-01-16", per_page=1_000)
    halves = [
        caller.ids(start="2026-01-15T12:00:00Z", end="2026-01-16", per_page=1_000),
        caller.ids(start="2026-01-15", end="2026-01-15T12:00:00Z", per_page=1_000),
    ]
    assert day == [key for half in (halves if order == "newest" else halves[::-1]) for key in half]


def test_all_rows_can_be_merged(serve: Serve, rows: Rows) -> None:
    caller = serve(rows=rows, merge_after_limit=1)
    assert caller.trades(per_page=4) == {"items": [], "total": 0, "page": 1, "per_page": 4, "has_more": True}
    assert caller.sandbox.trades(**DAYS) == []


# A switch whose default hides everything


def test_a_list_is_empty_without_its_switch(serve: Serve, rows: Rows) -> None:
    caller = serve(rows=rows, hidden_by_default="trading_mode=mainnet")
    for query in ({}, {"trading_mode": "paper"}, {"trading_mode": "MAINNET"}):
        answer = caller.trades(**query)
        assert (answer["items"], answer["total"], answer["has_more"]) == ([], 0, False)
    assert caller.ids(trading_mode="mainnet", per_page=3) == [10, 9, 8]
    assert caller.get(TRADES, environment="mainnet").status_code == 400
    assert caller.get("/api/orders/account/1").json() == []
    assert len(caller.get("/api/orders/account/1", trading_mode="mainnet").json()) > 1
    caller.sandbox.set_faults(hidden_by_default="environment=live")
    assert len(caller.ids(environment="live")) == 10
    caller.sandbox.set_faults(hidden_by_default=None)
    assert len(caller.ids()) == 10
    assert caller.get(TRADES, trading_mode="mainnet").status_code == 400


@pytest.mark.parametrize("value", ["", "trading_mode", "=mainnet", "trading_mode=", "two words=x", 1])
def test_a_switch_needs_a_name_and_a_value(value: object) -> None:
    with pytest.raises(FaultError, match="hidden_by_default"):
        Faults().merged({"hidden_by_default": value})


# Envelopes


def test_an_empty_list_can_be_null(serve: Serve, rows: Rows) -> None:
    caller = serve(rows=rows, null_when_empty=True)
    assert caller.trades(start="2026-04-01") == {
        "items": None,
        "total": 0,
        "page": 1,
        "per_page": 100,
        "has_more": False,
    }
    assert caller.ids(per_page=2) == [10, 9]
    assert caller.trades(page=9)["items"] is None
    caller.sandbox.set_faults(envelope="bare")
    assert read(caller, start="2026-04-01") == []


def test_trades_beside_accounts(serve: Serve) -> None:
    caller = serve(beside_accounts=True, total="none", paging="none")
    answer = read(caller, start="2026-01-15", end="2026-01-16")
    assert list(answer) == ["accounts", "trades", "generated_at"]
    assert answer["accounts"] == caller.get("/api/account/list").json()
    assert answer["trades"] == caller.sandbox.trades("2026-01-15", "2026-01-16")
    assert answer["generated_at"].endswith("Z")


# Rows that come twice


@pytest.mark.parametrize("first_page", [0, 1])
def test_the_newest_row_is_listed_twice(serve: Serve, rows: Rows, first_page: int) -> None:
    caller = serve(rows=rows, repeat_newest=True, first_page=first_page)
    pages = [caller.ids(per_page=4, page=first_page + number) for number in range(4)]
    assert pages == [[10, 10, 9, 8], [7, 6, 5, 4], [3, 2, 1], []]
    first, second = caller.trades(per_page=2)["items"]
    assert first == second
    assert caller.trades()["total"] == 11
    assert caller.trades(start="2026-03-05")["items"] == []


def test_the_newest_row_is_listed_twice_at_the_end(serve: Serve, rows: Rows) -> None:
    assert serve(rows=rows, repeat_newest=True, order="oldest").ids() == [*range(1, 11), 10]


def test_pages_from_zero_with_a_row_twice_and_nothing_that_tells(serve: Serve, rows: Rows) -> None:
    caller = serve(rows=rows, repeat_newest=True, first_page=0, total="none", has_more=False)
    assert caller.ids(per_page=5) == [10, 10, 9, 8, 7]
    assert caller.ids(per_page=5, page=1) == [6, 5, 4, 3, 2]
    assert caller.ids(per_page=5, page=2) == [1]
    assert set(caller.trades()) == {"items", "page", "per_page"}


def test_new_faults_are_off_again_after_a_reset(rows: Rows) -> None:
    with Sandbox(rows=rows, error_beside="ok", merge_after_limit=0.5, repeat_newest=True) as sandbox:
        assert sandbox.faults != Faults()
        sandbox.reset()
        assert sandbox.faults == Faults()
        assert [row["trade_id"] for row in sandbox.trades(**DAYS, account_id=1, symbol="ETH")] == [10]

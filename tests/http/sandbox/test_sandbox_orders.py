"""The orders of an account."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest

from hyperoru_provider.sandbox import Sandbox
from tests.http.sandbox.sandbox_caller import Caller, Rows, Serve

PATH = "/api/orders/account/"
ORDERS: Rows = [
    {"id": 1, "account_id": 1, "symbol": "BTC", "status": "executed", "created_at": "2026-01-01T00:00:00Z"},
    {"id": 3, "account_id": 1, "symbol": "ETH", "status": "pending", "created_at": "2026-01-03T00:00:00"},
    {"id": 2, "account_id": 1, "symbol": "@107", "status": "odd", "created_at": "2026-01-02T00:00:00Z", "new": [1]},
]


def orders(caller: Caller, account_id: int, **params: Any) -> Any:
    answer = caller.get(f"{PATH}{account_id}", **params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_orders_are_a_bare_list_newest_first(serve: Serve) -> None:
    caller = serve()
    found = orders(caller, 2)
    assert found == caller.sandbox.orders(2)
    assert len(found) >= 40
    assert {row["account_id"] for row in found} == {2}
    times = [datetime.fromisoformat(row["created_at"]) for row in found]
    assert times == sorted(times, reverse=True)
    assert caller.sandbox.stats()["rows_served"] == len(found)
    assert caller.sandbox.stats()["by_path"][f"{PATH}2"] == 1


def test_made_up_orders_are_plausible(serve: Serve) -> None:
    sandbox = serve().sandbox
    found = [row for account_id in (1, 2, 3, 4) for row in sandbox.orders(account_id)]
    assert len({row["id"] for row in found}) == len(found)
    assert {row["status"] for row in found} == {"executed", "cancelled", "rejected", "pending"}
    assert {row["side"] for row in found} == {"buy", "sell"}
    for row in found:
        assert set(row) >= {"id", "symbol", "name", "quantity", "exchange", "environment", "updated_at"}
        assert (row["price"] is None) == (row["order_type"] == "market")
        assert (row["executed_at"] is None) == (row["status"] != "executed")
        assert row["created_at"] <= row["updated_at"]


def test_the_same_seed_gives_the_same_orders() -> None:
    first, second, third = (Sandbox(seed=seed).orders(1) for seed in (7, 7, 8))
    assert first == second != third


def test_an_account_that_never_traded_has_no_orders(serve: Serve) -> None:
    caller = serve()
    assert orders(caller, 5) == caller.sandbox.orders(5) == []


@pytest.mark.parametrize(("account", "status"), [("77", 404), ("one", 422), ("", 404), ("1/2", 404)])
def test_accounts_that_are_not_there(serve: Serve, account: str, status: int) -> None:
    assert serve().get(PATH + account).status_code == status


def test_orders_of_accounts_that_are_not_there_can_not_be_read(serve: Serve) -> None:
    with pytest.raises(KeyError):
        serve().sandbox.orders(77)


def test_orders_need_a_token_and_take_no_parameters(serve: Serve) -> None:
    caller = serve()
    assert caller.get(PATH + "1", start="2026-01-01").status_code == 400
    assert caller.get(PATH + "1", page=1).status_code == 400
    caller.sandbox.revoke_tokens()
    assert caller.get(PATH + "1").status_code == 401


def test_given_orders(serve: Serve) -> None:
    caller = serve(orders=ORDERS)
    assert [row["id"] for row in orders(caller, 1)] == [3, 2, 1]
    assert orders(caller, 1)[1] == ORDERS[2]
    assert orders(caller, 2) == []
    assert caller.get(PATH + "77").status_code == 404


def test_given_orders_keep_their_bytes_and_may_be_of_an_account_without_trades(serve: Serve, rows: Rows) -> None:
    order = b'{ "id":1, "account_id":9, "symbol":"BTC", "price":0.10, "quantity":1.00E-05, "created_at":"2026-01-01" }'
    caller = serve(rows=rows, orders=[order])
    assert caller.get(PATH + "9").content == b"[" + order + b"]"
    assert orders(caller, 1) == []


@pytest.mark.parametrize("order", [b"{", {}, {"account_id": 1, "symbol": "BTC", "executed_at": "2026-01-01"}])
def test_rows_that_are_no_orders_are_named(order: Any) -> None:
    with pytest.raises(ValueError, match="row 2 is no order"):
        Sandbox(orders=[ORDERS[0], order])


@pytest.mark.parametrize("envelope", ["items", "orders", "data"])
def test_orders_in_an_envelope(serve: Serve, envelope: str) -> None:
    caller = serve(orders=ORDERS, envelope=envelope)
    assert orders(caller, 1) == {envelope: caller.sandbox.orders(1), "total": 3}
    caller.sandbox.set_faults(total="none", null_when_empty=True)
    assert orders(caller, 2) == {envelope: None}


def test_faults_of_rows_hit_orders(serve: Serve) -> None:
    caller = serve(orders=ORDERS, cap=2)
    assert [row["id"] for row in orders(caller, 1)] == [3, 2]
    caller.sandbox.set_faults(cap=None, order="oldest", repeat_newest=True)
    assert [row["id"] for row in orders(caller, 1)] == [1, 2, 3, 3]
    caller.sandbox.set_faults(bad_rows="no_key")
    assert [row.get("id") for row in orders(caller, 1)] == [None, 2, 3, 3]
    caller.sandbox.set_faults(error_body="html", error_rate=1)
    assert "<html>" in caller.get(PATH + "1").text


def test_orders_and_false_success(serve: Serve) -> None:
    caller = serve(false_success=True)
    assert orders(caller, 1)["success"] is False
    assert caller.sandbox.stats()["rows_served"] == 0


def test_merged_orders_are_not_there(serve: Serve) -> None:
    caller = serve(merge_after_limit=0.5)
    found = orders(caller, 1)
    assert found == caller.sandbox.orders(1)
    caller.sandbox.set_faults(merge_after_limit=0)
    assert {json.dumps(row) for row in found} < {json.dumps(row) for row in orders(caller, 1)}


@pytest.mark.parametrize("price", [None, 5])
def test_an_order_that_comes_twice_has_another_price(serve: Serve, price: int | None) -> None:
    caller = serve(orders=[{**ORDERS[0], "price": price}])
    caller.sandbox.set_faults(conflicting_rows=True)
    assert sorted(str(row["price"]) for row in orders(caller, 1)) == sorted(
        [str(price), "1" if price is None else "15"]
    )

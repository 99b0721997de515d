"""What the sandbox serves, and what it refuses."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.http.sandbox.sandbox_caller import TRADES, Rows, Serve


def test_health_needs_no_token(serve: Serve) -> None:
    answer = httpx.get(serve().sandbox.url + "/api/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "healthy"})


@pytest.mark.parametrize(
    "body",
    [
        {"email": "demo@hyperoru.example", "password": "demo-password"},
        {"username": "demo", "password": "demo-password"},
    ],
)
def test_login_by_email_or_user_name(serve: Serve, body: Any) -> None:
    answer = serve().client.post("/api/users/login", json=body).json()
    assert set(answer) == {"session_token", "expires_at", "user"}
    assert len(answer["session_token"]) > 40
    left = datetime.fromisoformat(answer["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=179, hours=23) < left < timedelta(days=180)
    assert answer["expires_at"].endswith("Z")
    assert answer["user"] == {"id": 1, "username": "demo", "email": "demo@hyperoru.example", "is_active": True}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"email": "demo@hyperoru.example", "password": "wrong"}, 401),
        ({"email": "demo", "password": "demo-password"}, 401),
        ({"username": "demo@hyperoru.example", "password": "demo-password"}, 401),
        ({"email": "demo@hyperoru.example"}, 400),
        ({"email": "demo@hyperoru.example", "username": "demo", "password": "demo-password"}, 400),
        ({"email": 1, "password": "demo-password"}, 400),
        (["demo"], 400),
    ],
)
def test_login_refused(serve: Serve, body: Any, status: int) -> None:
    caller = serve()
    assert caller.client.post("/api/users/login", json=body).status_code == status
    assert caller.sandbox.stats()["logins"] == 0
    assert caller.sandbox.stats()["login_attempts"] == (status == 401)


def test_several_tokens_are_valid_until_their_logout(serve: Serve) -> None:
    caller = serve()
    first = caller.client.headers["Authorization"]
    caller.log_in()
    answer = caller.client.post("/api/users/logout")
    assert (answer.status_code, answer.content) == (204, b"")
    assert caller.get("/api/users/profile").status_code == 401
    caller.client.headers["Authorization"] = first
    assert caller.get("/api/users/profile").json()["username"] == "demo"


@pytest.mark.parametrize("header", [None, "Bearer nonsense", "Basic {token}", "Bearer"])
def test_no_or_unknown_token(serve: Serve, header: str | None) -> None:
    caller = serve()
    token = caller.client.headers.pop("Authorization").split()[1]
    headers = {} if header is None else {"Authorization": header.format(token=token)}
    answer = caller.client.get("/api/users/profile", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHORIZED")


def test_legacy_token_in_the_query(serve: Serve) -> None:
    caller = serve()
    token = caller.client.headers.pop("Authorization").split()[1]
    assert caller.get("/api/account/list", session_token=token).status_code == 200


def test_hidden_traders_are_listed_on_request(serve: Serve) -> None:
    caller = serve()
    names = [trader["name"] for trader in caller.get("/api/account/list").json()]
    everyone = caller.get("/api/account/list", include_hidden="true").json()
    assert names == ["Atlas", "Borealis", "Calypso", "Electra"]
    assert [trader["name"] for trader in everyone if not trader["show_on_dashboard"]] == ["Draco"]
    assert set(everyone[0]) == {
        "account_type",
        "avatar_preset_id",
        "base_url",
        "current_cash",
        "default_leverage",
        "frozen_cash",
        "hyperliquid_enabled",
        "hyperliquid_environment",
        "id",
        "initial_capital",
        "is_active",
        "max_leverage",
        "model",
        "name",
        "show_on_dashboard",
        "user_id",
    }


def test_price_is_that_of_the_open_candle(serve: Serve) -> None:
    caller = serve()
    answer = caller.get("/api/crypto/price", symbol="PURR/USDC").json()
    assert (answer["symbol"], answer["market"]) == ("PURR/USDC", "hyperliquid")
    start = (datetime.now(UTC) - timedelta(minutes=2)).isoformat()
    candles = caller.get("/api/klines/data", symbol="PURR/USDC", interval="1m", start=start).json()
    assert min(c["low"] for c in candles) <= answer["price"] <= max(c["high"] for c in candles)


@pytest.mark.parametrize("path", ["/api/crypto/price", "/api/klines/data"])
def test_symbol_missing_or_unknown(serve: Serve, path: str) -> None:
    caller = serve()
    assert caller.get(path).json()["code"] == "MISSING_PARAMETER"
    answer = caller.get(path, symbol="NOPE")
    assert (answer.status_code, answer.json()["code"]) == (404, "SYMBOL_NOT_FOUND")


def test_klines_are_half_open_and_fit_each_other(serve: Serve) -> None:
    caller = serve()
    window = {"symbol": "BTC", "start": "2024-01-01", "end": "2024-01-02T00:00:00Z"}
    found = {
        interval: caller.get("/api/klines/data", interval=interval, **window).json()
        for interval in ("1m", "5m", "15m", "1h", "4h", "1d")
    }
    assert [len(candles) for candles in found.values()] == [1440, 288, 96, 24, 6, 1]
    assert found["1m"][0]["timestamp"] == "2024-01-01T00:00:00Z"
    assert found["1m"][-1]["timestamp"] == "2024-01-01T23:59:00Z"
    assert set(found["1d"][0]) == {"timestamp", "open", "high", "low", "close", "volume"}
    for candles in found.values():
        assert candles[0]["open"] == found["1d"][0]["open"]
        assert candles[-1]["close"] == found["1d"][0]["close"]
        assert max(c["high"] for c in candles) == found["1d"][0]["high"]
        assert min(c["low"] for c in candles) == found["1d"][0]["low"]


def test_klines_begin_inside_the_window(serve: Serve) -> None:
    window = {"start": "2024-01-01T00:30:00Z", "end": "2024-01-01T03:00:00Z"}
    candles = serve().get("/api/klines/data", symbol="BTC", interval="1h", **window).json()
    assert [c["timestamp"] for c in candles] == ["2024-01-01T01:00:00Z", "2024-01-01T02:00:00Z"]


def test_klines_refuse_other_intervals_and_endless_windows(serve: Serve) -> None:
    caller = serve()
    assert caller.get("/api/klines/data", symbol="BTC", interval="2h").status_code == 422
    answer = caller.get("/api/klines/data", symbol="BTC", interval="1m", start="1990-01-01")
    assert (answer.status_code, answer.json()["code"]) == (422, "WINDOW_TOO_LONG")


def test_coverage_and_symbols(serve: Serve, rows: Rows) -> None:
    caller = serve(rows=rows)
    assert caller.get("/api/klines/supported-symbols").json() == {"symbols": ["BTC", "ETH"]}
    coverage = caller.get("/api/klines/coverage").json()
    assert len(coverage) == 12
    assert {
        "symbol": "BTC",
        "interval": "1h",
        "earliest": "2026-03-01T00:00:00Z",
        "latest": "2026-03-02T23:00:00Z",
        "total_candles": 48,
    } in coverage


def test_trades_newest_first_in_pages(serve: Serve, rows: Rows) -> None:
    caller = serve(rows=rows)
    assert caller.pages(per_page=4) == [[10, 9, 8, 7], [6, 5, 4, 3], [2, 1]]
    answer = caller.trades(per_page=4, page=3)
    assert {name: answer[name] for name in ("total", "page", "per_page", "has_more")} == {
        "total": 10,
        "page": 3,
        "per_page": 4,
        "has_more": False,
    }
    assert caller.trades(per_page=5, page=2)["has_more"] is False
    assert caller.trades(page=9)["items"] == []


def test_trades_of_a_half_open_window(serve: Serve, rows: Rows) -> None:
    caller = serve(rows=rows)
    assert caller.ids(start="2026-03-01T19:00:00Z", end="2026-03-01T21:00:00Z") == [3, 2]
    assert caller.ids(start="2026-03-01T19:00:00.000001Z", end="2026-03-01T21:00:00.000001Z") == [4, 3]
    assert caller.ids(start="2026-03-01T20:00:00+01:00", end="2026-03-01T21:00:00") == [3, 2]
    assert caller.ids(start="2026-03-02") == [10, 9, 8, 7]
    assert caller.ids(end="2026-03-01T19:00:00Z") == [1]
    assert caller.ids(start="2026-03-02", end="2026-03-02") == []


def test_trades_by_trader_and_symbol(serve: Serve, rows: Rows) -> None:
    caller = serve(rows=rows)
    assert caller.ids(account_id=1) == [10, 8, 6, 4, 2]
    assert caller.ids(symbol="ETH") == [10, 5]
    assert caller.ids(account_id=2, symbol="ETH") == [5]
    assert caller.ids(symbol="NOPE") == []
    answer = caller.get(TRADES, account_id=77)
    assert (answer.status_code, answer.json()["code"]) == (404, "ACCOUNT_NOT_FOUND")


def test_trader_without_trades(serve: Serve) -> None:
    answer = serve().trades(account_id=5)
    assert (answer["items"], answer["total"], answer["has_more"]) == ([], 0, False)


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"account_id": "one"}, 400),
        ({"account_id": "1.0"}, 400),
        ({"page": ""}, 400),
        ({"symbol": ""}, 400),
        ({"start": "yesterday"}, 400),
        ({"end": "2026-13-01"}, 400),
        ({"pages": "1"}, 400),
        ({"limit": "1"}, 400),
        ({"page": ["1", "1"]}, 400),
        ({"page": "0"}, 422),
        ({"per_page": "0"}, 422),
        ({"per_page": "501"}, 422),
        ({"start": "2026-03-02", "end": "2026-03-01"}, 422),
        ({"start": "1000-01-01"}, 422),
    ],
)
def test_strict_parameters(serve: Serve, params: dict[str, Any], status: int) -> None:
    answer = serve().get(TRADES, **params)
    assert answer.status_code == status
    assert set(answer.json()) == {"error", "code", "request_id"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/health"),
        ("GET", "/api/users/profile"),
        ("GET", "/api/account/list"),
        ("GET", "/api/crypto/price"),
        ("GET", "/api/klines/data"),
        ("GET", "/api/klines/coverage"),
        ("GET", "/api/klines/supported-symbols"),
        ("POST", "/api/users/login"),
        ("POST", "/api/users/logout"),
    ],
)
def test_unknown_parameters_are_refused_everywhere(serve: Serve, method: str, path: str) -> None:
    answer = serve().client.request(method, path, params={"surprise": "1"})
    assert (answer.status_code, answer.json()["code"]) == (400, "UNKNOWN_PARAMETER")
    assert "surprise" in answer.json()["error"]


def test_largest_page(serve: Serve) -> None:
    caller = serve()
    assert len(caller.trades(start="2024-01-01", end="2024-02-01", per_page=500)["items"]) == 500
    assert len(caller.trades(start="2024-01-01", end="2024-02-01")["items"]) == 100


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded"])
def test_body_needs_its_content_type(serve: Serve, content_type: str | None) -> None:
    caller = serve()
    headers = {} if content_type is None else {"Content-Type": content_type}
    body = b'{"email":"demo@hyperoru.example","password":"demo-password"}'
    answer = caller.client.post("/api/users/login", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_JSON")
    headers["Content-Type"] = "application/json; charset=utf-8"
    assert caller.client.post("/api/users/login", content=body, headers=headers).status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff"])
def test_body_must_be_a_json_object(serve: Serve, body: Any) -> None:
    headers = {"Content-Type": "application/json"}
    answer = serve().client.post("/api/users/login", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_JSON")


def test_unknown_path_and_method(serve: Serve) -> None:
    caller = serve()
    answer = caller.get("/api/nowhere")
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
    answer = caller.client.delete(TRADES)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET")


def test_every_answer_has_its_request_id(serve: Serve) -> None:
    caller = serve()
    answers = [caller.get("/api/health"), caller.get("/api/nowhere"), caller.client.post("/api/users/logout")]
    ids = [answer.headers["X-Request-Id"] for answer in answers]
    assert len(set(ids)) == 3
    assert answers[1].json()["request_id"] == ids[1]


def test_counts(serve: Serve, rows: Rows) -> None:
    caller = serve(rows=rows)
    caller.log_in()
    caller.trades(per_page=3)
    caller.trades(account_id=1)
    caller.get(TRADES, page=0)
    caller.get("/__sandbox__/faults")
    expected = {
        "requests": 4,
        "logins": 1,
        "login_attempts": 1,
        "by_status": {"200": 3, "422": 1},
        "by_path": {"/api/users/login": 1, TRADES: 3},
        "repeated_refusals": 0,
        "max_in_flight": 1,
        "rows_served": 8,
        "backfills": 0,
        "sockets": {
            "opened": 0,
            "open": 0,
            "most_open": 0,
            "refused": 0,
            "tokens_in_url": 0,
            "events": {},
            "messages": {},
        },
    }
    assert caller.get("/__sandbox__/stats").json() == caller.sandbox.stats() == expected


def test_counts_what_is_in_flight(serve: Serve) -> None:
    caller = serve(latency=0.2)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: caller.get("/api/health"), range(3)))
    assert caller.sandbox.stats()["max_in_flight"] == 3


def test_repeated_refusals(serve: Serve) -> None:
    caller = serve()
    caller.get(TRADES, page=0)
    caller.get(TRADES, page=-1)
    assert caller.sandbox.stats()["repeated_refusals"] == 0
    caller.get(TRADES, page=0)
    assert caller.sandbox.stats()["repeated_refusals"] == 1


def test_repeats_after_429_and_5xx_are_fine(serve: Serve) -> None:
    caller = serve()
    for status in (429, 503):
        caller.sandbox.set_faults(fail_next=2, error_status=status)
        assert [caller.get(TRADES).status_code for _ in range(4)] == [status, status, 200, 200]
    assert caller.sandbox.stats()["repeated_refusals"] == 0


def test_one_repeat_with_another_token_is_fine(serve: Serve) -> None:
    caller = serve()
    tokens = iter("abcd")

    def refused(token: str) -> int:
        caller.client.headers["Authorization"] = f"Bearer {token}"
        assert caller.get(TRADES).status_code == 401
        return int(caller.sandbox.stats()["repeated_refusals"])

    assert refused(next(tokens)) == 0
    assert refused(next(tokens)) == 0
    assert refused(next(tokens)) == 1
    caller.sandbox.reset()
    assert refused("a") == 0
    assert refused("a") == 1


def test_login_heals_a_refusal(serve: Serve) -> None:
    caller = serve()
    for _ in range(3):
        caller.sandbox.revoke_tokens()
        assert caller.get(TRADES).status_code == 401
        caller.log_in()
        assert caller.get(TRADES).status_code == 200
    assert caller.sandbox.stats()["repeated_refusals"] == 0

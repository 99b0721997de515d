"""The sandbox that speaks the family's dialect, over the wire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from hyperoru_provider.sandbox import Sandbox
from hyperoru_provider.sandbox.__main__ import main

MAINNET = {"trading_mode": "mainnet"}
NOON = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
DAY = (NOON - timedelta(days=1)).isoformat(), NOON.isoformat()


@pytest.fixture(scope="module")
def family() -> Iterator[Sandbox]:
    with Sandbox(dialect="family") as running:
        yield running


@pytest.fixture
def get(family: Sandbox) -> Iterator[Any]:
    with httpx.Client(base_url=family.url) as client:
        yield lambda path, **params: client.get(path, params=params)


def texts(answer: httpx.Response, key: str | None = None) -> list[str]:
    """The rows of an answer, as the server wrote them: it writes as Python does."""
    assert answer.status_code == 200, answer.text
    rows = answer.json() if key is None else answer.json()[key]
    return [json.dumps(row, separators=(",", ":"), ensure_ascii=False) for row in rows]


def naive(time: datetime) -> str:
    return time.replace(tzinfo=None).isoformat()


def test_login_takes_a_user_name_only_and_its_end_has_no_offset(family: Sandbox) -> None:
    def log_in(**body: str) -> httpx.Response:
        return httpx.post(family.url + "/api/users/login", json=body)

    right = {"username": family.username, "password": family.password}
    answer = log_in(**right).json()
    assert set(answer) == {"user", "session_token", "expires_at"}
    days = (datetime.fromisoformat(answer["expires_at"]) - datetime.now(UTC).replace(tzinfo=None)).days
    assert days in (179, 180)
    assert log_in(**{**right, "password": "other"}).status_code == 401
    refused = log_in(email=family.email, password=family.password)
    assert (refused.status_code, refused.json()["detail"][0]["loc"]) == (422, ["body", "username"])
    assert log_in(**right, email=family.email).json()["detail"][0]["loc"] == ["body", "email"]


def test_a_profile_needs_the_token_in_the_query_and_lists_need_none(family: Sandbox, get: Any) -> None:
    login = {"username": family.username, "password": family.password}
    token = httpx.post(family.url + "/api/users/login", json=login).json()["session_token"]
    bearer = httpx.get(family.url + "/api/users/profile", headers={"Authorization": f"Bearer {token}"})
    assert (bearer.status_code, bearer.json()["detail"][0]["type"]) == (422, "missing")
    assert get("/api/users/profile", session_token=token).json()["username"] == family.username
    assert get("/api/users/profile", session_token="wrong").json() == {"detail": "Invalid or expired session token"}
    wrong = httpx.get(family.url + "/api/account/list", headers={"Authorization": "Bearer wrong"})
    assert all(trader["api_key"].startswith("sk-") for trader in wrong.json())
    assert len(get("/api/account/list", include_hidden="true").json()) == len(wrong.json()) + 1


def test_the_trading_mode_hides_live_fills_and_others_have_the_same_ids(get: Any) -> None:
    def trades(**params: Any) -> list[str]:
        return texts(get("/api/arena/trades", limit=500, **params), "trades")

    assert trades() == trades(trading_mode="paper") == []
    live, test = (trades(trading_mode=mode) for mode in ("mainnet", "testnet"))
    ids = [{json.loads(row)["trade_id"] for row in rows} for rows in (live, test)]
    assert ids[0] & ids[1] and not set(live) & set(test)


def test_the_limit_is_applied_before_fills_are_merged(family: Sandbox, get: Any) -> None:
    for limit in (100, 500):
        listed = texts(get("/api/arena/trades", limit=limit, **MAINNET), "trades")
        assert 0 < len(listed) < limit
        assert len(get("/api/arena/trades", **MAINNET).json()["accounts"]) == 4
        oldest = json.loads(listed[-1])["trade_time"]
        assert [row for row in listed if json.loads(row)["trade_time"] > oldest] == family.rows(
            "trades", str(datetime.fromisoformat(oldest) + timedelta(microseconds=1)), "2100-01-01"
        )[: len(listed) - 1]
    assert get("/api/arena/trades", limit=501, **MAINNET).status_code == 422
    assert get("/api/arena/trades", page=2, start=NOON.isoformat(), **MAINNET).status_code == 200  # ignored


def test_stop_losses_are_fills_that_are_nested(family: Sandbox) -> None:
    order = {"order_id": 7, "account_id": 1, "symbol": "BTC", "trade_time": "2026-01-15T10:00:00Z"}
    rows: list[dict[str, Any]] = [
        {"trade_id": 1, **order, "quantity": 0.1, "commission": None, "trade_time": "2026-01-15T09:00:00Z"},
        {"trade_id": 2, **order, "quantity": 0.1, "commission": None, "related_orders": [{"order_id": 8}]},
        {"trade_id": 3, **order, "quantity": 0.2, "commission": 1e-05},
    ]
    with Sandbox(dialect="family", rows=rows) as running:

        def trades(limit: int) -> Any:
            return httpx.get(running.url + "/api/arena/trades", params={"limit": limit, **MAINNET}).json()["trades"]

        whole = running.trades("2026-01-15", "2026-01-16")
        assert [(row["trade_id"], row["quantity"], row["commission"]) for row in whole] == [
            (3, 0.30000000000000004, 1e-05),
            (1, 0.1, None),
        ]
        assert [row["related_orders"] for row in whole[:1]] == [[{"order_id": 8}]]
        assert trades(4) == whole
        assert trades(3) == whole[:1]
        assert [(row["trade_id"], row["quantity"]) for row in trades(2)] == [(3, 0.2)]  # cut, and then merged


def test_closed_trades_go_by_whole_days_and_come_in_pages(family: Sandbox, get: Any) -> None:
    found: list[str] = []
    while True:
        page = get("/api/analytics/trades", start_date="2026-01-15", end_date="2026-01-16", limit=20, offset=len(found))
        found += texts(page, "trades")
        if len(page.json()["trades"]) < 20:
            break
    assert found == family.rows("closed_trades", "2026-01-15", "2026-01-17")
    assert page.json()["total"] == len(found) > 50
    assert len({json.loads(row)["id"] for row in found}) < len(found)
    assert get("/api/analytics/trades", limit=201).status_code == 422
    assert get("/api/analytics/trades", start_date="2026-01-15T00:00:00Z").status_code == 422


@pytest.mark.parametrize(
    ("resource", "path", "key", "after", "before"),
    [
        ("decisions", "/api/arena/model-chat", "entries", "after_time", "before_time"),
        ("program_runs", "/api/programs/executions/", None, "after", "before"),
    ],
)
def test_decisions_and_program_runs_of_a_half_open_window(
    family: Sandbox, get: Any, resource: str, path: str, key: str | None, after: str, before: str
) -> None:
    true = family.rows(resource, "2026-01-15", "2026-01-16")
    time = "decision_time" if key else "created_at"
    middle = json.loads(true[len(true) // 2])[time]
    later = texts(get(path, **{after: middle, before: "2026-01-16"}, limit=200), key)
    earlier = texts(get(path, **{after: "2026-01-15", before: middle}, limit=200), key)
    assert later + earlier == true
    assert len(texts(get(path), key)) == (60 if key else 50)
    assert get(path, limit=201).json()["detail"][0]["loc"] == ["query", "limit"]
    if key:
        (row, *_) = get(path, limit=1, include_snapshots="true").json()["entries"]
        assert min(len(row[name]) for name in ("prompt_snapshot", "reasoning_snapshot", "decision_snapshot")) > 100


def test_the_asset_curve_of_testnet_by_default_in_epoch_seconds_with_its_end(family: Sandbox, get: Any) -> None:
    window = {"start_date": "2026-01-15T00:00:00Z", "end_date": "2026-01-15T06:00:00Z"}
    default = texts(get("/api/account/asset-curve", **window))
    assert default == texts(get("/api/account/asset-curve", **window, trading_mode="testnet"))
    live = texts(get("/api/account/asset-curve", **window, **MAINNET))
    assert live != default
    assert sorted(live) == sorted(family.rows("asset_curve", "2026-01-15", "2026-01-15T06:00:01"))
    assert json.loads(live[-1])["timestamp"] == 1768456800
    assert get("/api/account/asset-curve", timeframe="2h").json()["detail"][0]["type"] == "string_pattern_mismatch"


def test_snapshots_and_triggers_have_no_window(family: Sandbox, get: Any) -> None:
    answer = get("/api/hyperliquid/accounts/1/snapshots", limit=1000)
    assert answer.json()["snapshot_count"] == 1000
    true = family.rows("account_snapshots", *DAY, account_id=1)
    assert true and set(true) <= set(texts(answer, "snapshots"))
    logs = texts(get("/api/signals/logs", limit=500), "logs")
    assert get("/api/signals/logs").json()["total"] > 500
    assert set(family.rows("signal_triggers", *DAY)) <= set(logs)
    assert get("/api/hyperliquid/accounts/99/snapshots").json() == {"detail": "Account not found"}


def test_what_is_nested_listed_twice_or_summed_up(get: Any) -> None:
    accounts = get("/api/arena/positions", **MAINNET).json()["accounts"]
    assert any(account["positions"] for account in accounts)
    assert not any(account["positions"] for account in get("/api/arena/positions").json()["accounts"])
    assert set(get("/api/signals/").json()) == {"signals", "pools"}
    days = {"start_date": "2026-01-15", "end_date": "2026-01-15"}
    whole = get("/api/analytics/summary", **days).json()
    for name in ("account", "symbol", "strategy", "operation", "trigger-type", "factor"):
        items = get(f"/api/analytics/by-{name}", **days).json()["items"]
        assert sum(item["metrics"]["trade_count"] for item in items) == whole["trade_count"] > 0


def test_jobs_of_several_symbols(family: Sandbox, get: Any) -> None:
    body = {"symbols": ["BTC", "ETH"], "start_time": "2025-01-01", "end_time": "2025-01-02", "period": "1h"}
    ids = httpx.post(family.url + "/api/klines/backfill", json=body).json()["task_ids"]
    assert len(ids) == 2
    job = get(f"/api/klines/backfill/status/{ids[0]}").json()
    assert (job["task_id"], job["symbol"], job["period"]) == (ids[0], "BTC", "1h")
    assert [each["task_id"] for each in get("/api/klines/backfill-tasks").json()["tasks"]] == ids[::-1]
    assert httpx.post(family.url + "/api/klines/backfill", json={"symbol": "BTC"}).status_code == 422


def test_what_that_build_does_not_do(get: Any) -> None:
    assert get("/api/klines/data", symbol="BTC").json()["success"] is False
    assert [get(path).status_code for path in ("/api/orders/user/1", "/api/orders/pending")] == [500, 500]
    assert get("/api/orders/account/1").status_code == 404
    assert get("/api/crypto/price/BTC").json()["symbol"] == "BTC"
    assert get("/api/crypto/price", symbol="BTC").status_code == 404


def test_the_document_says_what_the_routes_do(get: Any) -> None:
    document = get("/openapi.json").json()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method != "get":
                continue
            asked = [each for each in operation.get("parameters", ()) if each["in"] == "query"]
            needed = {each["name"]: "BTC" for each in asked if each["required"]}
            address = path.format(symbol="BTC", account_id=1, user_id=1, task_id="1", factor_name="skew_24")
            assert get(address, **needed).status_code != 422 or needed
            for each in asked:
                schema = each["schema"].get("anyOf", [each["schema"]])[0]
                wrong = schema.get("maximum", schema.get("minimum", 0)) + 1 if "maximum" in schema else "no such"
                if schema["type"] != "string" or schema.keys() & {"enum", "pattern", "format"}:
                    problem = get(address, **{**needed, each["name"]: wrong})
                    assert problem.status_code == 422, (path, each)
                    assert problem.json()["detail"][0]["loc"] == ["query", each["name"]]
    limit = document["paths"]["/api/arena/trades"]["get"]["parameters"][0]
    assert limit == {
        "name": "limit",
        "in": "query",
        "required": False,
        "schema": {"type": "integer", "minimum": 1, "maximum": 500, "default": 100, "title": "Limit"},
    }
    login = document["paths"]["/api/users/login"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert login == {"$ref": "#/components/schemas/UserLogin"}
    assert set(document["components"]["schemas"]["UserLogin"]["required"]) == {"username", "password"}


def test_faults_of_every_request_go_on_working(get: Any) -> None:
    with Sandbox(dialect="family", error_rate=1) as running:
        answer = httpx.get(running.url + "/api/account/list")
        assert (answer.status_code, list(answer.json())) == (503, ["detail"])
        running.set_faults(error_rate=0, fail_next=1)
        assert [httpx.get(running.url + "/api/account/list").status_code for _ in range(2)] == [503, 200]
        running.set_faults(cap=7)
        assert len(httpx.get(running.url + "/api/arena/model-chat").json()["entries"]) == 7
        running.set_faults(error_body="html", error_rate=1)
        assert httpx.get(running.url + "/api/account/list").text.startswith("<html>")


def test_there_is_no_third_dialect(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="dialect can't be 'other'"):
        Sandbox(dialect="other")  # type: ignore[arg-type]
    with pytest.raises(SystemExit):
        main(["--dialect", "other"])
    assert "--dialect" in capsys.readouterr().err


def test_the_default_dialect_has_no_rows_of_the_others() -> None:
    with pytest.raises(ValueError, match="decisions"):
        Sandbox().rows("decisions", *DAY)

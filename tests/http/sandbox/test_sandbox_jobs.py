"""Backfill jobs of the sandbox."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import httpx
import pytest

from tests.http.sandbox.sandbox_caller import Caller, Serve

PATH = "/api/klines/backfill"
DAY = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}
BODY = {"exchange": "hyperliquid", "symbol": "BTC", "period": "1h", **DAY}


def start(caller: Caller, **changes: Any) -> httpx.Response:
    return caller.client.post(PATH, json=BODY | changes)


def over(caller: Caller, task_id: int | str) -> Any:
    """The job when it has ended."""
    while True:
        answer = caller.get(f"{PATH}/status/{task_id}")
        assert answer.status_code == 200, answer.text
        if answer.json()["status"] != "running":
            return answer.json()
        time.sleep(0.01)


def test_a_job_takes_its_time(serve: Serve) -> None:
    caller = serve(backfill_seconds=0.1)
    answer = start(caller)
    assert answer.status_code == 202
    begun = answer.json()
    assert (begun["id"], begun["status"], begun["rows_written"], begun["finished_at"]) == (1, "running", 0, None)
    assert begun["environment"] == "mainnet"
    ended = over(caller, 1)
    assert (ended["status"], ended["rows_written"]) == ("completed", 24)
    took = datetime.fromisoformat(ended["finished_at"]) - datetime.fromisoformat(ended["started_at"])
    assert took.total_seconds() == pytest.approx(0.1, abs=1e-5)
    assert caller.sandbox.stats()["backfills"] == 1


def test_rows_written_are_the_candles_of_the_window(serve: Serve) -> None:
    caller = serve(backfill_seconds=0)
    window = {"start": "2026-01-01T00:07:00Z", "end": "2026-01-01T03:01:00Z"}
    candles = caller.get("/api/klines/data", symbol="ETH", interval="5m", **window).json()
    assert start(caller, symbol="ETH", period="5m", **window).json()["rows_written"] == len(candles) == 35


def test_all_but_exchange_and_symbol_has_a_default(serve: Serve) -> None:
    caller = serve(backfill_seconds=0)
    job = caller.client.post(PATH, json={"exchange": "hyperliquid", "symbol": "BTC", "period": None}).json()
    assert (job["period"], job["rows_written"]) == ("1h", 7 * 24)


@pytest.mark.parametrize(
    ("changes", "status", "named"),
    [
        ({"exchange": None}, 422, "'exchange' is missing"),
        ({"symbol": ""}, 422, "'symbol' is missing"),
        ({"symbol": 1}, 422, "'symbol' must be text"),
        ({"interval": "1h"}, 422, "Unknown field 'interval'"),
        ({"period": "2h"}, 422, "period"),
        ({"exchange": "elsewhere"}, 422, "exchange"),
        ({"start": "soon"}, 422, "start"),
        ({"end": DAY["start"]}, 422, "window"),
        ({"symbol": "NONE"}, 404, "symbol"),
    ],
)
def test_a_wrong_body_starts_nothing(serve: Serve, changes: dict[str, Any], status: int, named: str) -> None:
    caller = serve()
    answer = start(caller, **changes)
    assert answer.status_code == status
    assert named in answer.json()["error"]
    assert caller.sandbox.stats()["backfills"] == 0
    assert caller.get("/api/klines/backfill-tasks").json() == []


def test_jobs_are_listed_newest_first(serve: Serve) -> None:
    caller = serve(backfill_window=True)
    for symbol in ("BTC", "ETH"):
        start(caller, symbol=symbol)
    listed = caller.get("/api/klines/backfill-tasks").json()
    assert [(job["id"], job["symbol"]) for job in listed] == [(2, "ETH"), (1, "BTC")]
    assert {name: listed[0][name] for name in DAY} == DAY
    caller.sandbox.reset()
    assert caller.get("/api/klines/backfill-tasks").json() == []


def test_a_job_may_fail_half_way(serve: Serve) -> None:
    caller = serve(backfill_seconds=0.02, backfill_fail=True)
    start(caller)
    caller.sandbox.set_faults(backfill_fail=False)
    ended = over(caller, 1)
    assert (ended["status"], ended["rows_written"]) == ("failed", 12)
    assert "exchange" in ended["error"]


def test_jobs_may_vanish(serve: Serve) -> None:
    caller = serve()
    start(caller)
    caller.sandbox.set_faults(backfill_gone=True)
    assert caller.get(f"{PATH}/status/1").status_code == 404
    assert caller.get("/api/klines/backfill-tasks").json() == []


def test_a_job_may_begin_without_a_word(serve: Serve) -> None:
    caller = serve(backfill_lose_answer=True)
    with pytest.raises(httpx.RemoteProtocolError):
        start(caller)
    assert [job["id"] for job in caller.get("/api/klines/backfill-tasks").json()] == [1]
    assert caller.sandbox.stats()["backfills"] == 1


def test_jobs_of_the_older_api(serve: Serve) -> None:
    caller = serve(backfill_old=True, backfill_seconds=0, backfill_window=True)
    body = {"symbol": "BTC", "interval": "1h", "start_date": "2026-01-01", "end_date": "2026-01-02"}
    job = caller.client.post(PATH, json=body).json()
    assert job == {
        "id": "bf-001",
        "symbol": "BTC",
        "interval": "1h",
        "status": "completed",
        "progress_pct": 100.0,
        "start_date": DAY["start"],
        "end_date": DAY["end"],
    }
    assert over(caller, "bf-001") == job
    assert start(caller).status_code == 422


def test_an_unknown_job(serve: Serve) -> None:
    answer = serve().get(f"{PATH}/status/7")
    assert (answer.status_code, answer.json()["code"]) == (404, "TASK_NOT_FOUND")


def test_candles_that_a_job_writes_are_covered(serve: Serve) -> None:
    rows = [
        {"trade_id": day, "account_id": 1, "symbol": "BTC", "trade_time": f"2026-01-0{day}T00:00:00Z"} for day in (2, 4)
    ]
    caller = serve(rows=rows, backfill_seconds=0)

    def covered() -> tuple[str, str, int]:
        found = caller.get("/api/klines/coverage").json()
        (row,) = (row for row in found if (row["symbol"], row["interval"]) == ("BTC", "1h"))
        return row["earliest"], row["latest"], row["total_candles"]

    earliest, latest, before = covered()
    assert earliest == "2026-01-02T00:00:00Z"
    start(caller, start="2026-01-01T12:00:00Z", end="2026-01-02T06:00:00Z")
    assert covered() == ("2026-01-01T12:00:00Z", latest, before + 12)
    start(caller, start="2025-12-31T00:00:00Z", end="2025-12-31T01:00:00Z")  # leaves a gap
    assert covered() == ("2025-12-31T00:00:00Z", latest, before + 13)

"""Servers that limit a list before they look for the time, or limit each of its sources, or take other days.

Nothing in their answers tells them from servers whose window has few rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from hyperoru_provider.client import HyperoruClient
from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.export.destinations.storage import StorageDestination
from hyperoru_provider.export.run import export_list
from hyperoru_provider.params.window import Window
from tests.json_server import Asked, answering

DAY = datetime(2026, 11, 26, tzinfo=UTC)
LATE = "apply the limit before the time filter"


def at(minutes: float) -> datetime:
    return DAY + timedelta(minutes=minutes)


def text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def trade(minute: int) -> dict[str, Any]:
    amounts = {"price": 1, "quantity": 1, "notional": 1}
    return {
        "trade_id": minute,
        "account_id": 1,
        "symbol": "BTC",
        "side": "BUY",
        **amounts,
        "trade_time": text(at(minute)),
    }


def run(minute: float, account_id: int = 1) -> dict[str, Any]:
    return {"id": account_id * 100_000 + minute, "created_at": text(at(minute)), "account_id": account_id}


def within(query: dict[str, str], moment: str, start: str, end: str) -> bool:
    time = datetime.fromisoformat(moment)
    return (start not in query or time >= datetime.fromisoformat(query[start])) and (
        end not in query or time < datetime.fromisoformat(query[end])
    )


def exported(
    url: str, resource: str, window: tuple[float, float], where: Path, contract: dict[str, Any] | None = None, **of: Any
) -> list[dict[str, Any]]:
    with HyperoruClient(url, email="me", password="pw", contract=contract or {}, token_stores=()) as client:
        destination = StorageDestination(UPath(where), "jsonl", "none")
        export_list(client, resource, Window(at(window[0]), at(window[1])), of, destination, on_empty="succeed")
    parts = sorted(where.rglob("part-*"))
    return [json.loads(line) for part in parts for line in part.read_text().splitlines()]


def late_trades(asked: Asked) -> dict[str, Any]:
    page, size = (
        int(asked.query.get("page", 1)),
        min(int(asked.query.get("per_page", asked.query.get("limit", 100))), 500),
    )
    newest = [trade(minute) for minute in range(3000)][::-1][(page - 1) * size : page * size]
    return {"trades": [row for row in newest if within(asked.query, row["trade_time"], "start", "end")]}


def late_runs(asked: Asked) -> list[dict[str, Any]]:
    newest = [run(minute) for minute in range(3000)][::-1][: min(int(asked.query.get("limit", 50)), 200)]
    return [row for row in newest if within(asked.query, row["created_at"], "after", "before")]


@pytest.mark.parametrize("paging", ["page", "none"])
@pytest.mark.parametrize("window", [(0, 1000), (2350, 2600), (2350, 2510)], ids=["old", "across the limit", "a few"])
def test_trades_that_are_limited_before_their_time_is_looked_for(
    paging: str, window: tuple[int, int], tmp_path: Path
) -> None:
    contract = {"trades": {"paging": paging}}
    with answering({"/api/arena/trades": late_trades}) as (url, _), pytest.raises(HyperoruContractError):
        exported(url, "trades", window, tmp_path, contract)
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.parametrize("window", [(0, 1440), (2700, 2900)], ids=["old", "across the limit"])
def test_runs_that_are_limited_before_their_time_is_looked_for(window: tuple[int, int], tmp_path: Path) -> None:
    with (
        answering({"/api/programs/executions/": late_runs}) as (url, _),
        pytest.raises(HyperoruContractError, match=LATE),
    ):
        exported(url, "program_runs", window, tmp_path)


def test_a_window_with_no_rows_of_a_server_that_has_others(tmp_path: Path) -> None:
    rows = [run(minute) for minute in range(100)]

    def runs(asked: Asked) -> list[dict[str, Any]]:
        return [row for row in rows if within(asked.query, row["created_at"], "after", "before")][::-1]

    with answering({"/api/programs/executions/": runs}) as (url, _):
        assert exported(url, "program_runs", (200, 300), tmp_path) == []


@pytest.mark.parametrize("account_id", [None, 1])
def test_each_account_is_limited_by_itself(account_id: int | None, tmp_path: Path) -> None:
    """The rows of an account that has few go back to before the window, and those of the other one do not."""
    rows = [run(minute) for minute in range(1440)] + [run(40 * number + 0.5, account_id=2) for number in range(36)]

    def runs(asked: Asked) -> list[dict[str, Any]]:
        shown: list[dict[str, Any]] = []
        for account in (1, 2):
            found = [row for row in rows if row["account_id"] == account == int(asked.query.get("account_id", account))]
            found = [row for row in found if within(asked.query, row["created_at"], "after", "before")]
            shown += found[::-1][: min(int(asked.query.get("limit", 50)), 100)]
        return sorted(shown, key=lambda row: row["created_at"], reverse=True)

    with answering({"/api/programs/executions/": runs}) as (url, _):
        found = exported(url, "program_runs", (0, 1440), tmp_path, account_id=account_id)
    expected = [row for row in rows if account_id in (None, row["account_id"])]
    assert found == sorted(expected, key=lambda row: datetime.fromisoformat(row["created_at"]))


def test_two_tables_without_a_filter_by_time_are_limited_each(tmp_path: Path) -> None:
    """The newest 250 of each go back to before the window, but not those of one of them alone."""
    fast, slow = [trade(minute) for minute in range(3000)], [trade(10 * minute + 5) for minute in range(300)]
    slow = [{**row, "trade_id": -row["trade_id"]} for row in slow]

    def trades(asked: Asked) -> dict[str, Any]:
        size = min(int(asked.query.get("limit", 100)), 250)
        shown = sorted(fast[-size:] + slow[-size:], key=lambda row: row["trade_time"], reverse=True)
        return {"trades": shown}

    contract = {"trades": {"paging": "none", "time_filter": "none"}}
    with answering({"/api/arena/trades": trades}) as (url, _):
        with pytest.raises(HyperoruContractError, match="applies the limit to each of its sources"):
            exported(url, "trades", (1500, 2900), tmp_path, contract)
        assert len(exported(url, "trades", (2900, 2990), tmp_path, contract)) == 99


@pytest.mark.parametrize("thinned", [lambda rows: rows[::5], lambda rows: rows[: len(rows) // 2 * 2 : 2]])
def test_a_long_time_is_thinned_out(
    thinned: Callable[[list[dict[str, Any]]], list[dict[str, Any]]], tmp_path: Path
) -> None:
    rows = [run(minute) for minute in range(240)]

    def runs(asked: Asked) -> list[dict[str, Any]]:
        found = [row for row in rows if within(asked.query, row["created_at"], "after", "before")]
        return (thinned(found) if len(found) > 60 else found)[::-1]

    with answering({"/api/programs/executions/": runs}) as (url, _):
        assert exported(url, "program_runs", (0, 240), tmp_path) == rows


def closed(minute: int) -> dict[str, Any]:
    return {"source": "main", "id": minute, "account_id": 1, "decision_time": text(at(minute)), "symbol": "BTC"}


def closed_trades(rows: list[dict[str, Any]], offset: timedelta, **beside: Any) -> Callable[[Asked], Any]:
    def answer(asked: Asked) -> dict[str, Any]:
        def day(row: dict[str, Any]) -> str:
            return f"{datetime.fromisoformat(row['decision_time']) + offset:%Y-%m-%d}"

        found = [
            row for row in rows if asked.query.get("start_date", "") <= day(row) <= asked.query.get("end_date", "9")
        ][::-1]
        begin, size = int(asked.query.get("offset", 0)), min(int(asked.query.get("limit", 200)), 200)
        return {"trades": found[begin : begin + size], **beside}

    return answer


@pytest.mark.parametrize("hours", [-5, -12, 0, 8, 14])
def test_days_of_another_time_zone(hours: int, tmp_path: Path) -> None:
    rows = [closed(60 * hour) for hour in range(-72, 48)]
    with answering({"/api/analytics/trades": closed_trades(rows, timedelta(hours=hours))}) as (url, _):
        assert exported(url, "closed_trades", (0, 1440), tmp_path) == rows[72:96]


@pytest.mark.parametrize("beside", [{"has_more": False}, {"next": None}, {}], ids=str)
def test_a_full_page_of_a_day_is_not_the_last_whatever_the_server_says(beside: dict[str, Any], tmp_path: Path) -> None:
    rows = [closed(minute) for minute in range(730)]
    with answering({"/api/analytics/trades": closed_trades(rows, timedelta(0), **beside)}) as (url, _):
        assert exported(url, "closed_trades", (0, 1440), tmp_path) == rows

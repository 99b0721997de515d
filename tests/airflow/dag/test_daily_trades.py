"""The DAG ``hyperoru_daily_trades`` in real Airflow, against the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hyperoru_provider.sandbox import Sandbox
from tests.airflow.dag import landed
from tests.airflow.dag.dag_runs import Outcome, RunDag
from tests.listed import held

pytestmark = pytest.mark.slow

DAG = "hyperoru_daily_trades"
SEED = 12  # with the faults below: the health check passes, and both kinds of refusal come
START, END = "2024-10-05T00:00:00Z", "2024-10-06T00:00:00Z"
TRADERS = {1, 2, 3, 4, 5}  # 4 is hidden, 5 has never traded


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=SEED) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def destination(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("daily")


@pytest.fixture(scope="module")
def day(run_dag: RunDag, sandbox: Sandbox, destination: Path) -> Outcome:
    """One day, exported without trouble."""
    return run_dag(sandbox, DAG, END, destination=destination.as_uri())


def by_trader(outcome: Outcome) -> dict[int, dict[str, Any]]:
    """The exports' summaries."""
    summaries = outcome.mapped("export")
    return {int(landed.manifest_of(summary)["filters"]["account_id"]): summary for summary in summaries}


def test_run_succeeds(day: Outcome) -> None:
    assert day.succeeded_at_once()
    assert {trader["id"] for trader in day.result("traders")} == TRADERS


@pytest.mark.parametrize("trader", sorted(TRADERS))
def test_lands_the_rows_that_the_sandbox_holds(day: Outcome, sandbox: Sandbox, trader: int) -> None:
    summary = by_trader(day)[trader]
    assert summary["window"] == {"start": START, "end": END}
    rows = held(sandbox, account_id=trader, start=START, end=END)
    assert landed.lines(summary) == rows
    assert len(rows) == summary["rows"]
    assert bool(rows) == (trader != 5)


def test_exports_of_all_traders_are_all_rows(day: Outcome, sandbox: Sandbox) -> None:
    rows = [line for summary in day.mapped("export") for line in landed.lines(summary)]
    assert sorted(rows) == sorted(held(sandbox, start=START, end=END))
    assert day.result("add_up") == {"traders": 5, "files": 4, "rows": len(rows)}


def test_trader_without_trades_has_a_manifest_and_no_files(day: Outcome) -> None:
    summary = by_trader(day)[5]
    manifest = landed.manifest_of(summary)
    assert (manifest["rows"], manifest["files"]) == (0, [])
    assert (summary["rows"], summary["files"], summary["first_time"], summary["last_time"]) == (0, [], None, None)


def test_second_run_lands_the_same_bytes(run_dag: RunDag, day: Outcome, sandbox: Sandbox, destination: Path) -> None:
    first, served = landed.snapshot(destination), sandbox.stats()["rows_served"]
    again = run_dag(sandbox, DAG, END, destination=destination.as_uri())
    assert again.succeeded_at_once()
    assert sandbox.stats()["rows_served"] - served >= day.result("add_up")["rows"]
    assert landed.snapshot(destination) == first
    assert len(first) == 4 + 5


def test_failing_server_costs_time_and_nothing_else(
    run_dag: RunDag, day: Outcome, destination: Path, tmp_path: Path
) -> None:
    with Sandbox(seed=SEED, error_rate=0.2, rate_limit_rate=0.1) as failing:
        outcome = run_dag(failing, DAG, END, destination=tmp_path.as_uri())
        stats = failing.stats()
    assert outcome.succeeded_at_once()  # each request was repeated, not the task
    assert landed.snapshot(tmp_path) == landed.snapshot(destination)
    assert stats["by_status"]["503"] > 0
    assert stats["by_status"]["429"] > 0
    assert stats["repeated_refusals"] == 0
    assert stats["logins"] == 1


def test_no_trader_at_all(run_dag: RunDag, tmp_path: Path) -> None:
    with Sandbox(rows=[]) as empty:
        outcome = run_dag(empty, DAG, END, destination=tmp_path.as_uri())
    assert outcome.state == "success"
    assert outcome.result("traders") == []
    assert outcome.mapped("export") == []
    assert outcome.states("add_up") == ["success"]
    assert outcome.result("add_up") == {"traders": 0, "files": 0, "rows": 0}
    assert landed.snapshot(tmp_path) == {}

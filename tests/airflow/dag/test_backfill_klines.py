"""The DAG ``hyperoru_backfill_klines`` in real Airflow, against the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hyperoru_provider.client.times import format_time
from hyperoru_provider.sandbox import Sandbox
from tests.airflow.dag import landed
from tests.airflow.dag.dag_runs import Outcome, RunDag

pytestmark = pytest.mark.slow

# the sandbox has the candles of the last seven days: half of this day is there, or less, before it is filled
START = (datetime.now(UTC) - timedelta(days=7)).replace(hour=0, minute=0, second=0, microsecond=0)
WINDOW = {"start": format_time(START), "end": format_time(START + timedelta(days=1))}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(backfill_seconds=2) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def outcome(run_dag: RunDag, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    destination = tmp_path_factory.mktemp("backfill").as_uri()
    return run_dag(sandbox, "hyperoru_backfill_klines", WINDOW["end"], destination=destination, interval="5m")


def test_the_candles_are_filled_by_one_job(outcome: Outcome, sandbox: Sandbox) -> None:
    assert outcome.succeeded_at_once()
    summary: dict[str, Any] = outcome.result("backfill")
    assert {name: summary[name] for name in ("id", "status", "rows_written", "symbol", "interval", "window")} == {
        "id": 1,
        "status": "completed",
        "rows_written": 288,
        "symbol": "BTC",
        "interval": "5m",
        "window": WINDOW,
    }
    assert sandbox.stats()["backfills"] == 1
    assert outcome.variables == []


def test_they_land(outcome: Outcome) -> None:
    summary = outcome.result("candles")
    assert (summary["rows"], summary["window"]) == (288, WINDOW)
    assert len(landed.rows(summary)) == 288

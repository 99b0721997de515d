"""The DAG ``hyperoru_fleet_export`` in real Airflow, against the sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyperoru_provider.sandbox import Sandbox
from tests.airflow.dag import landed
from tests.airflow.dag.dag_runs import RunDag

pytestmark = pytest.mark.slow

START, END = "2026-01-05", "2026-01-08"
DAYS = [("2026-01-05", "2026-01-06"), ("2026-01-06", "2026-01-07"), ("2026-01-07", "2026-01-08")]
TRADERS = {"1", "2", "3", "4", "5"}


@pytest.mark.timeout(300)
def test_an_export_for_each_trader_and_day(run_dag: RunDag, tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        outcome = run_dag(sandbox, "hyperoru_fleet_export", start=START, end=END, destination=tmp_path.as_uri())
        rows = sandbox.rows("trades", f"{START}T00:00:00Z", f"{END}T00:00:00Z")
        stats = sandbox.stats()
    assert outcome.succeeded_at_once()
    summaries = outcome.mapped("export")
    manifests = [landed.manifest_of(summary) for summary in summaries]
    assert {(manifest["filters"]["account_id"], manifest["window"]["start"][:10]) for manifest in manifests} == {
        (trader, start) for trader in TRADERS for start, _ in DAYS
    }
    lines = [line.decode() for summary in summaries for line in landed.lines(summary)]
    assert sorted(lines) == sorted(rows)
    assert outcome.result("add_up") == {"exports": len(DAYS) * len(TRADERS), "rows": len(rows)}
    assert stats["max_in_flight"] == 1
    assert stats["logins"] == 1

"""Where a task's links lead, and what the event of its asset says, in real Airflow."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyperoru_provider.sandbox import Sandbox
from tests.airflow.dag.dag_runs import RunDag

pytestmark = pytest.mark.slow


def test_a_task_links_to_its_trader_and_tells_its_asset(run_dag: RunDag, tmp_path: Path) -> None:
    environ = {"AIRFLOW__HYPERORU__TRADER_URL": "https://app.example.com/traders/{account_id}"}
    with Sandbox() as sandbox:
        outcome = run_dag(sandbox, "linked", environ=environ, destination=str(tmp_path))
    summary = outcome.result("export")
    assert outcome.asset_events == [{name: summary[name] for name in ("window", "rows", "manifest")}]
    assert summary["rows"] > 0
    # no browser opens a worker's own disk
    assert outcome.links == {"_link_HyperoruTraderLink": "https://app.example.com/traders/1"}

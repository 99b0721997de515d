"""The DAG ``hyperoru_weekly_report`` in real Airflow, against the sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from hyperoru_provider.sandbox import Sandbox
from tests.airflow.dag import landed
from tests.airflow.dag.dag_runs import RunDag
from tests.listed import held

pytestmark = pytest.mark.slow

START, END = "2026-01-05T00:00:00Z", "2026-01-12T00:00:00Z"


def test_a_week_and_its_page(run_dag: RunDag, sandbox: Sandbox, tmp_path: Path) -> None:
    outcome = run_dag(sandbox, "hyperoru_weekly_report", END, destination=tmp_path.as_uri())
    assert outcome.succeeded_at_once()
    rows = held(sandbox, start=START, end=END)
    assert sorted(landed.lines(outcome.result("export"))) == sorted(rows)
    page = tmp_path / "reports" / "2026-01-05.html"
    report = outcome.result("report")
    assert landed.path_of(report.pop("path")) == page
    assert report == {"rows": len(rows), "window": {"start": START, "end": END}, "exports": 1, "gaps": 0}
    text = page.read_text()
    assert "<h1>Trades of all traders</h1>" in text
    assert f"{len(rows):,} trades" in text

"""The DAG ``hyperoru_reconcile`` in real Airflow, after ``hyperoru_daily_trades``."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hyperoru_provider.sandbox import Sandbox
from tests.airflow.dag.dag_runs import RunDag
from tests.exports import files_of, windows
from tests.sample_trades import trades

pytestmark = pytest.mark.slow

START = datetime(2026, 1, 13, tzinfo=UTC)
DAYS = 3


@pytest.mark.timeout(300)
def test_what_came_late_is_found_and_nothing_else_is_written(run_dag: RunDag, tmp_path: Path) -> None:
    days = [trades(60, START + timedelta(days=n), timedelta(days=1), first_id=1 + 1000 * n) for n in range(DAYS)]
    with Sandbox(rows=[line for day in days for line in day]) as sandbox:
        for n in range(DAYS):
            logical_date = f"{START + timedelta(days=n + 1):%Y-%m-%dT%H:%M:%SZ}"
            assert run_dag(
                sandbox, "hyperoru_daily_trades", logical_date, destination=tmp_path.as_uri()
            ).succeeded_at_once()
    before = files_of(tmp_path)
    late = trades(60, START + timedelta(days=1), timedelta(days=1), seed=6, first_id=9000)[30:33]
    gone, days[1] = days[1][0], sorted([*days[1][1:], *late], key=lambda line: json.loads(line)["trade_time"])
    with Sandbox(rows=[line for day in days for line in day]) as sandbox:
        outcome = run_dag(sandbox, "hyperoru_reconcile", "2026-01-16T06:00:00Z", destination=tmp_path.as_uri())
    assert outcome.succeeded_at_once()
    assert outcome.variables == []
    summaries = outcome.mapped("reconcile")
    changed = [each for summary in summaries for each in summary["changed"]]
    assert {summary["windows"] for summary in summaries} == {DAYS}
    assert {each["window"]["start"] for each in changed} == {"2026-01-14T00:00:00Z"}
    assert Counter({name: sum(each[name] for each in changed) for name in ("added", "removed", "changed")}) == Counter(
        added=3, removed=1
    )
    assert outcome.result("changed") == [each["manifest"] for each in changed]
    touched = {json.loads(line)["account_id"] for line in [*late, gone]}
    after = files_of(tmp_path)
    assert {name.partition("/part-")[0].partition("/_")[0] for name in after if after[name] != before.get(name)} == {
        f"trades/20260114T000000Z_20260115T000000Z,account_id-{account}" for account in touched
    }
    landed = Counter(line for _, lines in windows(tmp_path) for line in lines)
    assert landed == Counter(line for day in days for line in day)

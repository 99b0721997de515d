"""The DAG ``hyperoru_nightly_export`` in real Airflow, against the sandbox."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from hyperoru_provider.sandbox import Sandbox
from tests.airflow.dag import landed
from tests.airflow.dag.dag_runs import RunDag

pytestmark = pytest.mark.slow

START, END = "2026-01-05T00:00:00Z", "2026-01-06T00:00:00Z"
LISTS = ("trades", "decisions", "program_runs")
PARTS = ("account_overview", "balances", "positions", "orders")
TRADERS = {"1", "2", "3", "4", "5"}


@pytest.mark.timeout(300)
def test_lists_and_states_of_all_traders(run_dag: RunDag, tmp_path: Path) -> None:
    with Sandbox() as sandbox:
        outcome = run_dag(sandbox, "hyperoru_nightly_export", END, destination=tmp_path.as_uri())
        decisions = [json.loads(text) for text in sandbox.facts("decisions", START, END)]
    assert outcome.succeeded_at_once()
    exports, snapshots = outcome.mapped("export"), outcome.mapped("snapshot")
    assert len(exports) == len(LISTS) * len(TRADERS)
    of = Counter(
        json.loads(line)["account_id"]
        for each in exports
        if "/decisions/" in each["manifest"]
        for line in landed.lines(each)
    )
    assert of == Counter(row["account_id"] for row in decisions)
    assert {account for each in snapshots for account in each["accounts"]} == TRADERS
    for each in snapshots:
        for parts in each["accounts"].values():
            assert tuple(parts) == PARTS
            assert {landed.manifest_of(part)["as_of"] for part in parts.values()} == {each["as_of"]}

"""The DAG ``hyperoru_large_trades`` in real Airflow, started by hand: it has no event to tell of."""

from __future__ import annotations

import pytest

from hyperoru_provider.sandbox import Sandbox
from tests.airflow.dag.dag_runs import RunDag

pytestmark = pytest.mark.slow


def test_a_run_by_hand_has_nothing_to_tell(run_dag: RunDag, sandbox: Sandbox) -> None:
    outcome = run_dag(sandbox, "hyperoru_large_trades")
    assert outcome.succeeded_at_once()
    assert outcome.result("tell") == []

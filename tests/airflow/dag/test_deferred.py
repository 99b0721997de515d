"""Sensors that wait outside of a worker in real Airflow, against the sandbox."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import airflow
import pytest

from hyperoru_provider.sandbox import Sandbox
from tests.airflow.dag.dag_runs import RunDag
from tests.airflow_home import connection

pytestmark = pytest.mark.slow


def test_all_wait_for_a_server_that_is_down_now_and_then(run_dag: RunDag, sandbox: Sandbox) -> None:
    sandbox.set_faults(error_rate=0.6)
    environ = {"AIRFLOW_CONN_HYPERORU_DEFAULT": connection(sandbox, max_retries=0)}
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    window = {"start": (end - timedelta(hours=3)).isoformat(), "end": end.isoformat()}
    outcome = run_dag(sandbox, "waiting", environ=environ, **window)
    assert outcome.succeeded_at_once()
    assert outcome.states("skipped") == ["skipped"]
    for name in ("healthy", "price", "trades", "candles", "seen"):
        assert outcome.states(name) == ["success"], name
    assert Decimal(outcome.result("seen")) > 1
    assert sandbox.stats()["by_status"]["503"] > 1
    assert sandbox.stats()["logins"] == 1
    assert outcome.variables == []


def test_what_asking_again_can_not_mend_fails(run_dag: RunDag, sandbox: Sandbox) -> None:
    outcome = run_dag(sandbox, "waiting", symbol="NOPE", start="2026-01-16", end="2026-01-15")
    assert outcome.state == "failed"
    assert outcome.states("price") == ["failed"]
    assert outcome.states("candles") == ["failed"]
    assert outcome.states("healthy") == ["success"]
    assert outcome.variables == []


@pytest.mark.skipif(airflow.__version__ == "3.1.0", reason="its dag.test() reschedules no sensor, of any provider")
def test_what_is_counted_is_kept_from_process_to_process(run_dag: RunDag, sandbox: Sandbox) -> None:
    outcome = run_dag(sandbox, "counting")
    assert outcome.states("healthy") == ["success"]
    assert outcome.variables == []
    assert sandbox.stats()["by_path"]["/api/health"] == 3

"""When tasks are tried again in real Airflow, by its metadata database; before Airflow 3.3 it asks no policy."""

from __future__ import annotations

import importlib.util
import json

import pytest

from hyperoru_provider.sandbox import Sandbox
from tests.airflow.dag.dag_runs import RunDag
from tests.airflow_home import connection

ASKS_POLICIES = importlib.util.find_spec("airflow.sdk.definitions.retry_policy") is not None
TASKS = ["export", "mapped", "mapped", "own"]

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("status", [429, 503])
def test_the_next_try_comes_when_the_server_asked_for_it(run_dag: RunDag, sandbox: Sandbox, status: int) -> None:
    sandbox.set_faults(error_rate=1.0, error_status=status, retry_after=240)
    environ = {"AIRFLOW_CONN_HYPERORU_DEFAULT": connection(sandbox, max_retries=0)}
    outcome = run_dag(sandbox, "trying_again", environ=environ, retries=True)
    wait, reason = (240.0, "the server asked to wait 240 s") if ASKS_POLICIES else (None, None)
    assert sorted(each["task"] for each in outcome.tasks) == TASKS
    assert {each["state"] for each in outcome.tasks} == {"up_for_retry"}
    assert [(each["wait"], each["reason"]) for each in outcome.tasks] == [(wait, reason)] * 4


@pytest.mark.parametrize("wrong", [{"password": "wrong"}, {"extra": {"session_token": "wrong"}}, {"extra": {"a": 1}}])
def test_what_nobody_can_mend_by_asking_again_fails_at_once(
    run_dag: RunDag, sandbox: Sandbox, wrong: dict[str, object]
) -> None:
    refused = json.dumps(json.loads(connection(sandbox)) | wrong)
    outcome = run_dag(sandbox, "trying_again", environ={"AIRFLOW_CONN_HYPERORU_DEFAULT": refused}, retries=True)
    assert outcome.states("export") == ["failed"]
    assert outcome.states("mapped") == ["failed", "failed"]
    assert outcome.states("own") == ["failed" if ASKS_POLICIES else "up_for_retry"]
    assert {each["tries"] for each in outcome.tasks} == {1}

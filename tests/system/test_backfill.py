"""Backfills whose worker and triggerer are killed: one job each, whatever happens."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hyperoru_provider.sandbox import Sandbox
from tests.airflow_home import connection, copied, migrated
from tests.system.airflow_processes import AirflowProcesses

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

HERE = Path(__file__).resolve().parent
POST = "/api/klines/backfill"
LEFT_BEHIND = "continues at the server, as this provider knows no call that stops it"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def airflow(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowProcesses]:
    """A running Airflow that can wait in a triggerer."""
    template = migrated(tmp_path_factory.getbasetemp() / "airflow-template")
    home = copied(template, tmp_path_factory.mktemp("backfill") / "home")
    airflow = AirflowProcesses(
        home, HERE / "dags", triggerer=True, AIRFLOW_CONN_HYPERORU_DEFAULT=connection(sandbox, timeout=120)
    )
    try:
        airflow.start()
        yield airflow
    finally:
        airflow.kill_all()


class Run:
    """A run of one of the DAGs."""

    def __init__(self, airflow: AirflowProcesses, dag_id: str) -> None:
        self.dag_id = dag_id
        self.run_id = airflow.trigger(dag_id)
        self._airflow = airflow

    def task(self) -> tuple[str | None, int | None]:
        """The state and the process of the task."""
        sql = "SELECT state, pid FROM task_instance WHERE dag_id = :dag_id AND run_id = :run_id"
        ((state, pid),) = self._airflow.query(sql, dag_id=self.dag_id, run_id=self.run_id)
        return state, pid

    def when(self, ready: Callable[[], Any], what: str) -> None:
        self._airflow.wait_for(ready, what, every=0.02)

    def when_deferred(self) -> None:
        self.when(lambda: self.task()[0] == "deferred", "the task to be deferred")

    def kill_worker(self) -> None:
        """Kill the process that runs the task, as soon as there is one."""
        self.when(lambda: self.task()[0] == "running" and self.task()[1], "the task to run")
        pid = self.task()[1]
        assert pid
        self._airflow.kill(pid)

    def finished(self) -> tuple[int, dict[str, Any]]:
        """Wait for the success; gives how many tries it took, and what the task returned."""
        (task,) = self._airflow.finished(self.dag_id, self.run_id)
        sql = "SELECT value FROM xcom WHERE dag_id = :dag_id AND run_id = :run_id AND key = 'return_value'"
        ((value,),) = self._airflow.query(sql, dag_id=self.dag_id, run_id=self.run_id)
        summary: dict[str, Any] = json.loads(value)
        return task["try_number"], summary

    def log(self) -> str:
        found = (self._airflow.home / "logs" / f"dag_id={self.dag_id}").rglob("attempt=*")
        return "\n".join(path.read_text() for path in found if self.run_id in str(path))


@pytest.mark.parametrize("dag_id", ["backfill_deferred", "backfill_on_worker"])
def test_killed_again_and_again_there_is_one_job(airflow: AirflowProcesses, sandbox: Sandbox, dag_id: str) -> None:
    sandbox.reset()
    sandbox.set_faults(backfill_seconds=3600, latency=2)
    run = Run(airflow, dag_id)

    # the worker, while its request is on its way: the server begins the job when nobody waits for the answer
    run.when(lambda: sandbox.stats()["by_path"].get(POST), "the request that starts the job")
    run.kill_worker()
    assert sandbox.stats()["backfills"] == 0
    run.when(lambda: sandbox.stats()["backfills"], "the job to begin")
    sandbox.set_faults(latency=0)

    status = f"{POST}/status/1"
    if dag_id == "backfill_deferred":
        run.when_deferred()
        airflow.replace("triggerer")
        asked = sandbox.stats()["by_path"].get(status, 0)
        run.when(lambda: sandbox.stats()["by_path"].get(status, 0) > asked, "the new triggerer to ask")
        sandbox.set_faults(backfill_seconds=0)
        run.kill_worker()  # when it is resumed
    else:
        run.when(lambda: sandbox.stats()["by_path"].get(status, 0) > 2, "the worker to wait")
        run.kill_worker()
        sandbox.set_faults(backfill_seconds=0)

    tries, summary = run.finished()
    assert (tries, summary["id"], summary["rows_written"]) == (3, 1, 24)
    assert sandbox.stats()["backfills"] == sandbox.stats()["by_path"][POST] == 1
    assert LEFT_BEHIND not in run.log()  # nobody killed it on purpose


def test_ended_by_a_user_it_says_what_goes_on_and_takes_it_up_when_cleared(
    airflow: AirflowProcesses, sandbox: Sandbox
) -> None:
    sandbox.reset()
    sandbox.set_faults(backfill_seconds=3600)
    run = Run(airflow, "backfill_deferred")
    run.when_deferred()
    run.when(lambda: sandbox.stats()["by_path"].get(f"{POST}/status/1", 0) > 1, "the triggerer to ask")
    airflow.fail(run.dag_id, run.run_id, "backfill")
    run.when(lambda: LEFT_BEHIND in run.log(), "the line in the log")
    assert "The backfill job 1 (BTC 1h, 2026-01-01T00:00:00Z to 2026-01-02T00:00:00Z)" in run.log()

    airflow.clear(run.dag_id, run.run_id)
    sandbox.set_faults(backfill_seconds=0)
    assert run.finished()[1]["id"] == 1
    assert sandbox.stats()["backfills"] == 1

    airflow.clear(run.dag_id, run.run_id)  # after its success
    assert run.finished()[1]["id"] == 2
    assert sandbox.stats()["backfills"] == 2

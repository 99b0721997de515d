from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import pytest

from hyperoru_provider.sandbox import Sandbox
from tests.airflow.dag.dag_runs import Outcome, RunDag
from tests.airflow_home import connection, copied, environment, migrated
from tests.places import EXAMPLES

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="session")
def run_dag(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunDag]:
    """Run a DAG of ``example_dags/`` or ``tests/airflow/dag/dags/`` in real Airflow against a sandbox."""
    with dag_runner(tmp_path_factory) as run:
        yield run


@contextmanager
def dag_runner(tmp_path_factory: pytest.TempPathFactory, **variables: str) -> Iterator[RunDag]:
    """Start a process that runs DAGs, with variables of the environment of its own; see :func:`run_dag`."""
    template = migrated(tmp_path_factory.getbasetemp() / "airflow-template")
    home = copied(template, tmp_path_factory.mktemp("dag") / "home")
    folders = {"examples": EXAMPLES, "tests": HERE / "dags"}
    bundles = [
        {
            "name": name,
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(folder)},
        }
        for name, folder in folders.items()
    ]
    log = home / "runner.log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [sys.executable, str(HERE / "dag_runner.py")],
            env=environment(
                home, EXAMPLES, AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST=json.dumps(bundles), **variables
            ),
            cwd=home,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        orders, answers = process.stdin, process.stdout
        assert orders
        assert answers

        def run(
            sandbox: Sandbox,
            dag_id: str,
            logical_date: str | None = None,
            environ: Mapping[str, str] = MappingProxyType({}),
            retries: bool = False,
            **conf: object,
        ) -> Outcome:
            (file,) = (path for folder in folders.values() for path in folder.glob(f"{dag_id}.py"))
            order = {
                "file": str(file),
                "dag_id": dag_id,
                "logical_date": logical_date,
                "conf": conf,
                "retries": retries,
                "environ": {"AIRFLOW_CONN_HYPERORU_DEFAULT": connection(sandbox), **environ},
            }
            begin = log.stat().st_size
            print(json.dumps(order), file=orders, flush=True)
            answer = answers.readline()
            said = log.read_bytes()[begin:].decode(errors="replace")[-20_000:]
            assert answer, said
            outcome = json.loads(answer)
            assert "error" not in outcome, outcome["error"] + said
            if outcome["state"] != "success":
                print(said)
            return Outcome(**outcome)

        try:
            yield run
        finally:
            orders.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()

"""A process that runs DAGs by ``dag.test()``: an order on each line of its input, an outcome on each of its output.

One process serves many tests, as the first run of a process takes seconds to get ready.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

LONGEST_RUN = int(os.environ.get("HYPERORU_LONGEST_RUN", "200"))  # seconds

_ARGUMENTS = ("dag_id", "logical_date", "conf", "retries")


class RetryAwaitedError(Exception):
    """Nothing is left to run before a retry is due."""


def too_long(*_: object) -> None:
    raise TimeoutError(f"the run took more than {LONGEST_RUN} s")


def serve_tasks_from_one_app() -> None:
    """Let all tasks use one API server, as Airflow does from 3.3 on: each of their own takes seconds to build."""
    from airflow.sdk.execution_time import supervisor

    if not hasattr(supervisor.in_process_api_server, "cache_info"):
        supervisor.in_process_api_server = functools.cache(supervisor.in_process_api_server)


def main() -> None:
    serve_tasks_from_one_app()
    answers = os.fdopen(os.dup(1), "w")
    signal.signal(signal.SIGALRM, too_long)
    os.dup2(2, 1)  # what tasks and Airflow print goes to the log
    for line in sys.stdin:
        order = json.loads(line)
        os.environ.update(order["environ"])
        signal.alarm(LONGEST_RUN)
        try:
            outcome = run(Path(order.pop("file")), **{name: order[name] for name in _ARGUMENTS})
        except Exception:
            outcome = {"error": traceback.format_exc()}
        finally:
            signal.alarm(0)
        print(json.dumps(outcome), file=answers, flush=True)


def _parsed(file: Path, dag_id: str) -> Any:
    try:
        from airflow.dag_processing.dagbag import BundleDagBag
    except ImportError:  # before Airflow 3.2, where it must be in the database, too
        from airflow.utils.cli import get_bagged_dag

        return get_bagged_dag(None, dag_id)
    bag = BundleDagBag(dag_folder=file, bundle_path=file.parent)
    if bag.import_errors:
        raise RuntimeError(bag.import_errors)
    return bag.dags[dag_id]


@contextmanager
def _until_a_retry_is_awaited() -> Iterator[None]:
    """End ``dag.test()`` in the moment from which on it would wait for nothing but retries."""
    from airflow.models.dagrun import DagRun

    update_state = DagRun.update_state

    def updated(dag_run: DagRun, *arguments: Any, **named: Any) -> Any:
        ready, callback = update_state(dag_run, *arguments, **named)
        if not ready and any(ti.state == "up_for_retry" for ti in dag_run.get_task_instances()):
            raise RetryAwaitedError
        return ready, callback

    with patch.object(DagRun, "update_state", updated), suppress(RetryAwaitedError):
        yield


def run(file: Path, dag_id: str, logical_date: str | None, conf: dict[str, Any], retries: bool) -> dict[str, Any]:
    from airflow.models.asset import AssetEvent
    from airflow.models.dagrun import DagRun
    from airflow.models.variable import Variable
    from airflow.models.xcom import XComModel
    from airflow.sdk.timezone import parse
    from airflow.utils.session import create_session
    from sqlalchemy import select

    dag = _parsed(file, dag_id)
    for task in dag.tasks:
        task.retries = task.retries if retries else 0  # what fails is to be seen now, and not in five minutes
    with _until_a_retry_is_awaited():
        dag.test(logical_date=parse(logical_date) if logical_date else None, run_conf=conf)
    with create_session() as session:
        finished = session.scalars(select(DagRun).where(DagRun.dag_id == dag_id).order_by(DagRun.id.desc())).first()
        assert finished
        tasks = [
            {
                "task": ti.task_id,
                "index": ti.map_index,
                "state": ti.state,
                "tries": ti.try_number,
                "wait": getattr(ti, "retry_delay_override", None),
                "reason": getattr(ti, "retry_reason", None),
            }
            for ti in finished.get_task_instances(session=session)
        ]
        xcoms = session.scalars(
            select(XComModel).where(
                XComModel.dag_id == dag_id, XComModel.run_id == finished.run_id, XComModel.key == "return_value"
            )
        )
        links = session.scalars(
            select(XComModel).where(
                XComModel.dag_id == dag_id, XComModel.run_id == finished.run_id, XComModel.key.startswith("_link_")
            )
        )
        events = session.scalars(
            select(AssetEvent).where(AssetEvent.source_dag_id == dag_id, AssetEvent.source_run_id == finished.run_id)
        )
        told = {
            "links": {x.key: XComModel.deserialize_value(x) for x in links},
            "asset_events": [event.extra for event in events],
        }
        kept = session.scalars(select(Variable.key).where(Variable.key.startswith("hyperoru_state")))
        variables = list(kept)
        results = [{"task": x.task_id, "index": x.map_index, "value": XComModel.deserialize_value(x)} for x in xcoms]
    return {"state": finished.state, "tasks": tasks, "results": results, "variables": variables, **told}


if __name__ == "__main__":
    main()

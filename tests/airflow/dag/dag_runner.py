"""A process that runs DAGs by ``dag.test()``: an order on each line of its input, an outcome on each of its output.

One process serves many tests, as the first run of a process takes seconds to get ready.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

LONGEST_RUN = int(os.environ.get("HYPERORU_LONGEST_RUN", "200"))  # seconds


def too_long(*_: object) -> None:
    raise TimeoutError(f"the run took more than {LONGEST_RUN} s")


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    signal.signal(signal.SIGALRM, too_long)
    os.dup2(2, 1)  # what tasks and Airflow print goes to the log
    for line in sys.stdin:
        order = json.loads(line)
        os.environ.update(order["environ"])
        signal.alarm(LONGEST_RUN)
        try:
            outcome = run(Path(order["file"]), order["dag_id"], order["logical_date"], order["conf"])
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


def run(file: Path, dag_id: str, logical_date: str | None, conf: dict[str, Any]) -> dict[str, Any]:
    from airflow.models.variable import Variable
    from airflow.models.xcom import XComModel
    from airflow.sdk.timezone import parse
    from airflow.utils.session import create_session
    from sqlalchemy import select

    dag = _parsed(file, dag_id)
    for task in dag.tasks:
        task.retries = 0  # what fails is to be seen now, and not in five minutes
    finished = dag.test(logical_date=parse(logical_date) if logical_date else None, run_conf=conf)
    with create_session() as session:
        tasks = [
            {"task": ti.task_id, "index": ti.map_index, "state": ti.state, "tries": ti.try_number}
            for ti in finished.get_task_instances(session=session)
        ]
        xcoms = session.scalars(
            select(XComModel).where(
                XComModel.dag_id == dag_id, XComModel.run_id == finished.run_id, XComModel.key == "return_value"
            )
        )
        kept = session.scalars(select(Variable.key).where(Variable.key.startswith("hyperoru_state")))
        variables = list(kept)
        results = [{"task": x.task_id, "index": x.map_index, "value": XComModel.deserialize_value(x)} for x in xcoms]
    return {"state": finished.state, "tasks": tasks, "results": results, "variables": variables}


if __name__ == "__main__":
    main()

"""Writes deferred tasks with their triggers into an Airflow's database, or ends them: as many tasks would in hours."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from typing import Any

from airflow.models.dag import DagModel
from airflow.models.dag_version import DagVersion
from airflow.models.dagbundle import DagBundleModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunType
from sqlalchemy import insert, update  # noqa: TID253
from uuid6 import uuid7

from benchmarks.waiting_server import MISSING

_DAG = "waiting"


def trigger(kind: str, number: int, interval: float) -> tuple[str, dict[str, Any]]:
    """Give the class path and arguments of one who waits, and will wait on."""
    now = time.time()
    ours = {"hyperoru_conn_id": "hyperoru_default", "interval": interval, "since": now, "deadline": now + 86_400}
    poll = "hyperoru_provider.triggers.poll.HyperoruPollTrigger"
    if kind == "health":
        return poll, {**ours, "condition": {"rule": "Healthy", "checks": 1}}
    if kind == "price":
        rule = {"rule": "PriceReached", "symbol": f"S{number % 50}", "way": "above", "level": str(1_000 + number)}
        return poll, {**ours, "condition": rule}
    return "airflow.providers.http.triggers.http.HttpSensorTrigger", {
        "endpoint": MISSING,
        "headers": {"x-waiter": str(number)},
        "poke_interval": interval,
    }


def begin(kind: str, count: int, interval: float) -> None:
    """Let so many tasks be deferred."""
    with create_session() as session:
        session.add(DagBundleModel(name=_DAG))
        session.flush()
        session.add(
            DagModel(  # type: ignore[no-untyped-call]
                dag_id=_DAG,
                bundle_name=_DAG,
                max_active_tasks=1,
                max_consecutive_failed_dag_runs=0,
                has_task_concurrency_limits=False,
            )
        )
        session.flush()
        version = DagVersion(dag_id=_DAG, version_number=1, bundle_name=_DAG)
        run = DagRun(
            dag_id=_DAG,
            run_id="run",
            run_type=DagRunType.MANUAL,
            run_after=datetime.now(UTC),
            state=DagRunState.RUNNING,
        )
        session.add_all([version, run])
        session.flush()
        for number in range(count):
            path, kwargs = trigger(kind, number, interval)
            row = Trigger(path, kwargs)
            session.add(row)
            session.flush()
            session.execute(
                insert(TaskInstance).values(
                    id=uuid7(),
                    dag_id=_DAG,
                    run_id="run",
                    task_id="wait",
                    map_index=number,
                    dag_version_id=version.id,
                    pool="default_pool",
                    pool_slots=1,
                    queue="default",
                    state=TaskInstanceState.DEFERRED,
                    try_number=1,
                    max_tries=0,
                    priority_weight=1,
                    executor_config={},
                    trigger_id=row.id,
                )
            )


def end() -> None:
    """Let all end as if a user had marked them; the triggerer cancels their triggers."""
    with create_session() as session:
        session.execute(update(TaskInstance).values(state=TaskInstanceState.SUCCESS))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.waiting_rows", description=__doc__)
    parser.add_argument("kind", choices=["health", "price", "http", "end"])
    parser.add_argument("--count", type=int, default=1_000)
    parser.add_argument("--interval", type=float, default=10.0)
    options = parser.parse_args()
    if options.kind == "end":
        end()
    else:
        begin(options.kind, options.count, options.interval)

"""A DAG whose rows go through XCom: one task fetches them, the next writes them. And a DAG that does nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, task

from benchmarks.job import given
from benchmarks.runners.http_operator import operator


@task
def nothing() -> None:
    """Do nothing."""


@task
def write(**context: Any) -> None:
    """Write JSON lines. To take the rows as an argument would be slower: Airflow renders arguments as templates."""
    rows = context["ti"].xcom_pull(task_ids="fetch")
    with Path(given().directory, "trades.jsonl").open("w") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


with DAG("warm_up", schedule=None) as warm_up:
    nothing()

with DAG("through_xcom", schedule=None) as dag:
    operator() >> write()

"""Exports of the same rows, to be killed: ``prepare`` lands what they are compared with and what they replace."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from hyperoru_provider.operators.trades import HyperoruExportTradesOperator

for dag_id, exports in {
    "prepare": [("undisturbed", 2_000), ("replaced", 3_000)],
    "killed": [("fresh", 2_000), ("replaced", 2_000)],
}.items():
    with DAG(dag_id, schedule=None, params={"destination": ""}):
        HyperoruExportTradesOperator.partial(
            task_id="export",
            start="2025-04-02",
            end="2025-04-03",
            concurrency=1,
            retries=1,
            retry_delay=timedelta(0),
        ).expand_kwargs(
            [{"destination": f"{{{{ params.destination }}}}/{name}", "rows_per_part": rows} for name, rows in exports]
        )

"""Compare the last days of each trader's trades with the service, and export again what has changed.

Trades may come late, be corrected or be removed after their day was exported. Once a day this DAG reads the last seven
exports of ``hyperoru_daily_trades`` again, some hours after the newest one. What is the same is not written. The last
task names the days that have changed, which whoever copies the files elsewhere would load again.
"""

from __future__ import annotations

import os
from typing import Any

import pendulum
from airflow.sdk import DAG, Param, task
from airflow.timetables.interval import CronDataIntervalTimetable

from hyperoru_provider.operators.reconcile import HyperoruReconcileOperator
from hyperoru_provider.operators.traders import HyperoruListTradersOperator

with DAG(
    dag_id="hyperoru_reconcile",
    description="Put right the exports of the last days",
    schedule=CronDataIntervalTimetable("0 6 * * *", timezone="UTC"),
    start_date=pendulum.datetime(2024, 9, 20, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": pendulum.duration(minutes=5)},
    params={
        "destination": Param(
            os.environ.get("HYPERORU_EXPORTS", "file:///tmp/hyperoru") + "/daily_trades",
            type="string",
            description="Where the exports are: a storage URL or an absolute path.",
        ),
        "file_format": Param("jsonl", enum=["jsonl", "csv", "parquet"], description="The file format of the exports."),
    },
    tags=["hyperoru"],
    doc_md=__doc__,
):
    traders = HyperoruListTradersOperator(task_id="traders")

    @task
    def filters(traders: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"account_id": trader["id"]} for trader in traders]

    reconciled = HyperoruReconcileOperator.partial(
        task_id="reconcile",
        resource="trades",
        destination="{{ params.destination }}",
        file_format="{{ params.file_format }}",
        windows=7,
        map_index_template="trader {{ task.filters.account_id }}",
    ).expand(filters=filters(traders.output))

    @task(trigger_rule="none_failed")
    def changed(summaries: list[dict[str, Any]] | None) -> list[str]:
        """Return the manifests of what has changed."""
        found = [each for summary in summaries or [] for each in summary["changed"]]
        for each in found:
            print("{added} added, {removed} removed, {changed} changed: {manifest}".format_map(each))
        return [each["manifest"] for each in found]

    changed(reconciled.output)

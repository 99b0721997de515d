"""Export each trader's trades of a day, once the service is healthy.

The data interval of a run is its window. To export another one, trigger the DAG with ``start`` and ``end``.
Rows land below ``destination``, one directory for each trader, and the last task adds them up from the manifests.
"""

from __future__ import annotations

import json
import os
from typing import Any

import pendulum
from airflow.sdk import DAG, ObjectStoragePath, Param, task
from airflow.timetables.interval import CronDataIntervalTimetable

from hyperoru_provider.operators.traders import HyperoruListTradersOperator
from hyperoru_provider.operators.trades import HyperoruExportTradesOperator
from hyperoru_provider.sensors.health import HyperoruHealthSensor

with DAG(
    dag_id="hyperoru_daily_trades",
    description="Export each trader's trades of a day to storage",
    # A plain cron string would give every run of Airflow 3 a window of no length.
    schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
    start_date=pendulum.datetime(2024, 9, 20, tz="UTC"),
    catchup=False,
    max_active_runs=1,  # two runs of one window would get in each other's way
    default_args={"retries": 3, "retry_delay": pendulum.duration(minutes=5)},
    params={
        "start": Param(
            None,
            type=["null", "string"],
            format="date",
            description="Start of the window to export instead of the run's own, for example 2026-01-15.",
        ),
        "end": Param(
            None,
            type=["null", "string"],
            format="date",
            description="The day after the last one to export, for example 2026-01-16.",
        ),
        "destination": Param(
            os.environ.get("HYPERORU_EXPORTS", "file:///tmp/hyperoru") + "/daily_trades",
            type="string",
            description="Where to write: a storage URL or an absolute path. Use it for this DAG alone.",
        ),
        "file_format": Param("jsonl", enum=["jsonl", "csv", "parquet"], description="The format of the files."),
    },
    tags=["hyperoru"],
    doc_md=__doc__,
):
    healthy = HyperoruHealthSensor(task_id="healthy", poke_interval=60, timeout=3600, mode="reschedule")

    traders = HyperoruListTradersOperator(task_id="traders")

    exports = HyperoruExportTradesOperator.partial(
        task_id="export",
        start="{{ params.start or data_interval_start | default('') }}",
        end="{{ params.end or data_interval_end | default('') }}",
        destination="{{ params.destination }}",
        file_format="{{ params.file_format }}",
        map_index_template="trader {{ task.account_id }}",
    ).expand(account_id=traders.output.map(lambda trader: trader["id"]))

    @task(trigger_rule="none_failed")
    def add_up(summaries: list[dict[str, Any]] | None) -> dict[str, int]:
        """Read each manifest, as a consumer of the files would."""
        manifests = [json.loads(ObjectStoragePath(summary["manifest"]).read_text()) for summary in summaries or []]
        totals = {
            "traders": len(manifests),
            "files": sum(len(manifest["files"]) for manifest in manifests),
            "rows": sum(manifest["rows"] for manifest in manifests),
        }
        print(totals)
        return totals

    healthy >> traders
    add_up(exports.output)

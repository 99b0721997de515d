"""Export all trades of a week, and write a report of them: one page for people, on a phone or on paper.

The data interval of a run is its week. Trades land below ``destination``, and pages in its directory ``reports``, one
for each week. What is needed is the extra ``report``.
"""

from __future__ import annotations

import os

import pendulum
from airflow.sdk import DAG, Param
from airflow.timetables.interval import CronDataIntervalTimetable

from hyperoru_provider.operators.report import HyperoruReportOperator
from hyperoru_provider.operators.trades import HyperoruExportTradesOperator

with DAG(
    dag_id="hyperoru_weekly_report",
    description="Export a week's trades, and write a page about them",
    # A plain cron string would give every run of Airflow 3 a window of no length.
    schedule=CronDataIntervalTimetable("0 0 * * MON", timezone="UTC"),
    start_date=pendulum.datetime(2024, 9, 23, tz="UTC"),
    catchup=False,
    max_active_runs=1,  # two runs of one window would get in each other's way
    default_args={"retries": 3, "retry_delay": pendulum.duration(minutes=5)},
    params={
        "destination": Param(
            os.environ.get("HYPERORU_EXPORTS", "file:///tmp/hyperoru") + "/weekly_report",
            type="string",
            description="Where to write: a storage URL or an absolute path. Use it for this DAG alone.",
        )
    },
    tags=["hyperoru"],
    doc_md=__doc__,
):
    export = HyperoruExportTradesOperator(task_id="export", destination="{{ params.destination }}")

    HyperoruReportOperator(
        task_id="report",
        source=export.output,
        destination="{{ params.destination }}/reports/{{ data_interval_start | ds }}.html",
    )

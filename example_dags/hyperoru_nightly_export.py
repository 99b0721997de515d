"""Export a day's trades, decisions and program runs of each trader, and what each has now.

The traders are listed again each night, and exports are mapped over lists and traders. A list with a time, such as
decisions, is of the run's data interval; what a trader has, such as orders and positions, is of the moment. Files are
laid out by list: ``decisions/<window>,account_id-1``, ``positions/latest,account_id-1``.

A task that fails is tried again when the server asked for it, and not at all where that can't help, such as with a
wrong password; before Airflow 3.3 the policy is passed over.
"""

from __future__ import annotations

import os
from typing import Any

import pendulum
from airflow.sdk import DAG, Param, task
from airflow.timetables.interval import CronDataIntervalTimetable

from hyperoru_provider.hooks.retries import HyperoruRetryPolicy
from hyperoru_provider.operators.export import HyperoruExportOperator
from hyperoru_provider.operators.snapshot import HyperoruSnapshotOperator
from hyperoru_provider.operators.traders import HyperoruListTradersOperator

#: lists with a time; see docs/resources.md for more
LISTS = ["trades", "decisions", "program_runs"]

with DAG(
    dag_id="hyperoru_nightly_export",
    description="Export the lists of all traders, and what they have now",
    # A plain cron string would give every run of Airflow 3 a window of no length.
    schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
    start_date=pendulum.datetime(2024, 9, 20, tz="UTC"),
    catchup=False,
    max_active_runs=1,  # two runs of one window would get in each other's way
    default_args={
        "retries": 3,
        "retry_delay": pendulum.duration(minutes=5),
        "retry_policy": HyperoruRetryPolicy(),
    },
    params={
        "destination": Param(
            os.environ.get("HYPERORU_EXPORTS", "file:///tmp/hyperoru") + "/nightly_export",
            type="string",
            description="Where to write: a storage URL or an absolute path.",
        )
    },
    tags=["hyperoru"],
    doc_md=__doc__,
):
    traders = HyperoruListTradersOperator(task_id="traders")

    @task
    def exports(traders: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"resource": name, "filters": {"account_id": trader["id"]}} for trader in traders for name in LISTS]

    @task
    def accounts(traders: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{"account_id": trader["id"]} for trader in traders]

    HyperoruExportOperator.partial(
        task_id="export", destination="{{ params.destination }}", map_index_template="{{ task.resource }}"
    ).expand_kwargs(exports(traders.output))

    HyperoruSnapshotOperator.partial(task_id="snapshot", destination="{{ params.destination }}").expand_kwargs(
        accounts(traders.output)
    )

"""Export the trades of each day as a partition of an asset, and add them up in a DAG that runs for each partition.

The first DAG runs after midnight for the day that has ended: its partition, such as ``2026-01-15``, is its window. A
day is exported again by a run with its partition, from the UI, or many days by a backfill. The second DAG runs once
for each partition that was exported, and reads that day's files by their manifest.

Needs Airflow 3.2. Before, the first DAG runs by its data interval, and the second for what was exported since its last
run, which may be several days at once.
"""

from __future__ import annotations

import gzip
import json
import os
from collections import defaultdict
from decimal import Decimal
from typing import Any

import pendulum
from airflow.sdk import DAG, Asset, ObjectStoragePath, Param, task

from hyperoru_provider.operators.trades import HyperoruExportTradesOperator

TRADES = Asset("hyperoru_trades_by_day")

try:
    from airflow.sdk import CronPartitionTimetable, PartitionedAssetTimetable
except ImportError:
    from airflow.timetables.interval import CronDataIntervalTimetable

    BY_DAY: Any = CronDataIntervalTimetable("@daily", timezone="UTC")
    START, END = "{{ data_interval_start | default('') }}", "{{ data_interval_end | default('') }}"
    FOR_EACH_DAY: Any = [TRADES]
else:
    # the day before a run is its partition
    BY_DAY = CronPartitionTimetable("@daily", timezone="UTC", run_offset=-1, key_format="%Y-%m-%d")
    START = "{{ dag_run.partition_key or '' }}"
    END = "{{ macros.ds_add(dag_run.partition_key, 1) if dag_run.partition_key else '' }}"
    FOR_EACH_DAY = PartitionedAssetTimetable(assets=TRADES)

with DAG(
    dag_id="hyperoru_partitioned_trades",
    description="Export the trades of each day as a partition of an asset",
    schedule=BY_DAY,
    start_date=pendulum.datetime(2024, 9, 20, tz="UTC"),
    catchup=False,
    default_args={"retries": 3, "retry_delay": pendulum.duration(minutes=5)},
    params={
        "destination": Param(
            os.environ.get("HYPERORU_EXPORTS", "file:///tmp/hyperoru") + "/partitioned_trades",
            type="string",
            description="Where to write: a storage URL or an absolute path. Use it for this DAG alone.",
        )
    },
    tags=["hyperoru"],
    doc_md=__doc__,
):
    HyperoruExportTradesOperator(
        task_id="export", start=START, end=END, destination="{{ params.destination }}", outlets=[TRADES]
    )

with DAG(
    dag_id="hyperoru_volume_by_day",
    description="Add up the trades of each day that was exported",
    schedule=FOR_EACH_DAY,
    start_date=pendulum.datetime(2024, 9, 20, tz="UTC"),
    catchup=False,
    default_args={"retries": 3, "retry_delay": pendulum.duration(minutes=5)},
    tags=["hyperoru"],
    doc_md=__doc__,
):

    @task
    def add_up(triggering_asset_events: Any = None) -> list[dict[str, Any]]:
        """Return how many trades each day has, and what they were worth by symbol; amounts as text."""
        days = []
        latest = {event.extra["manifest"]: event for event in triggering_asset_events[TRADES]}  # of each day
        for event in latest.values():
            manifest = ObjectStoragePath(event.extra["manifest"])
            volume: dict[str, Decimal] = defaultdict(Decimal)
            rows = 0
            for part in json.loads(manifest.read_text())["files"]:
                with (manifest.parent / part["name"]).open("rb") as file, gzip.open(file) as lines:
                    for line in lines:
                        trade = json.loads(line, parse_float=Decimal, parse_int=Decimal)
                        volume[trade["symbol"]] += trade["price"] * trade["quantity"]
                        rows += 1
            amounts = {symbol: str(volume[symbol]) for symbol in sorted(volume)}
            days.append({"window": event.extra["window"], "rows": rows, "volume": amounts})
        return days

    add_up()

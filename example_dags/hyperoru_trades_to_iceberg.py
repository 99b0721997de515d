"""Load the trades of a day into a table of Apache Iceberg, once the service is healthy.

The data interval of a run is its window, and a run that is repeated replaces the rows of its window, or writes nothing
where they are the same. To load another one, trigger the DAG with ``start`` and ``end``. The connection
``iceberg_default`` is one of Airflow's provider of Iceberg.
"""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG, Param
from airflow.timetables.interval import CronDataIntervalTimetable

from hyperoru_provider.operators.iceberg import HyperoruToIcebergOperator
from hyperoru_provider.sensors.health import HyperoruHealthSensor

with DAG(
    dag_id="hyperoru_trades_to_iceberg",
    description="Load the trades of a day into a table of Apache Iceberg",
    # A plain cron string would give every run of Airflow 3 a window of no length.
    schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
    start_date=pendulum.datetime(2024, 9, 20, tz="UTC"),
    catchup=False,
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
        "table": Param("hyperoru.trades", type="string", description="The table to load into: namespace.table."),
    },
    tags=["hyperoru"],
    doc_md=__doc__,
):
    healthy = HyperoruHealthSensor(task_id="healthy", poke_interval=60, timeout=3600, mode="reschedule")

    load = HyperoruToIcebergOperator(
        task_id="load",
        resource="trades",
        table="{{ params.table }}",
        create_table=True,
        partition_by_day=True,
        start="{{ params.start or data_interval_start | default('') }}",
        end="{{ params.end or data_interval_end | default('') }}",
    )

    healthy >> load

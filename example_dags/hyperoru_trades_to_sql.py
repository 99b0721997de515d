"""Load the trades of a day into a SQL table, once the service is healthy.

The data interval of a run is its window, and a run that is repeated replaces the rows of its window. To load another
one, trigger the DAG with ``start`` and ``end``. The connection ``hyperoru_sql`` is one of PostgreSQL,
MySQL, MariaDB or SQLite.
"""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG, Param
from airflow.timetables.interval import CronDataIntervalTimetable

from hyperoru_provider.operators.sql import HyperoruTradesToSqlOperator
from hyperoru_provider.sensors.health import HyperoruHealthSensor

with DAG(
    dag_id="hyperoru_trades_to_sql",
    description="Load the trades of a day into a SQL table",
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
        "table": Param("trades", type="string", description="The table to load into: table or schema.table."),
        "mode": Param(
            "replace", enum=["replace", "upsert"], description="Replace the rows of the window, or update them by key."
        ),
    },
    tags=["hyperoru"],
    doc_md=__doc__,
):
    healthy = HyperoruHealthSensor(task_id="healthy", poke_interval=60, timeout=3600, mode="reschedule")

    load = HyperoruTradesToSqlOperator(
        task_id="load",
        sql_conn_id="hyperoru_sql",
        table="{{ params.table }}",
        create_table=True,
        start="{{ params.start or data_interval_start | default('') }}",
        end="{{ params.end or data_interval_end | default('') }}",
        mode="{{ params.mode }}",
    )

    healthy >> load

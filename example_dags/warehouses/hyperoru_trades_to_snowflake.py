"""Load the trades of each day into Snowflake, by way of Parquet on S3.

A day that is loaded again replaces its rows, in one transaction. Needs ``apache-airflow-providers-snowflake``, the
extras ``parquet`` and ``s3``, a storage integration of Snowflake that may read the bucket, and a table: see
``docs/recipes.md``.
"""

from __future__ import annotations

import os

import pendulum
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.sdk import DAG, Param
from airflow.timetables.interval import CronDataIntervalTimetable

from hyperoru_provider.operators.trades import HyperoruExportTradesOperator

NAMES = {"table": "trades", "integration": "hyperoru"}

with DAG(
    dag_id="hyperoru_trades_to_snowflake",
    description="Load the trades of a day into Snowflake",
    # A plain cron string would give every run of Airflow 3 a window of no length.
    schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
    start_date=pendulum.datetime(2024, 9, 20, tz="UTC"),
    catchup=False,
    default_args={"retries": 3, "retry_delay": pendulum.duration(minutes=5)},
    params={name: Param(value, type="string", pattern=r"^[A-Za-z_][\w.$]*$") for name, value in NAMES.items()},
    tags=["hyperoru"],
    doc_md=__doc__,
):
    export = HyperoruExportTradesOperator(
        task_id="export",
        destination=os.environ.get("HYPERORU_EXPORTS", "s3://my-bucket/hyperoru") + "/trades_to_snowflake",
        file_format="parquet",
        on_empty="skip",
    )
    load = SQLExecuteQueryOperator(
        task_id="load",
        conn_id="snowflake_default",
        # FORCE, as Snowflake passes over files whose names it has loaded before
        sql=[
            "{% set window = ti.xcom_pull('export')['window'] %}"
            "DELETE FROM {{ params.table }}"
            " WHERE trade_time >= '{{ window.start }}' AND trade_time < '{{ window.end }}'",
            "COPY INTO {{ params.table }} FROM '{{ ti.xcom_pull('export')['prefix'] }}'"
            " STORAGE_INTEGRATION = {{ params.integration }}"
            " FILE_FORMAT = (TYPE = PARQUET USE_LOGICAL_TYPE = TRUE)"
            " MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE FORCE = TRUE",
        ],
        autocommit=False,
        # or times become those of the session's zone in a column without one, such as TIMESTAMP
        hook_params={"session_parameters": {"TIMEZONE": "UTC"}},
    )
    export >> load

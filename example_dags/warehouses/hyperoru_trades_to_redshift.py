"""Load the trades of each day into Amazon Redshift, by way of Parquet on S3.

A day that is loaded again replaces its rows, in one transaction. Needs ``apache-airflow-providers-amazon``, the extras
``parquet`` and ``s3``, a role of the cluster that may read the bucket, and a table whose columns are in the order of
the files': see ``docs/recipes.md``.
"""

from __future__ import annotations

import os

import pendulum
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.sdk import DAG, Param
from airflow.timetables.interval import CronDataIntervalTimetable

from hyperoru_provider.operators.trades import HyperoruExportTradesOperator

with DAG(
    dag_id="hyperoru_trades_to_redshift",
    description="Load the trades of a day into Amazon Redshift",
    # A plain cron string would give every run of Airflow 3 a window of no length.
    schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
    start_date=pendulum.datetime(2024, 9, 20, tz="UTC"),
    catchup=False,
    default_args={"retries": 3, "retry_delay": pendulum.duration(minutes=5)},
    params={"table": Param("trades", type="string", pattern=r"^[A-Za-z_][\w.$]*$")},
    tags=["hyperoru"],
    doc_md=__doc__,
):
    export = HyperoruExportTradesOperator(
        task_id="export",
        destination=os.environ.get("HYPERORU_EXPORTS", "s3://my-bucket/hyperoru") + "/trades_to_redshift",
        file_format="parquet",
        on_empty="skip",
    )
    load = SQLExecuteQueryOperator(
        task_id="load",
        conn_id="redshift_default",
        sql=[
            "{% set window = ti.xcom_pull('export')['window'] %}"
            "DELETE FROM {{ params.table }}"
            " WHERE trade_time >= '{{ window.start }}' AND trade_time < '{{ window.end }}'",
            "COPY {{ params.table }} FROM '{{ ti.xcom_pull('export')['prefix'] }}' IAM_ROLE default FORMAT AS PARQUET",
        ],
        autocommit=False,
    )
    export >> load

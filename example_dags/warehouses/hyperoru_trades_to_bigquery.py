"""Load the trades of each day into a BigQuery table that is partitioned by day, by way of Parquet on Cloud Storage.

A day that is loaded again replaces its partition, in one job. Needs ``apache-airflow-providers-google``, ``gcsfs`` and
the extra ``parquet``. The table is made by the first load.
"""

from __future__ import annotations

import os

import pendulum
from airflow.providers.google.cloud.operators.bigquery import BigQueryInsertJobOperator
from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from hyperoru_provider.operators.trades import HyperoruExportTradesOperator

#: names the day's partition
DAY = "{{ ti.xcom_pull('export')['window']['start'][:10].replace('-', '') }}"

with DAG(
    dag_id="hyperoru_trades_to_bigquery",
    description="Load the trades of a day into BigQuery",
    # A plain cron string would give every run of Airflow 3 a window of no length.
    schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
    start_date=pendulum.datetime(2024, 9, 20, tz="UTC"),
    catchup=False,
    default_args={"retries": 3, "retry_delay": pendulum.duration(minutes=5)},
    params={"project": "my-project", "dataset": "hyperoru", "table": "trades"},
    tags=["hyperoru"],
    doc_md=__doc__,
):
    export = HyperoruExportTradesOperator(
        task_id="export",
        destination=os.environ.get("HYPERORU_EXPORTS", "gs://my-bucket/hyperoru") + "/trades_to_bigquery",
        file_format="parquet",
        on_empty="skip",
    )
    load = BigQueryInsertJobOperator(
        task_id="load",
        configuration={
            "load": {
                "sourceUris": ["{{ ti.xcom_pull('export')['prefix'] }}*"],
                "sourceFormat": "PARQUET",
                # NUMERIC would not hold 18 digits after the point
                "decimalTargetTypes": ["BIGNUMERIC"],
                "destinationTable": {
                    "projectId": "{{ params.project }}",
                    "datasetId": "{{ params.dataset }}",
                    "tableId": "{{ params.table }}$" + DAY,
                },
                "timePartitioning": {"type": "DAY", "field": "trade_time"},
                "writeDisposition": "WRITE_TRUNCATE",
            }
        },
    )
    export >> load

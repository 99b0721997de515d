"""Load the trades of each day into a DuckDB file, by way of Parquet.

The Parquet files may be on any storage that Airflow knows; the DuckDB file is on the disk of the worker. A day that is
loaded again replaces its rows. Needs the extra ``parquet``, and ``duckdb`` where the task runs. DuckDB lets one process
write at a time, so one run is active at a time.
"""

from __future__ import annotations

import os
from typing import Any

import pendulum
from airflow.sdk import DAG, ObjectStoragePath, Param, task
from airflow.timetables.interval import CronDataIntervalTimetable

from hyperoru_provider.operators.trades import HyperoruExportTradesOperator

with DAG(
    dag_id="hyperoru_trades_to_duckdb",
    description="Load the trades of a day into a DuckDB file",
    # A plain cron string would give every run of Airflow 3 a window of no length.
    schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
    start_date=pendulum.datetime(2024, 9, 20, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": pendulum.duration(minutes=5)},
    params={
        "destination": Param(
            os.environ.get("HYPERORU_EXPORTS", "file:///tmp/hyperoru") + "/trades_to_duckdb",
            type="string",
            description="Where the files are written.",
        ),
        "database": Param(
            os.environ.get("HYPERORU_DUCKDB", "/tmp/hyperoru.duckdb"),  # noqa: S108
            type="string",
            description="The DuckDB file, in a directory that is there.",
        ),
    },
    tags=["hyperoru"],
    doc_md=__doc__,
):
    export = HyperoruExportTradesOperator(
        task_id="export", destination="{{ params.destination }}", file_format="parquet", on_empty="skip"
    )

    @task
    def load(summary: dict[str, Any], params: dict[str, Any] | None = None) -> int:
        """Replace the day's rows in one transaction, and return how many the table has."""
        import duckdb

        paths, window = [ObjectStoragePath(file) for file in summary["files"]], summary["window"]
        files = [f"{path.protocol}://{path.path}" for path in paths]
        with duckdb.connect((params or {})["database"]) as database:
            database.register_filesystem(paths[0].fs)  # with the storage's connection of Airflow
            database.begin()
            database.execute("CREATE TABLE IF NOT EXISTS trades AS FROM read_parquet($files) LIMIT 0", {"files": files})
            database.execute("DELETE FROM trades WHERE trade_time >= $start AND trade_time < $end", window)
            database.execute("INSERT INTO trades BY NAME FROM read_parquet($files)", {"files": files})
            database.commit()
            ((rows,),) = database.execute("SELECT count(*) FROM trades").fetchall()
        return int(rows)

    load(export.output)

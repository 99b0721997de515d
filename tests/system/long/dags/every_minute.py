"""Each minute: sensors that wait deferred for a while, and a load of the minute before."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from hyperoru_provider.operators.sql import HyperoruTradesToSqlOperator
from hyperoru_provider.sensors.events import HyperoruEventSensor
from hyperoru_provider.sensors.trades import HyperoruTradesSensor

with DAG(
    "every_minute",
    schedule=CronDataIntervalTimetable("* * * * *", timezone="UTC"),
    start_date=datetime(2025, 1, 1),
    catchup=False,
    max_active_runs=2,
    default_args={"retries": 5, "retry_delay": timedelta(seconds=5)},
):
    # half of this minute's, at ten a second
    trades = HyperoruTradesSensor(
        task_id="trades",
        start="{{ data_interval_end }}",
        at_least=300,
        deferrable=True,
        poke_interval=2,
        timeout=600,
    )
    load = HyperoruTradesToSqlOperator(task_id="load", sql_conn_id="warehouse", table="trades", create_table=True)
    HyperoruEventSensor(task_id="event", account_id=2, side="SELL", timeout=600)
    trades >> load

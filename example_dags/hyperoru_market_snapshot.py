"""Land the prices of several symbols, and the candles of the hour before, in storage."""

from __future__ import annotations

import os

import pendulum
from airflow.sdk import DAG, Param
from airflow.timetables.interval import CronDataIntervalTimetable

from hyperoru_provider.operators.market import HyperoruFetchMarketOperator
from hyperoru_provider.sensors.health import HyperoruHealthSensor

with DAG(
    dag_id="hyperoru_market_snapshot",
    description="Prices and candles of several symbols to storage, every hour",
    schedule=CronDataIntervalTimetable("@hourly", timezone="UTC"),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,  # two runs of one window would get in each other's way
    default_args={"retries": 3, "retry_delay": pendulum.duration(minutes=1)},
    params={
        "symbols": Param("BTC,ETH", type="string", description="Symbols, separated by commas."),
        "destination": Param(
            os.environ.get("HYPERORU_EXPORTS", "file:///tmp/hyperoru") + "/market_snapshot",
            type="string",
            description="Where to write: a storage URL or an absolute path. Use it for this DAG alone.",
        ),
    },
    tags=["hyperoru"],
    doc_md=__doc__,
):
    healthy = HyperoruHealthSensor(task_id="healthy", poke_interval=30, timeout=1800, mode="reschedule")

    prices = HyperoruFetchMarketOperator(
        task_id="prices",
        symbols="{{ params.symbols }}",
        destination="{{ params.destination }}",
    )
    candles = HyperoruFetchMarketOperator(
        task_id="candles",
        symbols="{{ params.symbols }}",
        data="klines",
        interval="5m",
        destination="{{ params.destination }}",
        file_format="csv",
    )

    healthy >> [prices, candles]

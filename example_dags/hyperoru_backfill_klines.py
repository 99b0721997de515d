"""Have the service fetch yesterday's candles, prove that they are there, and land them in storage."""

from __future__ import annotations

import os

import pendulum
from airflow.sdk import DAG, Param
from airflow.timetables.interval import CronDataIntervalTimetable

from hyperoru_provider.operators.klines import HyperoruBackfillKlinesOperator
from hyperoru_provider.operators.market import HyperoruFetchMarketOperator
from hyperoru_provider.sensors.klines import HyperoruKlineCoverageSensor

with DAG(
    dag_id="hyperoru_backfill_klines",
    description="Candles of a day: filled at the service, proved, and to storage",
    schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": pendulum.duration(minutes=5)},
    params={
        "symbol": Param("BTC", type="string", description="The symbol, as the service writes it."),
        "interval": Param("1m", type="string", description="Length of a candle, for example 1m, 1h or 1d."),
        "destination": Param(
            os.environ.get("HYPERORU_EXPORTS", "file:///tmp/hyperoru") + "/backfill_klines",
            type="string",
            description="Where to write: a storage URL or an absolute path. Use it for this DAG alone.",
        ),
    },
    tags=["hyperoru"],
    doc_md=__doc__,
):
    backfill = HyperoruBackfillKlinesOperator(
        task_id="backfill",
        symbol="{{ params.symbol }}",
        interval="{{ params.interval }}",
        deferrable=True,
        poll_interval=10,
    )
    covered = HyperoruKlineCoverageSensor(
        task_id="covered",
        symbol="{{ params.symbol }}",
        interval="{{ params.interval }}",
        deferrable=True,
        poke_interval=30,
        timeout=3600,
    )
    candles = HyperoruFetchMarketOperator(
        task_id="candles",
        symbols="{{ params.symbol }}",
        data="klines",
        interval="{{ params.interval }}",
        destination="{{ params.destination }}",
        file_format="parquet",
    )

    backfill >> covered >> candles

"""A DAG as its author's type checker sees it: whatever is named here has types, and takes what it is given."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import DAG, task

from hyperoru_provider.client import HyperoruApiError, Trade
from hyperoru_provider.hooks.hyperoru import HyperoruHook
from hyperoru_provider.operators.export import HyperoruExportOperator
from hyperoru_provider.operators.market import HyperoruFetchMarketOperator
from hyperoru_provider.operators.traders import HyperoruListTradersOperator
from hyperoru_provider.operators.trades import HyperoruExportTradesOperator
from hyperoru_provider.sensors.health import HyperoruHealthSensor
from hyperoru_provider.sensors.price import HyperoruPriceSensor


@task
def newest() -> str:
    with HyperoruHook().get_conn() as client:
        try:
            trades: list[Trade] = list(client.iter_trades("2026-01-15", "2026-01-16"))
        except HyperoruApiError as error:
            return error.message
    return trades[-1].symbol


with DAG("typed", start_date=datetime(2026, 1, 1), schedule=timedelta(days=1)):
    healthy = HyperoruHealthSensor(task_id="healthy", checks=3, deferrable=True)
    cheap = HyperoruPriceSensor(task_id="cheap", symbol="BTC", below="60000")
    traders = HyperoruListTradersOperator(task_id="traders")
    market = HyperoruFetchMarketOperator(task_id="market", symbols=["BTC", "ETH"], interval="1h")
    orders = HyperoruExportOperator(
        task_id="orders", resource="orders", filters={"account_id": 1}, destination="/exports"
    )
    day = HyperoruExportTradesOperator(task_id="day", destination="s3://bucket/exports", file_format="parquet")
    mapped = HyperoruExportTradesOperator.partial(task_id="mapped", destination="/exports").expand(account_id=[1, 2])
    healthy >> [traders, market] >> day >> mapped
    cheap >> orders >> newest()

"""What waits for a server whose text no database takes, and a bystander that has nothing to do with it."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG

from hyperoru_provider.operators.klines import HyperoruBackfillKlinesOperator
from hyperoru_provider.operators.market import HyperoruFetchMarketOperator
from hyperoru_provider.operators.traders import HyperoruListTradersOperator
from hyperoru_provider.operators.trades import HyperoruExportTradesOperator
from hyperoru_provider.sensors.events import HyperoruEventSensor
from hyperoru_provider.sensors.health import HyperoruHealthSensor
from hyperoru_provider.sensors.klines import HyperoruKlineCoverageSensor
from hyperoru_provider.sensors.price import HyperoruPriceSensor
from hyperoru_provider.sensors.trades import HyperoruTradesSensor

DAY: dict[str, Any] = {"start": "2026-01-15", "end": "2026-01-16"}
WAIT: dict[str, Any] = {"deferrable": True, "poke_interval": 1, "timeout": 120}

# Airflow fails a task now and then whose trigger fires before it has heard of the deferral.
RETRIES: dict[str, Any] = {"retries": 3, "retry_delay": 1}

with DAG("bystander", schedule=None):
    HyperoruHealthSensor(task_id="waits", deferrable=True, poke_interval=1, timeout=600)

with DAG("hostile_answers", schedule=None, default_args={"hyperoru_conn_id": "hostile", **RETRIES}):
    HyperoruPriceSensor(task_id="price", symbol="BTC", above=1, **WAIT)
    HyperoruHealthSensor(task_id="health", **(WAIT | {"timeout": 20}))
    HyperoruTradesSensor(task_id="trades", **DAY, **WAIT)
    HyperoruKlineCoverageSensor(task_id="coverage", symbol="BTC", **DAY, **WAIT)

with DAG("hostile_rows", schedule=None, default_args={"hyperoru_conn_id": "strange", **RETRIES}):
    HyperoruEventSensor(task_id="event", timeout=60)
    HyperoruListTradersOperator(task_id="traders")
    HyperoruExportTradesOperator(task_id="rows", **DAY)

with DAG("hostile_results", schedule=None, default_args={"hyperoru_conn_id": "hostile", **RETRIES}):
    HyperoruFetchMarketOperator(task_id="market", symbols="ETH")
    HyperoruBackfillKlinesOperator(task_id="backfill", symbol="ETH", **DAY, deferrable=True, poll_interval=1)

"""Each sensor, deferred: none is satisfied at the begin."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from hyperoru_provider.sensors.events import HyperoruEventSensor
from hyperoru_provider.sensors.health import HyperoruHealthSensor
from hyperoru_provider.sensors.klines import HyperoruKlineCoverageSensor
from hyperoru_provider.sensors.price import HyperoruPriceSensor
from hyperoru_provider.sensors.trades import HyperoruTradesSensor

with DAG("waiting", schedule=None, params={"since": "", "until": ""}):
    wait: dict[str, Any] = {"deferrable": True, "poke_interval": 1, "timeout": timedelta(minutes=2).total_seconds()}
    HyperoruHealthSensor(task_id="health", checks=3, **wait)
    HyperoruPriceSensor(task_id="price", symbol="BTC", below="1e9", **wait)
    HyperoruTradesSensor(task_id="trades", start="{{ params.since }}", account_id=5, at_least=2, **wait)
    HyperoruEventSensor(task_id="event", account_id=5, side="SELL", timeout=wait["timeout"])
    HyperoruKlineCoverageSensor(
        task_id="klines", symbol="BTC", interval="1m", start="{{ params.since }}", end="{{ params.until }}", **wait
    )

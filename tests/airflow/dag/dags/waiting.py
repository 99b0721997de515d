"""All sensors in deferred mode, with the levels and windows that a test gives."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, task

from hyperoru_provider.sensors.health import HyperoruHealthSensor
from hyperoru_provider.sensors.klines import HyperoruKlineCoverageSensor
from hyperoru_provider.sensors.price import HyperoruPriceSensor
from hyperoru_provider.sensors.trades import HyperoruTradesSensor

with DAG(
    "waiting",
    schedule=None,
    params={"symbol": "BTC", "above": "1", "never": "1e12", "start": "2026-01-15", "end": "2026-01-16"},
    default_args={"deferrable": True, "poke_interval": 0.1, "timeout": 30},
):
    HyperoruHealthSensor(task_id="healthy", checks=2)
    price = HyperoruPriceSensor(task_id="price", symbol="{{ params.symbol }}", above="{{ params.above }}")
    HyperoruTradesSensor(task_id="trades", start="{{ params.start }}", at_least="{{ 3 }}")
    HyperoruKlineCoverageSensor(
        task_id="candles", symbol="{{ params.symbol }}", start="{{ params.start }}", end="{{ params.end }}"
    )
    HyperoruPriceSensor(task_id="skipped", symbol="BTC", above="{{ params.never }}", timeout=2, soft_fail=True)

    @task
    def seen(found: dict[str, Any]) -> str:
        return str(found["price"])

    seen(price.output)  # type: ignore[arg-type]

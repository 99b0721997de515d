"""A sensor that waits in the triggerer until a test lets trader 5 trade."""

from __future__ import annotations

from airflow.sdk import DAG

from hyperoru_provider.sensors.trades import HyperoruTradesSensor

with DAG("waits", schedule=None, params={"since": ""}):
    HyperoruTradesSensor(
        task_id="wait", start="{{ params.since }}", account_id=5, deferrable=True, poke_interval=1, timeout=600
    )

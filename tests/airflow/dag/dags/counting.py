"""A sensor that counts, in reschedule mode: each time it asks, it is another process."""

from __future__ import annotations

from airflow.sdk import DAG

from hyperoru_provider.sensors.health import HyperoruHealthSensor

with DAG("counting", schedule=None):
    HyperoruHealthSensor(task_id="healthy", checks=3, mode="reschedule", poke_interval=0.1, timeout=30)

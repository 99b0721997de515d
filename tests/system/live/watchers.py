"""Fifty watchers with different filters on one connection."""

from __future__ import annotations

from airflow.sdk import DAG, Asset, AssetWatcher, task

from hyperoru_provider.triggers.events import HyperoruEventTrigger

ASSETS = [
    Asset(
        f"watched_{number}",
        watchers=[
            AssetWatcher(
                name="trades",
                trigger=HyperoruEventTrigger(
                    account_id=number % 4 + 1, side=["BUY", "SELL"][number % 2], min_notional=number + 1
                ),
            )
        ],
    )
    for number in range(50)
]

with DAG("watchers", schedule=ASSETS):

    @task
    def nothing() -> None:
        pass

    nothing()

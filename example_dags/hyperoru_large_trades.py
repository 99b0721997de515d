"""Do something when large trades happen: the simplest DAG that events of the WebSocket wake.

It is told what the triggerer hears, and misses what happens while that is away. A DAG that must miss nothing keeps a
mark of how far it has looked, as ``hyperoru_live_trades`` does.
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import DAG, Asset, AssetWatcher, task

from hyperoru_provider.triggers.events import HyperoruEventTrigger

LARGE_TRADES = Asset(
    "hyperoru_large_trades",
    watchers=[
        AssetWatcher(
            name="large_trades",
            # without gaps, a run has a trade to speak of: else the first one begins with the trigger itself
            trigger=HyperoruEventTrigger(channel="trades", min_notional=10_000, min_interval=60, gaps=False),
        )
    ],
)

with DAG(
    dag_id="hyperoru_large_trades",
    description="Tell of large trades as they happen",
    schedule=[LARGE_TRADES],
    start_date=pendulum.datetime(2024, 9, 20, tz="UTC"),
    max_active_runs=1,
    tags=["hyperoru"],
    doc_md=__doc__,
):

    @task
    def tell(**context: Any) -> list[dict[str, Any]]:
        """Tell what happened; ``from`` and ``to`` are the window in which the trades are listed."""
        events = [event for happened in context["triggering_asset_events"].values() for event in happened]
        summaries = [event.extra["payload"] for event in events if "payload" in event.extra]
        for summary in summaries:
            print(summary["count"], summary["symbols"], summary["from"], summary["to"])
        return summaries

    tell()

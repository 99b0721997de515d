"""Export trades as they happen: events of the WebSocket wake this DAG, and the list of trades gives it the rows.

An event is only a hint that there is something to fetch. What was fetched is known by the watermark: the bounds of all
windows that are not exported yet, kept on the asset ``hyperoru_exports``. So an event that is lost, doubled or merged
with others costs time, and never a row. After each gap in the stream, such as a restart of the triggerer, the trigger
says so by an event of its own, and this DAG catches up.

Windows are noted before they are exported. A run that fails leaves them to the next one, which exports them again to
the same directories, and with the same bytes. So may you: any task of any run may be cleared.
"""

from __future__ import annotations

import os
import time
from itertools import pairwise
from typing import Any

import pendulum
from airflow.sdk import DAG, Asset, AssetWatcher, Param, task

from hyperoru_provider.hooks.task_state import asset_state
from hyperoru_provider.operators.trades import HyperoruExportTradesOperator
from hyperoru_provider.triggers.events import HyperoruEventTrigger

EVENTS = Asset(
    "hyperoru_trade_events",
    watchers=[AssetWatcher(name="trades", trigger=HyperoruEventTrigger(channel="trades", min_interval=5))],
)
EXPORTS = Asset("hyperoru_exports")
# no params, as the watermark is about these
DESTINATION = os.environ.get("HYPERORU_EXPORTS", "file:///tmp/hyperoru") + "/live_trades"
SINCE = os.environ.get("HYPERORU_SINCE", "2026-01-01T00:00:00Z")
MOST_WINDOWS = 100

with DAG(
    dag_id="hyperoru_live_trades",
    description="Export trades as they happen",
    schedule=[EVENTS],
    start_date=pendulum.datetime(2024, 9, 20, tz="UTC"),
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": pendulum.duration(seconds=10)},
    params={
        "settle": Param(
            3, type="number", description="Seconds until the service is sure to list a trade, and one more."
        ),
    },
    tags=["hyperoru"],
    doc_md=__doc__,
):

    @task(inlets=[EXPORTS])
    def windows(**context: Any) -> list[dict[str, str]]:
        """Note the window up to the last event, and give all that are to be exported."""
        begun = pendulum.now("UTC")
        events = [event for happened in context["triggering_asset_events"].values() for event in happened]
        ends = [pendulum.parse(event.extra["payload"]["to"]) for event in events if "payload" in event.extra]
        time.sleep(float(context["params"]["settle"]))
        # a time in the future, from a clock that is wrong, would leave out all that happens until then
        last = min(max(ends, default=begun), begun)
        end = last.in_timezone("UTC").start_of("second").add(seconds=1)
        watermark = asset_state(context, EXPORTS)
        bounds = watermark.get("bounds") or [SINCE]
        if end > pendulum.parse(bounds[-1]) and len(bounds) <= MOST_WINDOWS:
            bounds.append(end.to_iso8601_string())
            watermark.set("bounds", bounds)
        return [{"start": start, "end": end} for start, end in pairwise(bounds)]

    exports = HyperoruExportTradesOperator.partial(
        task_id="export",
        destination=DESTINATION,
        map_index_template="{{ task.start }} to {{ task.end }}",
    ).expand_kwargs(windows())

    @task(inlets=[EXPORTS], outlets=[EXPORTS])
    def advance(summaries: list[dict[str, Any]], **context: Any) -> None:
        """Forget the windows that are exported; those who wait for the asset read their manifests."""
        watermark, end = asset_state(context, EXPORTS), summaries[-1]["window"]["end"]
        bounds = watermark.get("bounds") or []
        if end in bounds:  # else the task was cleared, and a later run has done it
            watermark.set("bounds", bounds[bounds.index(end) :])
        context["outlet_events"][EXPORTS].extra = {"manifests": [summary["manifest"] for summary in summaries]}

    advance(exports.output)

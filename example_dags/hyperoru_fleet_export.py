"""Export one window on many workers: an export for each trader and day.

All exports are in one pool, and each has one request under way at a time. So the slots of the pool are how many
requests the whole fleet has under way, however many workers there are. The environment variable ``HYPERORU_POOL`` names
the pool; tasks of a pool that is not there are never run.
"""

from __future__ import annotations

import os
from itertools import pairwise
from typing import Any

import pendulum
from airflow.sdk import DAG, Param, task

from hyperoru_provider.operators.traders import HyperoruListTradersOperator
from hyperoru_provider.operators.trades import HyperoruExportTradesOperator

with DAG(
    dag_id="hyperoru_fleet_export",
    description="Export a window of any length on many workers",
    schedule=None,
    max_active_tasks=128,  # the pool is the limit
    default_args={
        "pool": os.environ.get("HYPERORU_POOL", "default_pool"),
        "retries": 3,
        "retry_delay": pendulum.duration(seconds=30),
    },
    params={
        "start": Param("2026-01-01", type="string", format="date", description="The first day to export, in UTC."),
        "end": Param("2026-01-21", type="string", format="date", description="The day after the last one to export."),
        "destination": Param(
            os.environ.get("HYPERORU_EXPORTS", "file:///tmp/hyperoru") + "/fleet_export",
            type="string",
            description="Where to write: a storage URL or an absolute path. Use it for this DAG alone.",
        ),
    },
    tags=["hyperoru"],
    doc_md=__doc__,
):
    traders = HyperoruListTradersOperator(task_id="traders")

    @task
    def exports(traders: list[dict[str, Any]], params: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        """Cut the window into days, for each trader."""
        given = params or {}
        window = pendulum.interval(*(pendulum.parse(given[name]) for name in ("start", "end")))
        bounds = [day.to_date_string() for day in window.range("days")]
        return [
            {"account_id": trader["id"], "start": start, "end": end}
            for start, end in pairwise(bounds)
            for trader in traders
        ]

    summaries = HyperoruExportTradesOperator.partial(
        task_id="export",
        destination="{{ params.destination }}",
        concurrency=1,
        map_index_template="trader {{ task.account_id }}, {{ task.start }}",
    ).expand_kwargs(exports(traders.output))

    @task(trigger_rule="none_failed")
    def add_up(summaries: list[dict[str, Any]] | None) -> dict[str, int]:
        found = summaries or []
        return {"exports": len(found), "rows": sum(summary["rows"] for summary in found)}

    add_up(summaries.output)

"""Backfills to be killed, in the triggerer and on the worker."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from hyperoru_provider.operators.klines import HyperoruBackfillKlinesOperator

for dag_id, deferrable in {"backfill_deferred": True, "backfill_on_worker": False}.items():
    with DAG(dag_id, schedule=None):
        HyperoruBackfillKlinesOperator(
            task_id="backfill",
            symbol="BTC",
            start="2026-01-01",
            end="2026-01-02",
            deferrable=deferrable,
            poll_interval=0.5,
            retries=4,
            retry_delay=timedelta(0),
        )

"""Tasks that are tried again as the server asks: an export, mapped exports, and a task of the user's own."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, task

from hyperoru_provider.hooks.hyperoru import HyperoruHook
from hyperoru_provider.hooks.retries import HyperoruRetryPolicy
from hyperoru_provider.operators.trades import HyperoruExportTradesOperator

with DAG(
    "trying_again",
    schedule=None,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5), "retry_policy": HyperoruRetryPolicy()},
):
    HyperoruExportTradesOperator(task_id="export", start="2026-01-15", end="2026-01-16")
    HyperoruExportTradesOperator.partial(task_id="mapped", start="2026-01-15", end="2026-01-16").expand(
        account_id=[1, 2]
    )

    @task
    def own() -> str:
        with HyperoruHook().get_conn() as client:
            return str(client.price("BTC").price)

    own()

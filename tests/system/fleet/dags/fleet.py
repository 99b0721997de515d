"""Twenty exports that all start cold."""

from __future__ import annotations

from airflow.sdk import DAG

from hyperoru_provider.operators.trades import HyperoruExportTradesOperator

with DAG("fleet", schedule=None, params={"destination": ""}, max_active_tasks=20):
    HyperoruExportTradesOperator.partial(task_id="export", destination="{{ params.destination }}").expand_kwargs(
        [
            {"start": f"2025-04-01T{hour:02}:{minute:02}:00Z", "end": f"2025-04-01T{hour:02}:{minute + 29}:59Z"}
            for hour in range(10)
            for minute in (0, 30)
        ]
    )

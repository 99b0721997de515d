"""An export whose task links to what it wrote, and tells the asset that it updates."""

from __future__ import annotations

from airflow.sdk import DAG, Asset, Param

from hyperoru_provider.operators.trades import HyperoruExportTradesOperator

with DAG("linked", schedule=None, params={"destination": Param("", type="string")}):
    HyperoruExportTradesOperator(
        task_id="export",
        start="2026-01-15",
        end="2026-01-16",
        account_id=1,
        destination="{{ params.destination }}",
        outlets=[Asset("trades", uri="hyperoru://api.example.com/trades")],
    )

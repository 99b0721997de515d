"""A task of which OpenLineage hears: a load into a table of Iceberg."""

from __future__ import annotations

from airflow.sdk import DAG

from hyperoru_provider.operators.iceberg import HyperoruToIcebergOperator

with DAG("lineage_to_iceberg", schedule=None):
    HyperoruToIcebergOperator(
        task_id="load",
        resource="trades",
        table="hyperoru.trades",
        start="2026-01-15",
        end="2026-01-16",
        create_table=True,
    )

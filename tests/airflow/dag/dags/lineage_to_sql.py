"""Tasks of which OpenLineage hears: a load into a table, and its windows compared."""

from __future__ import annotations

from airflow.sdk import DAG

from hyperoru_provider.operators.reconcile import HyperoruReconcileSqlOperator
from hyperoru_provider.operators.sql import HyperoruTradesToSqlOperator

DAY = {"start": "2026-01-15", "end": "2026-01-16", "table": "trades", "sql_conn_id": "db"}

with DAG("lineage_to_sql", schedule=None):
    HyperoruTradesToSqlOperator(task_id="load", create_table=True, **DAY) >> HyperoruReconcileSqlOperator(
        task_id="reconcile", resource="trades", windows=1, **DAY
    )

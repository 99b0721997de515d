"""The example DAGs of warehouses beside their providers, too big for other tests (``make test-warehouses``)."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.redshift_sql import RedshiftSQLHook
from airflow.providers.google.cloud.operators.bigquery import BigQueryInsertJobOperator
from airflow.providers.snowflake.hooks.snowflake import SnowflakeHook

from tests.airflow.warehouses import dag_of, rendered


@pytest.mark.parametrize(
    ("dag_id", "conn_type", "hook"),
    [
        ("hyperoru_trades_to_snowflake", "snowflake", SnowflakeHook),
        ("hyperoru_trades_to_redshift", "redshift", RedshiftSQLHook),
    ],
)
def test_statements_go_to_the_hook_of_the_warehouse(
    dag_id: str, conn_type: str, hook: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = dag_of(dag_id).get_task("load")
    monkeypatch.setenv(f"AIRFLOW_CONN_{load.conn_id.upper()}", f"{conn_type}://")
    assert isinstance(load.get_db_hook(), hook)


def test_a_day_is_a_partition_of_bigquery() -> None:
    load = rendered(dag_of("hyperoru_trades_to_bigquery").get_task("load"))
    assert isinstance(load, BigQueryInsertJobOperator)
    job: dict[str, Any] = load.configuration["load"]
    assert job["sourceUris"] == ["s3://bucket/x/trades/day/part-*"]
    assert job["destinationTable"] == {"projectId": "my-project", "datasetId": "hyperoru", "tableId": "trades$20260115"}
    assert job["writeDisposition"] == "WRITE_TRUNCATE"

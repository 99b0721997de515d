"""The samples of ``docs/recipes.md`` do what the page says, and the DAGs of warehouses load a day."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Context

from hyperoru_provider.client.api.contract import load_contract
from hyperoru_provider.client.api.models import Trade
from hyperoru_provider.export.columns import ColumnSchema
from hyperoru_provider.operators.trades import HyperoruExportTradesOperator
from hyperoru_provider.sandbox import Sandbox
from tests.airflow.warehouses import SQL_DAGS, dag_in, dag_of, rendered
from tests.listed import held
from tests.places import ROOT

PAGE = (ROOT / "docs" / "recipes.md").read_text()
SAMPLES = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
READERS = [sample for sample in SAMPLES if "DAG(" not in sample]
DAGS = [sample for sample in SAMPLES if "DAG(" in sample]
DAY = {"start": "2026-01-15", "end": "2026-01-16"}
SQL_TYPES = {
    "string": {"VARCHAR(2000)"},
    "json": {"VARCHAR(65535)"},
    "decimal": {"DECIMAL(38, 18)"},
    "timestamp": {"TIMESTAMP"},
}


@pytest.mark.usefixtures("connection")
@pytest.mark.parametrize("sample", READERS, ids=["pandas", "duckdb", "polars"])
def test_an_export_is_read_by_its_manifest(sandbox: Sandbox, tmp_path: Path, sample: str) -> None:
    export = HyperoruExportTradesOperator(
        task_id="t", **DAY, destination=str(tmp_path), file_format="parquet", rows_per_part=100
    )
    assert len(export.execute(Context())["files"]) > 1
    fees: dict[str, Decimal] = {}
    for row in (json.loads(text, parse_float=Decimal) for text in held(sandbox, **DAY)):
        fees[row["symbol"]] = fees.get(row["symbol"], Decimal()) + Decimal(row["commission"] or 0)
    names: dict[str, Any] = {}
    exec(sample.replace("/data/hyperoru", str(tmp_path)), names)
    found = names["fees"]
    rows = found.fetchall() if hasattr(found, "fetchall") else found.rows() if hasattr(found, "rows") else found.items()
    assert dict(rows) == fees


@pytest.mark.parametrize("sample", DAGS)
def test_a_dag_is_parsed(sample: str, tmp_path: Path) -> None:
    (tmp_path / "sample.py").write_text(sample)
    assert dag_in(tmp_path / "sample.py").tasks


def test_the_table_has_the_columns_of_the_files() -> None:
    (table,) = re.findall(r"CREATE TABLE trades \(\n(.*?)\n\);", PAGE, re.DOTALL)
    columns = [line.strip().removesuffix(",").split(" ", 1) for line in table.splitlines()]
    schema = ColumnSchema(Trade, load_contract().trades).columns
    assert [name for name, _ in columns] == [column.name for column in schema]
    assert all(kind in SQL_TYPES[column.type] for (_, kind), column in zip(columns, schema, strict=True))


@pytest.mark.parametrize("dag_id", SQL_DAGS)
def test_a_warehouse_replaces_the_window_and_copies_its_files(dag_id: str) -> None:
    load = rendered(dag_of(dag_id).get_task("load"))
    delete, copy = load.sql
    assert delete == (
        "DELETE FROM trades WHERE trade_time >= '2026-01-15T00:00:00Z' AND trade_time < '2026-01-16T00:00:00Z'"
    )
    assert re.match(r"COPY (INTO )?trades FROM 's3://bucket/x/trades/day/part-' ", copy)
    assert not load.autocommit

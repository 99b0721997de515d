"""Iceberg: a load by this provider, and beside it PyIceberg's append of the very same rows, ready in memory."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.job import AMOUNT, WINDOW, Check, Job, Landed
from hyperoru_provider.operators.iceberg import HyperoruToIcebergOperator

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.catalog import Catalog

_TABLE = "bench.trades"
_READY: list[pa.Table] = []


def make_ready(job: Job) -> None:
    """Make the connection of a catalog in a database of SQLite, with tables on disk."""
    connection = {"conn_type": "iceberg", "extra": _properties(job)}
    os.environ["AIRFLOW_CONN_BENCH_ICEBERG"] = json.dumps(connection)


def run(job: Job) -> Check:
    """Load the window into a table that it makes."""
    arguments: dict[str, Any] = {"iceberg_conn_id": "bench_iceberg", "table": _TABLE, "create_table": True, **WINDOW}
    HyperoruToIcebergOperator(task_id="load", resource="trades", **arguments).execute({})
    return lambda: _landed(job)


def make_rows_ready(job: Job) -> None:
    """Hold the same rows in memory, and make an empty table of the same columns."""
    make_ready(job)
    run(job)
    catalog = _catalog(job)
    table = catalog.load_table(_TABLE)
    _READY.append(table.scan().to_arrow())
    schema = table.schema()
    catalog.drop_table(_TABLE)
    catalog.create_table(_TABLE, schema)


def append(job: Job) -> Check:
    """Append the rows that are in memory to the table."""
    _catalog(job).load_table(_TABLE).append(_READY[0])
    return lambda: _landed(job)


def _landed(job: Job) -> Landed:
    """Count and add up what is in the table."""
    import pyarrow.compute as pc

    rows = _catalog(job).load_table(_TABLE).scan(selected_fields=(AMOUNT,)).to_arrow()
    return Landed(rows.num_rows, pc.sum(rows[AMOUNT]).as_py())


def _catalog(job: Job) -> Catalog:
    from pyiceberg.catalog import load_catalog

    return load_catalog("bench_iceberg", **_properties(job))


def _properties(job: Job) -> dict[str, str]:
    place = Path(job.directory)
    return {"type": "sql", "uri": f"sqlite:///{place}/catalog.db", "warehouse": place.as_uri()}

"""The example DAGs of warehouses, and their tasks as they are rendered after the export of a day."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.places import EXAMPLES

try:
    from airflow.dag_processing.dagbag import BundleDagBag
except ImportError:  # before Airflow 3.2
    from airflow.models.dagbag import DagBag as BundleDagBag  # type: ignore[no-redef]

#: those that need no provider to be parsed
SQL_DAGS = ("hyperoru_trades_to_snowflake", "hyperoru_trades_to_redshift")
SUMMARY = {
    "prefix": "s3://bucket/x/trades/day/part-",
    "window": {"start": "2026-01-15T00:00:00Z", "end": "2026-01-16T00:00:00Z"},
}


def dag_in(file: Path) -> Any:
    """Parse a file, as Airflow does; gives its only DAG."""
    bag = BundleDagBag(dag_folder=str(file), bundle_path=file.parent, safe_mode=False)
    assert bag.import_errors == {}
    (dag,) = bag.dags.values()
    return dag


def dag_of(dag_id: str) -> Any:
    """Parse an example."""
    return dag_in(EXAMPLES / "warehouses" / f"{dag_id}.py")


def rendered(task: Any) -> Any:
    """Render a task's templates; its export has returned :data:`SUMMARY`."""
    ti = SimpleNamespace(xcom_pull={"export": SUMMARY}.__getitem__)
    task.render_template_fields({"ti": ti, "params": task.dag.params.dump()})
    return task

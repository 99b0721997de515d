"""Tasks of which OpenLineage hears: an export to files, mapped; one to XCom; windows compared; a snapshot; an error."""

from __future__ import annotations

from typing import Never

from airflow.sdk import DAG, Param

from hyperoru_provider.operators.export import HyperoruExportOperator
from hyperoru_provider.operators.reconcile import HyperoruReconcileOperator
from hyperoru_provider.operators.snapshot import HyperoruSnapshotOperator
from hyperoru_provider.operators.trades import HyperoruExportTradesOperator


class Broken(HyperoruExportOperator):
    """Exports, and then has no lineage but an error."""

    def table_dataset(self) -> Never:
        raise RuntimeError("no lineage")


with DAG("lineage", schedule=None, params={"destination": Param("", type="string")}):
    export = HyperoruExportTradesOperator.partial(
        task_id="export", start="2026-01-15", end="2026-01-16", destination="{{ params.destination }}"
    ).expand(account_id=[1])
    HyperoruExportOperator(task_id="to_xcom", resource="trades", start="2026-01-15", end="2026-01-15T01:00:00Z")
    Broken(task_id="broken", resource="orders", filters={"account_id": 1})
    export >> HyperoruReconcileOperator(
        task_id="reconcile",
        resource="trades",
        filters={"account_id": 1},
        end="2026-01-16",
        destination="{{ params.destination }}",
    )
    HyperoruSnapshotOperator(task_id="snapshot", parts=["orders", "positions"], destination="{{ params.destination }}")

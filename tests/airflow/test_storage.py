"""Paths of storage: on local disk none of Airflow's, which import every provider's storage."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator, Context, ObjectStoragePath

from hyperoru_provider.client.errors import HyperoruConfigError
from hyperoru_provider.hooks.storage import storage_path
from hyperoru_provider.operators.market import HyperoruFetchMarketOperator
from hyperoru_provider.operators.trades import HyperoruExportTradesOperator
from hyperoru_provider.sandbox import Sandbox
from tests.places import EXAMPLES


@pytest.mark.parametrize(
    "destination",
    [
        "/data/x",
        "/a b",
        "/data/~/x",
        "file:/data/x",
        "file:///data/x",
        "file:///a%20b",
        "FILE:///x",
        "local:///data/x",
    ],
)
def test_a_local_path_is_none_of_airflows_and_reads_the_same(destination: str) -> None:
    path = storage_path(destination, None)
    airflows = ObjectStoragePath(destination.replace("FILE", "file"))
    assert not isinstance(path, ObjectStoragePath)
    assert (str(path / "part"), path.path, path.protocol) == (str(airflows / "part"), airflows.path, airflows.protocol)


@pytest.mark.parametrize(
    ("destination", "conn_id", "found"),
    [
        ("s3://bucket/x", None, None),
        ("s3://bucket/x", "s3", "s3"),
        ("/x", "disk", "disk"),
        ("file://disk@/x", None, "disk"),
    ],
)
def test_any_other_is_airflows_with_its_connection(destination: str, conn_id: str | None, found: str | None) -> None:
    path = storage_path(destination, conn_id)
    assert isinstance(path, ObjectStoragePath)
    assert (path.conn_id if hasattr(path, "conn_id") else path.storage_options.get("conn_id")) == found


@pytest.mark.parametrize(
    "destination",
    [
        "out/x",
        "./x",
        "~/x",
        "None/x",
        "file:x",
        "file://out/x",
        "file://localhost/tmp/x",
        "LOCAL://x/y",
        "file://disk@out/x",
        "s3//b/x",
        "s3:/b/x",
        "nosuch://b/x",
    ],
)
@pytest.mark.parametrize("operator", [HyperoruExportTradesOperator, HyperoruFetchMarketOperator])
@pytest.mark.usefixtures("connection")
def test_a_destination_below_the_workers_working_directory_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sandbox: Sandbox,
    operator: type[BaseOperator],
    destination: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    more: dict[str, Any] = {"symbols": "BTC"} if operator is HyperoruFetchMarketOperator else {}
    task = operator(task_id="t", start="2026-01-15", end="2026-01-16", destination="{{ place }}", **more)
    task.render_template_fields({"place": destination})  # type: ignore[typeddict-unknown-key]
    with pytest.raises(HyperoruConfigError, match=f"destination '{destination}'"):
        task.execute(Context())
    assert sandbox.stats()["requests"] == 0
    assert not list(tmp_path.iterdir())


def test_each_example_has_a_destination_of_its_own() -> None:
    """A reader of a shared one counts rows twice, as windows of different DAGs overlap."""
    found = {}
    for path in EXAMPLES.glob("*.py"):
        names = runpy.run_path(str(path))
        dags = (each.dag for each in names.values() if isinstance(getattr(each, "dag", None), DAG))
        dag = next(dags, None)  # one without operators writes nothing
        if dag and (destination := dag.params.dump().get("destination", names.get("DESTINATION"))):
            found[path.stem] = destination
    assert found.pop("hyperoru_reconcile") == found["hyperoru_daily_trades"]  # whose exports it puts right
    assert len(found) >= 4
    assert all(Path(destination).name == name.removeprefix("hyperoru_") for name, destination in found.items())

"""Lists of a server as assets, and what Airflow hears of an export."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Asset, Context

from hyperoru_provider.client.api.contract import load_contract
from hyperoru_provider.client.api.models import Trade
from hyperoru_provider.export.columns import ColumnSchema
from hyperoru_provider.hooks import compat, lineage
from hyperoru_provider.operators.trades import HyperoruExportTradesOperator
from hyperoru_provider.sandbox import Sandbox

DAY = {"start": "2026-01-15", "end": "2026-01-16"}


def test_a_list_is_an_asset() -> None:
    assert Asset("hyperoru://API.example.com:8443/trades/").uri == "hyperoru://api.example.com:8443/trades"
    made = lineage.create_asset(host="api.example.com", resource="orders", extra={"a": 1})
    assert (made.uri, made.extra) == ("hyperoru://api.example.com/orders", {"a": 1})


@pytest.mark.parametrize("uri", ["hyperoru://api.example.com", "hyperoru:///trades", "hyperoru://host/trades/1"])
def test_what_is_no_list_is_refused(uri: str) -> None:
    with pytest.raises(ValueError, match=r"like hyperoru://api\.example\.com/trades"):
        Asset(uri)


def collector_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a collector in the place of Airflow's, which collects nothing where no plugin reads it."""
    try:
        from airflow.sdk.lineage import HookLineageCollector
    except ImportError:  # before Airflow 3.2
        from airflow.lineage.hook import HookLineageCollector  # type: ignore
    collector = HookLineageCollector()  # type: ignore[no-untyped-call]
    monkeypatch.setattr(compat, "get_hook_lineage_collector", lambda: collector)
    return collector


@pytest.mark.parametrize(
    ("directory", "namespace", "name", "place"),
    [
        ("s3://aws_conn@bucket/exports", "s3://bucket", "exports/trades", "s3://bucket/exports"),
        ("s3a://bucket", "s3://bucket", "trades", "s3://bucket"),
        ("gcs://bucket/a/b#c", "gs://bucket", "a/b#c/trades", "gs://bucket/a/b#c"),
        ("abfs://azure@container/x", "abfs://container", "x/trades", "abfs://container/x"),
        ("file:///data/x", "file", "/data/x/trades", "file:///data/x"),
        ("/data/x", "file", "/data/x/trades", "file:///data/x"),
    ],
)
def test_files_are_named_as_openlineage_names_them(directory: str, namespace: str, name: str, place: str) -> None:
    from hyperoru_provider.hooks.openlineage import write

    source = lineage.Source("hyperoru://host/trades", ColumnSchema(Trade, load_contract().trades))
    summaries = [{"rows": 1, "manifest": f"{directory}/trades/{day}/_manifest.json"} for day in ("mon", "tue")]
    written = write(source, summaries)
    assert written and (written.namespace, written.name) == (namespace, name)
    subset: Any = written.outputFacets and written.outputFacets["subset"]
    assert subset.outputCondition.locations == [f"{place}/trades/mon", f"{place}/trades/tue"]


def test_an_export_needs_no_openlineage(
    sandbox: Sandbox, connect: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [*sys.modules]:
        if name.startswith(("openlineage", "airflow.providers.openlineage", "hyperoru_provider.hooks.openlineage")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "openlineage", None)
    monkeypatch.setitem(sys.modules, "airflow.providers.openlineage", None)
    connect(sandbox)
    summary = HyperoruExportTradesOperator(task_id="t", **DAY, destination=str(tmp_path)).execute(Context())
    assert summary["rows"] > 0


@pytest.mark.usefixtures("connection")
def test_airflow_hears_what_an_export_read_and_wrote(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector = collector_of(monkeypatch)
    HyperoruExportTradesOperator(task_id="t", **DAY, destination=str(tmp_path)).execute(Context())
    assets = collector.collected_assets
    host = sandbox.url.partition("://")[2]
    assert [each.asset.uri for each in assets.inputs] == [f"hyperoru://{host}/trades"]
    (written,) = (each.asset.uri for each in assets.outputs)
    assert written.startswith(tmp_path.as_uri() + "/trades/20260115T000000Z_20260116T000000Z")

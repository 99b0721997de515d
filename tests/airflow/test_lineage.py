"""Lists of a server as assets, and what Airflow hears of an export."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.sdk import Asset, Context

from hyperoru_provider.client.api.contract import load_contract
from hyperoru_provider.client.api.models import Trade
from hyperoru_provider.export.columns import ColumnSchema
from hyperoru_provider.hooks import compat, lineage
from hyperoru_provider.operators.links import HyperoruTraderLink
from hyperoru_provider.operators.reconcile import HyperoruReconcileOperator
from hyperoru_provider.operators.trades import HyperoruExportTradesOperator
from hyperoru_provider.sandbox import Sandbox
from tests.task_states import StateOf

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


def test_where_nobody_reads_lineage_other_providers_are_not_loaded() -> None:
    pytest.importorskip("airflow.sdk.lineage", reason="Airflow 3.1 loads them")
    script = """if True:
        import sys
        from hyperoru_provider.hooks.hyperoru import HyperoruHook
        from hyperoru_provider.hooks.lineage import report_lineage
        report_lineage(HyperoruHook(), "hyperoru://host/trades", ["file:///data"])
        print([name for name in sys.modules if name.startswith("airflow.providers.amazon.aws.hooks")])
    """
    environment = {**os.environ, "AIRFLOW__OPENLINEAGE__DISABLED": "true"}
    ended = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"


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


def test_a_link_that_fails_does_not_fail_a_task_whose_rows_are_committed(
    sandbox: Sandbox, connect: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> str:
        raise RuntimeError("no such page")

    connect(sandbox)
    monkeypatch.setattr(HyperoruTraderLink, "get_link", fail)
    outlet = Asset("exports")
    event = SimpleNamespace(extra={})
    operator = HyperoruExportTradesOperator(
        task_id="t", start="2026-01-15", end="2026-01-16", destination=str(tmp_path), outlets=[outlet]
    )
    summary = operator.execute(cast("Context", {"outlet_events": StateOf(outlet, event)}))
    assert event.extra["rows"] == summary["rows"] > 0
    assert "links or its lineage could not be reported" in caplog.text


@pytest.mark.parametrize(
    ("manifest", "uri"),
    [
        ("s3://a_connection@bucket/a@b/_manifest.json", "s3://bucket/a@b"),
        ("gs://bucket/a?b#c/_manifest.json", "gs://bucket/a?b#c"),
        ("file:///data/a/_manifest.json", "file:///data/a"),
        ("/data/a/_manifest.json", "file:///data/a"),
    ],
)
def test_a_directory_is_the_same_whichever_connection_wrote_it(manifest: str, uri: str) -> None:
    assert lineage.directory_uri(manifest) == uri


@pytest.mark.usefixtures("connection")
def test_airflow_hears_which_windows_have_changed(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in (15, 16, 17):
        window = {"start": f"2026-01-{day}", "end": f"2026-01-{day + 1}"}
        HyperoruExportTradesOperator(task_id="t", **window, account_id=1, destination=str(tmp_path)).execute(Context())
    for day in (15, 16):
        next(tmp_path.glob(f"trades/202601{day}T*/part-00000*")).unlink()
    monkeypatch.setenv("AIRFLOW__HYPERORU__TRADER_URL", "https://app.example.com/{account_id}")
    collector = collector_of(monkeypatch)
    asset = Asset("trades", uri="hyperoru://api.example.com/trades")
    event = SimpleNamespace(extra={})
    operator = HyperoruReconcileOperator(
        task_id="t",
        resource="trades",
        filters={"account_id": 1},
        end="2026-02-01",
        destination=str(tmp_path),
        outlets=[asset],
    )
    for expected in (2, 0):
        summary = operator.execute(cast("Context", {"outlet_events": StateOf(asset, event)}))
        assert len(summary["changed"]) == expected
        assert event.extra == {name: summary[name] for name in ("windows", "changed")}
        assert operator.manifest == (summary["changed"][-1]["manifest"] if expected else "")
        # no browser opens a worker's own disk
        assert list(map(type, operator.operator_extra_links)) == [HyperoruTraderLink]
    assets = collector.collected_assets
    assert {each.asset.uri for each in assets.inputs} == {f"hyperoru://{sandbox.url.partition('://')[2]}/trades"}
    assert sorted(each.asset.uri.rpartition("/")[2][:8] for each in assets.outputs) == ["20260115", "20260116"]

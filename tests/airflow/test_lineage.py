"""Lists of a server as assets, and what Airflow hears of an export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Asset, Context

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

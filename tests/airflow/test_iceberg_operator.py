"""The trades of a sandbox into tables of Apache Iceberg, by a connection and a hook of Airflow's provider."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import boto3
import pytest
from airflow.providers.apache.iceberg.hooks.iceberg import IcebergHook
from airflow.sdk import Asset, Context
from moto.server import ThreadedMotoServer

from hyperoru_provider.client.errors import HyperoruApiError, HyperoruConfigError
from hyperoru_provider.hooks import iceberg as iceberg_hook
from hyperoru_provider.hooks.openlineage import iceberg_dataset, write
from hyperoru_provider.operators.iceberg import HyperoruToIcebergOperator
from hyperoru_provider.sandbox import Sandbox
from tests.airflow.test_lineage import collector_of
from tests.databases import of_one_own
from tests.lakes import TABLE, Lake, local_lake
from tests.sample_trades import trades
from tests.task_states import StateOf

DAY = datetime(2026, 1, 15, tzinfo=UTC)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def postgres_and_s3(s3: str) -> Iterator[Lake]:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    boto3.resource("s3", endpoint_url=s3, **keys).Bucket("lake").create()
    properties = {
        "s3.endpoint": s3,
        "s3.access-key-id": "test",
        "s3.secret-access-key": "test",
        "s3.region": "us-east-1",
    }
    with of_one_own() as url:
        yield Lake(url.replace("postgresql://", "postgresql+psycopg://"), "s3://lake/warehouse", properties)


@pytest.fixture
def sqlite_and_disk(tmp_path: Path) -> Lake:
    return local_lake(tmp_path)


@pytest.fixture(params=["sqlite_and_disk", "postgres_and_s3"])
def lake(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Make it the default connection."""
    found: Lake = request.getfixturevalue(request.param)
    monkeypatch.setenv("AIRFLOW_CONN_ICEBERG_DEFAULT", json.dumps(found.connection))
    return found


@pytest.fixture
def connected(connect: Callable[..., None]) -> Callable[[Sandbox], None]:
    return lambda sandbox: connect(sandbox, token_cache="memory", max_retries=0)


def run(context: Any = None, **arguments: Any) -> Any:
    given: dict[str, Any] = {
        "task_id": "t",
        "resource": "trades",
        "table": TABLE,
        "start": DAY,
        "end": DAY + timedelta(days=1),
        "create_table": True,
        "partition_by_day": True,
        **arguments,
    }
    return HyperoruToIcebergOperator(**given).execute(cast("Context", context or {}))


def facts(lines: list[bytes]) -> Counter[tuple[Any, ...]]:
    rows = (json.loads(line, parse_float=Decimal, parse_int=Decimal) for line in lines)
    return Counter(
        (str(row["trade_id"]), str(row["account_id"]), row["symbol"], row["price"], row["quantity"], row["commission"])
        for row in rows
    )


def held(lake: Lake) -> Counter[tuple[Any, ...]]:
    return Counter(lake.rows("trade_id, account_id, symbol, price, quantity, commission"))


@pytest.mark.slow
def test_a_day_and_the_day_again_and_one_trader(lake: Lake, connected: Callable[[Sandbox], None]) -> None:
    mine = trades(900, DAY, timedelta(days=1))
    before = trades(50, DAY - timedelta(days=1), timedelta(days=1), first_id=10_000)
    after = trades(50, DAY + timedelta(days=1), timedelta(days=1), first_id=20_000)
    with Sandbox(rows=[*before, *mine, *after]) as sandbox:
        connected(sandbox)
        summary = run()
        assert (summary["rows"], summary["written"], summary["replaced"]) == (900, True, 0)
        assert held(lake) == facts(mine)
        assert run() == {**summary, "written": False}
        run(start=DAY - timedelta(days=1), end=DAY + timedelta(days=2))
        assert held(lake) == facts([*before, *mine, *after])
        ones = run(filters={"account_id": 1})
        assert ones["rows"] == ones["replaced"] > 0
        assert held(lake) == facts([*before, *mine, *after])
    with Sandbox(rows=mine[:800]) as sandbox:
        connected(sandbox)
        assert run()["replaced"] == 900
    assert held(lake) == facts([*before, *mine[:800], *after])
    assert len(lake.table.snapshots()) == 4
    assert {str(task.file.partition[0]) for task in lake.table.scan().plan_files()} == {"20467", "20468", "20469"}


@pytest.mark.slow
def test_a_server_that_fails_leaves_the_table_as_it_was(lake: Lake, connected: Callable[[Sandbox], None]) -> None:
    with Sandbox(rows=trades(100, DAY, timedelta(days=1))) as sandbox:
        connected(sandbox)
        run()
        before = lake.table.metadata_location
        sandbox.set_faults(drop_rate=1.0)
        with pytest.raises(HyperoruApiError):
            run()
    assert lake.table.metadata_location == before


@pytest.mark.parametrize("lake", ["sqlite_and_disk"], indirect=True)
class TestOneLake:
    def test_orders_of_a_trader(self, lake: Lake, connected: Callable[[Sandbox], None]) -> None:
        with Sandbox() as sandbox:
            connected(sandbox)
            arguments: dict[str, Any] = {"resource": "orders", "table": "a.b.orders", "create_table": True}
            operator = HyperoruToIcebergOperator(task_id="t", filters={"account_id": 1}, **arguments)
            summary: Any = operator.execute(Context())
            assert summary["rows"] == len(sandbox.orders(1)) > 0
            assert summary["window"] is None
        assert lake.catalog().load_table("a.b.orders").scan().count() == summary["rows"]

    def test_airflow_and_openlineage_hear_of_it(
        self, lake: Lake, sandbox: Sandbox, connected: Callable[[Sandbox], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connected(sandbox)
        collector = collector_of(monkeypatch)
        outlet = Asset("trades")
        event = SimpleNamespace(extra={})
        summary = run({"outlet_events": StateOf(outlet, event)}, outlets=[outlet])
        assert event.extra == {name: summary[name] for name in ("window", "rows", "table", "snapshot_id")}
        (written,) = (each.asset.uri for each in collector.collected_assets.outputs)
        assert written == summary["location"] == lake.table.location()

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            ({"create_table": False}, "The table hyperoru.trades does not exist in the catalog iceberg_default"),
            ({"table": "trades"}, "table 'trades': expected namespace.table"),
            ({"table": "hyperoru."}, "expected namespace.table"),
            ({"table": None}, "table is missing"),
            ({"iceberg_conn_id": ""}, "iceberg_conn_id is ''"),
            ({"partition_by_day": "yes"}, "partition_by_day is 'yes'"),
            ({"start": DAY, "end": DAY}, "CronDataIntervalTimetable"),
            ({"filters": {"symbol": ""}}, "symbol is ''"),
            ({"resource": "trade"}, "unknown resource 'trade'"),
        ],
    )
    def test_what_is_wrong_is_named_before_anything_is_asked(
        self, lake: Lake, sandbox: Sandbox, connected: Callable[[Sandbox], None], arguments: dict[str, Any], named: str
    ) -> None:
        connected(sandbox)
        with pytest.raises(HyperoruConfigError, match=named):
            run(**arguments)
        assert sandbox.stats()["requests"] == 0

    def test_a_provider_whose_hook_has_no_catalog(
        self, lake: Lake, sandbox: Sandbox, connected: Callable[[Sandbox], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As it was before 2.0."""
        monkeypatch.delattr(IcebergHook, "catalog", raising=False)
        connected(sandbox)
        assert run()["rows"] == len(lake.prices()) > 0

    def test_without_the_provider_it_says_what_to_install(
        self, lake: Lake, sandbox: Sandbox, connected: Callable[[Sandbox], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connected(sandbox)
        monkeypatch.setitem(sys.modules, "airflow.providers.apache.iceberg.hooks.iceberg", None)
        with pytest.raises(HyperoruConfigError, match=r"pip install 'airflow-provider-hyperoru\[iceberg\]'"):
            run()


@pytest.mark.parametrize(
    ("location", "namespace", "name"),
    [
        ("s3://lake/warehouse/hyperoru/trades", "s3://lake", "warehouse/hyperoru/trades"),
        ("s3a://lake/x", "s3://lake", "x"),
        ("file:///data/hyperoru/trades", "file", "/data/hyperoru/trades"),
        ("/data/hyperoru/trades", "file", "/data/hyperoru/trades"),
    ],
)
def test_a_table_is_named_by_its_place(location: str, namespace: str, name: str) -> None:
    found = iceberg_dataset(location, TABLE)
    assert (found.namespace, found.name) == (namespace, name)
    symlinks: Any = found.facets and found.facets["symlinks"]
    assert [(each.namespace, each.name, each.type) for each in symlinks.identifiers] == [(namespace, TABLE, "TABLE")]
    source: Any = SimpleNamespace(schema=SimpleNamespace(columns=[]))
    written = write(source, [{"rows": 7}], found)
    assert written and written.facets and written.facets["symlinks"] == symlinks


def test_a_password_within_the_uri_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyIceberg logs it where the connection does not say that the catalog is one of SQL."""
    masked: list[str] = []
    monkeypatch.setattr(iceberg_hook, "mask_secret", masked.append)
    for user in ("u", ""):
        extra = {"uri": f"postgresql://{user}:pass/w0rd@127.0.0.1:1/catalog"}
        connection = json.dumps({"conn_type": "iceberg", "extra": extra})
        monkeypatch.setenv("AIRFLOW_CONN_ICEBERG_DEFAULT", connection)
        with pytest.raises(Exception, match="No connection adapters"):
            iceberg_hook.catalog_of("iceberg_default")
    assert masked == ["pass/w0rd"] * 2

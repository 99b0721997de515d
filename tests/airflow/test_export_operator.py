"""The operators that export any list; those for trades are named forms of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from airflow.sdk import BaseOperator, Context

from hyperoru_provider.client.errors import HyperoruConfigError, HyperoruContractError
from hyperoru_provider.hooks.compat import AirflowSkipException
from hyperoru_provider.operators.export import HyperoruExportOperator, HyperoruToSqlOperator
from hyperoru_provider.operators.klines import HyperoruBackfillKlinesOperator
from hyperoru_provider.operators.market import HyperoruFetchMarketOperator
from hyperoru_provider.operators.sql import HyperoruTradesToSqlOperator
from hyperoru_provider.operators.trades import HyperoruExportTradesOperator
from hyperoru_provider.sandbox import Sandbox
from hyperoru_provider.sensors.health import HyperoruHealthSensor
from tests.databases import Database

pytestmark = pytest.mark.usefixtures("connection")

DAY: dict[str, Any] = {"start": "2026-01-15", "end": "2026-01-16"}
INTERVAL: dict[str, Any] = {
    "data_interval_start": datetime(2026, 1, 15, tzinfo=UTC),
    "data_interval_end": datetime(2026, 1, 16, tzinfo=UTC),
}
ORDERS: dict[str, Any] = {"resource": "orders", "filters": {"account_id": 1}}


@pytest.fixture
def table(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("AIRFLOW_CONN_SQL", json.dumps(sqlite.connection))
    return {"sql_conn_id": "sql", "table": "rows", "create_table": True}


def run(cls: type[BaseOperator], context: dict[str, Any] | None = None, **arguments: Any) -> Any:
    task = cls(task_id="t", **arguments)
    task.render_template_fields(cast("Context", context or {}))
    return task.execute(cast("Context", context or {}))


def test_orders_need_no_window(tmp_path: Path, sqlite: Database, table: dict[str, Any], sandbox: Sandbox) -> None:
    """Whether the run has a data interval or not."""
    contexts: list[dict[str, Any]] = [{}, INTERVAL]
    for context in contexts:
        summary = run(HyperoruExportOperator, context, **ORDERS, destination=str(tmp_path))
        assert run(HyperoruToSqlOperator, context, **ORDERS, **table)["rows"] == summary["rows"]
    assert [path.parent.name for path in tmp_path.rglob("_manifest.json")] == ["latest,account_id-1"]
    ids = {str(order["id"]) for order in sandbox.orders(1)}
    assert {key for (key,) in sqlite.query("SELECT id FROM rows WHERE account_id = '1'")} == ids
    assert len(ids) == summary["rows"] > 0


@pytest.mark.parametrize("given", [DAY, {"start": "2026-01-15"}, {"end": "2026-01-17"}])
def test_a_window_of_orders_is_an_error_that_says_so(sandbox: Sandbox, given: dict[str, Any]) -> None:
    with pytest.raises(HyperoruConfigError, match="orders is not read by time: leave out start and end"):
        run(HyperoruExportOperator, INTERVAL, **ORDERS, **given)
    assert sandbox.stats()["requests"] == 0


def test_the_window_is_that_of_the_run(table: dict[str, Any]) -> None:
    rows = run(HyperoruExportOperator, INTERVAL, resource="trades")
    assert rows == run(HyperoruExportTradesOperator, **DAY)
    assert run(HyperoruToSqlOperator, INTERVAL, resource="trades", **table)["rows"] == len(rows) > 0


@pytest.mark.parametrize("given", [{}, {"start": None, "end": None}, {"start": "", "end": ""}])
def test_trades_without_a_window_are_an_error(sandbox: Sandbox, given: dict[str, Any]) -> None:
    """Also where a template of something that is not set rendered nothing, and the run has a data interval."""
    with pytest.raises(HyperoruConfigError, match="start is missing"):
        run(HyperoruExportOperator, INTERVAL if given else {}, resource="trades", **given)
    assert sandbox.stats()["requests"] == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"resource": "ordres"}, "resource 'ordres'"),
        ({"resource": ""}, "resource is ''"),
        ({**ORDERS, "filters": {}}, "without account_id: add the filter"),
        ({**ORDERS, "filters": {"account_id": ""}}, "account_id is ''"),
        ({**ORDERS, "filters": {"account_id": 1, "side": "buy"}}, "side.*account_id"),
        ({**ORDERS, "filters": ["account_id"]}, "filters is"),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_asked(
    tmp_path: Path, sandbox: Sandbox, table: dict[str, Any], arguments: dict[str, Any], named: str
) -> None:
    with pytest.raises(HyperoruConfigError, match=named):
        run(HyperoruExportOperator, destination=str(tmp_path), **arguments)
    with pytest.raises(HyperoruConfigError, match=named):
        run(HyperoruToSqlOperator, **table, **arguments)
    assert not [path for path in tmp_path.iterdir() if path.name != "test.db"]
    assert sandbox.stats()["requests"] == 0


@pytest.mark.parametrize(
    ("cls", "arguments"),
    [
        (HyperoruExportOperator, {"resource": "trades", "on_empty": "ignore"}),
        (HyperoruExportOperator, {"resource": "trades", "concurrency": 0}),
        (HyperoruExportTradesOperator, {"rows_per_part": 0}),
        (HyperoruExportTradesOperator, {"bytes_per_part": "many"}),
        (HyperoruExportTradesOperator, {"max_xcom_bytes": -1}),
        (HyperoruTradesToSqlOperator, {"sql_conn_id": "sql", "table": "trades", "create_table": "perhaps"}),
        (HyperoruTradesToSqlOperator, {"sql_conn_id": "sql", "table": "trades", "batch_rows": None}),
        (HyperoruFetchMarketOperator, {"symbols": "BTC", "on_empty": "ignore"}),
        (HyperoruBackfillKlinesOperator, {"symbol": "BTC", "poll_interval": 0}),
        (HyperoruHealthSensor, {"checks": 0}),
    ],
)
def test_what_is_no_template_is_checked_when_the_dag_is_parsed(
    cls: type[BaseOperator], arguments: dict[str, Any]
) -> None:
    (name,) = [*arguments][-1:]
    with pytest.raises(HyperoruConfigError, match=name):
        cls(task_id="t", **arguments)


FUTURE: dict[str, Any] = {"start": "2050-01-01", "end": "2050-01-02"}
EMPTY: dict[str, Any] = {**DAY, "account_id": 5}  # who has no trades


def test_no_rows_skip_the_task(tmp_path: Path, table: dict[str, Any]) -> None:
    places: list[dict[str, Any]] = [{"destination": str(tmp_path / "files")}, {}]
    for arguments in places:
        with pytest.raises(AirflowSkipException, match="no trades"):
            run(HyperoruExportTradesOperator, **EMPTY, **arguments, on_empty="skip")
    with pytest.raises(AirflowSkipException, match="no trades"):
        run(HyperoruTradesToSqlOperator, **EMPTY, **table, on_empty="skip")
    with pytest.raises(AirflowSkipException, match="no klines"):
        run(HyperoruFetchMarketOperator, **FUTURE, symbols="BTC", data="klines", on_empty="skip")
    assert not list(tmp_path.rglob("_manifest.json"))


def test_no_rows_fail_the_task(table: dict[str, Any]) -> None:
    with pytest.raises(HyperoruContractError, match="0 trades of account 5, 2026-01-15 to 2026-01-16"):
        run(HyperoruExportTradesOperator, **EMPTY, on_empty="fail")
    with pytest.raises(HyperoruContractError, match="0 trades of account 5, 2026-01-15 to 2026-01-16"):
        run(HyperoruTradesToSqlOperator, **EMPTY, **table, on_empty="fail")


def test_no_rows_succeed_by_default(tmp_path: Path, table: dict[str, Any]) -> None:
    assert run(HyperoruExportTradesOperator, **EMPTY) == []
    assert run(HyperoruExportTradesOperator, **EMPTY, destination=str(tmp_path))["rows"] == 0
    assert run(HyperoruTradesToSqlOperator, **EMPTY, **table)["rows"] == 0


def test_the_operators_for_trades_are_named_forms() -> None:
    assert issubclass(HyperoruExportTradesOperator, HyperoruExportOperator)
    assert issubclass(HyperoruTradesToSqlOperator, HyperoruToSqlOperator)
    assert {"resource", "filters"} < set(HyperoruExportOperator.template_fields)
    assert {"resource", "filters"} < set(HyperoruToSqlOperator.template_fields)
    for cls in (HyperoruExportTradesOperator, HyperoruTradesToSqlOperator):
        assert {"start", "end", "account_id", "symbol", "hyperoru_conn_id"} < set(cls.template_fields)
        assert not {"resource", "filters"} & set(cls.template_fields)


@pytest.mark.parametrize("argument", [{"filters": {"symbol": "BTC"}}, {"resource": "orders"}])
def test_the_operators_for_trades_ignore_no_argument_of_the_general_ones(argument: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="multiple values"):
        HyperoruExportTradesOperator(task_id="t", **argument)
    with pytest.raises(TypeError, match="multiple values"):
        HyperoruTradesToSqlOperator(task_id="t", sql_conn_id="sql", table="trades", **argument)

"""Operators and sensor without a task runner; in real Airflow they run in tests/airflow/dag."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from airflow.sdk import BaseOperator, Context

from hyperoru_provider.client.errors import HyperoruApiError, HyperoruConfigError, HyperoruContractError
from hyperoru_provider.operators.export import HyperoruExportOperator, HyperoruToSqlOperator
from hyperoru_provider.operators.iceberg import HyperoruToIcebergOperator
from hyperoru_provider.operators.klines import HyperoruBackfillKlinesOperator
from hyperoru_provider.operators.market import HyperoruFetchMarketOperator
from hyperoru_provider.operators.sql import HyperoruTradesToSqlOperator
from hyperoru_provider.operators.traders import HyperoruListTradersOperator
from hyperoru_provider.operators.trades import HyperoruExportTradesOperator
from hyperoru_provider.sandbox import Sandbox
from hyperoru_provider.sensors.health import HyperoruHealthSensor
from tests.task_states import TaskStates

pytestmark = pytest.mark.usefixtures("connection")

Connect = Callable[..., None]

DAY = {"start": "2026-01-15", "end": "2026-01-16"}


def run(cls: type[BaseOperator], **arguments: Any) -> Any:
    return cls(task_id="t", **arguments).execute(Context())


@pytest.mark.parametrize(("arguments", "resource"), [({}, "price"), ({"data": "klines", "interval": "4h"}, "klines")])
def test_market_data_of_another_switch_is_not_replaced(
    arguments: dict[str, Any], resource: str, connect: Connect, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.set_faults(ignore_unknown=True)
    arguments = {"symbols": "BTC", "destination": f"file://{tmp_path}", **DAY, **arguments}
    connect(sandbox, contract={resource: {"query": {"market": "spot"}}})
    summary = run(HyperoruFetchMarketOperator, **arguments)
    assert json.loads(Path(summary["manifest"].removeprefix("file://")).read_text())["query"] == {"market": "spot"}
    connect(sandbox, contract={resource: {"query": {"market": "perp"}}})
    with pytest.raises(HyperoruConfigError, match=r"'market': 'spot'.*Give each its own destination"):
        run(HyperoruFetchMarketOperator, **arguments)


def test_traders_are_ready_for_mapping(sandbox: Sandbox) -> None:
    shown, everyone = (run(HyperoruListTradersOperator, include_hidden=flag) for flag in (False, "True"))
    assert {trader["id"] for trader in shown} < {trader["id"] for trader in everyone}
    assert json.loads(json.dumps(shown)) == shown
    assert isinstance(shown[0]["initial_capital"], str)


def test_hidden_traders_are_listed_unless_they_are_left_out(sandbox: Sandbox) -> None:
    """They have trades: an export mapped over the others alone is not one of all trades."""
    ids = {trader["id"] for trader in run(HyperoruListTradersOperator)}
    assert ids == {trader["id"] for trader in run(HyperoruListTradersOperator, include_hidden=True)}
    assert ids > {trader["id"] for trader in run(HyperoruListTradersOperator, include_hidden=False)}


def test_a_log_says_at_a_glance_what_happened(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    run(HyperoruListTradersOperator)
    run(HyperoruListTradersOperator, include_hidden=False)
    run(HyperoruExportTradesOperator, **DAY, account_id=2, destination=str(tmp_path))
    run(HyperoruFetchMarketOperator, symbols="BTC")
    context = cast("Context", {"task_state_store": TaskStates()})
    HyperoruBackfillKlinesOperator(
        task_id="t", symbol="BTC", start="2026-01-15", end="2026-01-16", poll_interval=0.1
    ).execute(context)
    window = "2026-01-15T00:00:00Z to 2026-01-16T00:00:00Z"
    told = "\n".join(f"{message} " for message in caplog.messages)
    for said in (
        "Listed 5 traders, hidden ones included ",
        "Listed 4 traders, without those that the dashboard hides ",
        r"Exported \d+ trades of account 2, 2026-01-15 to 2026-01-16, in 1 file of .* to .*; \d requests in \d+.\d s ",
        r"Exported 1 price of symbols BTC, to XCom; in \d+.\d s ",
        rf"The backfill job \d+ \(BTC 1h, {window}\) is finished: 24 rows written, after \d+ s ",
    ):
        assert re.search(said, told), said


@pytest.mark.parametrize("symbol", ["btc", "Btc"])
def test_a_symbol_in_lower_case_of_which_there_is_nothing_is_warned_of(
    symbol: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(HyperoruExportTradesOperator, **DAY, destination=str(tmp_path))  # so that rows are known there
    caplog.clear()
    assert run(HyperoruExportTradesOperator, **DAY, symbol=symbol, destination=str(tmp_path))["rows"] == 0
    assert f"The symbol is given as '{symbol}'" in caplog.text
    assert run(HyperoruExportTradesOperator, **DAY, symbol="BTC", destination=str(tmp_path))["rows"]
    assert caplog.text.count("The symbol is given") == 1


def test_no_trader_is_an_empty_list() -> None:
    with Sandbox(rows=[]) as empty, pytest.MonkeyPatch.context() as patch:
        connection = {"conn_type": "hyperoru", "host": empty.url, "login": empty.email, "password": empty.password}
        patch.setenv("AIRFLOW_CONN_EMPTY", json.dumps(connection))
        assert run(HyperoruListTradersOperator, hyperoru_conn_id="empty") == []


def test_a_key_that_a_server_lists_beside_a_trader_is_blotted_out(
    connect: Callable[..., None], sandbox: Sandbox
) -> None:
    connect(
        sandbox, token_cache="memory", contract={"traders": {"key": "llm_api_key", "fields": {"llm_api_key": "name"}}}
    )
    traders = run(HyperoruListTradersOperator)
    assert {trader["llm_api_key"] for trader in traders} == {"***"}
    assert traders[0]["account_type"] == "prompt"


def test_the_contract_says_of_a_trader_s_field_whether_it_is_a_secret(
    connect: Callable[..., None], sandbox: Sandbox
) -> None:
    secret_fields = {"llm_api_key": False, "account_type": True}
    fields = {"key": "llm_api_key", "fields": {"llm_api_key": "name"}}
    connect(sandbox, token_cache="memory", contract={"traders": {**fields, "secret_fields": secret_fields}})
    traders = run(HyperoruListTradersOperator)
    assert "***" not in {trader["llm_api_key"] for trader in traders}
    assert {trader["account_type"] for trader in traders} == {"***"}


@pytest.mark.parametrize("value", ["yes", None, "", 2])
def test_include_hidden_is_true_or_false(sandbox: Sandbox, value: Any) -> None:
    with pytest.raises(HyperoruConfigError, match="include_hidden"):
        run(HyperoruListTradersOperator, include_hidden=value)
    assert sandbox.stats()["requests"] == 0


def test_trades_to_xcom() -> None:
    rows = run(HyperoruExportTradesOperator, **DAY)
    assert rows
    assert json.loads(json.dumps(rows)) == rows
    assert isinstance(rows[0]["price"], str)
    mine = run(HyperoruExportTradesOperator, **DAY, account_id=2)
    assert mine == [row for row in rows if row["account_id"] == 2]


def test_too_many_rows_for_xcom(sandbox: Sandbox) -> None:
    with pytest.raises(HyperoruConfigError, match="destination"):
        run(HyperoruExportTradesOperator, **DAY, max_xcom_bytes=10_000)


def test_trades_to_storage_are_those_of_xcom(tmp_path: Path) -> None:
    rows = run(HyperoruExportTradesOperator, **DAY)
    summary = run(HyperoruExportTradesOperator, **DAY, destination=str(tmp_path), compression="none")
    (file,) = summary["files"]
    lines = [json.loads(line, parse_float=Decimal) for line in Path(file).read_text().splitlines()]
    assert [(str(line["trade_id"]), Decimal(line["price"])) for line in lines] == [
        (str(row["trade_id"]), Decimal(row["price"])) for row in rows
    ]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"start": "", "end": ""}, "start is missing"),
        ({"start": "2026-01-15", "end": "2026-01-15"}, "CronDataIntervalTimetable"),
        ({"start": "soon", "end": "2026-01-15"}, "start"),
        (DAY | {"file_format": "xml"}, "file_format"),
        (DAY | {"compression": "lzma"}, "compression"),
        (DAY | {"destination": "nosuch://bucket"}, "(Unsupported filesystem|No filesystem registered).*nosuch"),
        (DAY | {"destination": "None"}, "destination"),
        (DAY | {"destination": " "}, "destination"),
        (DAY | {"account_id": "None"}, "account_id"),
        (DAY | {"account_id": ""}, "account_id"),
        (DAY | {"symbol": ["BTC"]}, "symbol"),
        (DAY | {"rows_per_part": 0}, "rows_per_part"),
        (DAY | {"bytes_per_part": 0}, "bytes_per_part"),
        (DAY | {"concurrency": "many"}, "concurrency"),
    ],
)
def test_bad_arguments_are_named_before_anything_is_asked(
    tmp_path: Path, sandbox: Sandbox, arguments: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        run(HyperoruExportTradesOperator, **({"destination": str(tmp_path)} | arguments))
    assert not list(tmp_path.iterdir())
    assert sandbox.stats()["requests"] == 0


def test_a_failing_server_commits_nothing(tmp_path: Path, sandbox: Sandbox) -> None:
    sandbox.set_faults(ignore_params=["start", "end"])
    with pytest.raises(HyperoruContractError, match="time filter"):
        run(HyperoruExportTradesOperator, **DAY, destination=str(tmp_path))
    assert not list(tmp_path.rglob("_manifest.json"))


def test_an_unknown_trader_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HyperoruApiError, match="ACCOUNT_NOT_FOUND"):
        run(HyperoruExportTradesOperator, **DAY, account_id=999, destination=str(tmp_path))


def test_a_trader_without_trades_exports_a_manifest(tmp_path: Path) -> None:
    summary = run(HyperoruExportTradesOperator, **DAY, account_id=5, destination=str(tmp_path))
    assert summary["rows"] == 0
    assert json.loads(Path(summary["manifest"]).read_text())["files"] == []


@pytest.mark.parametrize("symbols", [["ETH", "BTC", "BTC"], "BTC, ETH", ("BTC", "ETH")])
def test_prices(symbols: Any) -> None:
    prices = run(HyperoruFetchMarketOperator, symbols=symbols)
    assert [price["symbol"] for price in prices] == ["BTC", "ETH"]
    assert all(Decimal(price["price"]) > 0 and price["asked_at"].endswith("Z") for price in prices)


def test_candles() -> None:
    rows = run(HyperoruFetchMarketOperator, symbols="BTC,ETH", data="klines", interval="4h", **DAY)
    assert [row["symbol"] for row in rows] == ["BTC"] * 6 + ["ETH"] * 6
    assert rows[1]["timestamp"] == "2026-01-15T04:00:00Z"


@pytest.mark.parametrize("data", ["price", "klines"])
@pytest.mark.parametrize("file_format", ["jsonl", "csv", "parquet"])
def test_market_data_to_storage(tmp_path: Path, data: str, file_format: str) -> None:
    summary = run(
        HyperoruFetchMarketOperator,
        symbols="BTC,ETH",
        data=data,
        **DAY,
        destination=str(tmp_path),
        file_format=file_format,
    )
    assert summary["rows"] == (2 if data == "price" else 48)
    names = {path.parent.name for path in tmp_path.rglob("_manifest.json")}
    interval = "" if data == "price" else ",interval-1h"
    assert names == {f"20260115T000000Z_20260116T000000Z{interval},symbols-BTC+ETH"}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"symbols": []}, "symbols"),
        ({"symbols": " , "}, "symbols"),
        ({"symbols": "BTC", "data": "book"}, "data"),
        ({"symbols": "BTC", "data": "klines", "interval": "x", **DAY}, "interval"),
        ({"symbols": "BTC", "data": "klines", "start": "", "end": ""}, "start"),
    ],
)
def test_bad_market_arguments_are_named(sandbox: Sandbox, arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(HyperoruConfigError, match=named):
        run(HyperoruFetchMarketOperator, **arguments)
    assert sandbox.stats()["requests"] == 0


@pytest.mark.parametrize(
    ("cls", "arguments"),
    [(HyperoruExportTradesOperator, {}), (HyperoruFetchMarketOperator, {"symbols": "BTC", "data": "klines"})],
)
def test_a_window_that_is_not_over_is_warned_of(
    cls: type[BaseOperator], arguments: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    run(cls, **DAY, **arguments)
    assert not [record for record in caplog.records if record.levelno == logging.WARNING]
    now = datetime.now(UTC)
    run(cls, start=now - timedelta(hours=1), end=now + timedelta(hours=1), **arguments)
    assert "will be missing" in caplog.text


def test_the_health_sensor(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    sensor = HyperoruHealthSensor(task_id="t")
    assert sensor.poke(Context())
    for fault in ({"error_rate": 1.0}, {"rate_limit_rate": 1.0}, {"drop_rate": 1.0}):
        sandbox.reset()
        sandbox.set_faults(**fault)
        assert not sensor.poke(Context())
        assert sandbox.stats()["requests"] == 1
    sandbox.stop()
    assert not sensor.poke(Context())


def test_the_health_sensor_fails_where_asking_again_does_not_help(sandbox: Sandbox) -> None:
    sandbox.set_faults(error_rate=1.0, error_status=404)
    with pytest.raises(HyperoruApiError):
        HyperoruHealthSensor(task_id="t").poke(Context())


REQUIRED: dict[type[BaseOperator], dict[str, Any]] = {
    HyperoruExportOperator: {"resource": "trades"},
    HyperoruFetchMarketOperator: {"symbols": "BTC"},
    HyperoruToIcebergOperator: {"resource": "trades", "table": "hyperoru.trades"},
    HyperoruToSqlOperator: {"resource": "trades", "sql_conn_id": "sql", "table": "trades"},
    HyperoruTradesToSqlOperator: {"sql_conn_id": "sql", "table": "trades"},
}


@pytest.mark.parametrize(
    "cls",
    [
        HyperoruExportOperator,
        HyperoruExportTradesOperator,
        HyperoruFetchMarketOperator,
        HyperoruHealthSensor,
        HyperoruListTradersOperator,
        HyperoruToIcebergOperator,
        HyperoruToSqlOperator,
        HyperoruTradesToSqlOperator,
    ],
)
def test_templated_fields_are_arguments(cls: type[BaseOperator]) -> None:
    required: dict[str, Any] = REQUIRED.get(cls, {})
    operator = cls(task_id="t", hyperoru_conn_id="other", **required)
    assert "hyperoru_conn_id" in cls.template_fields
    for field in cls.template_fields:
        assert hasattr(operator, field)
        assert f":param {field}:" in str(cls.__doc__)

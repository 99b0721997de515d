"""What asking again can't mend fails a task without Airflow's retries, or its DAG when it is parsed."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from airflow.sdk import DAG, BaseOperator, Context

from hyperoru_provider.client.errors import HyperoruAuthenticationError, HyperoruConfigError
from hyperoru_provider.hooks.compat import AirflowFailException, TaskDeferred
from hyperoru_provider.hooks.failures import HyperoruAuthenticationFailure, HyperoruConfigFailure
from hyperoru_provider.operators.export import HyperoruExportOperator, HyperoruToSqlOperator
from hyperoru_provider.operators.iceberg import HyperoruToIcebergOperator
from hyperoru_provider.operators.klines import HyperoruBackfillKlinesOperator
from hyperoru_provider.operators.market import HyperoruFetchMarketOperator
from hyperoru_provider.operators.report import HyperoruReportOperator
from hyperoru_provider.operators.sql import HyperoruTradesToSqlOperator
from hyperoru_provider.operators.traders import HyperoruListTradersOperator
from hyperoru_provider.operators.trades import HyperoruExportTradesOperator
from hyperoru_provider.sandbox import Sandbox
from hyperoru_provider.sensors.events import HyperoruEventSensor
from hyperoru_provider.sensors.health import HyperoruHealthSensor
from hyperoru_provider.sensors.klines import HyperoruKlineCoverageSensor
from hyperoru_provider.sensors.price import HyperoruPriceSensor
from hyperoru_provider.sensors.trades import HyperoruTradesSensor

pytestmark = pytest.mark.usefixtures("connection")

DAY: dict[str, Any] = {"start": "2026-01-15", "end": "2026-01-16"}
TABLE = {"sql_conn_id": "sql", "table": "trades"}
EXPORT, SQL, MARKET = HyperoruExportTradesOperator, HyperoruTradesToSqlOperator, HyperoruFetchMarketOperator
BACKFILL, PRICE, TRADES = HyperoruBackfillKlinesOperator, HyperoruPriceSensor, HyperoruTradesSensor
COVERAGE, EVENT, REPORT = HyperoruKlineCoverageSensor, HyperoruEventSensor, HyperoruReportOperator
PAGE = {"destination": "/tmp/r.html"}

#: operator, argument, a wrong value of it, what else it needs, what the error names
WRONG: list[tuple[type[BaseOperator], str, Any, dict[str, Any], str]] = [
    (
        EXPORT,
        "file_format",
        "Parquet",
        {"destination": "/tmp/x"},
        "file_format 'Parquet': expected jsonl, csv or parquet",
    ),
    (EXPORT, "compression", "lz4", {"file_format": "csv", "destination": "/tmp/x"}, "compression of csv 'lz4'"),
    (EXPORT, "start", "yesterday", {"end": "2026-01-16"}, "start is 'yesterday'"),
    (EXPORT, "end", "2026-01-14", {"start": "2026-01-15"}, "ends before it starts"),
    (EXPORT, "account_id", "", {}, "account_id is ''"),
    (EXPORT, "symbol", "None", {}, "symbol is 'None'"),
    (EXPORT, "destination", "", {}, "destination is ''"),
    (EXPORT, "destination", "out/x", {}, "destination 'out/x' is neither an absolute path"),
    (EXPORT, "destination", None, {"file_format": "jsonl"}, "There is no destination, so the rows would go to XCom"),
    (EXPORT, "destination", None, {"storage_conn_id": "aws"}, "storage_conn_id is given: give a destination"),
    (EXPORT, "destination", None, {"rows_per_part": 5, "bytes_per_part": 5}, "rows_per_part and bytes_per_part is"),
    (MARKET, "destination", None, {"symbols": "BTC", "compression": "gzip"}, "compression is given"),
    (HyperoruExportOperator, "resource", "", {}, "resource is ''"),
    (HyperoruExportOperator, "filters", "account_id=1", {"resource": "trades"}, "filters is 'account_id=1'"),
    (HyperoruToSqlOperator, "filters", {"symbol": ""}, {"resource": "trades", **TABLE}, "symbol is ''"),
    (HyperoruExportOperator, "resource", "trade", {}, "unknown resource 'trade'; known are trades"),
    (HyperoruExportOperator, "filters", {"acount_id": "1"}, {"resource": "trades"}, "can't be filtered by acount_id"),
    (HyperoruExportOperator, "filters", {"symbol": "BTC"}, {"resource": "klines"}, "listed without interval"),
    (HyperoruExportOperator, "filters", None, {"resource": "klines"}, "listed without symbol and interval"),
    (SQL, "table", "a b; drop", {"sql_conn_id": "sql"}, "table 'a b; drop': expected table or schema.table"),
    (SQL, "table", "", {"sql_conn_id": "sql"}, "table is ''"),
    (SQL, "mode", "append", TABLE, "mode 'append': expected replace or upsert"),
    (HyperoruToIcebergOperator, "table", "trades", {"resource": "trades"}, "table 'trades': expected namespace.table"),
    (HyperoruToIcebergOperator, "iceberg_conn_id", "", {"resource": "trades", "table": "a.b"}, "iceberg_conn_id is ''"),
    (MARKET, "data", "candles", {"symbols": "BTC"}, "data 'candles': expected price or klines"),
    (MARKET, "symbols", " , ", {}, "symbols is ' , '"),
    (MARKET, "interval", "1 hour", {"symbols": "BTC", "data": "klines"}, "interval '1 hour'"),
    (BACKFILL, "interval", "hourly", {"symbol": "BTC"}, "interval 'hourly'"),
    (BACKFILL, "symbol", "", {}, "symbol is ''"),
    (HyperoruListTradersOperator, "include_hidden", "yes", {}, "include_hidden is 'yes'"),
    (PRICE, "below", 2, {"symbol": "BTC", "above": 1}, "got above and below"),
    (PRICE, "crosses", None, {"symbol": "BTC"}, "got none"),
    (PRICE, "above", "high", {"symbol": "BTC"}, "above is 'high'"),
    (COVERAGE, "interval", "1x", {"symbol": "BTC"}, "interval '1x'"),
    (TRADES, "at_least", 0, DAY, "at_least is 0"),
    (EVENT, "channel", "trade", {}, "channel 'trade'"),
    (REPORT, "source", "", PAGE, "source is ''"),
    (REPORT, "source", "exports", PAGE, "source 'exports' is neither an absolute path"),
    (REPORT, "destination", "r.html", {"source": "/tmp/x"}, "destination 'r.html' is neither an absolute path"),
    (REPORT, "account_id", "None", {"source": "/tmp/x", **PAGE}, "account_id is 'None'"),
    (EVENT, "min_notional", 5, {"channel": "model_chat"}, "no notional"),
]


@pytest.mark.parametrize(("cls", "name", "value", "more", "named"), WRONG)
def test_what_is_no_template_is_checked_when_the_dag_is_parsed(
    cls: type[BaseOperator], name: str, value: Any, more: dict[str, Any], named: str
) -> None:
    with DAG("d", schedule=None), pytest.raises(HyperoruConfigError) as caught:
        cls(task_id="t", **{**more, name: value})
    assert named in str(caught.value)


@pytest.mark.parametrize(("cls", "name", "value", "more", "named"), [row for row in WRONG if row[2] is not None])
def test_what_a_template_renders_wrong_fails_the_task_at_once(
    cls: type[BaseOperator], name: str, value: Any, more: dict[str, Any], named: str, sandbox: Sandbox
) -> None:
    context = cast("Context", {"value": value, "data_interval_start": DAY["start"], "data_interval_end": DAY["end"]})
    with DAG("d", schedule=None, render_template_as_native_obj=not isinstance(value, str)):
        arguments: dict[str, Any] = {**more, name: "{{ value }}"}
        task = cls(task_id="t", **arguments)
    task.render_template_fields(context)
    with pytest.raises(AirflowFailException) as caught:
        task.execute(context)
    assert named in str(caught.value)
    assert isinstance(caught.value, HyperoruConfigError)
    assert sandbox.stats()["requests"] == 0


def test_a_mapped_task_with_a_wrong_argument_fails_at_once_too() -> None:
    with DAG("d", schedule=None):
        mapped = EXPORT.partial(task_id="t", file_format="Parquet", destination="/tmp/x").expand(account_id=[1, 2])
    with pytest.raises(AirflowFailException, match="file_format 'Parquet'"):
        mapped.unmap({"account_id": 1})


TEMPLATES: dict[type[BaseOperator], dict[str, Any]] = {
    EXPORT: {
        "file_format": "{{ params.f }}",
        "destination": "{{ params.d }}",
        "start": "{{ params.s }}",
        "end": "2026-01-01",
    },
    MARKET: {"symbols": ["BTC", "{{ params.s }}"], "data": "{% if 1 %}price{% endif %}", "interval": "{{ 1 }}h"},
    PRICE: {"symbol": "BTC", "above": "{{ params.a }}", "below": "{{ params.b }}"},
    EVENT: {"channel": "{{ params.c }}", "account_id": ["{{ params.a }}"]},
    HyperoruListTradersOperator: {"include_hidden": "{{ params.h }}"},
    REPORT: {"source": "{{ params.s }}", "destination": "{{ params.d }}", "account_id": "{{ params.a }}"},
}


@pytest.mark.parametrize("cls", TEMPLATES)
def test_templates_are_not_checked_before_they_are_rendered(cls: type[BaseOperator]) -> None:
    with DAG("d", schedule=None):
        cls(task_id="t", **TEMPLATES[cls])


def test_what_another_task_returns_is_not_checked_before_it_is_there() -> None:
    with DAG("d", schedule=None):
        traders: Any = HyperoruListTradersOperator(task_id="traders")
        export = EXPORT(
            task_id="export", account_id=traders.output["x"], destination=traders.output, start=traders.output
        )
    assert export.upstream_task_ids == {"traders"}


@pytest.mark.parametrize("extra", [{"timeout": "long"}, {"contract": {"nope": {}}}, {"token_cache": "disk"}])
@pytest.mark.parametrize("deferrable", [False, True])
def test_a_wrong_connection_fails_a_task_at_once(
    extra: dict[str, Any], deferrable: bool, connect: Callable[..., None], sandbox: Sandbox
) -> None:
    connect(sandbox, **extra)
    for task in (EXPORT(task_id="t", **DAY), HyperoruHealthSensor(task_id="h", deferrable=deferrable)):
        with pytest.raises(AirflowFailException, match=next(iter(extra))):
            task.execute(cast("Context", {}))


def test_a_refused_login_fails_a_task_at_once_and_says_so_in_both_languages(
    connect: Callable[..., None], sandbox: Sandbox
) -> None:
    connect(sandbox, session_token="wrong", max_retries=0)
    for task in (EXPORT(task_id="t", **DAY), PRICE(task_id="p", symbol="BTC", above=1)):
        with pytest.raises(AirflowFailException) as caught:
            task.execute(cast("Context", {}))
        assert isinstance(caught.value, HyperoruAuthenticationError)
        assert caught.value.status == 401
        assert "Check the login" in str(caught.value)


def test_what_a_retry_may_mend_is_left_to_it(sandbox: Sandbox) -> None:
    sandbox.set_faults(error_rate=1.0, error_status=404)
    for task in (EXPORT(task_id="t", **DAY), HyperoruHealthSensor(task_id="h")):
        with pytest.raises(Exception, match="404") as caught:
            task.execute(cast("Context", {}))
        assert not isinstance(caught.value, AirflowFailException)


def test_soft_fail_does_not_hide_a_wrong_argument() -> None:
    sensor = PRICE(task_id="t", symbol="BTC", above="{{ x }}", soft_fail=True)
    with pytest.raises(AirflowFailException, match="above"):
        sensor.execute(cast("Context", {}))


def test_the_trigger_s_error_fails_the_task_at_once() -> None:
    event = {"status": "failed", "error": {"class": "HyperoruConfigError", "message": "contract.nope: no such"}}
    sensor = HyperoruHealthSensor(task_id="t", deferrable=True)
    with pytest.raises(AirflowFailException, match=r"contract\.nope"):
        sensor.resume_execution("execute_complete", {"event": event}, cast("Context", {}))


@pytest.mark.parametrize(
    "failure",
    [HyperoruConfigFailure("a"), HyperoruAuthenticationFailure("a", method="GET", path="/p", status=401)],
)
def test_a_failure_survives_another_process(failure: Exception) -> None:
    found = pickle.loads(pickle.dumps(failure))
    assert (type(found), str(found)) == (type(failure), str(failure))


WITHOUT_INTERVAL: dict[type[BaseOperator], dict[str, Any]] = {
    EXPORT: {},
    HyperoruExportOperator: {"resource": "trades"},
    SQL: TABLE,
    MARKET: {"symbols": "BTC", "data": "klines"},
    BACKFILL: {"symbol": "BTC"},
    COVERAGE: {"symbol": "BTC"},
    TRADES: {},
}


@pytest.mark.parametrize("cls", WITHOUT_INTERVAL)
def test_a_run_without_a_data_interval_is_explained(cls: type[BaseOperator], tmp_path: Path) -> None:
    """By Jinja as a DAG has it, to which a name that is not there is an error."""
    with DAG("d", schedule=None):
        task = cls(task_id="t", **WITHOUT_INTERVAL[cls])
    task.render_template_fields(cast("Context", {}))
    with pytest.raises(AirflowFailException, match=r"start is missing.*triggered by hand.*give start and end"):
        task.execute(cast("Context", {}))


@pytest.mark.parametrize("cls", WITHOUT_INTERVAL)
@pytest.mark.parametrize("start", ["{{ data_interval_start }}", "{{ data_interval_start.start_of('hour') }}"])
def test_a_template_of_a_data_interval_that_a_run_lacks_is_explained(cls: type[BaseOperator], start: str) -> None:
    with DAG("d", schedule=None):
        task = cls(task_id="t", **WITHOUT_INTERVAL[cls], start=start)
        other = cls(task_id="o", **WITHOUT_INTERVAL[cls], hyperoru_conn_id="{{ params.nope }}")
    with pytest.raises(AirflowFailException, match=r"this run has no data interval.*give start and end"):
        task.render_template_fields(cast("Context", {}))
    with pytest.raises(Exception, match="params") as caught:
        other.render_template_fields(cast("Context", {}))
    assert not isinstance(caught.value, AirflowFailException)


def test_prices_to_xcom_and_orders_need_no_data_interval() -> None:
    for cls, arguments in (
        (MARKET, {"symbols": "BTC"}),
        (HyperoruExportOperator, {"resource": "orders", "filters": {"account_id": 1}}),
    ):
        with DAG("d", schedule=None):
            task: BaseOperator = cls(task_id="t", **arguments)
        task.render_template_fields(cast("Context", {}))
        assert task.execute(cast("Context", {}))


@pytest.mark.parametrize("native", [False, True])
def test_the_window_of_a_run_is_its_data_interval(native: bool) -> None:
    interval = {"data_interval_start": datetime(2026, 1, 15, tzinfo=UTC), "data_interval_end": datetime(2026, 1, 16)}
    with DAG("d", schedule=None, render_template_as_native_obj=native):
        task = EXPORT(task_id="t")
    task.render_template_fields(cast("Context", interval))
    assert task.execute(cast("Context", interval)) == EXPORT(task_id="t", **DAY).execute(cast("Context", {}))


@pytest.mark.parametrize(("value", "named"), [("20260115", "start is 20260115: .* dashes"), ("2026.5", "2026.5")])
def test_a_number_that_native_rendering_made_of_a_date_is_shown(value: str, named: str) -> None:
    with DAG("d", schedule=None, render_template_as_native_obj=True):
        task = EXPORT(task_id="t", start="{{ x }}", end="2026-01-16")
    task.render_template_fields(cast("Context", {"x": value}))
    with pytest.raises(AirflowFailException, match=named):
        task.execute(cast("Context", {}))


@pytest.mark.parametrize(("value", "symbols"), [("107", {"107"}), ("1,2", {"1", "2"})])
def test_symbols_that_native_rendering_made_numbers_of_are_symbols(value: str, symbols: set[str]) -> None:
    with DAG("d", schedule=None, render_template_as_native_obj=True):
        task = MARKET(task_id="t", symbols="{{ x }}")
    task.render_template_fields(cast("Context", {"x": value}))
    with pytest.raises(Exception, match=r"404|SYMBOL|symbol"):  # the sandbox has none of them
        task.execute(cast("Context", {}))


def test_a_sensor_of_events_checks_its_rendered_filter() -> None:
    sensor = EVENT(task_id="t", channel="{{ x }}")
    with pytest.raises(AirflowFailException, match="channel"):
        sensor.execute(cast("Context", {}))
    with pytest.raises(TaskDeferred):
        EVENT(task_id="t").execute(cast("Context", {}))

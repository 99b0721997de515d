"""What traders have at one moment, and exports of lists that are nothing but that."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.sdk import BaseOperator, Context

from hyperoru_provider.client.errors import HyperoruConfigError, HyperoruContractError
from hyperoru_provider.hooks.compat import AirflowSkipException
from hyperoru_provider.operators.export import HyperoruExportOperator, HyperoruToSqlOperator
from hyperoru_provider.operators.snapshot import HyperoruSnapshotOperator
from hyperoru_provider.sandbox import Sandbox
from tests.raw_server import Wire, raw_server

PARTS = ["account_overview", "balances", "positions", "orders"]


@pytest.fixture
def still(connect: Callable[..., None]) -> Any:
    with Sandbox(clock=lambda: 1_769_083_200.0) as sandbox:
        connect(sandbox)
        yield sandbox


def run(cls: type[BaseOperator], **arguments: Any) -> Any:
    task = cls(task_id="t", **arguments)
    task.render_template_fields(cast("Context", {}))
    return task.execute(cast("Context", {}))


def test_all_traders_to_xcom(still: Sandbox) -> None:
    found = run(HyperoruSnapshotOperator)
    assert list(found["accounts"]) == ["1", "2", "3", "4", "5"]
    for account, parts in found["accounts"].items():
        assert list(parts) == PARTS
        assert {row["as_of"] for part in PARTS[:3] for row in parts[part]} == {found["as_of"]}
        facts = [json.loads(text, parse_float=str) for text in still.facts("positions", account_id=int(account))]
        assert {row["symbol"]: row["mark_price"] for row in parts["positions"]} == {
            row["symbol"]: row["mark_price"] for row in facts
        }
        assert {str(row["account_id"]) for row in parts["positions"] + parts["balances"]} <= {account}


def test_one_trader_to_files_again_and_again(still: Sandbox, tmp_path: Path) -> None:
    """The later snapshot takes the place of the earlier one, also where there are no positions any more."""
    for _ in range(2):
        found = run(HyperoruSnapshotOperator, account_id=2, parts=["positions"], destination=str(tmp_path))
    (manifest,) = tmp_path.rglob("_manifest.json")
    assert manifest.parent.relative_to(tmp_path) == Path("positions/latest,account_id-2")
    assert json.loads(manifest.read_text())["as_of"] == found["as_of"]
    still.set_faults(hidden_by_default="trading_mode=mainnet")
    run(HyperoruSnapshotOperator, account_id=2, parts=["positions"], destination=str(tmp_path))
    assert json.loads(manifest.read_text())["rows"] == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"parts": []}, "name at least one"),
        ({"parts": ["orders", "orders"]}, "none twice"),
        ({"parts": "orders"}, "a list is expected"),
        ({"on_empty": "never"}, "on_empty 'never'"),
        ({"parts": ["trades"]}, "parts 'trades'"),
        ({"account_id": ""}, "account_id"),
        ({"file_format": "csv"}, "file_"),
    ],
)
def test_wrong_arguments_fail_while_the_dag_is_parsed(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(HyperoruConfigError, match=named):
        HyperoruSnapshotOperator(task_id="t", **arguments)


def test_of_nobody_it_is_what_on_empty_says(connect: Callable[..., None], caplog: pytest.LogCaptureFixture) -> None:
    def script(wire: Wire, request: str) -> None:
        wire.answer({"session_token": "a-token-of-tests"} if request.startswith("POST") else b"[]")

    with raw_server(script) as server:
        connect(SimpleNamespace(url=server.url, email="me@example.com", password="pw"), token_cache="memory")
        for on_empty in (None, "succeed"):
            caplog.clear()
            assert run(HyperoruSnapshotOperator, on_empty=on_empty)["accounts"] == {}
            assert "The server has no traders" in caplog.text
        with pytest.raises(AirflowSkipException):
            run(HyperoruSnapshotOperator, on_empty="skip")
        with pytest.raises(HyperoruContractError, match="The server has no traders"):
            run(HyperoruSnapshotOperator, on_empty="fail")


@pytest.mark.parametrize("cls", [HyperoruExportOperator, HyperoruToSqlOperator])
@pytest.mark.parametrize("resource", ["positions", "balances", "orders"])
def test_a_window_of_a_list_without_one_fails_while_the_dag_is_parsed(cls: Any, resource: str) -> None:
    table = {"sql_conn_id": "sql", "table": "rows"} if cls is HyperoruToSqlOperator else {}
    with pytest.raises(HyperoruConfigError, match=f"{resource} is not read by time: leave out start and end"):
        cls(task_id="t", resource=resource, start="2026-01-01", end="2026-01-02", **table)
    with pytest.raises(HyperoruConfigError, match=f"{resource} is not read by time: leave out start and end"):
        cls(task_id="t", resource=resource, start="{{ ds }}", **table)

"""The operator that writes a report: what it takes for its source, and what it returns."""

from __future__ import annotations

import builtins
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from airflow.sdk import BaseOperator, Context

from hyperoru_provider.client.errors import HyperoruConcurrentWriteError, HyperoruConfigError
from hyperoru_provider.hooks.compat import AirflowFailException
from hyperoru_provider.operators.report import HyperoruReportOperator
from hyperoru_provider.operators.trades import HyperoruExportTradesOperator
from hyperoru_provider.report import run as report_run
from hyperoru_provider.sandbox import Sandbox

pytestmark = pytest.mark.usefixtures("connection")

DAY: dict[str, Any] = {"start": "2026-01-15", "end": "2026-01-16"}


def run(cls: type[BaseOperator], context: dict[str, Any] | None = None, **arguments: Any) -> Any:
    task = cls(task_id="t", **arguments)
    task.render_template_fields(cast("Context", context or {}))
    return task.execute(cast("Context", context or {}))


@pytest.fixture
def summaries(tmp_path: Path) -> list[dict[str, Any]]:
    return [
        run(HyperoruExportTradesOperator, **DAY, account_id=trader, destination=str(tmp_path / "exports"))
        for trader in (1, 2, 5)
    ]


def test_a_source_is_a_place_or_what_tasks_return(
    tmp_path: Path, summaries: list[dict[str, Any]], sandbox: Sandbox
) -> None:
    rows, asked = [summary["rows"] for summary in summaries], sandbox.stats()["requests"]
    assert rows[:2] > [0, 0]
    sources: list[tuple[Any, int, int]] = [
        (str(tmp_path / "exports"), sum(rows), 3),
        ("{{ place }}", sum(rows), 3),
        ((tmp_path / "exports").as_uri(), sum(rows), 3),
        (summaries, sum(rows), 3),
        (iter([*summaries, None]), sum(rows), 3),
        (summaries[0], rows[0], 1),
        (summaries[1]["manifest"], rows[1], 1),
        (summaries[2], 0, 1),
    ]
    for source, count, number in sources:
        page = tmp_path / "reports" / "r.html"
        found = run(HyperoruReportOperator, {"place": str(tmp_path / "exports")}, source=source, destination=str(page))
        assert found == {
            "path": str(page),
            "rows": count,
            "window": {"start": "2026-01-15T00:00:00Z", "end": "2026-01-16T00:00:00Z"},
            "exports": number,
            "gaps": 0,
        }
        json.dumps(found)
        assert page.read_text().startswith("<!DOCTYPE html>")
    assert sandbox.stats()["requests"] == asked


def test_one_trader_and_a_title(tmp_path: Path, summaries: list[dict[str, Any]]) -> None:
    page = tmp_path / "r.html"
    arguments: dict[str, Any] = {"source": summaries, "destination": page.as_uri(), "account_id": "{{ trader }}"}
    found = run(HyperoruReportOperator, {"trader": 2}, **arguments)
    assert (found["rows"], found["exports"]) == (summaries[1]["rows"], 1)
    assert "<h1>Trades of Borealis (2)</h1>" in page.read_text()
    run(HyperoruReportOperator, {"week": 3, "trader": 2}, **arguments, title="Week {{ week }}")
    assert "<h1>Week 3</h1>" in page.read_text()


@pytest.mark.parametrize("source", [[], [None], {"rows": 3}, [{"trade_id": 1}], ["/x"]])
def test_what_is_no_export_fails_at_once(tmp_path: Path, source: Any) -> None:
    with pytest.raises(AirflowFailException, match=r"source is .*the location of exports is expected"):
        run(HyperoruReportOperator, source=source, destination=str(tmp_path / "r.html"))


def test_no_export_at_a_place_fails_at_once(tmp_path: Path) -> None:
    with pytest.raises(AirflowFailException, match="There is no export of trades in"):
        run(HyperoruReportOperator, source=str(tmp_path), destination=str(tmp_path / "r.html"))


def test_a_damaged_file_may_be_mended_by_another_try(tmp_path: Path, summaries: list[dict[str, Any]]) -> None:
    (part,) = Path(summaries[0]["manifest"]).parent.glob("part*")
    part.write_bytes(b"")
    with pytest.raises(HyperoruConcurrentWriteError) as caught:
        run(HyperoruReportOperator, source=summaries, destination=str(tmp_path / "r.html"))
    assert not isinstance(caught.value, AirflowFailException)


def test_json_lines_are_read_by_the_contract_of_the_connection(
    tmp_path: Path, connect: Callable[..., None], sandbox: Sandbox
) -> None:
    lines = [
        b'{"trade_id":1,"account_id":1,"symbol":"BTC","side":"BUY","price":2,"quantity":3,"cost":0.5,'
        b'"trade_time":"2026-01-15T01:00:00Z"}'
    ]
    contract = {"trades": {"fields": {"commission": "cost"}}}
    with Sandbox(rows=lines) as other:
        connect(other, contract=contract, token_cache="memory")
        summary = run(HyperoruExportTradesOperator, **DAY, destination=str(tmp_path))
    page = tmp_path / "r.html"
    assert run(HyperoruReportOperator, source=summary, destination=str(page))["rows"] == 1
    assert 'id="fees"><dt>Fees</dt><dd class="value" style="--length: 4"><data value="0.5">' in page.read_text()


def test_without_its_extra_it_says_what_to_install(
    tmp_path: Path, summaries: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_run, "find_spec", lambda name: None if name == "matplotlib" else builtins)
    with pytest.raises(HyperoruConfigError, match=r"needs matplotlib: pip install .*\[report\]"):
        run(HyperoruReportOperator, source=summaries, destination=str(tmp_path / "r.html"))


def test_a_page_that_can_not_be_written_leaves_the_one_before(
    tmp_path: Path, summaries: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "r.html"
    page.write_text("before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(OSError, match="No space left"):
        run(HyperoruReportOperator, source=summaries, destination=str(page))
    assert [path.name for path in tmp_path.glob("*.*")] == ["r.html"]
    assert page.read_text() == "before"

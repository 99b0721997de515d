"""Rows of which hundreds share a minute, with amounts of every kind, in each format and cut anywhere."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from hyperoru_provider.sandbox import Sandbox
from tests.airflow.dag import landed
from tests.airflow.dag.dag_runs import RunDag
from tests.places import REAL_ROWS
from tests.sample_trades import trades

pytestmark = pytest.mark.slow

START, END = datetime(2024, 9, 20, tzinfo=UTC), datetime(2025, 5, 2, tzinfo=UTC)
AMOUNTS = ("price", "quantity", "notional", "commission", "realized_pnl")
REAL_SUMS = {
    "commission": Decimal("80597.53564146"),
    "realized_pnl": Decimal("1272260.125956"),
    "quantity": Decimal("10077631.15733239"),
    "notional": Decimal("449979775.66"),
}


@dataclass
class Source:
    """Rows that a sandbox serves, and what is known about them."""

    sandbox: Sandbox
    rows: dict[str, dict[str, Any]]
    sums: dict[str, Decimal] = field(default_factory=dict)

    def check(self, found: list[dict[str, Any]]) -> None:
        """Compare rows that were landed: each once, each amount to its last digit."""
        assert Counter(row["trade_id"] for row in found) == Counter(list(self.rows))
        for row in found:
            sent = self.rows[row["trade_id"]]
            assert [Decimal(row[name]) for name in AMOUNTS] == [sent[name] for name in AMOUNTS]
        assert total(found) == (self.sums or total(self.rows.values()))


def total(rows: Any) -> dict[str, Decimal]:
    """Add up without rounding."""
    with localcontext(prec=60):
        return {name: sum((Decimal(row[name]) for row in rows), Decimal(0)) for name in REAL_SUMS}


def known(lines: list[bytes]) -> dict[str, dict[str, Any]]:
    rows = [json.loads(line, parse_float=Decimal, parse_int=Decimal) for line in lines]
    return {str(row["trade_id"]): row for row in rows}


SOURCES = ["generated", *(["real"] if REAL_ROWS.exists() else [])]


@pytest.fixture(scope="module", params=SOURCES)
def source(request: pytest.FixtureRequest) -> Iterator[Source]:
    if request.param == "real":
        with Sandbox(data=REAL_ROWS) as sandbox:
            rows = known(gzip.decompress(REAL_ROWS.read_bytes()).splitlines())
            assert len(rows) == 15_629
            yield Source(sandbox, rows, REAL_SUMS)
    else:
        lines = trades(3_000, START + timedelta(days=20), timedelta(days=200))
        rows = known(lines)
        assert {len(lines), 3_000} == {len(rows)}
        assert any(b"E-05" in line for line in lines)
        assert any(row["commission"] < 0 for row in rows.values())
        assert busiest(rows)[0][1] >= 300
        with Sandbox(rows=lines) as sandbox:
            yield Source(sandbox, rows)


def busiest(rows: dict[str, dict[str, Any]]) -> list[tuple[datetime, int]]:
    """Minutes and how many rows share each, the busiest first."""
    counts = Counter(row["trade_time"] for row in rows.values())
    return [(datetime.fromisoformat(moment), count) for moment, count in counts.most_common()]


@pytest.mark.parametrize("file_format", ["jsonl", "csv", "parquet"])
def test_amounts_keep_their_last_digit(run_dag: RunDag, source: Source, tmp_path: Path, file_format: str) -> None:
    outcome = run_dag(
        source.sandbox,
        "hyperoru_daily_trades",
        "2025-06-01",
        start="2024-09-20",
        end="2025-05-02",
        destination=tmp_path.as_uri(),
        file_format=file_format,
    )
    assert outcome.succeeded_at_once()
    summaries = outcome.mapped("export")
    assert {landed.manifest_of(summary)["file_format"] for summary in summaries} == {file_format}
    source.check([row for summary in summaries for row in landed.rows(summary)])
    assert outcome.result("add_up") == {"traders": 4, "files": 4, "rows": len(source.rows)}


@pytest.mark.parametrize("source", SOURCES[-1:], indirect=True)
def test_windows_that_cut_busy_minutes_give_each_row_once(run_dag: RunDag, source: Source, tmp_path: Path) -> None:
    busy = sorted(moment for moment, count in busiest(source.rows)[:4] if count > 150)
    assert len(busy) == 4
    # The rows of a minute have its begin as their time: a bound there, and one just after them.
    after = [timedelta(microseconds=1), timedelta(milliseconds=1), timedelta(seconds=1), timedelta(seconds=30)]
    bounds = [START, *sorted([*busy, *(moment + step for moment, step in zip(busy, after, strict=True))]), END]
    windows = [
        {"start": start.isoformat(), "end": end.isoformat(), "rows_per_part": 97} for start, end in pairwise(bounds)
    ]
    outcome = run_dag(source.sandbox, "windows", windows=windows, destination=tmp_path.as_uri())
    assert outcome.succeeded_at_once()
    summaries = outcome.mapped("export")
    assert len(summaries) == len(windows)
    assert sum(len(summary["files"]) for summary in summaries) > 20
    found = [row for summary in summaries for row in landed.rows(summary)]
    source.check(found)
    order = [(row["trade_time"], int(row["trade_id"])) for row in found]
    assert order == sorted(order)


def test_many_rows_between_times_with_an_offset(run_dag: RunDag, tmp_path: Path) -> None:
    """So many that they are read in several spans; the times are as a data interval's are in a template."""
    day = datetime(2025, 4, 2, tzinfo=UTC)
    lines = trades(25_000, day, timedelta(days=1))
    window = {"start": day.isoformat(), "end": (day + timedelta(days=1)).isoformat(), "rows_per_part": 10_000}
    with Sandbox(rows=lines) as sandbox:
        outcome = run_dag(sandbox, "windows", windows=[window], destination=tmp_path.as_uri())
    assert outcome.succeeded_at_once()
    (summary,) = outcome.mapped("export")
    assert Counter(landed.lines(summary)) == Counter(lines)

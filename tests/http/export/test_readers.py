"""What readers of Parquet make of a whole resource in one line: all rows, and the columns of one file."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from upath import UPath

from hyperoru_provider.client.api.contract import DEFAULT_CONTRACT
from hyperoru_provider.client.api.models import Trade
from hyperoru_provider.client.lists.rows import Row
from hyperoru_provider.client.times import format_time
from hyperoru_provider.export.columns import ColumnSchema
from hyperoru_provider.export.destinations.storage import StorageDestination
from hyperoru_provider.export.manifest import ExportSpec
from hyperoru_provider.export.run import export_rows
from hyperoru_provider.params.window import Window
from tests.exports import batch_of
from tests.places import ROOT

START = datetime(2026, 10, 1, tzinfo=UTC)
DAY = timedelta(days=1)
COLUMNS = [column.name for column in ColumnSchema(Trade, DEFAULT_CONTRACT.trades).columns]
PAGE = (ROOT / "docs" / "export-trades.md").read_text()

#: the columns that a reader finds, and how many rows
READERS: dict[str, Callable[[str], tuple[list[str], int]]] = {
    "pandas": lambda where: (list((frame := pd.read_parquet(where)).columns), len(frame)),
    "pyarrow": lambda where: ((table := pq.read_table(where)).column_names, len(table)),
    "duckdb": lambda where: duckdb_read(f"read_parquet('{where}/*/*.parquet')"),
    "duckdb with hive_partitioning": lambda where: duckdb_read(
        f"read_parquet('{where}/*/*.parquet', hive_partitioning = true)"
    ),
    "polars": lambda where: ((frame := pl.read_parquet(f"{where}/*/*.parquet")).columns, len(frame)),
    "polars with hive_partitioning": lambda where: (
        (frame := pl.read_parquet(f"{where}/*/*.parquet", hive_partitioning=True)).columns,
        len(frame),
    ),
}


def duckdb_read(source: str) -> tuple[list[str], int]:
    found: Any = duckdb.sql(f"SELECT * FROM {source}")
    return found.columns, len(found)


def export(where: Path, first: datetime, last: datetime, trades: list[int], **filters: Any) -> None:
    """Export trades, one at each hour from the start on, that cost as much as the day on which they are read."""
    rows = []
    for number in trades:
        time = START + timedelta(hours=number)
        text = (
            f'{{"trade_id":{number},"account_id":1,"symbol":"BTC","side":"BUY","price":{last.day},"quantity":2,'
            f'"trade_time":"{format_time(time)}"}}'
        )
        rows.append(Row(time, number, text.encode()))
    spec = ExportSpec("trades", Window(first, last), filters, Trade, DEFAULT_CONTRACT.trades)
    batches = [batch_of(rows)] if rows else []
    export_rows(spec, lambda *_: batches, StorageDestination(UPath(where), "parquet", rows_per_part=10))


@pytest.mark.parametrize("reader", READERS)
def test_thirty_daily_exports_have_the_columns_of_one(tmp_path: Path, reader: str) -> None:
    """No part of a directory's name is taken for a column."""
    for day in range(30):
        hours = [] if day == 7 else list(range(24 * day, 24 * day + 24))  # a day without trades
        export(tmp_path, START + day * DAY, START + (day + 1) * DAY, hours, account_id=1 + day % 2)
    export(tmp_path, START, START + 40 * DAY, [800], symbol="PURR/USDC")
    assert READERS[reader](str(tmp_path / "trades")) == (COLUMNS, 29 * 24 + 1)


def sample(title: str, where: Path) -> str:
    """Return a sample of the docs, for a directory of this test."""
    found = re.search(rf"^{re.escape(title)}.*?```python\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE)
    assert found, title
    return found[1].replace("/data/hyperoru", str(where))


@pytest.mark.parametrize("line", sample("### All exports of a resource", Path("/data/hyperoru")).splitlines())
def test_the_docs_read_all_exports_of_a_resource(tmp_path: Path, line: str) -> None:
    for day in range(3):
        export(tmp_path, START + day * DAY, START + (day + 1) * DAY, [24 * day, 24 * day + 1])
    names: dict[str, Any] = {"pd": pd, "pq": pq, "pl": pl, "duckdb": duckdb}
    exec(line.replace("/data/hyperoru", str(tmp_path)), names)
    assert "trades" not in names or len(names["trades"]) == 6


@pytest.fixture
def rolling(tmp_path: Path) -> Path:
    """Three exports of seven days each, of which the later ones lack a trade that the server dropped."""
    for first in range(3):
        hours = [hour for hour in range(24 * first, 24 * (first + 7)) if first == 0 or hour != 100]
        export(tmp_path, START + first * DAY, START + (first + 7) * DAY, hours)
    return tmp_path


def test_rolling_exports_are_counted_twice_by_a_reader_of_all(rolling: Path) -> None:
    assert len(pq.read_table(rolling / "trades")) == 3 * 7 * 24 - 2


def test_the_docs_read_only_the_latest_of_rolling_exports(rolling: Path) -> None:
    names: dict[str, Any] = {}
    exec(sample("#### Only the latest export", rolling), names)
    assert len(names["trades"]) == 7 * 24 - 1
    assert min(names["trades"]["trade_time"].to_pylist()) == START + 2 * DAY


def test_the_docs_read_each_trade_of_rolling_exports_once(rolling: Path) -> None:
    names: dict[str, Any] = {}
    exec(sample("#### Each trade once", rolling), names)
    found = {int(trade_id): price for trade_id, price in names["trades"].project("trade_id, price").fetchall()}
    assert len(found) == len(names["trades"]) == 9 * 24
    assert (found[0], found[30], found[100], found[215]) == (8, 9, 8, 10)

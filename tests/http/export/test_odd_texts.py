"""Texts that are half a character: a window with one is exported, in every format and to a table."""

from __future__ import annotations

import csv
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from upath import UPath

from hyperoru_provider.client import HyperoruClient, HyperoruContractError
from hyperoru_provider.export.destinations import Destination
from hyperoru_provider.export.destinations.sql import SqlDestination
from hyperoru_provider.export.destinations.storage import StorageDestination
from hyperoru_provider.export.destinations.xcom import XComDestination
from hyperoru_provider.export.run import export_list
from hyperoru_provider.params.window import Window
from hyperoru_provider.sandbox import Sandbox
from tests.databases import Database

START = datetime(2026, 1, 15, tzinfo=UTC)
DAY = Window(START, START + timedelta(days=1))
ROWS = [
    b'{"trade_id":%d,"account_id":1,"account_name":"%s","symbol":"BTC","side":"BUY","price":1.50,"quantity":2,'
    b'"trade_time":"2026-01-15T00:00:0%dZ","tag":"%s"}' % (number, name, number, name)
    for number, name in enumerate([rb"whole", rb"a\ud83d", rb"\ude00\ud83d\ude00", rb"\\ud83d"])
]
NAMES = ["whole", "a\ufffd", "\ufffd\U0001f600", "\\ud83d"]

Export = Callable[[Destination], None]


@pytest.fixture
def export(client_of: Callable[..., HyperoruClient]) -> Iterator[Export]:
    with Sandbox(rows=ROWS) as sandbox:
        client = client_of(sandbox)
        yield lambda destination: export_list(client, "trades", DAY, {}, destination)


def test_json_lines_hold_half_a_character_byte_for_byte(export: Export, tmp_path: Path) -> None:
    export(StorageDestination(UPath(tmp_path), "jsonl", "none"))
    (part,) = tmp_path.rglob("part-*")
    assert part.read_bytes().splitlines() == ROWS


@pytest.mark.parametrize("symbol", [b"demo-password", b"x" * 1_000_000, rb"\u0000\u202e"])
def test_a_row_that_is_refused_is_named_in_a_short_text_without_a_secret(
    client_of: Callable[..., HyperoruClient], symbol: bytes
) -> None:
    row = b'{"trade_id":1,"account_id":1,"symbol":"%s","price":"no","trade_time":"2026-01-15T00:00:00Z"}' % symbol
    with (
        Sandbox(rows=[row], password="demo-password") as sandbox,
        pytest.raises(HyperoruContractError, match="trade_id=1, symbol=") as caught,
    ):
        export_list(client_of(sandbox), "trades", DAY, {}, XComDestination(10_000))
    assert str(caught.value).isprintable() and len(str(caught.value)) < 1_200
    assert "demo-password" not in str(caught.value)
    assert caught.value.path == "/api/arena/trades"


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_columns_hold_the_replacement_character_in_place_of_half_a_one(
    export: Export, tmp_path: Path, caplog: pytest.LogCaptureFixture, file_format: str
) -> None:
    export(StorageDestination(UPath(tmp_path), file_format, "none"))
    (part,) = tmp_path.rglob("part-*")
    rows = list(csv.DictReader(part.open())) if file_format == "csv" else pq.read_table(part).to_pylist()
    assert [row["account_name"] for row in rows] == NAMES
    assert [row["extra"] for row in rows][1] == r'{"tag":"a\ufffd"}'
    (warning,) = [text for text in warned(caplog) if "half a character" in text]
    assert warning.startswith("The row 1,")


def test_a_table_holds_the_replacement_character_in_place_of_half_a_one(
    export: Export, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    export(SqlDestination(database.connect, "trades", create_table=True))
    assert [name for (name,) in database.query("SELECT account_name FROM trades ORDER BY trade_time")] == NAMES
    assert any("The row 1," in text for text in warned(caplog))


def test_xcom_holds_the_replacement_character_in_place_of_half_a_one(client_of: Callable[..., HyperoruClient]) -> None:
    with Sandbox(rows=ROWS) as sandbox:
        rows = export_list(client_of(sandbox), "trades", DAY, {}, XComDestination(10_000))
        assert [row["account_name"] for row in rows] == NAMES
        assert [trade.account_name for trade in client_of(sandbox).iter_trades(DAY.start, DAY.end)] == NAMES

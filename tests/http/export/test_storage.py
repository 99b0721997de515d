"""Rows into files and back, and the promise of all or nothing."""

from __future__ import annotations

import csv
import errno
import gzip
import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from textwrap import dedent
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from airflow.sdk import ObjectStoragePath
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from upath import UPath

from hyperoru_provider.client.api.contract import DEFAULT_CONTRACT
from hyperoru_provider.client.api.models import Kline, Model, Quote, Trade, Trader
from hyperoru_provider.client.errors import (
    HyperoruConcurrentWriteError,
    HyperoruConfigError,
    HyperoruContractError,
    HyperoruServerError,
)
from hyperoru_provider.client.lists.rows import Row, Rows
from hyperoru_provider.client.times import parse_time
from hyperoru_provider.export.columns import Column, ColumnSchema
from hyperoru_provider.export.commit_lock import commit_lock
from hyperoru_provider.export.destinations.storage import StorageDestination
from hyperoru_provider.export.directory import ExportDirectory
from hyperoru_provider.export.formats import FORMATS, choose_encoder
from hyperoru_provider.export.local_files import write_file
from hyperoru_provider.export.manifest import ExportSpec
from hyperoru_provider.export.run import export_rows
from hyperoru_provider.params.window import Window
from tests.exports import WRITES, Killed, assert_readable, batch_of, files_of

START = datetime(2026, 1, 15, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(days=1))
CHOICES = [(name, packed) for name, encoder in FORMATS.items() for packed in encoder.compressions]


def spec_of(resource: str = "trades", window: Window | None = WINDOW, **filters: Any) -> ExportSpec:
    return ExportSpec(resource, window, filters, Trade, DEFAULT_CONTRACT.trades)


SPEC = spec_of(account_id=1, symbol=None)


def trade(number: int, price: str = "1.5", **more: str) -> Row:
    time = (START + timedelta(seconds=number)).isoformat()
    extra = "".join(f',"{name}":{value}' for name, value in more.items())
    text = (
        f'{{"trade_id":{number},"symbol":"BTC","side":"BUY","price":{price},"quantity":2,"trade_time":"{time}"{extra}}}'
    )
    return Row(parse_time(time), (str(number),), text.encode())


def schema_of(model: type[Model] = Trade) -> ColumnSchema:
    return ColumnSchema(model, DEFAULT_CONTRACT.trades)


def storage(
    where: Path, file_format: str = "jsonl", compression: str | None = None, **limits: Any
) -> StorageDestination:
    return StorageDestination(ObjectStoragePath(f"file://{where}"), file_format, compression, **limits)


def land_in(destination: StorageDestination, batches: Iterable[Rows], on_empty: str | None = None) -> dict[str, Any]:
    summary: dict[str, Any] = export_rows(SPEC, lambda *_: batches, destination, on_empty=on_empty)
    return summary


def land(
    where: Path, rows: list[Row], file_format: str = "jsonl", compression: str | None = None, rows_per_part: int = 1000,
    batch: int = 100, on_empty: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    batches = (batch_of(rows[first : first + batch]) for first in range(0, len(rows), batch))
    return land_in(storage(where, file_format, compression, rows_per_part=rows_per_part), batches, on_empty)


def read(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """Read an export as a consumer does: from the manifest on, checking every hash."""
    manifest_path = Path(summary["manifest"].removeprefix("file://"))
    manifest = json.loads(manifest_path.read_text())
    rows: list[dict[str, Any]] = []
    for file in manifest["files"]:
        data = (manifest_path.parent / file["name"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file["bytes"], file["sha256"])
        part = list(_rows(manifest["file_format"], file["name"], data))
        assert len(part) == file["rows"]
        rows += part
    assert len(rows) == manifest["rows"] == summary["rows"]
    return rows


def _rows(file_format: str, name: str, data: bytes) -> Iterator[dict[str, Any]]:
    text = (
        gzip.decompress(data)
        if name.endswith(".gz")
        else zstandard.ZstdDecompressor().decompressobj().decompress(data)
        if name.endswith(".zst")
        else data
    )
    if file_format == "jsonl":
        return (json.loads(line, parse_float=Decimal) for line in text.splitlines())
    if file_format == "csv":
        return iter(csv.DictReader(text.decode().splitlines()))
    return iter(pq.read_table(pa.BufferReader(data)).to_pylist())


@pytest.mark.parametrize(("file_format", "compression"), CHOICES)
def test_what_was_written_is_read_back_row_by_row(file_format: str, compression: str) -> None:
    """Each with its key, and with content that tells it from another one."""
    rows = [trade(n, note=json.dumps(f'two\n"lines", {n}' + "x" * (200_000 if n == 3 else 0))) for n in range(12)]
    encoder = choose_encoder(file_format, compression, schema_of())

    def written(some: list[Row]) -> list[str]:
        file = BytesIO()
        with encoder.open(file) as append:
            append([batch_of(some)])
        file.seek(0)
        found = list(encoder.read(file))
        assert [str(row.fields["trade_id"]) for row in found] == [row.key[0] for row in some]  # type: ignore[index]
        return [repr(row.content) for row in found]

    contents = written(rows)
    assert len({*contents}) == 12
    other = [*rows[:5], trade(5, "1.50001", note='"a"'), *rows[6:]]
    assert [old == new for old, new in zip(contents, written(other), strict=True)] == [n != 5 for n in range(12)]


@pytest.mark.parametrize(("file_format", "compression"), CHOICES)
def test_only_some_fields_are_read_back(file_format: str, compression: str) -> None:
    """By our names, with every digit, without nulls; what is no column is in the column extra."""
    encoder = choose_encoder(file_format, compression, schema_of())
    file = BytesIO()
    with encoder.open(file) as append:
        append([batch_of([trade(7, "1.50001", fill="0.30", fee_tier="null")])])
    file.seek(0)
    ((fields, content),) = encoder.read(file, ["trade_id", "price", "fill", "fee_tier", "account_name", "nothing"])
    assert {name: str(value).rstrip("0") for name, value in fields.items()} == {
        "trade_id": "7",
        "price": "1.50001",
        "fill": "0.3",
    }
    assert ("symbol" in str(content)) == (file_format != "parquet")  # which reads no other columns


@pytest.mark.parametrize(("file_format", "compression"), CHOICES)
def test_amounts_and_unknown_fields_survive(tmp_path: Path, file_format: str, compression: str) -> None:
    prices = ["1.00E-05", "3.28", "-0.1", "0.000000000000000001", "99999999999999999999", "12", "1E+3", "1e-18"]
    rows = [
        trade(n, price, commission="-0.25", tx='"0xab"', crossed="false", depth="0.30", related_orders='[{"p":0.10}]')
        for n, price in enumerate(prices)
    ]
    back = read(land(tmp_path, rows, file_format, compression))
    assert [Decimal(str(row["price"])) for row in back] == [Decimal(price) for price in prices]
    assert {Decimal(str(row["commission"])) for row in back} == {Decimal("-0.25")}
    for row in back:
        extra = row if file_format == "jsonl" else json.loads(row["extra"], parse_float=Decimal)
        assert (extra["tx"], extra["crossed"], extra["depth"]) == ("0xab", False, Decimal("0.30"))
        related = row["related_orders"]
        assert related == [{"p": Decimal("0.10")}] or json.loads(related) == [{"p": 0.1}]
    if file_format == "parquet":
        assert back[1]["trade_time"] == START + timedelta(seconds=1)
        assert back[0]["realized_pnl"] is None


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("empty", ['""', '"  "'])
def test_an_empty_text_is_no_amount_but_null(tmp_path: Path, file_format: str, empty: str) -> None:
    fields = {"realized_pnl": empty, "related_orders": empty}
    back = read(land(tmp_path, [trade(1, realized_pnl="5"), trade(2, **fields)], file_format))
    null = {"jsonl": json.loads(empty), "csv": "", "parquet": None}[file_format]  # a JSON line is as it was sent
    assert (back[1]["realized_pnl"], back[1]["related_orders"]) == (null, null)
    assert Decimal(back[0]["realized_pnl"]) == 5


@pytest.mark.parametrize("price", ['""', '" "'])
@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_an_empty_text_where_an_amount_is_needed_is_an_error(tmp_path: Path, file_format: str, price: str) -> None:
    with pytest.raises(HyperoruContractError, match=r"trade_id=2.*price: .*a number is expected"):
        land(tmp_path, [trade(1), trade(2, price)], file_format)


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_nul_lands_in_files_unharmed(tmp_path: Path, file_format: str) -> None:
    back = read(land(tmp_path, [trade(1, account_name='"a\\u0000b"', note='"\\u0000"')], file_format, "none"))
    note = back[0]["note"] if file_format == "jsonl" else json.loads(back[0]["extra"])["note"]
    assert (back[0]["account_name"], note) == ("a\0b", "\0")


@pytest.mark.parametrize(("file_format", "compression"), CHOICES)
def test_the_same_rows_give_the_same_bytes(tmp_path: Path, file_format: str, compression: str) -> None:
    rows = [trade(n) for n in range(2500)]
    one = land(tmp_path / "a", rows, file_format, compression, batch=2500)
    land(tmp_path / "b", rows, file_format, compression, batch=7)
    files = files_of(tmp_path / "a")
    assert files == files_of(tmp_path / "b")
    assert len(files) == 4  # three parts, and the manifest
    assert [row["trade_id"] for row in read(one)] == [n if file_format == "jsonl" else str(n) for n in range(2500)]
    land(tmp_path / "a", rows, file_format, compression)
    assert files == files_of(tmp_path / "a")


def test_a_json_line_is_the_row_as_it_was_sent(tmp_path: Path) -> None:
    row = trade(1, "1.00E-05", spaced='"a  b"')
    land(tmp_path, [row], compression="none")
    assert (tmp_path / SPEC.directory / "part-00000.jsonl").read_bytes() == row.raw + b"\n"


def test_no_clock_is_in_a_packed_file(tmp_path: Path) -> None:
    (file,) = land(tmp_path, [trade(1)])["files"]
    assert Path(file.removeprefix("file://")).read_bytes()[4:8] == bytes(4)


def test_the_layout_and_the_summary(tmp_path: Path) -> None:
    summary = land(tmp_path, [trade(n) for n in range(5)], rows_per_part=2)
    directory = tmp_path / "trades/20260115T000000Z_20260116T000000Z,account_id-1"
    assert sorted(path.name for path in directory.iterdir()) == [
        "_manifest.json",
        *(f"part-0000{n}.jsonl.gz" for n in range(3)),
    ]
    files = [path for path in directory.iterdir() if path.name.startswith("part")]
    assert summary == {
        "rows": 5,
        "bytes": sum(path.stat().st_size for path in files),
        "window": {"start": "2026-01-15T00:00:00Z", "end": "2026-01-16T00:00:00Z"},
        "first_time": "2026-01-15T00:00:00Z",
        "last_time": "2026-01-15T00:00:04Z",
        "manifest": f"file://{directory}/_manifest.json",
        "prefix": f"file://{directory}/part-",
        "keys": [f"{directory}/part-0000{n}.jsonl.gz" for n in range(3)],
        "files": [f"file://{directory}/part-0000{n}.jsonl.gz" for n in range(3)],
    }
    manifest = json.loads((directory / "_manifest.json").read_text())
    assert {name: manifest[name] for name in ("format_version", "resource", "filters", "window", "rows")} == {
        "format_version": 1,
        "resource": "trades",
        "filters": {"account_id": "1"},
        "window": summary["window"],
        "rows": 5,
    }
    assert {"name": "price", "type": "decimal"} in manifest["columns"]
    json.dumps(summary)


@pytest.mark.parametrize("file_format", FORMATS)
def test_no_rows_are_a_valid_export(tmp_path: Path, file_format: str) -> None:
    summary = land(tmp_path, [], file_format)
    assert (summary["rows"], summary["files"], summary["first_time"]) == (0, [], None)
    assert read(summary) == []


def test_an_export_of_another_switch_is_not_replaced(tmp_path: Path) -> None:
    """Under each value of a switch the same ids may be other rows."""

    def land_under(**query: Any) -> Any:
        endpoint = DEFAULT_CONTRACT.trades.model_copy(update={"query": query})
        batches = [batch_of([trade(n) for n in range(5)])]
        return export_rows(replace(SPEC, endpoint=endpoint), lambda *_: batches, storage(tmp_path))

    first = land_under(trading_mode="mainnet")
    assert json.loads(Path(first["manifest"].removeprefix("file://")).read_text())["query"] == {
        "trading_mode": "mainnet"
    }
    before = files_of(tmp_path)
    others: list[dict[str, Any]] = [{"trading_mode": "paper"}, {}, {"trading_mode": "mainnet", "real": True}]
    for other in others:
        with pytest.raises(HyperoruConfigError, match=r"'trading_mode': 'mainnet'.*Give each its own destination"):
            land_under(**other)
    assert files_of(tmp_path) == before
    assert land_under(trading_mode="mainnet")["rows"] == 5


def failing(rows: list[Row]) -> Iterator[Rows]:
    yield batch_of(rows)
    raise HyperoruContractError("the server misbehaves")


def test_a_failed_run_leaves_the_earlier_export_readable(tmp_path: Path) -> None:
    rows = [trade(n) for n in range(30)]
    before = land(tmp_path, rows, rows_per_part=10)
    files = files_of(tmp_path)
    changed = [trade(n, "2.5") for n in range(30)]
    with pytest.raises(HyperoruContractError):
        land_in(storage(tmp_path, rows_per_part=10), failing(changed))
    assert {name: files_of(tmp_path)[name] for name in files} == files
    assert len(read(before)) == 30
    after = land(tmp_path, changed, rows_per_part=10)
    assert {row["price"] for row in read(after)} == {Decimal("2.5")}
    assert set(files_of(tmp_path)) == set(files)  # nothing is left of the failed run


def test_a_failed_first_run_shows_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(HyperoruContractError):
        land_in(storage(tmp_path, rows_per_part=10), failing([trade(n) for n in range(30)]))
    assert not (tmp_path / SPEC.directory / "_manifest.json").exists()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    versions=st.lists(st.tuples(st.integers(0, 12), st.sampled_from(["1", "2", "3"])), min_size=2, max_size=4),
    crash_at=st.integers(1, 24),
    data=st.data(),
)
def test_a_reader_sees_a_whole_export_at_every_step(
    tmp_path_factory: pytest.TempPathFactory, versions: list[tuple[int, str]], crash_at: int, data: st.DataObject
) -> None:
    """Before any write, and after a crash at any of them, the manifest's files are there and whole."""
    where = tmp_path_factory.mktemp("landing")
    for number, (count, price) in enumerate(versions):
        rows = [trade(n, price) for n in range(count)]
        crashing = data.draw(st.booleans()) and number < len(versions) - 1
        WRITES.begin(where, crash_at if crashing else sys.maxsize, before=lambda: assert_readable(where))
        try:
            land(where, rows, rows_per_part=4, on_empty="succeed")
        except Killed:
            assert_readable(where)
        finally:
            WRITES.end()
    fresh = tmp_path_factory.mktemp("fresh")
    land(fresh, rows, rows_per_part=4)
    assert files_of(where) == files_of(fresh)  # whatever went before


def test_other_rows_never_share_a_directory() -> None:
    filters: list[dict[str, Any]] = [
        {},
        {"account_id": 1},
        {"account_id": 12},
        {"symbol": "1"},
        {"symbol": "PURR/USDC"},
        {"symbol": "PURR%2FUSDC"},
        {"symbol": "PURR_USDC"},
        {"symbol": "a,symbol-b"},
        {"symbol": "a=b"},
        {"account_id": 1, "symbol": "@107"},
        {"symbols": "A" * 300},
        {"symbols": "A" * 301},
    ]
    names = {spec_of(**each).directory for each in filters}
    assert len(names) == len(filters)
    assert all(name.count("/") == 1 and len(name) < 200 for name in names)
    assert not any("=" in name for name in names)  # readers would take it for a Hive partition


def test_an_amount_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    rows = [trade(1), trade(2, "1e-19"), trade(3)]
    with pytest.raises(HyperoruContractError, match=r"price 1E-19 of the row 2 .* jsonl and csv keep it"):
        land(tmp_path, rows, "parquet")
    with pytest.raises(HyperoruContractError, match="price 100000000000000000000 of the row 1"):
        land(tmp_path, [trade(1, "1" + "0" * 20)], "parquet")
    assert not (tmp_path / SPEC.directory / "_manifest.json").exists()


@pytest.mark.parametrize("price", ['"NaN"', "null", '"abc"', "{}"])
def test_a_bad_row_is_named(tmp_path: Path, price: str) -> None:
    with pytest.raises(HyperoruContractError, match=r"trade_id=2.*price"):
        land(tmp_path, [trade(1), trade(2, price)], "csv")


@pytest.mark.parametrize(
    ("file_format", "compression", "named"),
    [("xml", None, "file_format"), ("csv", "snappy", "compression"), ("jsonl", "", "compression")],
)
def test_a_wrong_choice_is_named(file_format: str, compression: str | None, named: str) -> None:
    with pytest.raises(HyperoruConfigError, match=named):
        choose_encoder(file_format, compression, schema_of())


def test_a_manifest_that_is_none(tmp_path: Path) -> None:
    directory = tmp_path / SPEC.directory
    directory.mkdir(parents=True)
    file = '{"name": "part-00000.jsonl", "rows": 1, "bytes": 1}'
    damaged = [
        '{"files": [1]}',
        '{"rows": 1, "files": [1]}',
        '{"rows": "x", "files": []}',
        '{"rows": 1e999}',
        "[" * 10**5,
    ]
    for text in ("[]", "{", "", "\xff", "null", f'{{"rows": 1, "files": [{file}]}}', *damaged):
        (directory / "_manifest.json").write_text(text, "latin-1")
        with pytest.raises(HyperoruConfigError, match="not the manifest"):
            land(tmp_path, [trade(1)])


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    directory = tmp_path / SPEC.directory
    directory.mkdir(parents=True)
    (directory / "notes.txt").write_text("mine")
    land(tmp_path, [trade(1)])
    assert (directory / "notes.txt").read_text() == "mine"


def test_a_reader_reads_all_exports_of_a_resource_at_once(tmp_path: Path) -> None:
    """With the columns of one file: no part of a directory's name is taken for a column."""
    land(tmp_path, [trade(n) for n in range(10)], "parquet", rows_per_part=4)
    for rows in ([trade(n) for n in range(7)], []):
        batches = iter([batch_of(rows)] if rows else [])
        spec = spec_of(window=Window(START, START + timedelta(hours=1 + len(rows))), symbol="PURR/USDC")
        export_rows(spec, lambda *_, batches=batches: batches, storage(tmp_path, "parquet"))
    found = pq.read_table(tmp_path / "trades")
    assert len(found) == 17
    assert found.column_names == [column.name for column in schema_of().columns]


@pytest.mark.parametrize("model", [Trade, Kline, Quote])
def test_columns_come_from_the_model(model: type[Model]) -> None:
    columns = schema_of(model).columns
    assert [column.name for column in columns] == [*model.model_fields, "extra"]


def test_the_columns_of_a_trade() -> None:
    kinds = dict(schema_of().columns)
    assert (kinds["trade_id"], kinds["price"], kinds["trade_time"]) == ("string", "decimal", "timestamp")
    assert (kinds["related_orders"], kinds["extra"]) == ("json", "json")
    assert Column("is_active", "boolean") in schema_of(Trader).columns


def test_a_local_file_is_replaced_at_once(tmp_path: Path) -> None:
    """A reader that opened a file before a re-export still reads it whole."""
    summary = land(tmp_path, [trade(n) for n in range(10)])
    paths = [Path(name.removeprefix("file://")) for name in (summary["manifest"], *summary["files"])]
    before = [path.read_bytes() for path in paths]
    opened = [path.open("rb") for path in paths]
    land(tmp_path, [trade(n, "2.5") for n in range(10)])
    for file, content, path in zip(opened, before, paths, strict=True):
        with file:
            assert file.read() == content != path.read_bytes()


def test_a_part_that_is_there_is_not_touched(tmp_path: Path) -> None:
    """An interrupted rewrite of the same content could only damage it."""
    (file,) = land(tmp_path, [trade(n) for n in range(10)])["files"]
    path = Path(file.removeprefix("file://"))
    before = path.stat()
    land(tmp_path, [trade(n) for n in range(10)])
    assert path.stat().st_ino == before.st_ino
    path.write_bytes(b"cut")
    assert len(read(land(tmp_path, [trade(n) for n in range(10)]))) == 10


@pytest.mark.parametrize("earlier", [False, True])
def test_two_runs_of_a_window_at_once(tmp_path: Path, earlier: bool) -> None:
    """The one that commits last notices the other, and the manifest tells the truth."""
    if earlier:
        land(tmp_path, [trade(n, "9") for n in range(20)], rows_per_part=5)

    def batches() -> Iterator[Rows]:
        yield batch_of([trade(n, "2") for n in range(12)])
        land(tmp_path, [trade(n, "3") for n in range(7)], rows_per_part=5)

    with pytest.raises(HyperoruConcurrentWriteError, match="Another run"):
        land_in(storage(tmp_path, rows_per_part=5), batches())
    summary = {"manifest": str(tmp_path / SPEC.directory / "_manifest.json"), "rows": 7}
    assert {row["price"] for row in read(summary)} == {3}


def test_a_failed_run_leaves_another_run_s_commit_whole(tmp_path: Path) -> None:
    """Nothing is committed when it starts; the other one commits; then it lands its parts, and the server fails."""
    other = {}

    def batches() -> Iterator[Rows]:
        yield batch_of([trade(n, "2") for n in range(5)])
        other.update(land(tmp_path, [trade(n, "3") for n in range(12)], rows_per_part=4))
        yield batch_of([trade(n, "2") for n in range(5, 12)])
        raise HyperoruServerError("the service went down")

    with pytest.raises(HyperoruServerError):
        land_in(storage(tmp_path, rows_per_part=4), batches())
    assert {row["price"] for row in read(other)} == {3}
    assert {row["price"] for row in read(land(tmp_path, [trade(1, "4")]))} == {4}
    assert len(files_of(tmp_path)) == 2  # nothing is left of the failed one


def test_rows_older_than_those_of_another_run_are_not_resumed(tmp_path: Path) -> None:
    """It began before a row came late, which the other one has committed, and failed after that."""

    def batches() -> Iterator[Rows]:
        land(tmp_path, [trade(n) for n in range(13)], rows_per_part=4)
        yield batch_of([trade(n) for n in range(1, 13)])
        raise HyperoruServerError("the service went down")

    with pytest.raises(HyperoruServerError):
        land_in(storage(tmp_path, rows_per_part=4), batches())
    assert len(read(land(tmp_path, [trade(n) for n in range(13)], rows_per_part=4))) == 13


def test_a_refused_run_leaves_nothing_of_its_own(tmp_path: Path) -> None:
    def batches() -> Iterator[Rows]:
        yield batch_of([trade(n, "2") for n in range(12)])
        land(tmp_path, [trade(n, "3") for n in range(12)], rows_per_part=4)
        yield batch_of([trade(n, "2") for n in range(12, 24)])

    with pytest.raises(HyperoruConcurrentWriteError, match="Nothing was committed"):
        land_in(storage(tmp_path, rows_per_part=4), batches())
    files = files_of(tmp_path)
    land(tmp_path / "undisturbed", [trade(n, "3") for n in range(12)], rows_per_part=4)
    assert files == files_of(tmp_path / "undisturbed")


def test_a_part_that_was_damaged_at_its_length_is_written_anew(tmp_path: Path) -> None:
    rows = [trade(n) for n in range(10)]
    path = Path(land(tmp_path, rows)["files"][0].removeprefix("file://"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert len(read(land(tmp_path, rows))) == 10


def test_a_commit_waits_for_the_one_under_way_and_says_so_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(tmp_path, [trade(1, "3")])
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    with (
        commit_lock(UPath(tmp_path / SPEC.directory / "_next-commit"), local=True),
        pytest.raises(HyperoruConcurrentWriteError, match=r"has been committing to .* for a minute"),
    ):
        land(tmp_path, [trade(1, "2")])
    assert sum(pauses) == pytest.approx(60, rel=0.1)
    assert {row["price"] for row in read(land(tmp_path, [trade(1, "2")]))} == {2}


@pytest.mark.parametrize("moment", ["_next-part", "_manifest"])
def test_a_file_of_a_failed_try_is_removed_by_the_next_one_that_fails(tmp_path: Path, moment: str) -> None:
    """A killed writer's file is half of a part, and a disk that it has filled would stay full."""
    script = f"""
        import os, signal, shutil
        from pathlib import Path
        from tests.http.export.test_storage import *
        real = shutil.copyfileobj
        def copy(source, sink, size):
            if {moment!r} in sink.name:
                os.kill(os.getpid(), signal.SIGKILL)
            real(source, sink, size)
        shutil.copyfileobj = copy
        land(Path({str(tmp_path)!r}), [trade(n) for n in range(12)])
    """
    killed = subprocess.run([sys.executable, "-c", dedent(script)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(tmp_path.rglob("*.tmp"))) == 1
    with pytest.raises(HyperoruContractError):
        land_in(storage(tmp_path), failing([trade(1)]))
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_file_that_another_run_is_writing_is_left_alone(tmp_path: Path) -> None:
    directory = tmp_path / SPEC.directory
    directory.mkdir(parents=True)

    class Source(BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            ExportDirectory(UPath(directory))
            return super().read(size)

    write_file(directory / "part-00000.jsonl", Source(b"whole"))
    assert (directory / "part-00000.jsonl").read_bytes() == b"whole"


def test_a_full_disk_is_not_kept_full(tmp_path: Path) -> None:
    script = f"""
        import resource
        from pathlib import Path
        from tests.http.export.test_storage import *
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        directory = ExportDirectory(UPath({str(tmp_path)!r}))
        try:
            directory.add(BytesIO(bytes(10_000)), "part-00000.jsonl", 1)
        except OSError as error:
            print(error.errno)
    """
    ran = subprocess.run([sys.executable, "-c", dedent(script)], capture_output=True, text=True, check=True)
    assert int(ran.stdout) == errno.EFBIG
    assert not list(tmp_path.iterdir())


def test_a_race_is_no_wrong_setting_and_a_retry_mends_it(tmp_path: Path) -> None:
    rows = [trade(n, "2") for n in range(12)]

    def batches() -> Iterator[Rows]:
        yield batch_of(rows)
        land(tmp_path, rows, rows_per_part=5)

    with pytest.raises(HyperoruConcurrentWriteError) as caught:
        land_in(storage(tmp_path, rows_per_part=5), batches())
    assert not isinstance(caught.value, HyperoruConfigError)
    assert len(read(land(tmp_path, rows, rows_per_part=5))) == 12


@pytest.mark.parametrize("step", ["._next-part-00001", "_next-part-00001", ".part-00001", "_next-part-00000"])
def test_a_file_that_another_run_removes_meanwhile_is_a_race(tmp_path: Path, step: str) -> None:
    """It commits while this one has written a file and not yet renamed it, or not yet committed it."""
    land(tmp_path, [trade(n, "9") for n in range(10)], rows_per_part=5)
    directory = tmp_path / SPEC.directory
    moment = iter([True])

    def remove() -> None:
        for path in directory.glob(f"{step}*"):
            if next(moment, False):
                path.unlink()

    WRITES.begin(directory, before=remove)
    try:
        with pytest.raises(HyperoruConcurrentWriteError, match="Another run"):
            land(tmp_path, [trade(n, "2") for n in range(10)], rows_per_part=5)
    finally:
        WRITES.end()


def test_a_line_s_end_in_a_text_stays_in_its_row(tmp_path: Path) -> None:
    rows = [trade(1, model='"a\\rb"'), trade(2, model='"c\\nd"'), trade(3, model='"e,\\"f"')]
    (file,) = land(tmp_path, rows, "csv")["files"]
    with Path(file.removeprefix("file://")).open(newline="") as lines:
        assert [row["model"] for row in csv.DictReader(lines)] == ["a\rb", "c\nd", 'e,"f']


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)"])
def test_a_cell_that_a_spreadsheet_takes_for_a_formula_stays_as_it_is(tmp_path: Path, text: str) -> None:
    (row,) = read(land(tmp_path, [trade(1, model=f'"{text}"')], "csv"))
    assert row["model"] == text


@pytest.mark.parametrize(
    ("file_format", "compression", "told"),
    [
        ("parquet", None, r"parquet with zstd needs pyarrow: pip install 'airflow-provider-hyperoru\[parquet\]'"),
        ("csv", "zstd", r"csv with zstd needs zstandard: pip install 'airflow-provider-hyperoru\[zstd\]'"),
    ],
)
def test_what_is_not_installed_is_told(
    monkeypatch: pytest.MonkeyPatch, file_format: str, compression: str | None, told: str
) -> None:
    for name in ("pyarrow", "zstandard"):
        monkeypatch.setitem(sys.modules, name, None)  # as where it is not installed, also for find_spec
    with pytest.raises(HyperoruConfigError, match=told):
        choose_encoder(file_format, compression, schema_of())
    choose_encoder("csv", "gzip", schema_of())


def test_formats_are_known_without_pyarrow() -> None:
    code = "import sys, hyperoru_provider.export.formats; print('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_texts_are_let_go_once_they_are_columns(tmp_path: Path) -> None:
    """They would be the larger part of what an export holds in memory."""
    for bytes_per_part, kept in ((None, False), (1_000, True)):
        destination = storage(tmp_path, "parquet", bytes_per_part=bytes_per_part)
        destination.open(SPEC)
        rows = batch_of([trade(number) for number in range(10)])
        assert destination.prepare is not None
        rows.prepared = destination.prepare(rows)
        assert rows.prepared.num_rows == len(rows) == 10
        assert any(rows.texts) == kept

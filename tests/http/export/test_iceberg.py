"""Rows into tables of Apache Iceberg, all of them or none, and in one snapshot."""

from __future__ import annotations

import json
import logging
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import repeat
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    ManifestWriterV2,
)
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update.snapshot import _FastAppendFiles
from pyiceberg.transforms import BucketTransform, DayTransform, IdentityTransform, TruncateTransform, UnknownTransform
from pyiceberg.types import DoubleType, IntegerType, LongType, NestedField, StringType, StructType, TimestampType

from hyperoru_provider.client.api.contract import load_contract
from hyperoru_provider.client.api.endpoints import WindowedEndpoint
from hyperoru_provider.client.api.models import Trade
from hyperoru_provider.client.errors import HyperoruConcurrentWriteError, HyperoruConfigError, HyperoruContractError
from hyperoru_provider.client.lists.rows import Row, Rows
from hyperoru_provider.client.times import parse_time
from hyperoru_provider.export import iceberg_table
from hyperoru_provider.export.columns import ColumnSchema
from hyperoru_provider.export.destinations.iceberg import IcebergDestination
from hyperoru_provider.export.iceberg_columns import new_schema
from hyperoru_provider.export.manifest import ExportSpec
from hyperoru_provider.export.run import export_rows
from hyperoru_provider.params.window import Window
from tests.exports import WRITES, Killed, batch_of
from tests.lakes import TABLE, Lake, interfering, local_lake

START = datetime(2026, 1, 15, tzinfo=UTC)
DAY = timedelta(days=1)
WINDOW = Window(START, START + DAY)
CONTRACT = load_contract()
COLUMNS = ColumnSchema(Trade, CONTRACT.trades).columns
PARTITIONS = pytest.mark.parametrize("by_day", [False, True])


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return local_lake(tmp_path)


def trade(number: int, price: str = "1.5", at: timedelta | None = None, **more: str) -> Row:
    time = (START + (timedelta(seconds=number) if at is None else at)).isoformat()
    fields = {"account_id": "1", "symbol": '"BTC"'} | more
    text = "".join(f',"{name}":{value}' for name, value in fields.items())
    text = f'{{"trade_id":{number},"side":"BUY","price":{price},"quantity":2,"trade_time":"{time}"{text}}}'
    return Row(parse_time(time), number, text.encode())


def spec_of(window: Window | None = WINDOW, endpoint: WindowedEndpoint = CONTRACT.trades, **filters: Any) -> ExportSpec:
    return ExportSpec("trades", window, filters, Trade, endpoint)


def land_batches(
    lake: Lake, batches: Iterable[Rows], *, spec: ExportSpec | None = None, on_empty: str | None = None, **how: Any
) -> Any:
    how = {"connect": lake.catalog, "create_table": True, "rows_per_file": 10, **how}
    destination = IcebergDestination(how.pop("connect"), TABLE, **how)
    return export_rows(spec or spec_of(), lambda *_: batches, destination, on_empty=on_empty)


def land(lake: Lake, rows: list[Row], window: Window | None = WINDOW, **more: Any) -> Any:
    how = {name: more.pop(name) for name in [*more] if name in _HOW}
    batches = (batch_of(rows[first : first + 7]) for first in range(0, len(rows), 7))
    return land_batches(lake, batches, spec=spec_of(window, **more), **how)


_HOW = {"connect", "create_table", "partition_by_day", "on_empty", "rows_per_file"}


def made(lake: Lake, *more: NestedField, partitions: PartitionSpec | None = None, **properties: str) -> None:
    """Make a table as somebody else may have it."""
    catalog = lake.catalog()
    catalog.create_namespace_if_not_exists("hyperoru")
    schema = Schema(*new_schema(COLUMNS).fields, *more)
    given: dict[str, Any] = {} if partitions is None else {"partition_spec": partitions}
    catalog.create_table(TABLE, schema, properties=properties, **given)


@PARTITIONS
def test_amounts_times_and_unknown_fields_survive(lake: Lake, by_day: bool) -> None:
    prices = ["1.00E-05", "3.28", "-0.1", "0.000000000000000001", "99999999999999999999", "12", "1E+3"]
    more = {"commission": "-0.25", "tx": '"0xab"', "depth": "0.30", "order_no": '"007"'}
    more["related_orders"] = '[{"p":0.10}]'
    rows = [trade(n, price, timedelta(microseconds=n), **more) for n, price in enumerate(prices)]
    land(lake, rows, partition_by_day=by_day)
    found = lake.rows(
        "price, commission, order_no, realized_pnl, extra, related_orders, epoch_us(trade_time), typeof(price), "
        "typeof(trade_time)"
    )
    assert [row[0] for row in found] == [Decimal(price) for price in prices]
    for number, (_, *rest) in enumerate(found):
        assert rest == [
            Decimal("-0.25"),
            "007",
            None,
            '{"depth":0.30,"tx":"0xab"}',
            '[{"p":0.10}]',
            int(START.timestamp()) * 1_000_000 + number,
            "DECIMAL(38,18)",
            "TIMESTAMP WITH TIME ZONE",
        ]


@PARTITIONS
def test_duckdb_reads_the_data_files_themselves(lake: Lake, by_day: bool) -> None:
    land(lake, [trade(n, str(n)) for n in range(35)], partition_by_day=by_day)
    paths = [task.file.file_path.removeprefix("file://") for task in lake.table.scan().plan_files()]
    with duckdb.connect() as connection:
        found = connection.execute("SELECT trade_id, price FROM read_parquet($1)", [paths]).fetchall()
    assert dict(found) == lake.prices() == {str(n): n for n in range(35)}
    assert len(found) == 35
    assert len(paths) == 4


def test_the_summary_and_the_snapshot(lake: Lake) -> None:
    summary = land(lake, [trade(n) for n in range(25)], account_id=1)
    snapshot = lake.table.current_snapshot()
    assert snapshot and snapshot.summary
    assert summary == json.loads(json.dumps(summary)) == {
        "rows": 25,
        "window": {"start": "2026-01-15T00:00:00Z", "end": "2026-01-16T00:00:00Z"},
        "table": TABLE,
        "location": f"{lake.warehouse}/hyperoru/trades",
        "snapshot_id": str(snapshot.snapshot_id),
        "written": True,
        "replaced": 0,
        "first_time": "2026-01-15T00:00:00Z",
        "last_time": "2026-01-15T00:00:24Z",
    }  # fmt: skip
    said = {name: text for name, text in snapshot.summary.additional_properties.items() if name.startswith("hyperoru.")}
    assert len(said.pop("hyperoru.fingerprint")) == 64
    assert lake.table.properties.keys() <= {"write.parquet.compression-codec"}  # what PyIceberg gives a table
    assert said == {
        "hyperoru.resource": "trades",
        "hyperoru.window-start": "2026-01-15T00:00:00Z",
        "hyperoru.window-end": "2026-01-16T00:00:00Z",
        "hyperoru.filters": '{"account_id": "1"}',
        "hyperoru.rows": "25",
    }


@PARTITIONS
def test_what_the_server_changed_or_dropped_is_one_snapshot(lake: Lake, by_day: bool) -> None:
    """Rows of the same files that are outside of the window stay."""
    elsewhere = [trade(100, at=-timedelta.resolution), trade(101, at=DAY)]
    land(lake, [*elsewhere, *(trade(n) for n in range(20))], Window(START - DAY, START + 2 * DAY),
         partition_by_day=by_day, rows_per_file=1000)  # fmt: skip
    summary = land(lake, [trade(n, "2" if n == 3 else "1.5") for n in range(25) if n != 5])
    assert (summary["replaced"], summary["written"]) == (20, True)
    assert len(lake.table.snapshots()) == 2
    before, after = lake.states()
    assert before == {str(n): Decimal("1.5") for n in [100, 101, *range(20)]}
    assert after == {str(n): Decimal("2" if n == 3 else "1.5") for n in [100, 101, *range(25)] if n != 5}


def test_replace_keeps_to_its_window_within_a_second(lake: Lake) -> None:
    half = timedelta(milliseconds=500)
    land(lake, [trade(n, at=n * half) for n in range(8)])
    land(lake, [], Window(START + 2 * half, START + 5 * half), on_empty="succeed")
    assert set(lake.prices()) == set("01567")


def test_replace_keeps_to_its_filters(lake: Lake) -> None:
    rows = [trade(n, account_id=str(n % 3), symbol='"BTC"' if n % 2 else '"ETH"') for n in range(30)]
    land(lake, rows)
    # the client takes either case for an answer to the other
    land(lake, [], account_id=1, symbol="eth", on_empty="succeed")
    assert set(lake.prices()) == {str(n) for n in range(30) if n % 3 != 1 or n % 2}
    land(lake, [trade(n, "2", account_id='"1"', symbol='"BtC"') for n in (1, 7)], symbol="bTc")
    assert set(lake.prices()) == {str(n) for n in range(0, 30, 2) if n % 3 != 1} | {"1", "7"}


def test_a_list_without_a_window_replaces_all(lake: Lake) -> None:
    land(lake, [trade(n, account_id=str(n % 2)) for n in range(20)])
    assert land(lake, [trade(n, "2", account_id="1") for n in (1, 3)], None, account_id=1)["replaced"] == 10
    assert len(lake.prices()) == 12
    land(lake, [trade(77)], None)
    assert set(lake.prices()) == {"77"}


def test_no_rows_replace_none_unless_it_is_allowed(lake: Lake) -> None:
    assert land(lake, [], on_empty="skip") is None
    assert land(lake, [])["snapshot_id"] is None
    assert lake.table.snapshots() == []
    land(lake, [trade(n, account_id=str(n % 2)) for n in range(20)])
    before = lake.prices()
    for on_empty in (None, "skip", "fail"):
        with pytest.raises(HyperoruContractError, match="on_empty"):
            land(lake, [], account_id=1, on_empty=on_empty)
    land(lake, [], account_id=2)  # there are none to lose
    land(lake, [], Window(START + DAY, START + 2 * DAY))
    assert lake.prices() == before
    assert land(lake, [], account_id=1, on_empty="succeed")["replaced"] == 10
    assert len(lake.prices()) == 10
    assert len(lake.table.snapshots()) == 2


def test_a_table_without_any_row_is_warned_of(lake: Lake, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    land(lake, [])
    assert "trading_mode" in caplog.text
    land(lake, [trade(1)])
    caplog.clear()
    land(lake, [], Window(START + DAY, START + 2 * DAY))
    assert not caplog.messages


class TestJustTheseRows:
    """What is surely there already is not written again."""

    ROWS = [trade(n, account_id=str(n % 2)) for n in range(20)]  # noqa: RUF012

    def again(self, lake: Lake, **more: Any) -> bool:
        """Export once more, and return whether that wrote."""
        before = lake.table.metadata_location
        written = bool(land(lake, self.ROWS, **more)["written"])
        assert written is (lake.table.metadata_location != before)
        assert len(lake.prices()) >= 20
        return written

    @PARTITIONS
    def test_nothing_is_written(self, lake: Lake, by_day: bool, caplog: pytest.LogCaptureFixture) -> None:
        first = land(lake, self.ROWS, partition_by_day=by_day)
        caplog.set_level(logging.INFO)
        files = sorted(Path(lake.warehouse.removeprefix("file://")).rglob("*"))
        assert land(lake, self.ROWS) == {**first, "written": False}
        assert sorted(Path(lake.warehouse.removeprefix("file://")).rglob("*")) == files
        assert "(which had just these already)" in caplog.text
        assert self.again(lake, account_id=None) is False

    def test_exports_of_other_rows_do_not_matter(self, lake: Lake) -> None:
        land(lake, self.ROWS)
        land(lake, [trade(50, at=DAY)], Window(START + DAY, START + 2 * DAY))
        land(lake, [trade(51, at=-DAY)], Window(START - DAY, START))
        assert self.again(lake) is False
        land(lake, [], Window(START + DAY, START + 2 * DAY), on_empty="succeed")
        assert self.again(lake) is False

    def test_exports_of_other_traders_do_not_matter(self, lake: Lake) -> None:
        ones = [trade(n, account_id="1") for n in range(9)]
        land(lake, ones, account_id=1)
        land(lake, [trade(100 + n, account_id="2") for n in range(9)], account_id=2)
        assert land(lake, ones, account_id=1)["written"] is False

    @pytest.mark.parametrize("change", ["overlapping", "narrower filter", "foreign", "rollback", "column", "own rows"])
    def test_what_may_have_changed_is_written_again(self, lake: Lake, change: str) -> None:
        land(lake, [trade(0)])
        land(lake, self.ROWS)
        table = lake.table
        if change == "overlapping":
            half = Window(START, START + DAY / 2)
            land(lake, self.ROWS, half)
        elif change == "narrower filter":
            land(lake, [row for row in self.ROWS if b'"account_id":1' in row.raw], account_id=1)
        elif change == "foreign":
            table.append(pa.table({"trade_id": ["x"], "price": [Decimal(1)]}, schema=pa.schema(
                [("trade_id", pa.string()), ("price", pa.decimal128(38, 18))])))  # fmt: skip
        elif change == "rollback":
            if not hasattr(table.manage_snapshots(), "set_current_snapshot"):
                pytest.skip("PyIceberg can't do that before 0.11")
            table.manage_snapshots().set_current_snapshot(table.snapshots()[0].snapshot_id).commit()
        elif change == "column":
            with table.update_schema(allow_incompatible_changes=True) as update:
                update.delete_column("price")
        else:
            land(lake, [trade(0)])
        assert self.again(lake) is True
        assert self.again(lake) is False

    def test_other_rows_are_written(self, lake: Lake) -> None:
        land(lake, self.ROWS)
        for rows in (self.ROWS[1:], [*self.ROWS[:-1], trade(19, "7")], self.ROWS):
            assert land(lake, rows)["written"] is True


OTHERS: dict[str, PartitionField] = {
    "symbol": PartitionField(8, 1000, IdentityTransform(), "symbol"),
    "account": PartitionField(2, 1000, BucketTransform(3), "account_bucket"),
    "prefix": PartitionField(8, 1000, TruncateTransform(1), "symbol_trunc"),
}


@pytest.mark.parametrize("partition", OTHERS)
@pytest.mark.parametrize("version", ["1", "2"])
def test_tables_of_others(lake: Lake, partition: str, version: str) -> None:
    """With partitions and columns of their own; and then with other partitions."""
    field = NestedField(99, "note", StringType(), required=False)
    made(lake, field, partitions=PartitionSpec(OTHERS[partition]), **{"format-version": version})
    rows = [trade(n, account_id=str(n % 4), symbol=f'"{("BTC", "ETH", "BNB")[n % 3]}"') for n in range(40)]
    land(lake, rows, create_table=False)
    land(lake, [row for row in rows if row.key % 3 == 1], symbol="ETH", account_id=None)  # type: ignore[operator]
    assert lake.prices() == {str(n): Decimal("1.5") for n in range(40)}
    with lake.table.update_spec() as update:
        update.add_field("trade_time", DayTransform(), "day")
    land(
        lake,
        [trade(n, "3") for n in range(10, 15)],
        Window(START + timedelta(seconds=10), START + timedelta(seconds=15)),
    )
    assert lake.prices() == {str(n): Decimal(3 if 10 <= n < 15 else "1.5") for n in range(40)}
    assert len(lake.table.snapshots()) == 3


def test_columns_of_others_keep_their_values_in_rows_that_stay(lake: Lake) -> None:
    made(lake, NestedField(99, "note", StringType(), required=False), NestedField(98, "n", LongType(), required=False))
    land(lake, [trade(n) for n in range(4)])
    noted = lake.table.scan().to_arrow().set_column(24, "note", pa.array(list("abcd"), pa.string()))
    lake.table.overwrite(noted)
    land(lake, [trade(1, "2")], Window(START + timedelta(seconds=1), START + timedelta(seconds=2)))
    assert [row[0] for row in lake.rows("note")] == ["a", None, "c", "d"]


class _DeletesWriter(ManifestWriterV2):
    def content(self) -> ManifestContent:
        return ManifestContent.DELETES


class _PositionDeletes(_FastAppendFiles):
    """Adds a file of deletes, as engines do that merge on read; PyIceberg itself writes none."""

    def _manifests(self) -> list[ManifestFile]:
        metadata = self._transaction.table_metadata
        output = self.new_manifest_output()
        with _DeletesWriter(metadata.spec(), metadata.schema(), output, self._snapshot_id, "deflate") as writer:
            for file in self._added_data_files:
                entry: dict[str, Any] = {
                    "status": ManifestEntryStatus.ADDED,
                    "snapshot_id": self._snapshot_id,
                    "data_file": file,
                }
                writer.add(ManifestEntry.from_args(sequence_number=None, file_sequence_number=None, **entry))
        return [writer.to_manifest_file(), *self._existing_manifests()]


def delete_by_position(lake: Lake, *positions: int) -> None:
    """Delete rows of the only data file of the table."""
    table = lake.table
    (task,) = table.scan().plan_files()
    path = f"{table.location()}/data/deletes.parquet"
    ids = [{b"PARQUET:field_id": number} for number in (b"2147483546", b"2147483545")]
    fields = [pa.field("file_path", pa.string(), False, ids[0]), pa.field("pos", pa.int64(), False, ids[1])]
    deletes = [[task.file.file_path] * len(positions), list(positions)]
    pq.write_table(pa.table(deletes, schema=pa.schema(fields)), path.removeprefix("file://"))
    file = DataFile.from_args(
        content=DataFileContent.POSITION_DELETES,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=task.file.partition,
        record_count=len(positions),
        file_size_in_bytes=Path(path.removeprefix("file://")).stat().st_size,
        column_sizes={},
        value_counts={},
        null_value_counts={},
        nan_value_counts={},
        lower_bounds={},
        upper_bounds={},
        split_offsets=None,
        equality_ids=None,
        key_metadata=None,
        sort_order_id=None,
    )
    file.spec_id = task.file.spec_id
    with table.transaction() as change, _PositionDeletes(Operation.OVERWRITE, change, table.io) as producer:
        producer.append_data_file(file)


@PARTITIONS
def test_rows_that_another_engine_deleted_by_position_stay_deleted(lake: Lake, by_day: bool) -> None:
    land(lake, [trade(n) for n in range(10)], partition_by_day=by_day)
    delete_by_position(lake, 1, 5, 8)
    assert set(lake.prices()) == set("0234679")
    window = Window(START + timedelta(seconds=4), START + timedelta(seconds=7))
    summary = land(lake, [trade(n, "2") for n in (4, 5, 6)], window)
    assert summary["replaced"] == 2
    assert lake.prices() == {str(n): Decimal(2 if 4 <= n < 7 else "1.5") for n in (0, 2, 3, 4, 5, 6, 7, 9)}
    summary = land(lake, [trade(n, "3") for n in range(10)])
    assert (summary["replaced"], len(lake.prices())) == (8, 10)


@pytest.mark.parametrize("gone", [["extra"], ["account_id", "trade_time"]])
def test_a_model_that_has_grown_adds_columns(lake: Lake, gone: list[str]) -> None:
    catalog = lake.catalog()
    catalog.create_namespace("hyperoru")
    catalog.create_table(TABLE, Schema(*(field for field in new_schema(COLUMNS).fields if field.name not in gone)))
    lake.table.append(pa.table({"trade_id": pa.array(["old"], pa.string())}))
    land(lake, [trade(n, odd="7") for n in range(5)], account_id=1)
    assert set(lake.prices()) == {"old", *map(str, range(5))}
    assert {row[0] for row in lake.rows("extra")} == {None, '{"odd":7}'}
    assert [field.name for field in lake.table.schema().fields][-len(gone) :] == gone
    assert len(lake.table.snapshots()) == 2
    assert land(lake, [trade(n, odd="7") for n in range(5)], account_id=1)["written"] is False


def asked(lake: Lake, **how: Any) -> Any:
    """Export, and fail if the server would be asked for anything."""

    def batches() -> Iterator[Rows]:
        pytest.fail("the server was asked")
        yield

    return land_batches(lake, batches(), **how)


class TestWhatIsRefused:
    """What can't be right is named before the server is asked."""

    def test_a_table_that_is_not_there(self, lake: Lake) -> None:
        for _ in range(2):
            with pytest.raises(HyperoruConfigError, match=r"hyperoru.trades does not exist in the catalog iceberg_def"):
                asked(lake, create_table=False)
            lake.catalog().create_namespace_if_not_exists("hyperoru")

    @pytest.mark.parametrize(
        ("name", "kind", "said"),
        [
            ("price", DoubleType(), r"price is double, but must be decimal\(38, 18\)"),
            ("trade_time", TimestampType(), "trade_time is timestamp, but must be timestamptz"),
            ("trade_id", LongType(), "trade_id is long, but must be string"),
        ],
    )
    def test_columns_of_another_type(self, lake: Lake, name: str, kind: Any, said: str) -> None:
        fields = {field.name: field for field in new_schema(COLUMNS).fields}
        fields[name] = NestedField(fields[name].field_id, name, kind, required=False)
        lake.catalog().create_namespace("hyperoru")
        lake.catalog().create_table(TABLE, Schema(*fields.values()))
        with pytest.raises(HyperoruConfigError, match=f"The columns of hyperoru.trades don't fit: {said}"):
            asked(lake)

    def test_a_required_column_that_no_row_has(self, lake: Lake) -> None:
        made(lake, NestedField(99, "note", StringType(), required=True))
        with pytest.raises(HyperoruConfigError, match="note is required, but no column of the list"):
            asked(lake)

    def test_partitions_that_cannot_be_written(self, lake: Lake) -> None:
        made(lake, partitions=PartitionSpec(PartitionField(8, 1000, UnknownTransform("zorder"), "z")))
        with pytest.raises(HyperoruConfigError, match="has the partition z, which PyIceberg can't write here: rows"):
            asked(lake)

    def test_partitions_by_a_column_that_is_not_written(self, lake: Lake) -> None:
        note = NestedField(99, "note", StringType(), required=False)
        made(lake, note, partitions=PartitionSpec(PartitionField(99, 1000, IdentityTransform(), "by_note")))
        with pytest.raises(HyperoruConfigError, match="is partitioned by note, which is no column of the list: rows"):
            asked(lake)

    def test_other_file_formats(self, lake: Lake) -> None:
        made(lake, partitions=None, **{"write.format.default": "orc"})
        with pytest.raises(HyperoruConfigError, match="is written as orc, and not as parquet"):
            asked(lake)

    def test_filters_and_times_that_are_no_columns(self, lake: Lake) -> None:
        with pytest.raises(HyperoruConfigError, match="The filter strategy is not a column"):
            asked(lake, spec=spec_of(strategy=1))
        with pytest.raises(HyperoruConfigError, match="The filter price is not a column of text"):
            asked(lake, spec=spec_of(price=1))
        endpoint = CONTRACT.trades.model_copy(update={"time": "closed_at"})
        with pytest.raises(HyperoruConfigError, match="time closed_at is not a column"):
            asked(lake, spec=spec_of(endpoint=endpoint))
        with pytest.raises(HyperoruConfigError, match="partition_by_day needs a list that is read by time"):
            asked(lake, spec=spec_of(None), partition_by_day=True)


def test_required_columns_need_values(lake: Lake) -> None:
    fields = [
        NestedField(field.field_id, field.name, field.field_type, required=field.name in ("trade_id", "order_no"))
        for field in new_schema(COLUMNS).fields
    ]
    lake.catalog().create_namespace("hyperoru")
    lake.catalog().create_table(TABLE, Schema(*fields))
    land(lake, [trade(n, order_no='"7"') for n in range(5)])
    with pytest.raises(HyperoruContractError, match="The table requires a value of order_no, which a row lacks"):
        land(lake, [*(trade(n, order_no='"8"') for n in range(30)), trade(31)])
    assert len(lake.prices()) == 5
    assert lake.orphans() == set()


def test_a_table_whose_rows_can_not_be_found_any_more_is_refused(lake: Lake) -> None:
    land(lake, [trade(n) for n in range(5)])
    for name, change in (("trade_time", "traded_at"), ("account_id", None)):
        with lake.table.update_schema(allow_incompatible_changes=True) as update:
            if change:
                update.rename_column(name, change)
            else:
                update.delete_column(name)
        before = lake.table.metadata_location
        with pytest.raises(HyperoruConfigError, match=f"has no column .*{name}.* any more"):
            asked(lake, spec=spec_of(account_id=1))
        assert lake.table.metadata_location == before


def test_a_struct_of_others_that_can_not_be_left_out_is_refused(lake: Lake) -> None:
    inner = NestedField(101, "x", LongType(), required=True)
    made(lake, NestedField(100, "more", StructType(inner), required=False))
    with pytest.raises(HyperoruConfigError, match="more has a required field within"):
        asked(lake)


def test_a_run_that_read_no_rows_takes_away_none_that_others_have_written_meanwhile(lake: Lake) -> None:
    def batches() -> Iterator[Rows]:
        land(lake, [trade(n) for n in range(3)])
        yield from ()

    land(lake, [])
    with pytest.raises(HyperoruConcurrentWriteError, match=r"had 0 rows .* and has 3 now"):
        land_batches(lake, batches())
    assert len(lake.prices()) == 3


@PARTITIONS
def test_rows_that_would_not_be_found_again_are_refused(lake: Lake, by_day: bool) -> None:
    land(
        lake, [trade(n) for n in range(20)], Window(START - DAY, START + DAY), partition_by_day=by_day, rows_per_file=99
    )
    before = lake.table.metadata_location
    rows = [trade(n, account_id="1" if n else "null") for n in range(20)]
    with pytest.raises(HyperoruContractError, match=r"20 rows were written to .*, but 19 are found there"):
        land(lake, rows, account_id=1)
    assert lake.table.metadata_location == before
    assert lake.orphans() == set()


def test_a_server_that_fails_leaves_nothing(lake: Lake) -> None:
    land(lake, [trade(n) for n in range(20)])
    before = sorted(Path(lake.warehouse.removeprefix("file://")).rglob("*"))

    def batches() -> Iterator[Rows]:
        yield batch_of([trade(n, "2") for n in range(50)])
        raise HyperoruContractError("the server misbehaves")

    with pytest.raises(HyperoruContractError, match="misbehaves"):
        land_batches(lake, batches())
    assert sorted(Path(lake.warehouse.removeprefix("file://")).rglob("*")) == before


class TestOthersWriteAtTheSameTime:
    def test_a_commit_that_others_overtake_is_made_again(self, lake: Lake) -> None:
        """What they wrote to the window meanwhile is replaced, and what they wrote elsewhere stays."""
        land(lake, [trade(n) for n in range(20)])
        turns: list[Callable[[], object]] = [
            int,  # as the destination is opened
            lambda: land(lake, [trade(50, at=DAY)], Window(START + DAY, START + 2 * DAY)),
            lambda: land(lake, [trade(n, "3") for n in range(30)]),
        ]
        summary = land(
            lake, [trade(n, "2") for n in range(25)], create_table=False, connect=interfering(lake.catalog, turns)
        )
        assert summary["replaced"] == 30
        assert lake.prices() == {"50": Decimal("1.5"), **{str(n): Decimal(2) for n in range(25)}}
        assert lake.orphans() == set()
        assert len(lake.table.snapshots()) == 4

    def test_the_same_rows_that_another_run_wrote_are_not_written_again(self, lake: Lake) -> None:
        rows = [trade(n) for n in range(25)]
        land(lake, rows[:3])
        turns: list[Callable[[], object]] = [int, lambda: land(lake, rows)]
        summary = land(lake, rows, create_table=False, connect=interfering(lake.catalog, turns))
        assert summary["written"] is False
        assert lake.orphans() == set()

    def test_columns_that_another_run_adds(self, lake: Lake) -> None:
        gone = {"extra", "symbol"}
        catalog = lake.catalog()
        catalog.create_namespace("hyperoru")
        catalog.create_table(TABLE, Schema(*(field for field in new_schema(COLUMNS).fields if field.name not in gone)))

        def add() -> None:
            with lake.table.update_schema() as update:
                update.add_column("extra", StringType())
                update.add_column("more", IntegerType())

        turns: list[Callable[[], object]] = [int, add]
        land(lake, [trade(n, odd="1") for n in range(5)], create_table=False, connect=interfering(lake.catalog, turns))
        assert lake.rows("extra, symbol, more") == [('{"odd":1}', "BTC", None)] * 5
        assert lake.orphans() == set()

    def test_another_table_of_the_same_name(self, lake: Lake) -> None:
        """The files that were written for the first one are none of the second one's."""
        land(lake, [trade(n) for n in range(5)])
        first = lake.table.location()

        def make_anew() -> None:
            lake.catalog().drop_table(TABLE)
            lake.catalog().create_table(TABLE, new_schema(COLUMNS), location=f"{first}-2")

        turns: list[Callable[[], object]] = [int, make_anew, lambda: shutil.rmtree(first.removeprefix("file://"))]
        land(lake, [trade(n, "2") for n in range(8)], create_table=False, connect=interfering(lake.catalog, turns))
        assert lake.prices() == {str(n): Decimal(2) for n in range(8)}
        assert lake.orphans() == set()

    def test_a_catalog_that_fails_before_another_attempt(self, lake: Lake) -> None:
        """The files of the first one stay, as the catalog has not shown that it has none of them."""
        land(lake, [trade(n) for n in range(20)])

        def fail() -> None:
            raise ConnectionError("the catalog is away")

        turns: list[Callable[[], object]] = [
            int,
            lambda: land(lake, [trade(50, at=DAY)], Window(START + DAY, START + 2 * DAY)),
            int,  # as the catalog refuses the commit
            fail,
        ]
        with pytest.raises(ConnectionError):
            land(lake, [trade(n, "2") for n in range(20)], create_table=False, connect=interfering(lake.catalog, turns))
        assert lake.prices() == {str(n): Decimal("1.5") for n in [50, *range(20)]}
        assert len(lake.orphans()) == 2

    def test_a_commit_whose_answer_is_lost(self, lake: Lake) -> None:
        """Its files stay, as the catalog may have committed them; the next try finds out."""
        land(lake, [trade(n) for n in range(20)])
        new = [trade(n, "2") for n in range(25)]

        def connect() -> Catalog:
            catalog = lake.catalog()
            commit = catalog.commit_table

            def lose(*arguments: Any) -> None:
                commit(*arguments)
                raise ConnectionError("the answer is lost")

            catalog.commit_table = lose  # type: ignore[method-assign, assignment]
            return catalog

        with pytest.raises(ConnectionError):
            land(lake, new, connect=connect)
        assert lake.prices() == {str(n): 2 for n in range(25)}
        assert land(lake, new)["written"] is False
        assert len(lake.table.snapshots()) == 2

    @pytest.mark.parametrize("attempts", [1, 20])
    def test_a_commit_that_is_sent_twice(self, lake: Lake, attempts: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """By a proxy that got no answer: the catalog has committed it, and refuses it the second time."""
        monkeypatch.setattr(iceberg_table, "ATTEMPTS", attempts)
        land(lake, [trade(n) for n in range(30)], rows_per_file=100)
        half = Window(START, START + timedelta(seconds=15))

        def connect() -> Catalog:
            catalog = lake.catalog()
            commit = catalog.commit_table

            def send_twice(*arguments: Any) -> Any:
                commit(*arguments)
                return commit(*arguments)

            catalog.commit_table = send_twice  # type: ignore[method-assign, assignment]
            return catalog

        summary = land(lake, [trade(n, "2") for n in range(12)], half, connect=connect)
        assert (summary["written"], summary["replaced"]) == (True, 15)
        assert summary["snapshot_id"] == str(lake.table.current_snapshot().snapshot_id)  # type: ignore[union-attr]
        assert lake.prices() == {str(n): Decimal(2 if n < 12 else "1.5") for n in [*range(12), *range(15, 30)]}
        assert lake.orphans() == set()

    def test_who_is_always_overtaken_gives_up(self, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(iceberg_table, "ATTEMPTS", 3)
        land(lake, [trade(n) for n in range(20)])
        days = iter(range(1, 100))

        def other() -> None:
            day = START + next(days) * DAY
            land(lake, [trade(1000, at=day - START)], Window(day, day + DAY))

        with pytest.raises(HyperoruConcurrentWriteError, match="during each of 3 attempts"):
            land(
                lake,
                [trade(n, "2") for n in range(20)],
                create_table=False,
                connect=interfering(lake.catalog, repeat(other)),
            )
        assert set(lake.rows("price, trade_id < '9'")) == {(Decimal("1.5"), True), (Decimal("1.5"), False)}
        assert lake.orphans() == set()

    @pytest.mark.slow
    def test_many_windows_at_once(self, tmp_path: Path) -> None:
        lake = local_lake(tmp_path)
        lake.catalog()  # a SQL catalog makes its own tables when it is first used
        errors: list[BaseException] = []
        windows = [Window(START + n * DAY, START + (n + 1) * DAY) for n in range(6)]

        def export(number: int, window: Window) -> None:
            try:
                rows = [trade(100 * number + n, at=number * DAY + timedelta(seconds=n)) for n in range(20)]
                land(lake, rows, window, partition_by_day=True)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=export, args=each) for each in enumerate(windows)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert lake.prices().keys() == {str(100 * day + n) for day in range(6) for n in range(20)}
        assert len(lake.table.snapshots()) == 6


@pytest.mark.slow
@PARTITIONS
def test_killed_at_any_write_it_shows_all_or_nothing_and_ends_right(tmp_path: Path, by_day: bool) -> None:
    """Files are written by Python here, so that each write is seen."""
    old = [trade(n, at=n * timedelta(hours=3)) for n in range(16)]
    new = [trade(n, "2", at=n * timedelta(hours=3)) for n in range(4, 10)]
    window = Window(START + timedelta(hours=12), START + timedelta(hours=30))
    stop_at = 0
    while True:
        stop_at += 1
        directory = tmp_path / str(stop_at)
        directory.mkdir()
        lake = local_lake(directory, **{"py-io-impl": "pyiceberg.io.fsspec.FsspecFileIO"})
        land(lake, old, Window(START, START + 2 * DAY), partition_by_day=by_day, rows_per_file=5)
        before = lake.prices()
        after = {**before, **{str(n): Decimal(2) for n in range(4, 10)}}
        WRITES.begin(directory, stop_at)
        try:
            land(lake, new, window)
        except Killed:
            pass
        else:
            break
        finally:
            WRITES.end()
        assert lake.prices() in (before, after)
        land(lake, new, window)
        assert lake.prices() == after
        assert all(state in (before, after) for state in lake.states())
    assert lake.prices() == after
    assert stop_at > 6


def test_memory_holds_a_file(tmp_path: Path) -> None:
    """Files are written by Python here, so that Arrow's memory is looked at before each of them."""
    lake = local_lake(tmp_path, **{"py-io-impl": "pyiceberg.io.fsspec.FsspecFileIO"})
    held: list[int] = []
    WRITES.begin(tmp_path, before=lambda: held.append(pa.total_allocated_bytes()))
    try:
        land(lake, [trade(n) for n in range(10_000)], rows_per_file=250)
    finally:
        WRITES.end()
    assert len(lake.prices()) == 10_000
    assert len(held) > 40
    assert max(held) - held[0] < lake.table.scan().to_arrow().nbytes / 4


def reader(lake: Lake, over: Callable[[], bool]) -> set[tuple[Any, ...]]:
    seen = set()
    while not over():
        seen.update(lake.rows("price, count(*) OVER ()"))
    return seen


@pytest.mark.slow
def test_nobody_sees_a_part(lake: Lake) -> None:
    land(lake, [trade(n) for n in range(500)])
    over = threading.Event()
    seen: set[tuple[Any, ...]] = set()
    thread = threading.Thread(target=lambda: seen.update(reader(lake, over.is_set)))
    thread.start()
    for price, count in (("2", 700), ("3", 300)):
        land(lake, [trade(n, price) for n in range(count)], rows_per_file=40)
    over.set()
    thread.join()
    assert seen <= {(Decimal("1.5"), 500), (Decimal(2), 700), (Decimal(3), 300)}
    assert len(seen) > 1

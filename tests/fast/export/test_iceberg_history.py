"""What the snapshots of a table of Iceberg say, and which tables are refused: pure, over metadata."""

from __future__ import annotations

from typing import Any

import pytest
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.table.metadata import TableMetadata, new_table_metadata
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER

from hyperoru_provider.client.api.contract import load_contract
from hyperoru_provider.client.api.models import Order, Trade
from hyperoru_provider.client.errors import HyperoruConfigError
from hyperoru_provider.export.columns import ColumnSchema
from hyperoru_provider.export.iceberg_columns import check_table, new_schema
from hyperoru_provider.export.iceberg_history import content_hash, find_same, snapshot_properties
from hyperoru_provider.export.manifest import ExportSpec
from hyperoru_provider.params.window import Window

CONTRACT = load_contract()
COLUMNS = ColumnSchema(Trade, CONTRACT.trades).columns
DAY = Window.parse("2026-01-15", "2026-01-16")
FIRST_HALF = Window.parse("2026-01-15", "2026-01-15T12:00")


def spec_of(window: Window | None = DAY, **filters: Any) -> ExportSpec:
    return ExportSpec("trades", window, filters, Trade, CONTRACT.trades)


def said(spec: ExportSpec, fingerprint: str = "other") -> dict[str, str]:
    return snapshot_properties(spec, 7, fingerprint)


def table_of(*snapshots: tuple[Operation, dict[str, str]], **more: Any) -> TableMetadata:
    """Return a table with these snapshots, oldest first."""
    empty = new_table_metadata(new_schema(COLUMNS), UNPARTITIONED_PARTITION_SPEC, UNSORTED_SORT_ORDER, "file:///t", {})
    made = [
        Snapshot(
            snapshot_id=number,
            parent_snapshot_id=number - 1 or None,
            sequence_number=number,
            timestamp_ms=number,
            manifest_list="file:///m",
            summary=Summary(operation, **properties),
            schema_id=empty.current_schema_id,
        )
        for number, (operation, properties) in enumerate(snapshots, 1)
    ]
    return empty.model_copy(update={"snapshots": made, "current_snapshot_id": len(made) or None, **more})


MINE = said(spec_of(), "mine")
OVER, APPEND, REPLACE = Operation.OVERWRITE, Operation.APPEND, Operation.REPLACE
TODAY_OF_ONE, TODAY_OF_TWO = said(spec_of(account_id=1)), said(spec_of(account_id=2))


@pytest.mark.parametrize(
    "since",
    [
        [],
        [(REPLACE, {})],
        [(OVER, said(spec_of(Window.parse("2026-01-14", "2026-01-15"))))],
        [(APPEND, said(spec_of(Window.parse("2026-01-16", "2026-01-17")))), (REPLACE, {})],
    ],
)
def test_what_surely_did_not_change_the_rows(since: list[Any]) -> None:
    found = find_same(table_of((APPEND, {}), (OVER, MINE), *since), MINE)
    assert found
    assert found.snapshot_id == 2


@pytest.mark.parametrize(
    "since",
    [
        [(APPEND, {})],
        [(OVER, {})],
        [(Operation.DELETE, {})],
        [(OVER, said(spec_of()))],
        [(OVER, said(spec_of(FIRST_HALF)))],
        [(OVER, said(spec_of(None)))],
        [(OVER, TODAY_OF_ONE)],
        [(APPEND, {}), (OVER, said(spec_of(Window.parse("2026-01-16", "2026-01-17"))))],
        [(OVER, {**said(spec_of(Window.parse("2026-01-16", "2026-01-17"))), "hyperoru.resource": "orders"})],
        [(OVER, {"hyperoru.resource": "trades"})],
        [(OVER, {**TODAY_OF_TWO, "hyperoru.filters": "[1]"})],
        [(OVER, {**TODAY_OF_TWO, "hyperoru.filters": "{"})],
        [(OVER, {**TODAY_OF_TWO, "hyperoru.filters": '{"account_id": 7}'})],
        [(OVER, {**MINE, "hyperoru.fingerprint": "x", "hyperoru.window-start": "soon"})],
    ],
)
def test_what_leaves_a_doubt(since: list[Any]) -> None:
    assert find_same(table_of((OVER, MINE), *since), MINE) is None


def test_traders_are_told_apart_and_symbols_whatever_their_case() -> None:
    one = {**TODAY_OF_ONE, "hyperoru.fingerprint": "mine"}
    assert find_same(table_of((OVER, one), (OVER, TODAY_OF_TWO)), one)
    btc = said(spec_of(symbol="BTC"), "mine")
    assert find_same(table_of((OVER, btc), (OVER, said(spec_of(symbol="ETH")))), btc)
    assert not find_same(table_of((OVER, btc), (OVER, said(spec_of(symbol="btc")))), btc)
    assert not find_same(table_of((OVER, btc), (OVER, said(spec_of(account_id=2)))), btc)


def test_another_schema_and_a_lineage_that_ends() -> None:
    assert not find_same(table_of(), MINE)
    other = table_of((OVER, MINE))
    assert find_same(other, MINE)
    assert not find_same(other.model_copy(update={"current_schema_id": 1}), MINE)
    rolled_back = table_of((APPEND, {}), (OVER, MINE), current_snapshot_id=1)
    assert not find_same(rolled_back, MINE)
    later = (OVER, said(spec_of(Window.parse("2026-01-16", "2026-01-17"))))
    whole = table_of((OVER, MINE), later)
    assert find_same(whole, MINE)
    assert not find_same(whole.model_copy(update={"snapshots": whole.snapshots[1:]}), MINE)


def test_the_hash_knows_all_that_decides_the_rows_in_the_table() -> None:
    specs = [
        spec_of(),
        spec_of(FIRST_HALF),
        spec_of(None),
        spec_of(account_id=1),
        ExportSpec("orders", None, {}, Order, CONTRACT.lists["orders"]),
        ExportSpec("trades", DAY, {}, Trade, load_contract({"trades": {"fields": {"price": "px"}}}).trades),
    ]
    hashes = [content_hash(spec).hexdigest() for spec in specs]
    assert len(set(hashes)) == len(specs)
    assert content_hash(spec_of()).hexdigest() == hashes[0]


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"format_version": 3}, "has the format version 3, of which at most 2 can be written"),
        ({"properties": {"write.format.default": "avro"}}, "is written as avro, and not as parquet"),
    ],
)
def test_tables_that_pyiceberg_cannot_write(more: dict[str, Any], named: str) -> None:
    check_table(table_of(), "a.b", COLUMNS)
    with pytest.raises(HyperoruConfigError, match=named):
        check_table(table_of(**more), "a.b", COLUMNS)


def test_equality_deletes_are_refused() -> None:
    check_table(table_of((OVER, {"total-equality-deletes": "0"})), "a.b", COLUMNS)
    with pytest.raises(HyperoruConfigError, match=r"The table a\.b has equality deletes of another engine"):
        check_table(table_of((OVER, {"total-equality-deletes": "1"})), "a.b", COLUMNS)

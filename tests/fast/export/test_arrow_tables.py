"""Rows read by column are the rows read one by one."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from hyperoru_provider.client.api.contract import load_contract
from hyperoru_provider.client.api.endpoints import ListEndpoint
from hyperoru_provider.client.api.models import Trade
from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.lists.rows import Row
from hyperoru_provider.export.columns import ColumnSchema
from hyperoru_provider.export.formats.arrow_tables import (
    ODD,
    ArrowTableBuilder,
    ColumnReader,
    _text_array,
    read_one_by_one,
)
from tests.exports import batch_of

START = datetime(2026, 1, 15, tzinfo=UTC)
ENDPOINT = load_contract().trades


def row(number: int, **fields: str) -> Row:
    time = (START + timedelta(seconds=number)).isoformat().replace("+00:00", "Z")
    given = {"trade_id": str(number), "symbol": '"BTC"', "side": '"BUY"', "price": "1.5", "quantity": "2"}
    texts = {**given, "trade_time": f'"{time}"', **fields}
    raw = "{" + ",".join(f'"{name}": {text}' for name, text in texts.items() if text) + "}"
    return Row(START + timedelta(seconds=number), number, raw.encode())


def by_column(rows: list[Row], endpoint: ListEndpoint = ENDPOINT) -> pa.Table | None:
    table = ColumnSchema(Trade, endpoint)
    try:
        return ColumnReader(table, ArrowTableBuilder(table).schema, [row.raw for row in rows]).read()
    except ODD:
        return None


def by_row(rows: list[Row]) -> pa.Table:
    table = ColumnSchema(Trade, ENDPOINT)
    return read_one_by_one(table, ArrowTableBuilder(table).schema, batch_of(rows))


def encoded(rows: list[Row]) -> pa.Table:
    return ArrowTableBuilder(ColumnSchema(Trade, ENDPOINT)).table_of([batch_of(rows)])


PLAIN: list[dict[str, Any]] = [
    {},
    {"commission": "null", "realized_pnl": "-1.00E-05", "account_id": "7"},
    {"fee": "0.1", "account_id": '"a-7"', "order_id": "123456789012"},
    {"related_orders": '[{"id": 1, "price": 1.00E-05}]'},
    {"related_orders": "null", "model": '"gpt-4o \\u00e9 \\"x\\""'},
    {"tx_hash": '"0xab"', "crossed": "false", "depth": "0.30", "nested": '{"b": 1.10, "a": [1 , 2]}', "n": "null"},
    {"price": '"3.280"', "quantity": "1E+3"},
]


@pytest.mark.parametrize("fields", PLAIN)
def test_plain_rows_are_read_by_column(fields: dict[str, str]) -> None:
    rows = [row(number, **fields) for number in range(3)]
    table = by_column(rows)
    assert table is not None
    assert table.equals(by_row(rows))


def test_a_field_that_some_rows_lack() -> None:
    rows = [row(1, tx='"a"', z="1.10", commission="1"), row(2, z="null"), row(3, tx='"b"')]
    table = by_column(rows)
    assert table is not None
    assert table.equals(by_row(rows))
    assert table["extra"].to_pylist() == ['{"tx":"a","z":1.10}', '{"z":null}', '{"tx":"b"}']


@pytest.mark.parametrize("sent", [{}, {"account_id": "null"}])
@pytest.mark.parametrize("new", [{}, {"new": "1"}])
def test_what_the_path_of_the_request_named_is_filled_in(sent: dict[str, str], new: dict[str, str]) -> None:
    rows = [row(1, **sent), row(2, account_id="8", **new)] if sent else [row(1), row(2, **new)]
    table = ArrowTableBuilder(ColumnSchema(Trade, ENDPOINT, {"account_id": "7"})).table_of([batch_of(rows)])
    assert table["account_id"].to_pylist() == (["7", "8"] if sent else ["7", "7"])


@pytest.mark.parametrize(
    "second",
    [
        {"created_at": '"2026-01-15T00:00:00Z"'},
        {"new": "1"},
        {"trade_id": '"x"'},
        {"price": "null"},
        {"symbol": "5"},
        {"side": ""},
        {"price": "1e-19"},
        {"related_orders": "[]"},
        {"realized_pnl": '""'},
        {"related_orders": '""'},
    ],
)
def test_odd_rows_are_not(second: dict[str, str]) -> None:
    assert by_column([row(1), row(2, **second)]) is None


def test_odd_rows_are_read_one_by_one() -> None:
    rows = [row(1), row(2, new="1", trade_id='"x"')]
    table = encoded(rows)
    assert table["trade_id"].to_pylist() == ["1", "x"]
    assert table["extra"].to_pylist() == [None, '{"new":1}']
    with pytest.raises(HyperoruContractError, match="trade_id=2"):
        encoded([row(1), row(2, price="null")])


def test_times_with_zeros_beyond_microseconds() -> None:
    rows = [row(n, trade_time=f'"2026-01-15T00:00:0{n}.12345600{fill}Z"') for n, fill in enumerate(["", "0", "0000"])]
    assert encoded(rows)["trade_time"].to_pylist() == [
        START + timedelta(seconds=n, microseconds=123456) for n in range(3)
    ]


@pytest.mark.parametrize(("time_format", "unit"), [("seconds", 1), ("milliseconds", 1000)])
def test_epoch_times_are_read_by_column(time_format: str, unit: int) -> None:
    endpoint = load_contract({"trades": {"time_format": time_format}}).trades
    schema = ColumnSchema(Trade, endpoint)
    rows = [row(n, trade_time=str((int(START.timestamp()) + n) * unit)) for n in range(3)]
    table = by_column(rows, endpoint)
    assert table is not None
    assert table.equals(read_one_by_one(schema, ArrowTableBuilder(schema).schema, batch_of(rows)))
    odd = [row(3, trade_time=f'"{(int(START.timestamp()) + 3) * unit}"'), row(4, trade_time=f"{unit}.5e0")]
    for each in odd:  # text, and a fraction
        assert by_column([rows[0], each], endpoint) is None


texts = st.text(max_size=4).map(json.dumps)
amounts = (
    st.decimals(-(10**19), 10**19, allow_nan=False, places=6).map(str)
    | st.integers(-(10**19), 10**19).map(str)
    | st.sampled_from(["null", "1.00E-05", '"2.50"', "", "1e-19", '"x"', "true", '""'])
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "account_id": st.sampled_from(["1", '"1"', "null", "2.5"]),
        "commission": amounts,
        "fee": amounts,
        "realized_pnl": amounts,
        "price": amounts,
        "model": texts | st.just("null") | st.just("5"),
        "related_orders": st.sampled_from(["[]", "null", '[{"a": 1.0}]', "{}", "", '""']),
        "extra_1": texts | amounts.filter(bool),
        "created_at": texts,
        "order_no": st.sampled_from(["1", '"1"', "null"]),
    },
)


@settings(max_examples=500)
@given(st.lists(fields, min_size=1, max_size=4), st.booleans())
def test_both_ways_agree(drawn: list[dict[str, str]], alike: bool) -> None:
    rows = [row(number, **(drawn[0] if alike else each)) for number, each in enumerate(drawn)]
    table = by_column(rows)
    try:
        slow = by_row(rows)
    except HyperoruContractError:
        event("error")
        assert table is None
        return
    event("by column" if table else "by row")
    assert table is None or table.equals(slow)
    for sent, price in zip(rows, slow["price"].to_pylist(), strict=True):
        assert Decimal(str(json.loads(sent.raw, parse_float=Decimal)["price"])) == price


@pytest.mark.parametrize(
    ("names", "sent"),
    [
        ({"commission": "taker_fee"}, {"commission": "0.1"}),
        ({"commission": "taker_fee"}, {"commission": "0.1", "taker_fee": "0.2"}),
        ({"trade_id": "id"}, {"id": "5"}),
        ({"trade_id": "id", "order_id": "trade_id"}, {"id": "5"}),
        ({"price": "notional", "notional": "price"}, {"notional": "7"}),
    ],
)
def test_a_name_of_ours_that_stands_for_something_else_is_odd(names: dict[str, str], sent: dict[str, str]) -> None:
    assert by_column([row(1, **sent)], load_contract({"trades": {"fields": names}}).trades) is None


def test_a_second_name_of_a_field_is_odd() -> None:
    """Which name counts is decided row by row, so that no row's amount depends on its neighbours."""
    rows = [row(1, commission="0.1", fee="0.2"), row(2, fee="0.3")]
    assert by_column(rows) is None
    assert by_row(rows)["commission"].to_pylist() == [Decimal("0.1"), Decimal("0.3")]


@settings(max_examples=50)
@given(st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=40))
def test_texts_as_an_array(texts: list[str | None]) -> None:
    values = _text_array(texts)
    values.validate(full=True)
    assert values.equals(pa.array(texts, pa.string()))


def test_plain_rows_do_not_need_pandas() -> None:
    script = """if True:
        import sys
        from tests.fast.export.test_arrow_tables import *
        schema = ColumnSchema(Trade, ENDPOINT, {"model": "gpt-5"})
        rows = [row(number, nested="[1]", related_orders="[2]").raw for number in range(3)]
        table = ColumnReader(schema, ArrowTableBuilder(schema).schema, rows).read()
        print(table["model"].null_count, table["extra"].null_count, "pandas" in sys.modules)
    """
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout == "0 0 False\n"

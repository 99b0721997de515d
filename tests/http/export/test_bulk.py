"""Pages that Arrow reads at once give what they give row by row, and are refused with the same words."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from hyperoru_provider.client.api.contract import load_contract
from hyperoru_provider.client.api.endpoints import WindowedEndpoint
from hyperoru_provider.client.api.models import Trade
from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.lists.page import parse_page
from hyperoru_provider.client.lists.rows import BulkRows, Row
from hyperoru_provider.client.lists.window_reader import Plan
from hyperoru_provider.export.columns import ColumnSchema
from hyperoru_provider.export.formats.arrow import ArrowEncoder

START = datetime(2026, 1, 15, tzinfo=UTC)
END = START + timedelta(seconds=60)
STYLES = ("{:%Y-%m-%dT%H:%M:%S.%fZ}", "{:%Y-%m-%dT%H:%M:%S}", "{:%Y-%m-%d %H:%M:%S+00:00}", "{:%Y-%m-%dT%H:%MZ}")


def body(rows: list[dict[str, Any]], more: bool, total: int | None) -> bytes:
    return json.dumps({"items": rows, "has_more": more} | ({} if total is None else {"total": total})).encode()


def outcome(plan: Plan, pages: list[bytes]) -> tuple[list[Row], list[Row] | str, bool]:
    """Give the rows of a plan whose server gives these pages again and again, or the error; and if all came in bulk."""
    rows: list[Row] = []
    bulk = True
    asked = 0
    try:
        while plan.query() is not None and asked < 50:
            span = plan.accept(parse_page(pages[asked % len(pages)], plan.endpoint))
            bulk &= isinstance(span, BulkRows) or not span
            rows += span
            asked += 1
    except HyperoruContractError as error:
        return rows, str(error), False
    return rows, rows, bulk


fields = st.fixed_dictionaries(
    {
        "trade_id": st.integers(1, 30) | st.sampled_from(["7", "11", "", None]),
        "trade_time": st.tuples(st.integers(-70, 130), st.sampled_from(STYLES)).map(
            lambda drawn: drawn[1].format(START + timedelta(seconds=drawn[0]))
        )
        | st.sampled_from(
            [
                *("2026-01-15", "", None, 5, "2026-01-15T00:00:00.1234567Z", {"a": 1}, "0000-01-01T00:00:00Z"),
                *("9999-12-31T23:59:59-10:00", "0001-01-01T00:00:00+10:00"),
            ]
        ),
        "symbol": st.sampled_from(["BTC", "ETH"]),
        "side": st.just("BUY"),
        "price": st.just(1.5),
        "quantity": st.just(2),
    },
    optional={
        "source": st.sampled_from(["a", "b"]),
        "account_id": st.integers(1, 2),
        "extra": st.just({"a": [{}, {}]}),
    },
)
plain = st.builds(
    lambda number, second, style: {
        "trade_id": number,
        "trade_time": STYLES[style].format(START + timedelta(seconds=second)),
        "symbol": "BTC",
        "side": "BUY",
        "price": 1.5,
        "quantity": 2,
    },
    st.integers(1, 10**6),
    st.integers(20, 21),
    st.sampled_from([0, 1, 2]),
)
pages = st.lists(st.lists(plain, min_size=1, max_size=6), max_size=4) | st.lists(
    st.lists(st.one_of(plain, fields), max_size=4), max_size=4
)
ROW = {"trade_id": 1, "trade_time": STYLES[0].format(START), "symbol": "BTC", "side": "BUY", "price": 1, "quantity": 1}


@settings(max_examples=1500, deadline=None)
@given(
    drawn=pages,
    total=st.booleans(),
    text_ids=st.booleans(),
    key=st.sampled_from(
        [["trade_id"], ["trade_id", "symbol"], ["source", "trade_id"], ["account_id", "trade_id"], ["symbol", "price"]]
    ),
    symbol=st.sampled_from([None, "btc"]),
    span_rows=st.sampled_from([5, 5000]),
    window=st.sampled_from([(0, 60), (20, 21), (20, 40), (21, 22)]),
)
@example([[ROW], [ROW]], False, False, ["trade_id"], None, 5000, (0, 60))
@example([[ROW, ROW | {"price": 2}]], False, False, ["trade_id"], None, 5000, (0, 60))
@example([[ROW | {"trade_id": 10}, ROW | {"trade_id": 9}]], True, True, ["trade_id"], None, 5000, (0, 60))
@example([[None, ROW]], False, False, ["trade_id"], None, 5000, (0, 60))
@example([[ROW | {"trade_time": {"a": 1}}]], True, False, ["trade_id"], None, 5000, (0, 60))
@example([[ROW | {"trade_time": "0000-01-01T00:00:00Z"}]], True, False, ["trade_id"], None, 5000, (0, 60))
@example([[ROW | {"trade_time": "9999-12-31T23:59:59-10:00"}]], True, False, ["trade_id"], None, 5000, (0, 60))
@example([[ROW | {"price": 9.5}, ROW | {"price": 10}]], True, False, ["symbol", "price"], None, 5000, (0, 60))
@example([[ROW | {"trade_id": ""}]], True, True, ["trade_id"], None, 5000, (0, 60))
@example([[ROW | {"account_id": None}]], True, True, ["account_id", "trade_id"], None, 5000, (0, 60))
@example([[ROW | {"symbol": "ETH"}]], True, False, ["trade_id"], "btc", 5000, (0, 60))
@example([[ROW | {"trade_time": "2026-01-16T00:00:00Z"}]], True, False, ["trade_id"], None, 5000, (0, 60))
def test_rows_and_errors_are_the_same(
    drawn: list[list[dict[str, Any]]],
    total: bool,
    text_ids: bool,
    key: list[str],
    symbol: str | None,
    span_rows: int,
    window: tuple[int, int],
) -> None:
    endpoint = load_contract({"trades": {"key": key}}).trades
    if text_ids:
        drawn = [[row and row | {"trade_id": str(row["trade_id"])} for row in page] for page in drawn]
    count = sum(map(len, drawn)) if total else None
    answers = [body(page, number < len(drawn) - 1, count) for number, page in enumerate(drawn)] or [body([], False, 0)]
    start, end = (START + timedelta(seconds=second) for second in window)

    def made(bulk: ArrowEncoder | None) -> Plan:
        return Plan(endpoint, start, end, {"symbol": symbol, "account_id": None}, span_rows, bulk=bulk)

    slow_rows, slow, _ = outcome(made(None), answers)
    rows, result, bulk = outcome(made(arrow(endpoint)), answers)
    event("error" if isinstance(slow, str) else "in bulk" if bulk and rows else "row by row")
    assert (rows, result) == (slow_rows, slow)


def test_plain_rows_come_in_bulk() -> None:
    answers = [body([ROW | {"trade_id": page * 9 + number} for number in range(9)], page < 2, 27) for page in range(3)]
    endpoint = load_contract().trades
    rows, _, bulk = outcome(Plan(endpoint, START, END, {}, bulk=arrow(endpoint)), answers)
    assert [row.key for row in rows] == [(number,) for number in range(27)]
    assert bulk


def test_a_share_of_the_rows() -> None:
    endpoint = load_contract().trades
    rows = [ROW | {"trade_id": number, "quantity": 9 - number} for number in range(9)]
    plan = Plan(endpoint, START, END, {}, bulk=arrow(endpoint))
    assert plan.query()
    whole = plan.accept(parse_page(body(rows[::-1], False, 9), endpoint))
    share = whole[2:5]
    assert isinstance(share, BulkRows)
    assert list(share) == [share[0], share[1], share[2]] == list(whole)[2:5]
    assert share[-1] == whole[4]
    assert share[-1].key == (4,)
    assert json.loads(share[-1].raw) == rows[4]
    assert share.key_columns() == [[2, 3, 4]]
    assert arrow(endpoint).of([share, whole[5:6]])["quantity"].to_pylist() == [7, 6, 5, 4]


def arrow(endpoint: WindowedEndpoint) -> ArrowEncoder:
    return ArrowEncoder(ColumnSchema(Trade, endpoint))

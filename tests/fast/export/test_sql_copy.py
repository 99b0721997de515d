"""Rows as the text that PostgreSQL copies are the rows read one by one, or they are odd."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from hyperoru_provider.client.api.contract import load_contract
from hyperoru_provider.client.api.endpoints import ListEndpoint
from hyperoru_provider.client.api.models import Trade
from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.lists.rows import Row
from hyperoru_provider.client.times import parse_time
from hyperoru_provider.export.columns import ColumnSchema
from hyperoru_provider.export.sql_copy import CopyEncoder
from tests.exports import batch_of
from tests.fast.export.test_arrow_tables import ENDPOINT, PLAIN, START, fields, row

_VALUE = re.compile(r'("(?:[^"]|"")*"|[^",\n]*)([,\n])')


def encoded(
    rows: list[Row], endpoint: ListEndpoint = ENDPOINT, known: Mapping[str, str] | None = None
) -> list[tuple[Any, ...]] | None:
    """Return the values that PostgreSQL reads from the text, or ``None`` for odd rows."""
    schema = ColumnSchema(Trade, endpoint, known or {})
    text = CopyEncoder(schema).encode(batch_of(rows))
    if text is None:
        return None
    kinds = [column.type for column in schema.columns]
    found: list[list[Any]] = [[]]
    for value, end in _VALUE.findall(text.decode()):
        found[-1].append(_read(value, kinds[len(found[-1])]))
        if end == "\n":
            found.append([])
    return [tuple(values) for values in found[:-1]]


def _read(text: str, kind: str) -> Any:
    if text == "null":
        return None
    plain = text[1:-1].replace('""', '"') if text.startswith('"') else text
    if kind == "boolean":
        return {"true": True, "false": False}[plain]
    if kind == "timestamp":
        assert re.search("(Z|[+-][0-9:]{5})$", plain)  # else it would be one of the session's zone
        return parse_time(plain.replace(" ", "T"))
    if kind == "decimal":
        return Decimal(plain).as_tuple()
    assert kind in ("string", "json")
    return plain


def one_by_one(
    rows: list[Row], endpoint: ListEndpoint = ENDPOINT, known: Mapping[str, str] | None = None
) -> list[tuple[Any, ...]]:
    schema = ColumnSchema(Trade, endpoint, known or {})
    return [
        tuple(value.as_tuple() if isinstance(value, Decimal) else value for value in values)
        for values in schema.values(batch_of(rows))
    ]


@pytest.mark.parametrize(
    "more",
    [
        *(each for each in PLAIN if "u00e9" not in str(each)),
        {"model": '"null"', "account_name": '"é 😀, a"', "order_no": '""'},
        {"related_orders": "[]", "n": '{"a": "x\\n,y"}'},
        {"trade_time": '"2026-01-15T05:45:00.500+05:45"'},
        {"trade_time": '"2026-01-15T00:00:00.123456"'},
        {"trade_time": '"2026-01-15T14:59:00+14:59"'},
        {"trade_time": '"2026-01-15 00:00:00Z"'},
        {"trade_time": '"20260115T000000Z"'},
    ],
)
def test_plain_rows_are_taken_as_they_are(more: dict[str, str]) -> None:
    rows = [row(number, **more) for number in range(3)]
    if "trade_time" in more:
        rows = [Row(parse_time(json.loads(more["trade_time"])), each.key, each.raw) for each in rows]
    assert encoded(rows) == one_by_one(rows)


@pytest.mark.parametrize("name", ["price", "symbol", "trade_time", "trade_id"])
def test_what_a_row_must_have_is_missing(name: str) -> None:
    assert encoded([row(1, **{name: ""})]) is None
    assert encoded([row(1, **{name: ""}), row(2, **{name: "null"})]) is None


def test_a_field_that_some_rows_lack() -> None:
    rows = [row(1, tx='"a"', z="1.10"), row(2, z="null", commission="1"), row(3, tx='"b"')]
    assert encoded(rows) == one_by_one(rows)


@pytest.mark.parametrize("sent", [{}, {"account_id": "8"}])
def test_what_the_path_of_the_request_named_is_filled_in(sent: dict[str, str]) -> None:
    rows, known = [row(1, **sent), row(2)], {"account_id": "7"}
    assert encoded(rows, known=known) == one_by_one(rows, known=known)
    for first in (row(1), row(1, account_id="null")):
        assert encoded([first, row(2, account_id="null")], known=known) is None


@pytest.mark.parametrize(
    "second",
    [
        {"new": "1"},
        {"price": "null"},
        {"symbol": "5"},
        {"symbol": "null"},
        {"side": ""},
        {"realized_pnl": '""'},
        {"related_orders": '""'},
        {"related_orders": "{}"},
        {"model": '"a\\nb"'},
        {"model": '"a\\\\b"'},
        {"trade_time": '"2026-01-15T15:00:00+15:00"'},
        {"account_id": "-0"},
        {"account_id": "7.0"},
        {"account_id": "1e2"},
        {"account_id": "true"},
        {"tx": '"\\ud83d"'},
        {"tx": '"\\u0000"'},
    ],
)
def test_odd_rows_are_not(second: dict[str, str]) -> None:
    assert encoded([row(1, tx="1"), row(2, tx="1")]) is not None
    assert encoded([row(1, tx="1"), row(2, **{"tx": "1", **second})]) is None


@pytest.mark.parametrize(("time_format", "unit"), [("seconds", 1), ("milliseconds", 1000)])
def test_times_that_are_counted(time_format: str, unit: int) -> None:
    endpoint = load_contract({"trades": {"time_format": time_format}}).trades
    rows = [row(n, trade_time=str((int(START.timestamp()) + n) * unit)) for n in range(3)]
    assert encoded(rows, endpoint) == one_by_one(rows, endpoint)


NAMES: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"commission": "taker_fee"}, {"taker_fee": "0.1"}),
    ({"commission": "taker_fee"}, {"commission": "0.1"}),
    ({"commission": "taker_fee"}, {"commission": "0.1", "taker_fee": "0.2"}),
    ({"trade_id": "id"}, {"id": "5"}),
    ({"price": "notional", "notional": "price"}, {"notional": "7"}),
    ({"extra": "more"}, {"extra": "7"}),
]


@pytest.mark.parametrize(("names", "sent"), NAMES)
def test_other_names_of_fields(names: dict[str, Any], sent: dict[str, str]) -> None:
    endpoint = load_contract({"trades": {"fields": {k: v for k, v in names.items() if k != "extra"}}}).trades
    found = encoded([row(1, **sent)], endpoint)
    try:
        assert found is None or found == one_by_one([row(1, **sent)], endpoint)
    except HyperoruContractError:
        assert found is None


times = st.sampled_from(["", ".500", ".123456"]).flatmap(
    lambda part: st.sampled_from([f'"2026-01-15T00:00:00{part}{zone}"' for zone in ("Z", "+00:00", "-01:30", "")])
)


@settings(max_examples=500)
@given(st.lists(fields, min_size=1, max_size=4), st.booleans(), st.none() | times)
def test_both_ways_agree(drawn: list[dict[str, str]], alike: bool, time: str | None) -> None:
    given_time = {} if time is None else {"trade_time": time}
    rows = [row(number, **(drawn[0] if alike else each) | given_time) for number, each in enumerate(drawn)]
    if time is not None:
        moment: datetime = parse_time(json.loads(time))
        rows = [Row(moment, each.key, each.raw) for each in rows]
    found = encoded(rows)
    try:
        slow = one_by_one(rows)
    except HyperoruContractError:
        event("error")
        assert found is None
        return
    event("as text" if found else "one by one")
    assert found is None or found == slow

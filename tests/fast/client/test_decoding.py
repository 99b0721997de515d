from __future__ import annotations

import json
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperoru_provider.client.api.contract import DEFAULT_CONTRACT, load_contract
from hyperoru_provider.client.api.endpoints import WindowedEndpoint
from hyperoru_provider.client.decoding import canonical, parse_object
from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.lists.page import parse_page

TRADES = DEFAULT_CONTRACT.trades
#: too deep for the stack of any Python; from 3.14 on, it is measured
DEEP = b"[" * 2_000_000 + b"]" * 2_000_000


def contract(**trades: Any) -> WindowedEndpoint:
    return load_contract({"trades": trades}).trades


def test_a_row_keeps_every_byte() -> None:
    row = b'{"trade_id":1, "price":1.00E-05,"x":123456789012345678901234567890.10}'
    assert parse_page(b'{"items":[' + row + b'],"total":1}', TRADES).rows == [row]
    assert canonical(row, TRADES)["x"] == Decimal("123456789012345678901234567890.10")


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_no_number_changes(number: Decimal) -> None:
    text = str(number)
    assert Decimal(canonical(b'{"price":%s}' % text.encode(), TRADES)["price"]) == number


@pytest.mark.parametrize("envelope", ["items", "trades", "data", "results", "orders", "positions", "accounts"])
def test_every_envelope_is_understood(envelope: str) -> None:
    page = parse_page(b'{"generated_at":"x","%s":[{"a":1}],"other":{"items":[]}}' % envelope.encode(), TRADES)
    assert page.rows == [b'{"a":1}']


def test_a_bare_list_is_understood() -> None:
    page = parse_page(b' [ {"a":1} , {"b":2} ] ', TRADES)
    assert (page.rows, page.total, page.more, page.cursor) == ([b'{"a":1}', b'{"b":2}'], None, None, None)
    assert parse_page(b"[]", TRADES).rows == []


def test_a_pretty_row_becomes_one_line() -> None:
    assert parse_page(b'[{\n  "a": 1.00E-05,\r\n "b": "x y"}]', TRADES).rows == [b'{"a":1.00E-05,"b":"x y"}']


@pytest.mark.parametrize(
    ("resource", "body"),
    [
        ("trades", '"generated_at":"x","accounts":[{"b":2}],"trades":[{"a":1}]'),
        ("trades", '"trades":[{"a":1}],"orders":[{"b":2}],"positions":[]'),
        ("trades", '"accounts":[{"b":2}],"items":[{"a":1}]'),
        ("trades", '"data":null,"trades":[{"a":1}]'),
        ("trades", '"trades":[{"a":1}],"tags":["x"],"meta":{"trades":[]}'),
        ("orders", '"trades":[{"b":2}],"orders":[{"a":1}]'),
        ("traders", '"trades":[{"b":2}],"accounts":[{"a":1}]'),
        ("backfill_jobs", '"accounts":[{"b":2}],"tasks":[{"a":1}]'),
    ],
)
def test_beside_others_a_list_is_known_by_its_own_name(resource: str, body: str) -> None:
    assert parse_page(f"{{{body}}}".encode(), DEFAULT_CONTRACT.lists[resource]).rows == [b'{"a":1}']


def test_an_own_list_without_rows_is_not_taken_for_another() -> None:
    for own in ("[]", "null"):
        assert parse_page(b'{"trades":%s,"accounts":[{"b":2}]}' % own.encode(), TRADES).rows == []


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ('"trades":[],"items":[{"a":1}]', "trades"),
        ('"items":[{"a":1}],"data":[{"b":2}]', "items, data"),
        ('"orders":[{"a":1}],"accounts":[{"b":2}]', "orders, accounts"),
    ],
)
def test_which_of_two_lists_it_is_may_be_unclear(body: str, named: str) -> None:
    with pytest.raises(HyperoruContractError, match=f"lists under .*{named}.*contract's rows"):
        parse_page(f"{{{body}}}".encode(), TRADES)


def test_the_contract_s_first_name_tells_the_list() -> None:
    body = b'{"fills":[{"a":1}],"orders":[{"b":2}],"old_fills":[{"c":3}]}'
    assert parse_page(body, contract(rows=["fills", "old_fills"])).rows == [b'{"a":1}']


@pytest.mark.parametrize(
    ("beside", "total", "more"),
    [
        ("", None, None),
        (',"total":7', 7, None),
        (',"total":null,"error":null', None, None),
        (',"total_count":0,"has_more":true', 0, True),
        (',"has_more":false', None, False),
        (',"next_page":2', None, True),
        (',"next_page":null', None, False),
        (',"has_more":true,"next_page":null', None, True),
    ],
)
def test_what_stands_beside_the_list(beside: str, total: int | None, more: bool | None) -> None:
    page = parse_page(f'{{"items":[]{beside}}}'.encode(), TRADES)
    assert (page.total, page.more) == (total, more)


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "the body is empty"),
        (b"<html>", "an HTML page was received"),
        (b"hello", "something else was received"),
        (b"5", "JSON list"),
        (b'{"items":{"a":1}}', "contract's rows"),
        (b'{"message":"ok"}', "only the keys message"),
        (b"{}", "contract's rows"),
        (b'{"items":[],"data":[]}', "items, data"),
        (b'{"items":[],"total":"7"}', "contract's total"),
        (b'{"items":[],"total":-1}', "contract's total"),
        (b'{"items":[],"total":true}', "contract's total"),
        (b'{"items":[],"has_more":"no"}', "contract's has_more"),
        (b'{"success":false,"message":"try later","items":[]}', "try later"),
        (b'{"items":[],"error":"timed out"}', "timed out"),
        (b'{"items":[{"a":1]', "JSON list"),
        (b"\xff", "JSON list"),
        (b'{"items":[{"a":"\xe4"}]}', "utf-8"),
        (b'{"items":[{"a":' + DEEP + b"}]}", "while deserializing"),
        (b'{"items":[],"x":{"a":' + DEEP + b"}}", "while deserializing"),
    ],
)
def test_what_can_t_be_a_list_is_an_error(body: bytes, named: str) -> None:
    with pytest.raises(HyperoruContractError) as caught:
        parse_page(body, TRADES)
    assert named in str(caught.value)


def test_the_contract_names_the_list() -> None:
    assert parse_page(b'{"items":[],"fills":[{"a":1}]}', contract(rows="fills")).rows == [b'{"a":1}']


def test_a_cursor_must_be_there() -> None:
    cursor = contract(paging="cursor")
    assert parse_page(b'{"items":[],"next_cursor":"x"}', cursor).cursor == "x"
    assert parse_page(b'{"items":[],"next_cursor":5}', cursor).cursor == "5"
    assert parse_page(b'{"items":[],"next_cursor":null}', cursor).cursor is None
    for body in (b'{"items":[]}', b"[]"):
        with pytest.raises(HyperoruContractError, match="paging"):
            parse_page(body, cursor)


@pytest.mark.parametrize("body", [b"[]", b"", b"null", b"<html>", b'{"success":false}', b"{", b'{"a":NaN}'])
def test_what_can_t_be_an_object_is_an_error(body: bytes) -> None:
    with pytest.raises(HyperoruContractError):
        parse_object(body, DEFAULT_CONTRACT.price)


def test_fields_get_our_names() -> None:
    assert canonical(b'{"id":1,"fee":2,"timestamp":"t","x":3}', TRADES) == {
        "trade_id": 1,
        "commission": 2,
        "trade_time": "t",
        "x": 3,
    }
    assert canonical(b'{"id":1,"trade_id":2}', TRADES) == {"id": 1, "trade_id": 2}
    with pytest.raises(HyperoruContractError):
        canonical(b"5", TRADES)


@given(st.binary(max_size=60))
def test_no_body_does_more_than_fail_by_class(body: bytes) -> None:
    with suppress(HyperoruContractError):
        parse_page(body, TRADES)


@given(st.lists(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=3), max_size=4))
def test_any_json_rows_come_through(rows: list[dict[str, int | str]]) -> None:
    page = parse_page(json.dumps({"items": rows}).encode(), TRADES)
    assert [json.loads(row) for row in page.rows] == rows

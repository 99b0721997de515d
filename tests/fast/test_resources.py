"""Every list is a row: what follows from it is there without a further line."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import resource_table

from hyperoru_provider.client import AsyncHyperoruClient, HyperoruClient
from hyperoru_provider.client.api.contract import load_contract
from hyperoru_provider.client.api.endpoints import ListEndpoint
from hyperoru_provider.client.api.resources import RESOURCES
from hyperoru_provider.client.errors import HyperoruConfigError, HyperoruContractError
from hyperoru_provider.client.lists.editing import masked
from hyperoru_provider.client.lists.page import parse_page
from hyperoru_provider.client.lists.readers import list_reader
from hyperoru_provider.export.columns import ColumnSchema

NESTED = ListEndpoint(path="/x", rows=("accounts[].positions[]", "items"))
VALUES = ListEndpoint(path="/x", rows=("symbols",), shape="values", key=("symbol",))
OBJECT = ListEndpoint(path="/x", shape="object")
LAST = ListEndpoint(path="/x", rows=("chunks",), paging="cursor", is_last=("is_done",), key=("index",))


def test_the_page_of_lists_is_up_to_date() -> None:
    assert resource_table.PLACE.read_text() == resource_table.text()


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=list(RESOURCES))
def test_each_list_fits_its_model(resource: Any) -> None:
    endpoint, fields = resource.endpoint, resource.model.model_fields
    assert load_contract({resource.name: {}}).lists[resource.name] == endpoint
    assert {*endpoint.key, *filter(None, [endpoint.time]), *endpoint.path_names} <= {*fields}
    assert {*endpoint.path_names} <= {*resource.filters}
    assert {"start", "end"}.isdisjoint(resource.filters)  # they are the window
    assert ("as_of" in fields) is resource.is_snapshot
    assert ColumnSchema(resource.model, endpoint).columns


def test_what_a_dag_is_checked_against_is_what_the_lists_are() -> None:
    assert resource_table.LIGHT.read_text() == resource_table.light()


@pytest.mark.parametrize("cls", [HyperoruClient, AsyncHyperoruClient])
def test_each_list_is_a_method_that_says_how_it_is_called(cls: type) -> None:
    client = cls("http://127.0.0.1:9", session_token="t")
    assert str(inspect.signature(client.decisions)) == "(start, end, account_id=None)"
    assert str(inspect.signature(client.balance)) == "(account_id)"
    assert client.balance.__name__ == "balance"
    assert {*resource_table.METHODS} | {*resource_table.OTHER_METHODS} == {*RESOURCES}


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        (
            b'{"accounts": [{"account_id": 1, "v": 1.10, "tags": ["a"], "positions": [{"s": "B", "v": 2.50}, {}]}]}',
            [b'{"s": "B", "v": 2.50,"account_id":1}', b'{"account_id":1,"v":1.10}'],
        ),
        (b'{"accounts": [{"a": 1, "positions": null}, {"a": 2, "positions": []}]}', []),
        (
            rb'{"accounts": [{"a": "\ud83d", "positions": [{"s": "\ude00"}]}]}',
            [rb'{"s": "\ude00","a":"\ud83d"}'],
        ),
        (b'[{"s": 1}]', [b'{"s": 1}']),
    ],
)
def test_a_row_of_a_nested_list_has_the_fields_around_it(body: bytes, rows: list[bytes]) -> None:
    assert parse_page(body, NESTED).rows == rows


@pytest.mark.parametrize(
    "body", [b'{"accounts": [{"a": 1}]}', b'{"accounts": [1]}', b'{"accounts": [{"positions": {}}]}']
)
def test_a_nested_list_that_is_not_there_is_an_error(body: bytes) -> None:
    with pytest.raises(HyperoruContractError, match=r"positions .* contract's rows"):
        parse_page(body, NESTED)


TWO_LEVELS = ListEndpoint(path="/x", rows=("data.list", "data.page.list", "data.accounts[].positions[]"))


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        (b'{"data": {"list": [{"v": 1.10}]}}', [b'{"v": 1.10}']),
        (b'{"data": {"list": null, "total": 0}}', []),
        (b'{"data": {"page": {"list": [{"v": 1}]}}}', [b'{"v": 1}']),
        (rb'{"data": {"list": [{"s": "\ud83d"}]}}', [rb'{"s": "\ud83d"}']),
        (b'{"data": {"accounts": [{"a": 1, "positions": [{"s": 2}]}]}}', [b'{"s": 2,"a":1}']),
        (b'[{"v": 1}]', [b'{"v": 1}']),
    ],
)
def test_a_list_inside_of_an_object_is_named_with_a_dot(body: bytes, rows: list[bytes]) -> None:
    assert parse_page(body, TWO_LEVELS).rows == rows


def test_what_stands_beside_a_list_inside_of_an_object_is_read() -> None:
    assert parse_page(b'{"data": {"list": [{"v": 1}], "total": 7}}', TWO_LEVELS).total == 7
    with pytest.raises(HyperoruContractError, match=r"it has lists under data\.list\. Name its key"):
        parse_page(b'{"code": 0, "data": {"list": [{"v": 1}]}}', NESTED)


def test_plain_values_become_rows() -> None:
    assert parse_page(b'{"symbols": ["BTC", "@107"]}', VALUES).rows == [b'{"symbol":"BTC"}', b'{"symbol":"@107"}']
    with pytest.raises(HyperoruContractError, match="shape"):
        parse_page(b'{"symbols": [{"symbol": "BTC"}]}', VALUES)


def test_an_object_is_the_only_row_and_null_is_none() -> None:
    assert parse_page(b' {"a": 1.000,\n "b": {}} ', OBJECT).rows == [b'{"a":1.000,"b":{}}']
    assert parse_page(b"null", OBJECT).rows == []


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"",
        b"[]",
        b'{"detail": "gone"}',
        b'{"success": false}',
        b'{"error": "x", "a": 1}',
        b'{"status": "error"}',
    ],
)
def test_an_object_that_is_no_answer_is_an_error(body: bytes) -> None:
    with pytest.raises(HyperoruContractError):
        parse_page(body, OBJECT)


def test_a_page_says_that_it_is_the_last() -> None:
    last = parse_page(b'{"chunks": [], "is_done": true, "next_cursor": 5}', LAST)
    assert (last.more, last.cursor) == (False, None)
    further = parse_page(b'{"chunks": [], "is_done": false, "next_cursor": 5}', LAST)
    assert (further.more, further.cursor) == (True, "5")
    with pytest.raises(HyperoruContractError, match="is_last"):
        parse_page(b'{"chunks": [], "is_done": "yes", "next_cursor": 5}', LAST)


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ({"positions": {"rows": ["a[]"]}}, "contract.positions.rows"),
        ({"positions": {"rows": ["a[].b"]}}, "contract.positions.rows"),
        ({"positions": {"shape": "table"}}, "contract.positions.shape"),
        ({"positions": {"shape": "values"}}, "shape 'values' needs a key"),
        ({"decisions": {"shape": "object"}}, "shape 'object' has no pages"),
        ({"positions": {"is_last": "done"}}, "is_last is known only to paging 'cursor'"),
    ],
)
def test_a_wrong_override_is_named(override: dict[str, Any], named: str) -> None:
    with pytest.raises(HyperoruConfigError) as caught:
        load_contract(override)
    assert named in str(caught.value)


def test_what_the_request_says_of_the_key_is_put_into_rows_that_lack_it() -> None:
    reader = list_reader(load_contract(), "factor_history", filters={"factor_name": "skew"})
    assert reader.query() is not None
    (row,) = reader.accept(parse_page(b'[{"date": "2026-04-01", "ic": 0.10}]', reader.endpoint))
    assert (row.key, row.raw) == (("skew", "2026-04-01"), b'{"date": "2026-04-01", "ic": 0.10,"factor_name":"skew"}')


def test_a_row_of_something_else_is_not_taken_for_what_was_asked() -> None:
    reader = list_reader(load_contract(), "positions", filters={"account_id": "7"})
    assert reader.query() is not None
    with pytest.raises(HyperoruContractError, match="account_id 8, but 7"):
        reader.accept(parse_page(b'[{"symbol": "BTC", "account_id": 8}]', reader.endpoint))


def test_only_secrets_change_where_they_are_masked() -> None:
    row = rb'{"id": 1, "api_key": "sk-1", "v": 1.00E-05, "llm": {"token": "x", "v": 1.50}, "t": "\ud83d"}'
    assert masked(row, {}) == rb'{"id":1,"api_key":"***","v":1.00E-05,"llm":{"token":"***","v":1.50},"t":"\ud83d"}'
    assert b"sk-1" in masked(row, {"api_key": False})

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperoru_provider.client.api.contract import DEFAULT_CONTRACT
from hyperoru_provider.client.decoding import canonical, parse_object
from hyperoru_provider.client.errors import HyperoruContractError, from_status
from hyperoru_provider.client.lists.page import parse_page
from hyperoru_provider.client.stream.messages import read_message
from hyperoru_provider.client.surrogates import in_one_line, mark_halves, replace_halves, unmark_halves

TRADES = DEFAULT_CONTRACT.trades


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (rb'"a\ud83d"', "a\ufffd"),
        (rb'"\uDE00\uD83D"', "\ufffd\ufffd"),
        (rb'"\ud83d\ud83d\ude00\ude00"', "\ufffd\U0001f600\ufffd"),
        (rb'"\ud83d\u0041\n"', "\ufffdA\n"),
        (rb'"\ud83d\\ud83d"', "\ufffd\\ud83d"),
        (rb'"\\\\ud83d \\\ud83d"', "\\\\ud83d \\\ufffd"),
    ],
)
def test_half_a_character_is_replaced_and_nothing_else(text: bytes, read: str) -> None:
    assert msgspec.json.decode(replace_halves(text)) == read
    assert unmark_halves(mark_halves(text)) == text
    msgspec.json.decode(mark_halves(text))


@given(st.text(st.characters(codec=None), max_size=20))
def test_any_text_is_read_and_comes_back(text: str) -> None:
    written = json.dumps(text).encode()
    whole = "".join("\ufffd" if "\ud800" <= each <= "\udfff" else each for each in text)
    assert msgspec.json.decode(replace_halves(written)) == whole
    if "\ufdd0" not in text:
        assert unmark_halves(mark_halves(written)) == written
    assert in_one_line(b"[\n" + written + b" ]") == b"[" + written + b"]"


@pytest.mark.parametrize(
    "body", [rb"[%s]", rb'{"items":[%s],"total":1}', rb'{"accounts":[{"a":"\ud83d"}],"trades":[%s]}']
)
@pytest.mark.parametrize("row", [rb'{"id":1,"name":"a\ud83d"}', rb'{"id":1,"name":"\ud83d\ude00","x":"\ude00"}'])
def test_a_row_with_half_a_character_keeps_every_byte(body: bytes, row: bytes) -> None:
    assert parse_page(body % row, TRADES).rows == [row]
    assert parse_page(body % row.replace(b",", b",\n "), TRADES).rows == [row]


def test_a_row_with_half_a_character_is_read() -> None:
    assert canonical(rb'{"id":1,"name":"a\ud83d"}', TRADES)["name"] == "a\ufffd"
    assert parse_object(rb'{"status":"a\ud83d"}', DEFAULT_CONTRACT.health)["status"] == "a\ufffd"
    assert read_message(rb'{"type":"x","data":"a\ud83d"}').data == "a\ufffd"


@pytest.mark.parametrize("beside", [rb'"error":"a\ud83d"', rb'"errors":["a\ud83d"]', rb'"error":{"message":"a\ud83d"}'])
def test_half_a_character_in_an_error_hides_no_error(beside: bytes) -> None:
    with pytest.raises(HyperoruContractError, match="request failed: a"):
        parse_page(b'{"items":[],%s}' % beside, TRADES)
    error = from_status(400, {}, b"{%s}" % beside, method="GET", path="/x")
    assert "400: a\ufffd" in str(error)


@pytest.mark.parametrize("number", ["1e99999999999999999999", "-1E-99999999999999999999"])
def test_a_number_beyond_all_bounds_is_an_error_of_ours(number: str) -> None:
    with pytest.raises(HyperoruContractError, match="not a JSON object"):
        canonical(b'{"price":%s}' % number.encode(), TRADES)
    with pytest.raises(HyperoruContractError, match="JSON object was expected"):
        parse_object(b'{"price":%s}' % number.encode(), TRADES)

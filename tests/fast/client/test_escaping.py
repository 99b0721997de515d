"""Text of a server in a form that every log, terminal and database takes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hyperoru_provider.client.errors import (
    HyperoruApiError,
    HyperoruConfigError,
    HyperoruError,
    HyperoruJobFailedError,
    from_status,
)
from hyperoru_provider.client.escaping import printable, shorten, storable

HOSTILE = ["a\0b", "a\x1b[2Jb", "a\x85b", "a\ud83d", "\udc00b", "a\u202eb", "a\nb"]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("cls", [HyperoruError, HyperoruConfigError, HyperoruJobFailedError, HyperoruApiError])
def test_no_error_repeats_a_character_that_a_log_or_a_database_may_refuse(cls: type[HyperoruError], text: str) -> None:
    shown = str(cls(f"The server said: {text}"))
    assert shown.isprintable()
    assert shown.isascii()
    assert "The server said: " in shown


def test_the_facts_of_an_error_are_escaped_too() -> None:
    error = HyperoruApiError("m", path="/api/\0", code="\ud800", request_id="\x1b[31m")
    assert str(error) == "m [/api/\\x00, \\ud800, request id \\x1b[31m]"


@pytest.mark.parametrize("status", [301, 404, 500])
@pytest.mark.parametrize(
    "body", [b'{"error": "a\\u0000b"}', b"a\0b", b'"a\\u0000b"', b'{"detail": [{"msg": "\\u0000"}]}']
)
def test_an_answer_without_success_is_repeated_escaped(status: int, body: bytes) -> None:
    error = from_status(status, {"location": "http://h/\x07"}, body, method="GET", path="/")
    assert error.message.isprintable()


def test_printable_changes_nothing_twice_and_nothing_that_can_be_read() -> None:
    assert printable("größer, 大きい, 😀") == "größer, 大きい, 😀"
    for text in HOSTILE:
        assert printable(printable(text)) == printable(text) != text
    assert shorten(" a\n\0" + 600 * "b") == "a \\x00" + 494 * "b" + "..."


def test_storable_keeps_data_but_for_what_a_store_refuses() -> None:
    kept = {"text": "two\nlines\tand ‍ a joiner", "number": 1, "none": None, "list": [True, "😀"]}
    assert storable(kept) == kept
    assert storable([2**63 - 1, 2**63, -(2**63) - 1]) == [2**63 - 1, str(2**63), str(-(2**63) - 1)]
    assert storable({"a\0": ["b\0", {"c": "\ud83d"}]}) == {"a\\x00": ["b\\x00", {"c": "\\ud83d"}]}


@pytest.mark.parametrize("text", [text for text in HOSTILE if text not in ("a\u202eb", "a\nb")])
def test_what_is_storable_can_be_written_as_utf_8_without_escapes(text: str) -> None:
    written: Any = json.dumps(storable({"name": text}), ensure_ascii=False).encode()
    assert b"\\u00" not in written

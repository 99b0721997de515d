from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hyperoru_provider.client import errors
from hyperoru_provider.client.errors import from_status

NAMES = st.sampled_from(["error", "errors", "message", "detail", "details", "loc", "msg", "code", "request_id", "x"])


def read(status: int, body: bytes, **headers: str) -> errors.HyperoruApiError:
    return from_status(status, headers, body, method="GET", path="/api/x")


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        (301, errors.HyperoruContractError),
        (400, errors.HyperoruBadRequestError),
        (401, errors.HyperoruAuthenticationError),
        (403, errors.HyperoruPermissionError),
        (404, errors.HyperoruNotFoundError),
        (408, errors.HyperoruServerError),
        (409, errors.HyperoruConflictError),
        (418, errors.HyperoruBadRequestError),
        (422, errors.HyperoruValidationError),
        (425, errors.HyperoruServerError),
        (429, errors.HyperoruRateLimitError),
        (500, errors.HyperoruServerError),
        (599, errors.HyperoruServerError),
    ],
)
def test_a_status_has_its_class(status: int, cls: type[errors.HyperoruApiError]) -> None:
    error = read(status, b"{}")
    assert type(error) is cls
    assert (error.method, error.path, error.status) == ("GET", "/api/x", status)
    assert error.transient is (status in (408, 425, 429) or status >= 500)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
@example({"detail": [{"loc": 5, "msg": 1}]})
@example({"errors": [{"loc": {"a": 1}, "code": [1]}], "request_id": {}, "code": []})
def test_no_text_of_a_server_changes_what_its_status_means(body: Any) -> None:
    for status, cls in ((503, errors.HyperoruServerError), (401, errors.HyperoruAuthenticationError)):
        error = read(status, json.dumps(body, allow_nan=True).encode())
        assert type(error) is cls
        assert str(error).isprintable()


@pytest.mark.parametrize("depth", [900, 100_000])
def test_an_error_that_is_nested_too_deeply_is_still_one_of_its_status(depth: int) -> None:
    for body in (b"[" * depth + b"]" * depth, b'{"detail":' + b"[" * depth + b"]" * depth + b"}"):
        assert type(read(503, body)) is errors.HyperoruServerError


def test_an_error_is_one_line_of_bounded_length_whatever_a_server_wrote() -> None:
    told = "no\nfake: line \x1b[2J" + "x" * 1_000_000
    for error in (errors.HyperoruError(told), errors.HyperoruContractError(told, code=told, request_id=told)):
        assert str(error).isprintable()
        assert len(str(error)) < 5_000


@pytest.mark.parametrize(
    ("body", "message", "code", "request_id"),
    [
        (
            b'{"error":"No such account","code":"ACCOUNT_NOT_FOUND","request_id":"req_1"}',
            "No such",
            "ACCOUNT_NOT_FOUND",
            "req_1",
        ),
        (b'{"code":"BAD","details":{"leverage":50},"message":"too high"}', 'too high {"leverage":50}', "BAD", None),
        (b'{"detail":"Not allowed"}', "Not allowed", None, None),
        (
            b'{"detail":[{"loc":["query","page"],"msg":"not a number","type":"int"}]}',
            "query.page: not a number",
            None,
            None,
        ),
        (b'{"error":{"message":"inner","code":"INNER"}}', "inner", "INNER", None),
        (b'{"errors":[{"msg":"one","code":"A"},{"code":"B"}]}', "one; B", None, None),
        (b'{"errors":{"page":["too high"]}}', '{"page":["too high"]}', None, None),
        (b'{"error":true,"message":"why"}', "why", None, None),
        (b"<html><body>Bad gateway</body></html>", "not JSON (from a proxy?)", None, None),
        (b"plain text", "plain text", None, None),
        (b"", "without saying why", None, None),
        (b"\xff\xfe", "answered 400", None, None),
        (b"[" * 100_000, "[[[", None, None),
        (b'["a"]', "a", None, None),
        (b"null", "None", None, None),
    ],
)
def test_every_shape_of_body_is_understood(body: bytes, message: str, code: str | None, request_id: str | None) -> None:
    error = read(400, body)
    assert message in str(error)
    assert (error.code, error.request_id) == (code, request_id)


@pytest.mark.parametrize(
    ("named", "advice"),
    [
        ([], "Check the host; if the server has another path"),
        (["symbol"], "Check the symbol; if"),
        (["account_id", "symbol"], "Check the account_id and the symbol; if"),
    ],
)
def test_a_404_advises_to_check_what_was_named(named: list[str], advice: str) -> None:
    assert advice in str(from_status(404, {}, b"", method="GET", path="/api/x", named=named))


@pytest.mark.parametrize(
    ("location", "advice"),
    [
        ("http://x.example/api/x/", "set the contract's path so"),
        ("/prefix/api/x/?a=b", "set the contract's path so"),
        ("https://x.example/api/x", "set the base URL"),
        ("https://x.example/login/", "set the base URL"),
        ("", "set the base URL"),
    ],
)
def test_a_redirect_to_the_path_with_a_slash_blames_the_path(location: str, advice: str) -> None:
    assert advice in str(read(307, b"", location=location))


def test_the_request_id_may_come_in_a_header() -> None:
    error = read(500, b"", **{"x-request-id": "req_7"})
    assert error.request_id == "req_7"
    assert "req_7" in str(error)


def test_a_long_page_is_cut() -> None:
    assert len(str(read(400, b"x" * 100_000))) < 700


def test_an_echoed_input_is_left_out() -> None:
    body = b'{"detail":[{"loc":["body","password"],"msg":"too short","type":"x","input":"hunter2"}]}'
    assert "hunter2" not in str(read(422, body))


@pytest.mark.parametrize("again", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy])
def test_errors_survive_a_pickle(again: Callable[[Exception], errors.HyperoruApiError]) -> None:
    error = from_status(429, {}, b'{"error":"slow down","code":"LIMIT"}', method="GET", path="/api/x", retry_after=3.0)
    twin = again(error)
    assert type(twin) is type(error)
    assert vars(twin) == vars(error)
    assert str(twin) == str(error)


def test_a_note_survives_a_pickle_and_another_class() -> None:
    """A transport or a token store of a user's own may have added it."""
    error = from_status(429, {}, b"{}", method="GET", path="/api/x")
    error.add_note("seen behind the gateway")
    for twin in (pickle.loads(pickle.dumps(error)), error.as_type(errors.HyperoruServerError, "m")):
        assert (twin.status, twin.path) == (429, "/api/x")
    assert error.as_type(errors.HyperoruServerError, "m").__notes__ == ["seen behind the gateway"]


def test_what_a_server_says_is_escaped() -> None:
    """It goes to logs, terminals and Airflow's database."""
    error = read(404, b'{"error": "no\\u001b[31m \\u0000\\u202e way\\n", "code": "A\\u0007"}')
    assert "404: no\\x1b[31m \\x00\\u202e way." in str(error)
    assert error.code == "A\\x07"
    assert str(error).isprintable()

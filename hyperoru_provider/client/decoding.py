"""JSON to objects, with every digit of every number, and whether an answer is the success it claims to be.

Pure: no I/O.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from hyperoru_provider.client.api.endpoints import Endpoint
from hyperoru_provider.client.errors import HyperoruContractError, read_failure
from hyperoru_provider.client.escaping import shorten
from hyperoru_provider.client.surrogates import replace_halves

#: what decoding raises; an ArithmeticError comes from a number like 1e99999999999999999999
NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ArithmeticError)

#: fields in which an answer says what went wrong; they are empty in a success
ERROR_FIELDS = ("error", "errors", "error_message")

_object = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)

_YES = ("true", "yes", "1")
_NO = ("false", "no", "0")
_EMPTY = ("", "none", "null", *_NO)
_FAILURES = ("error", "failed", "failure", "fail", "exception", "false", "no")
_SAYS_FAILED = "says that the request failed"
_HTTP_SUCCESS, _HTTP_ERROR = re.compile("2[0-9]{2}"), re.compile("[45][0-9]{2}")


def parse_object(
    body: bytes, endpoint: Endpoint, *, has_status: bool = False, has_detail: bool = False
) -> dict[str, Any]:
    """Return an answer that is one JSON object, by our names of its fields; amounts keep their digits.

    Half a character in a text is read as the replacement character.

    :param endpoint: what was asked.
    :param has_status: whether the object has a status of its own, as a job has, which then says nothing about the call.
    :param has_detail: whether a ``detail`` is an error, too.
    :raises HyperoruContractError: it is something else, or says that the request failed.
    """
    try:
        data = _object.decode(replace_halves(body))
    except NOT_JSON as error:
        raise HyperoruContractError(f"A JSON object was expected, but {describe_body(body)}: {error}") from None
    own_status = has_status and any(data.get(name) is not None for name in endpoint.names_of("status"))
    check_success(data, endpoint, own_status=own_status, has_detail=has_detail)
    return rename(data, endpoint)


def canonical(row: bytes, endpoint: Endpoint) -> dict[str, Any]:
    """Return a row as an object, by our names of its fields; unknown ones keep theirs.

    Half a character in a text is read as the replacement character.

    :raises HyperoruContractError: it is not a JSON object.
    """
    try:
        data = _object.decode(replace_halves(row))
    except NOT_JSON as error:
        raise row_error(row, error) from None
    return rename(data, endpoint)


def row_error(row: bytes, error: Exception) -> HyperoruContractError:
    """Return the error of a row that can't be decoded.

    :param error: one of :data:`NOT_JSON`.
    """
    text = shorten(row[:200].decode(errors="replace"))
    return HyperoruContractError(f"A row is not a JSON object: {error}; it begins with {text}")


def rename(data: dict[str, Any], endpoint: Endpoint) -> dict[str, Any]:
    """Rename an object's fields to our names, in place, and return it; unknown ones keep theirs."""
    for field, names in endpoint.fields.items():
        for name in names:
            if name in data:
                data[field] = data.pop(name)
                break
    return data


def describe_body(body: bytes) -> str:
    """Return what came in place of the JSON that was expected, in a few words for an error."""
    start = body[:200].lstrip()
    return (
        "the body is empty"
        if not start
        else "an HTML page was received (from a proxy?)"
        if start[:1] == b"<"
        else "something else was received"
    )


def check_success(
    fields: Mapping[str, Any],
    endpoint: Endpoint,
    *,
    own_status: bool = False,
    beside_list: bool = False,
    has_detail: bool = False,
) -> None:
    """Raise an error if an answer that came as a success says that it is not one, wherever and however it says so.

    :param fields: the answer's fields; of a list, those beside it.
    :param endpoint: what was asked; its ``success_words`` are believed.
    :param own_status: whether ``status``, and the error that explains it, are of the object and not of the call.
    :param beside_list: whether they stand beside a list, which proves nothing for itself if it is empty: then a
        ``status`` must be known to be a success, and a ``result`` or ``state`` must not be a failure. An object's
        ``status`` may be anything but a failure, and its ``result`` and ``state`` are its own.
    :param has_detail: whether a ``detail`` is an error, as it is beside a list.
    :raises HyperoruContractError: it says so. The text repeats what the server says, at full length.
    """
    words = tuple(map(str.casefold, endpoint.success_words))
    problem = _problem_of_flag(fields, words)
    if not own_status:
        problem = (
            problem
            or _problem_of_error(fields, (*ERROR_FIELDS, "detail") if beside_list or has_detail else ERROR_FIELDS)
            or _problem_of_status(fields, words, beside_list)
            or (_problem_of_outcome(fields, words) if beside_list else None)
            or _problem_of_code(fields, words)
        )
    if problem:
        failure = read_failure(fields)
        raise HyperoruContractError(
            f"The server answered with success, but {problem}: {failure.message or 'no reason given'}",
            code=failure.code,
            request_id=failure.request_id,
        )


def _problem_of_error(fields: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    return None if all(_is_empty(fields.get(name)) for name in names) else _SAYS_FAILED


def _problem_of_flag(fields: Mapping[str, Any], words: tuple[str, ...]) -> str | None:
    for name in ("success", "ok"):
        value = fields.get(name)
        word = _word(value != 0 if isinstance(value, (int, float, Decimal)) else value)
        if word in _NO:
            return _SAYS_FAILED
        if word and word not in (*_YES, *words):
            return _unaccepted(name, value)
    return None


def _problem_of_status(fields: Mapping[str, Any], words: tuple[str, ...], beside_list: bool) -> str | None:
    value = fields.get("status")
    word = _word(value)
    if word in (*_YES, *words) or _HTTP_SUCCESS.fullmatch(word):
        return None
    return _unaccepted("status", value) if word and (beside_list or _means_failure(word)) else None


def _problem_of_outcome(fields: Mapping[str, Any], words: tuple[str, ...]) -> str | None:
    for name in ("result", "state"):
        value = fields.get(name)
        if (word := _word(value)) in _FAILURES and word not in words:  # a number may be a count
            return _unaccepted(name, value)
    return None


def _problem_of_code(fields: Mapping[str, Any], words: tuple[str, ...]) -> str | None:
    value = fields.get("code")
    word = _word(value)
    if _HTTP_ERROR.fullmatch(word) and word not in words:
        return _SAYS_FAILED
    if all(_is_empty(fields.get(name)) for name in ("message", "msg", "detail")):
        return None
    return None if word in ("", "0", *words) or _HTTP_SUCCESS.fullmatch(word) else _unaccepted("code", value)


def _unaccepted(name: str, value: object) -> str:
    """Return the problem of a word that only ``success_words`` can make a success."""
    doubt = (
        f"{_SAYS_FAILED}; if it did not" if _means_failure(_word(value)) else "is not known to mean success; if it does"
    )
    return f"its {name} is {str(value)!r}, which {doubt}, add it to the contract's success_words. The server says"


def _means_failure(word: str) -> bool:
    return word in _FAILURES or _HTTP_ERROR.fullmatch(word) is not None


def _word(value: Any) -> str:
    """Return a value as a word to compare; empty for one that says nothing."""
    return "" if value is None or isinstance(value, (dict, list)) else str(value).strip().casefold()


def _is_empty(value: Any) -> bool:
    """Return whether a value says that there is no error."""
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
    return all(not item or (not isinstance(item, (dict, list)) and _word(item) in _EMPTY) for item in items)

"""JSON to objects, with every digit of every number. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from hyperoru_provider.client.api.endpoints import Endpoint
from hyperoru_provider.client.errors import HyperoruContractError

_object = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal)
NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def parse_object(body: bytes) -> dict[str, Any]:
    """Read an answer that is one JSON object; amounts keep their digits.

    :raises HyperoruContractError: it is none, or says that the request failed.
    """
    try:
        data = _object.decode(body)
    except NOT_JSON as error:
        raise HyperoruContractError(f"A JSON object was expected, but {describe_body(body)}: {error}") from None
    check_success(data)
    return data


def canonical(row: bytes, endpoint: Endpoint) -> dict[str, Any]:
    """Decode a row and give its fields our names; unknown ones keep theirs.

    :raises HyperoruContractError: it is no JSON object.
    """
    try:
        data = _object.decode(row)
    except NOT_JSON as error:
        raise HyperoruContractError(f"A row is no JSON object: {error}") from None
    return rename(data, endpoint)


def rename(data: dict[str, Any], endpoint: Endpoint) -> dict[str, Any]:
    """Give an object's fields our names, in place; unknown ones keep theirs."""
    for field, names in endpoint.fields.items():
        for name in names:
            if name in data:
                data[field] = data.pop(name)
                break
    return data


def describe_body(body: bytes) -> str:
    """Describe an answer that is not what was expected."""
    start = body[:200].lstrip()
    return (
        "the body is empty"
        if not start
        else "a page came (from a proxy?)"
        if start[:1] == b"<"
        else "something else came"
    )


def check_success(data: Mapping[str, Any]) -> None:
    """Raise what an answer of success says went wrong.

    :raises HyperoruContractError: it says so.
    """
    if data.get("success") is False:
        told = data.get("message") or data.get("error") or "no reason given"
        raise HyperoruContractError(f"The server answered 200 but says that the request failed: {str(told)[:300]}")

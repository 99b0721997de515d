"""From an answer to its rows, and what it says about paging. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import NoneType
from typing import Any, TypeAlias

import msgspec

from hyperoru_provider.client.api.endpoints import GENERAL_ROWS, ROWS, ListEndpoint
from hyperoru_provider.client.decoding import (
    ERROR_FIELDS,
    NOT_JSON,
    check_success,
    describe_body,
    parse_object,
)
from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.lists.texts import flattened, with_fields
from hyperoru_provider.client.surrogates import in_one_line, mark_halves, replace_halves, unmark_halves

_PAGING_OBJECTS = ("pagination", "paging", "page_info", "meta")

_Rows: TypeAlias = list[msgspec.Raw]
_envelope = msgspec.json.Decoder(
    dict[str, _Rows | dict[str, msgspec.Raw] | str | int | float | bool | None] | _Rows  # one pass finds all rows
)


@dataclass(frozen=True)
class Page:
    """One answer of a list.

    :param texts: the JSON text of each row, as the server sent it.
    :param total: how many rows there are in all, if the server says so.
    :param more: whether there are further pages, if the server says so.
    :param cursor: the cursor of the next page; ``None`` on the last.
    """

    texts: list[msgspec.Raw]
    total: int | None = None
    more: bool | None = None
    cursor: str | None = None

    @cached_property
    def text(self) -> bytes:
        """The JSON text of the list."""
        return b"[" + b",".join(self.texts) + b"]"

    @cached_property
    def rows(self) -> list[bytes]:
        """The JSON text of each row, in one line."""
        return list(map(bytes, self.lines))

    @property
    def lines(self) -> Sequence[msgspec.Raw]:
        """The rows, in one line each, without a copy where they are so already."""
        text = self.text
        if b"\n" in text or b"\r" in text:
            return [msgspec.Raw(in_one_line(bytes(text))) for text in self.texts]
        return self.texts


PAST_THE_END = Page([])


def parse_page(body: bytes, endpoint: ListEndpoint) -> Page:
    """Return the rows of an answer, whatever it wraps them in, and what it says about paging.

    :raises HyperoruContractError: there is no list in it, or it can't be told which.
    """
    if endpoint.shape == "object":
        return _page_of_object(body, endpoint)
    try:
        body.decode()  # what the rows hold is not looked at below, and would get into files as it is
        data = _decode(body)
        errors = _decode_errors(data)
    except NOT_JSON as error:
        raise HyperoruContractError(f"A JSON list was expected, but {describe_body(body)}: {error}") from None
    if isinstance(data, list):
        if endpoint.paging == "cursor":
            raise HyperoruContractError("A bare list has no cursor for its next page. Correct the contract's paging.")
        return Page(_shaped(data, endpoint))
    beside = {name: value for name, value in data.items() if not isinstance(value, (list, dict))}
    check_success({**beside, **errors}, endpoint, beside_list=True)
    beside = {**_nested(data, endpoint), **beside}
    return Page(
        texts=_shaped(_find_rows(data, endpoint), endpoint),
        total=_total(beside, endpoint),
        more=_more(beside, endpoint),
        cursor=_cursor(beside, endpoint),
    )


def _page_of_object(body: bytes, endpoint: ListEndpoint) -> Page:
    """Return an answer that is the only row; ``null`` is no row, and an object without a field is no answer.

    :raises HyperoruContractError: it is no object, or says that the request failed.
    """
    text = body.strip()
    if text == b"null":
        return Page([])
    if not parse_object(body, endpoint, has_detail=True):
        raise HyperoruContractError("The answer is an object without any field, which says nothing.")
    return Page([msgspec.Raw(text)])


def _shaped(rows: _Rows, endpoint: ListEndpoint) -> _Rows:
    """Return the rows as objects, where the list has plain values.

    :raises HyperoruContractError: a value is not plain.
    """
    if endpoint.shape != "values":
        return rows
    (field,) = endpoint.key
    names = endpoint.names_of(field)
    if any(bytes(value)[:1] in (b"{", b"[") for value in rows):
        raise HyperoruContractError(
            "A list of plain values was expected, and one of them is an object or a list. Correct the contract's shape."
        )
    return [msgspec.Raw(with_fields(b"{}", {names: value})) for value in rows]


def _decode(body: bytes) -> Any:
    """Return what an answer holds, with each row as the server wrote it."""
    try:
        return _envelope.decode(body)
    except msgspec.DecodeError:
        if (marked := mark_halves(body)) == body:
            raise
    data = _envelope.decode(marked)
    if isinstance(data, list):
        return _unmarked(data)
    return {name: _unmarked(value) if isinstance(value, list) else value for name, value in data.items()}


def _unmarked(rows: _Rows) -> _Rows:
    return [msgspec.Raw(unmark_halves(bytes(row))) for row in rows]


def _decode_errors(data: Mapping[str, Any] | _Rows) -> dict[str, Any]:
    """Return what stands beside a list as its error."""
    if isinstance(data, list):
        return {}
    names = (*ERROR_FIELDS, "detail")
    return {
        name: msgspec.json.decode(replace_halves(msgspec.json.encode(data[name]))) for name in names if name in data
    }


def _nested(data: Mapping[str, Any], endpoint: ListEndpoint) -> dict[str, Any]:
    """Return what an answer says about paging in an object of its own."""
    names = (*endpoint.total, *endpoint.has_more, *endpoint.next_page, *endpoint.next_cursor, *endpoint.is_last)
    objects = [data[name] for name in _PAGING_OBJECTS if isinstance(data.get(name), dict)]
    try:
        return {name: msgspec.json.decode(each[name]) for each in objects for name in names if name in each}
    except NOT_JSON as error:  # a number of a thousand digits
        raise HyperoruContractError(f"What the answer says about its pages can't be read: {error}.") from None


def _find_rows(data: Mapping[str, Any], endpoint: ListEndpoint) -> _Rows:
    """Return the list of rows in an object; ``null`` is an empty one.

    :raises HyperoruContractError: there is none, or it can't be told which.
    """
    heads: dict[str, str] = {}
    for name in endpoint.rows:
        heads.setdefault(name.partition("[]")[0], name)
    lists = {name: data[name] for name in heads if name in data and isinstance(data[name], (list, NoneType))}
    names = list(lists)
    first = endpoint.rows[0].partition("[]")[0]
    own = {*GENERAL_ROWS, *([first] if first in lists else {*heads} - {*ROWS})}
    if len(names) > 1:  # beside a list under its own name or a general one, the others are of something else
        names = [name for name in names if name in own]
    if len(names) > 1:
        names = [name for name in names if lists[name] is not None]
    others = [name for name, value in data.items() if isinstance(value, list) and value and name not in lists]
    if len(names) == 1 and (names[0] in own or not others):  # else the rows may stand under the name not known
        return flattened(lists[names[0]] or [], heads[names[0]].split("[]")[1:-1])
    lists.update((name, data[name]) for name in others)
    found = f"lists under {', '.join(lists)}" if lists else f"only the keys {', '.join(data) or '(none)'}"
    raise HyperoruContractError(
        f"The answer's list of rows can't be told: it has {found}. Name its key in the contract's rows."
    )


def _values(beside: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    return ((name, beside[name]) for name in names if name in beside)


def _total(beside: Mapping[str, Any], endpoint: ListEndpoint) -> int | None:
    for name, value in _values(beside, endpoint.total):
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise HyperoruContractError(f"{name} is {value!r}, no count. Correct the contract's total.")
        return value
    return None


def _more(beside: Mapping[str, Any], endpoint: ListEndpoint) -> bool | None:
    for name, value in _values(beside, endpoint.has_more):
        if not isinstance(value, bool):
            raise HyperoruContractError(
                f"{name} is {value!r}, neither true nor false. Correct the contract's has_more."
            )
        return value
    for name, value in _values(beside, endpoint.is_last):
        if not isinstance(value, bool):
            raise HyperoruContractError(f"{name} is {value!r}, neither true nor false. Correct the contract's is_last.")
        return not value
    for _, value in _values(beside, endpoint.next_page):
        return value not in (None, "", 0)
    return True if any(value not in (None, "") for _, value in _values(beside, endpoint.next_cursor)) else None


def _cursor(beside: Mapping[str, Any], endpoint: ListEndpoint) -> str | None:
    if endpoint.paging != "cursor" or any(value is True for _, value in _values(beside, endpoint.is_last)):
        return None
    for _, value in _values(beside, endpoint.next_cursor):
        return None if value in (None, "") else str(value)
    raise HyperoruContractError(
        f"The answer has none of {', '.join(endpoint.next_cursor)}, so it can't be told whether more pages follow. "
        "Correct the contract's next_cursor or paging."
    )

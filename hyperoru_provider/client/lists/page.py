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

# of a list of one answer, beside the contract's has_more and total, each sign that there is more than it shows
_LINKS = ("links", "_links")
_NEXT = ("nextCursor", "next_page_token", "nextPageToken", "next_token", "nextToken")
_CUT = ("truncated", "is_truncated", "isTruncated")
_LAST = ("is_last", "isLast", "last_page")
_PAGE_COUNTS = ("pages", "total_pages", "totalPages", "page_count")
_LIMITS = ("limit", "per_page")
_TOTALS = ("totalCount", "total_items", "totalItems", "total_rows", "total_records", "count")
_SIGNS = (*_NEXT, *_CUT, *_LAST, *_PAGE_COUNTS, *_LIMITS, *_TOTALS)

_Rows: TypeAlias = list[msgspec.Raw]
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_list = msgspec.json.Decoder(_Rows | None)
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
        if not body.isascii():
            body.decode()  # what the rows hold is not looked at below, and would get into files as it is
        data = _decode(body, endpoint)
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
    rows = _shaped(_find_rows(data, endpoint), endpoint)
    total, more = _total(beside, endpoint), _more(beside, endpoint)
    if endpoint.paging == "none":
        total = _counted_beyond(beside, endpoint, len(rows)) if total is None else total
        more = True if _goes_on(beside, endpoint, len(rows)) else more
    return Page(rows, total, more, _cursor(beside, endpoint) if rows or more is not False else None)


def _page_of_object(body: bytes, endpoint: ListEndpoint) -> Page:
    """Return an answer that is the only row; ``null`` is no row, and an object without a field is no answer.

    :raises HyperoruContractError: it is no object, or says that the request failed.
    """
    text = body.strip()
    if text == b"null":
        return Page([])
    if not parse_object(body, endpoint, has_detail=True):
        raise HyperoruContractError("The answer is an empty object, but one with fields was expected.")
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
            "A list of plain values was expected, but one of them is an object or a list. Correct the contract's shape."
        )
    return [msgspec.Raw(with_fields(b"{}", {names: value})) for value in rows]


def _decode(body: bytes, endpoint: ListEndpoint) -> Any:
    """Return what an answer holds, with each row as the server wrote it."""
    try:
        return _opened(_envelope.decode(body), endpoint)
    except msgspec.DecodeError:
        if (marked := mark_halves(body)) == body:
            raise
    data = _opened(_envelope.decode(marked), endpoint)
    if isinstance(data, list):
        return _unmarked(data)
    return {name: _unmarked(value) if isinstance(value, list) else value for name, value in data.items()}


def _opened(data: Any, endpoint: ListEndpoint) -> Any:
    """Return an answer with the lists of its objects that ``rows`` names: that of ``data.list`` under this name."""
    if isinstance(data, list):
        return data
    for path in (name.partition("[]")[0] for name in endpoint.rows):
        *outer, last = path.split(".")
        found: Any = data
        for name in outer:
            inner = found.get(name) if isinstance(found, dict) else None
            found = _object.decode(inner) if isinstance(inner, msgspec.Raw) and bytes(inner)[:1] == b"{" else inner
        if outer and isinstance(found, dict) and last in found and bytes(found[last])[:1] in (b"[", b"n"):
            data = {**data, path: _list.decode(found[last])}
    return data


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
    around = [name.partition("[]")[0].rpartition(".")[0].partition(".")[0] for name in endpoint.rows]
    single = endpoint.paging == "none"
    names = (*names, *_SIGNS) if single else names
    places = (*_PAGING_OBJECTS, *(_LINKS if single else ()), *filter(None, around))
    objects = [data[name] for name in places if isinstance(data.get(name), dict)]
    try:
        return {name: msgspec.json.decode(each[name]) for each in objects for name in names if name in each}
    except NOT_JSON as error:  # a number of a thousand digits
        raise HyperoruContractError(f"The answer's information on its pages can't be read: {error}.") from None


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
        rows, is_meant = lists[names[0]] or [], names[0] == first and endpoint.rows != ROWS
        if rows or is_meant or not any(bytes(row)[:1] == b"{" for name in others for row in data[name]):
            return flattened(rows, heads[names[0]].split("[]")[1:-1])
    lists.update((name, data[name]) for name in others)
    lists.update(dict.fromkeys(_inner_lists(data)))
    found = f"lists under {', '.join(lists)}" if lists else f"only the keys {', '.join(data) or '(none)'}"
    raise HyperoruContractError(
        f"The answer's list of rows can't be identified: it has {found}. Name its key in the contract's rows."
    )


def _inner_lists(data: Mapping[str, Any]) -> list[str]:
    """Return the names of the lists in an answer's objects, as ``rows`` may name them."""
    objects = [(name, value) for name, value in data.items() if isinstance(value, dict)]
    return [f"{name}.{inner}" for name, value in objects for inner, text in value.items() if bytes(text)[:1] == b"["]


def _values(beside: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    return ((name, beside[name]) for name in names if name in beside)


def _total(beside: Mapping[str, Any], endpoint: ListEndpoint) -> int | None:
    for name, value in _values(beside, endpoint.total):
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise HyperoruContractError(f"{name} is {value!r}, which is not a count. Correct the contract's total.")
        return value
    return None


def _more(beside: Mapping[str, Any], endpoint: ListEndpoint) -> bool | None:
    for name, value in _values(beside, endpoint.has_more):
        if not isinstance(value, bool):
            raise HyperoruContractError(
                f"{name} is {value!r}, which is neither true nor false. Correct the contract's has_more."
            )
        return value
    for name, value in _values(beside, endpoint.is_last):
        if not isinstance(value, bool):
            raise HyperoruContractError(
                f"{name} is {value!r}, which is neither true nor false. Correct the contract's is_last."
            )
        return not value
    for _, value in _values(beside, endpoint.next_page):
        return value not in (None, "", 0)
    return True if any(value not in (None, "") for _, value in _values(beside, endpoint.next_cursor)) else None


def _counted_beyond(beside: Mapping[str, Any], endpoint: ListEndpoint, rows: int) -> int | None:
    """Return a count of more rows than a list of one answer has; one of just its rows says nothing."""
    counts = [value for _, value in _values(beside, _TOTALS) if type(value) is int and value > rows]
    return max(counts, default=None) if endpoint.total else None


def _goes_on(beside: Mapping[str, Any], endpoint: ListEndpoint, rows: int) -> bool:
    """Return whether a list of one answer shows any sign that there is more; without a ``has_more``, none is read."""
    if not endpoint.has_more:
        return False
    return (
        any(value not in (None, "", False, 0) for _, value in _values(beside, _NEXT))
        or any(value is True for _, value in _values(beside, _CUT))
        or any(value is False for _, value in _values(beside, _LAST))
        or any(type(value) is int and value > 1 for _, value in _values(beside, _PAGE_COUNTS))
        or any(type(value) is int and value == rows > 0 for _, value in _values(beside, _LIMITS))
    )


def _cursor(beside: Mapping[str, Any], endpoint: ListEndpoint) -> str | None:
    if endpoint.paging != "cursor":
        return None
    for _, value in _values(beside, endpoint.next_cursor):
        return None if value in (None, "") else str(value)
    if _more(beside, endpoint) is False:
        return None
    raise HyperoruContractError(
        f"The answer has none of {', '.join(endpoint.next_cursor)}, so it can't be told whether more pages follow. "
        "Correct the contract's next_cursor or paging."
    )

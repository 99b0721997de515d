"""Rows as JSON text: more fields are put in, or lists taken out, and no digit of what a server wrote changes. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from hyperoru_provider.client.decoding import NOT_JSON
from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.surrogates import mark_halves, unmark_halves

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_items = msgspec.json.Decoder(list[msgspec.Raw] | None).decode


def with_fields(row: bytes | msgspec.Raw, known: Mapping[tuple[str, ...], bytes | msgspec.Raw]) -> bytes:
    """Return an object with those of the known fields appended that it lacks, each under the first of its names.

    :param row: its JSON text; what is no object comes back as it is.
    :param known: the names and the JSON text of each.
    """
    text = bytes(row).strip()
    try:
        fields = _fields(mark_halves(text))
    except NOT_JSON:
        return text
    members = [
        b"%b:%b" % (msgspec.json.encode(names[0]), value)
        for names, value in known.items()
        if fields.keys().isdisjoint(names)
    ]
    return text[:-1] + b"," * bool(fields and members) + b",".join(members) + b"}"


def flattened(rows: list[msgspec.Raw], names: Sequence[str]) -> list[msgspec.Raw]:
    """Return the rows of the lists in these objects, each with what it lacks of the fields around it, but for lists.

    :param rows: the objects.
    :param names: the key of their list, and of the lists in its objects; each after a dot. For none, the objects.
    :raises HyperoruContractError: an object has no such list.
    """
    for name in names:
        rows = [inner for row in rows for inner in _inner_rows(bytes(row), name.removeprefix("."))]
    return rows


def _inner_rows(row: bytes, name: str) -> list[msgspec.Raw]:
    marked = mark_halves(row)
    try:
        fields = _fields(marked)
        inner = _items(fields.pop(name)) or []
    except (*NOT_JSON, KeyError):
        raise HyperoruContractError(
            f"The list {name} is missing from an object around it. Correct the contract's rows."
        ) from None
    around: dict[tuple[str, ...], msgspec.Raw] = {
        (field,): value for field, value in fields.items() if bytes(value)[:1] != b"["
    }
    texts = [with_fields(each, around) for each in inner]
    return [msgspec.Raw(text if marked == row else unmark_halves(text)) for text in texts]

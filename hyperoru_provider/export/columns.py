"""Rows as columns: which there are, and their values, as the model says and never guessed from the data."""

from __future__ import annotations

import logging
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal, NamedTuple, Union, get_args, get_origin

import msgspec

from hyperoru_provider.client.api.endpoints import Endpoint, ListEndpoint
from hyperoru_provider.client.api.models import Model
from hyperoru_provider.client.calls import validated
from hyperoru_provider.client.decoding import canonical, rename
from hyperoru_provider.client.escaping import shorten
from hyperoru_provider.client.lists.rows import Row, Rows, parts_of
from hyperoru_provider.client.surrogates import replace_halves
from hyperoru_provider.client.times import TimeFormat

log = logging.getLogger(__name__)

_json = msgspec.json.Encoder(decimal_format="number", order="sorted")
#: an object as the JSON text of each of its fields
decode_raw = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_value = msgspec.json.Decoder(Any, float_hook=Decimal).decode


class Column(NamedTuple):
    """A column: its name, and ``string``, ``boolean``, ``decimal``, ``timestamp`` or ``json``."""

    name: str
    type: str


@dataclass(frozen=True)
class ColumnSchema:
    """The columns of a resource's rows.

    :param model: the model whose fields are the columns.
    :param endpoint: how the server names them.
    :param known: our name of a field -> the value of rows that lack it or have ``null``, as the path of the request
        named it: a server that answers under ``/account/1`` need not repeat the 1 in each row.
    """

    model: type[Model]
    endpoint: Endpoint
    known: Mapping[str, str] = field(default_factory=dict)
    _warned: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The model's fields, and ``extra`` for a JSON object of all that it does not know."""
        fields = self.model.model_fields.items()
        return *(Column(name, _kind(field.annotation)) for name, field in fields), Column("extra", "json")

    @property
    def time_format(self) -> TimeFormat:
        """How the server writes times."""
        return self.endpoint.time_format if isinstance(self.endpoint, ListEndpoint) else "iso"

    @property
    def repeating(self) -> list[str]:
        """The columns of texts which many rows share."""
        return [column.name for column in self.columns if column.type == "string" and column.name not in self.key]

    @property
    def key(self) -> tuple[str, ...]:
        """The fields that together name a row; none of what is no list."""
        return self.endpoint.key if isinstance(self.endpoint, ListEndpoint) else ()

    def item(self, row: Row) -> Model:
        """Return a row as its model; half a character becomes the replacement character, with a warning.

        :raises HyperoruContractError: it is not as the model says; the text names it.
        """
        if not self._warned and replace_halves(row.raw) != row.raw:
            self._warned.add("halves")
            log.warning(
                "The row %s, and perhaps others, contains a lone surrogate (half a character), such as \\ud83d, "
                "which only JSON lines can represent: it is written as the replacement character U+FFFD.",
                shorten("/".join(map(str, parts_of(row.key)))),
            )
        fields = canonical(row.raw, self.endpoint)
        known = {name: value for name, value in self.known.items() if fields.get(name) is None}
        return validated(self.model, fields | known, self.time_format)

    def values(self, rows: Iterable[Row]) -> Iterator[tuple[Any, ...]]:
        """Return each row's values in the order of the columns: text, bool, Decimal, datetime, or ``None``.

        Of JSON, the text is that of the server.

        :raises HyperoruContractError: a row is not as the model says; the text names it.
        """
        columns = self.columns[:-1]
        for row in rows:
            item = self.item(row)
            sent = rename(decode_raw(replace_halves(row.raw)), self.endpoint)
            extra = {name: value for name, value in sent.items() if name not in self.model.model_fields}
            yield (
                *(_value(kind, getattr(item, name), sent.get(name)) for name, kind in columns),
                extra_text(extra),
            )


def extra_text(fields: dict[str, msgspec.Raw]) -> str | None:
    """Return unknown fields as a JSON object, each value as the server wrote it, or ``None`` if there are none."""
    return _json.encode(fields).decode() if fields else None


def decode_fields(sent: Mapping[str, msgspec.Raw], names: Iterable[str]) -> dict[str, Any]:
    """Return the values of these fields, with every digit of every number, without those that are null."""
    found = {name: _decode_value(sent[name]) for name in names if name in sent}
    return {name: value for name, value in found.items() if value is not None}


def fields_of_columns(row: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return these fields of a row of a file with columns, without those that are null.

    What is no column is looked for in ``extra``.
    """
    found = {name: row[name] for name in names if row.get(name) not in (None, "")}
    unknown = [name for name in names if name not in row]
    return found | decode_fields(decode_raw(row["extra"]), unknown) if unknown and row.get("extra") else found


def raw_text(value: msgspec.Raw | None) -> str | None:
    """Return a value as the server wrote it, or ``None`` for JSON's null."""
    text = b"" if value is None else bytes(value)
    return None if text in (b"", b"null") else text.decode()


def as_rows(item: Model, moment: datetime) -> Rows:
    """Return an item as rows, for what comes from no list."""
    return Rows([moment], [()], [_json.encode(item.model_dump())])


def _value(kind: str, value: Any, sent: msgspec.Raw | None) -> Any:
    if kind == "json":
        return None if value is None else raw_text(sent)
    return str(value) if kind == "string" and value is not None else value


def types_of(annotation: Any) -> set[Any]:
    """Return the types that a field may have, without ``None`` and what checks them."""
    members = [
        member
        for member in (get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,))
        if member is not type(None)
    ]
    members = [get_args(member)[0] if hasattr(member, "__metadata__") else member for member in members]
    return {get_origin(member) or member for member in members}


def _kind(annotation: Any) -> str:
    """Return the kind of column that holds a field of this type."""
    kinds = {_KINDS.get(each, "") for each in types_of(annotation)}
    if len(kinds) != 1 or "" in kinds:
        raise TypeError(f"no column type is known for {annotation}")
    return kinds.pop()


_KINDS: dict[Any, str] = {
    int: "string",  # ids may be numbers on one server, and text on another
    str: "string",
    Literal: "string",
    bool: "boolean",
    Decimal: "decimal",
    datetime: "timestamp",
    list: "json",
    dict: "json",
}

"""Rows as columns: which there are, and their values, as the model says and never guessed from the data."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple, Union, get_args, get_origin

import msgspec

from hyperoru_provider.client.models import Resource
from hyperoru_provider.client.paging import Row

_json = msgspec.json.Encoder(decimal_format="number", order="sorted")
_decode = msgspec.json.Decoder(float_hook=Decimal).decode


class Column(NamedTuple):
    """A column of a file: its name, and ``string``, ``boolean``, ``decimal``, ``timestamp`` or ``json``."""

    name: str
    type: str


@dataclass(frozen=True)
class Table:
    """The rows of a resource as columns.

    :param model: the model whose fields are the columns.
    :param read: makes a row one of the model.
    """

    model: type[Resource]
    read: Callable[[Row], Resource]

    @property
    def columns(self) -> list[Column]:
        """The model's fields, and ``extra`` for a JSON object of all that it does not know."""
        fields = self.model.model_fields.items()
        return [*(Column(name, _kind(field.annotation)) for name, field in fields), Column("extra", "json")]

    def values(self, rows: list[Row]) -> Iterator[tuple[Any, ...]]:
        """Give each row's values in the order of the columns: text, bool, Decimal, datetime, or ``None``."""
        kinds = [column.type for column in self.columns]
        names = list(self.model.model_fields)
        for row in rows:
            item = self.read(row)
            values = (*(getattr(item, name) for name in names), item.model_extra or None)
            yield tuple(_CONVERT.get(kind, _same)(value) for kind, value in zip(kinds, values, strict=True))


def _kind(annotation: Any) -> str:
    """Tell the kind of column that holds a field of this type."""
    members = [
        member
        for member in (get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,))
        if member is not type(None)
    ]
    members = [get_args(member)[0] if hasattr(member, "__metadata__") else member for member in members]
    kinds = {_KINDS.get(get_origin(member) or member, "") for member in members}
    if len(kinds) != 1 or "" in kinds:
        raise TypeError(f"no column type is known for {annotation}")
    return kinds.pop()


_KINDS: dict[Any, str] = {
    int: "string",  # ids may be numbers on one server, and text on another
    str: "string",
    bool: "boolean",
    Decimal: "decimal",
    datetime: "timestamp",
    list: "json",
}


def as_row(item: Resource, moment: datetime) -> Row:
    """Make an item a row of its own."""
    return Row(moment, (), _json.encode(item.model_dump()))


def from_row(model: type[Resource], row: Row) -> Resource:
    """Make a row of its own the item again."""
    return model.model_validate(_decode(row.raw))


def _same(value: Any) -> Any:
    return value


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _json_text(value: Any) -> str | None:
    return None if value is None else _json.encode(value).decode()


_CONVERT: dict[str, Callable[[Any], Any]] = {"string": _text, "json": _json_text}

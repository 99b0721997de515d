"""Rows as CSV that PostgreSQL's ``COPY`` takes, by columns of the JSON text that the server sent.

Most values are the same text in both: numbers, and texts without an escape, which stand in quotes. So a row is its
values, picked and joined. One regular expression checks that all of a batch are of this kind; any other batch is
``None``, and then it is read row by row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import Any, NamedTuple

import msgspec

from hyperoru_provider.client.api.endpoints import ListEndpoint
from hyperoru_provider.client.lists.rows import Rows
from hyperoru_provider.client.times import parse_times
from hyperoru_provider.export.columns import Column, ColumnSchema, extra_text, types_of

NULL = msgspec.Raw(b"null")
_ABSENT = msgspec.Raw(b"")

_TEXT = r'"[^"\\\x00-\x1f]*+"'
_INTEGER = r"(?:0|-?+[1-9]\d{0,17}+)"
_NUMBER = r"-?+\d{1,40}+(?:\.\d{1,40}+)?+(?:[eE][+-]?+\d{1,2}+)?+"
_TIME = r'"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d{1,6}+)?+(?:Z|[+-](?:0\d|1[0-4]):\d\d)"'
_QUOTED = r'(?:[^"]++|"")*+"'
#: types of a field -> what its values look like that are the same text in JSON and in CSV
_PATTERNS: dict[frozenset[Any], str] = {
    frozenset({str}): _TEXT,
    frozenset({int, str}): f"(?:{_TEXT}|{_INTEGER})",
    frozenset({int}): _INTEGER,
    frozenset({bool}): "(?:true|false)",
    frozenset({Decimal}): f'(?:{_NUMBER}|"{_NUMBER}")',
    frozenset({datetime}): _TIME,
    frozenset({list}): rf'"\[{_QUOTED}',
    frozenset({dict}): rf'"\{{{_QUOTED}',
}
_IS_TIME = re.compile(_TIME.encode()).fullmatch
_AT_ONCE = 500
_ODD = (msgspec.DecodeError, UnicodeDecodeError, ValueError)


class _Layout(NamedTuple):
    """How rows are decoded that have the fields of one row.

    :param decode: returns the rows as structs: the columns, by their place, and then the fields that are no columns.
    :param columns: how many columns there are, but for ``extra``.
    :param present: which of them the rows have.
    :param unknown: the names of the fields that are no columns.
    :param pattern: what the rows look like as CSV, if nothing about them is odd.
    """

    decode: msgspec.json.Decoder[list[Any]]
    columns: int
    present: set[str]
    unknown: list[str]
    pattern: re.Pattern[bytes]


class CopyEncoder:
    """Encodes rows, in the order of a schema's columns; what is null is ``null``, and texts are in quotes.

    :param schema: the columns.
    """

    def __init__(self, schema: ColumnSchema) -> None:
        self._schema = schema
        self._columns = schema.columns[:-1]
        endpoint = schema.endpoint
        #: the column whose values every row has shown already
        self._time = endpoint.time if isinstance(endpoint, ListEndpoint) else None
        kinds = {name: types_of(field.annotation) for name, field in schema.model.model_fields.items()}
        self._known_kinds = all(frozenset(kind) in _PATTERNS for kind in kinds.values())
        self._layout: tuple[list[str], _Layout] = (
            [],
            _Layout(msgspec.json.Decoder(list[Any]), 0, set(), [], re.compile(b"")),
        )
        self._kinds = kinds

    def encode(self, rows: Rows) -> bytes | None:
        """Return rows as lines of CSV, or ``None`` if that is not sure to be what a model of each row holds."""
        if not self._known_kinds:
            return None
        lines = []
        for first in range(0, len(rows), _AT_ONCE):
            try:
                part = self._encode(rows[first : first + _AT_ONCE])
            except _ODD:
                return None
            if part is None:
                return None
            lines.append(part)
        return b"".join(lines)

    def _encode(self, rows: Rows) -> bytes | None:
        """Return so many rows as the processor's cache holds, or ``None`` if something about them is odd."""
        text = b"[" + b",".join(rows.texts) + b"]"
        sent = msgspec.json.decode(rows.texts[0])
        layout = self._layout_of(list(sent)) if isinstance(sent, dict) else None
        if layout is None or (b"\\" in text and b"\\u" in text):  # half a character, or a NUL
            return None
        items = layout.decode.decode(text)
        for place, column in enumerate(self._columns):
            if column.name not in layout.present:
                continue
            if column.type == "json":
                _quote(items, f"c{place}")
            elif column.type == "timestamp" and not self._put_times(rows, items, column, f"c{place}"):
                return None
        values: Iterable[tuple[Any, ...]] = map(msgspec.structs.astuple, items)
        end = b",null\n"
        if layout.unknown:
            values, end = (_with_extra(sent, layout) for sent in values), b"\n"
        lines = b"".join([b",".join(each) + end for each in values])
        lines.isascii() or lines.decode()
        return lines if len(items) == len(rows) and layout.pattern.fullmatch(lines) else None

    def _put_times(self, rows: Rows, items: Sequence[Any], column: Column, attribute: str) -> bool:
        """Return whether the texts are times, or have become those that were read before."""
        if column.name == self._time:
            if not _IS_TIME(getattr(items[0], attribute)):  # without its offset, or a number
                for item, moment in zip(items, rows.times, strict=True):
                    setattr(item, attribute, b'"%s"' % str(moment).encode())
            return True
        if self._schema.time_format != "iso":
            return False
        found = [bytes(getattr(item, attribute)) for item in items]
        parse_times([text[1:-1].decode() for text in found if text != b"null"] or ["2000-01-01T00:00:00Z"])
        return True

    def _layout_of(self, sent: list[str]) -> _Layout | None:
        """Return how rows with these fields are decoded, or ``None`` if it is not clear which is which."""
        if sent == self._layout[0]:
            return self._layout[1]
        endpoint = self._schema.endpoint
        names = {}
        for column in self._columns:
            found = [name for name in endpoint.names_of(column.name) if name in sent]
            if len(found) > 1:  # another row may have only the second
                return None
            names[column.name] = found[0] if found else endpoint.names_of(column.name)[0]
        if any(names.get(name, name) != name for name in sent):  # one of our names, for something else
            return None
        unknown = [name for name in sent if name not in names.values()]
        present = {column for column, name in names.items() if name in sent}
        known = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in self._schema.known.items()}
        fields = [(f"c{place}", msgspec.Raw, known.get(name, NULL)) for place, name in enumerate(names)]
        fields += [(f"u{place}", msgspec.Raw, _ABSENT) for place in range(len(unknown))]
        rename = {f"c{place}": name for place, name in enumerate(names.values())}
        rename |= {f"u{place}": name for place, name in enumerate(unknown)}
        struct = msgspec.defstruct("Sent", fields, rename=rename, forbid_unknown_fields=True, gc=False)
        decoder: msgspec.json.Decoder[list[Any]] = msgspec.json.Decoder(list[struct])  # type: ignore[valid-type]
        self._layout = (sent, _Layout(decoder, len(names), present, unknown, self._pattern(present)))
        return self._layout[1]

    def _pattern(self, present: set[str]) -> re.Pattern[bytes]:
        """Return what rows look like of which all values are the same text in JSON and in CSV.

        :param present: the columns that one of the rows has: of others it is likely that all are null.
        """
        fields = self._schema.model.model_fields
        required = {name for name in fields if fields[name].is_required() or name in self._schema.known}
        parts = []
        for is_likely, group in groupby(self._columns, lambda column: column.name in present | required):
            patterns = [
                _PATTERNS[frozenset(self._kinds[name])] + ("" if name in required else "|null") for name, _ in group
            ]
            part = ",".join(f"(?:{pattern})" for pattern in patterns)
            parts.append(part if is_likely else f"(?:{','.join(['null'] * len(patterns))}|{part})")
        parts.append(rf'(?:null|"\{{{_QUOTED})')
        return re.compile(f"(?:{','.join(parts)}\n)*+".encode())


def _quote(items: Sequence[Any], attribute: str) -> None:
    """Put texts of JSON in quotes."""
    for item in items:
        text = bytes(getattr(item, attribute))
        if text != b"null":
            setattr(item, attribute, _csv(text))


def _with_extra(sent: tuple[msgspec.Raw, ...], layout: _Layout) -> tuple[Any, ...]:
    """Return a row's values with one object in place of those of the fields that are no columns."""
    fields = zip(layout.unknown, sent[layout.columns :], strict=True)
    text = extra_text({name: value for name, value in fields if value is not _ABSENT})
    return *sent[: layout.columns], b"null" if text is None else _csv(text.encode())


def _csv(text: bytes) -> bytes:
    return b'"%s"' % text.replace(b'"', b'""')

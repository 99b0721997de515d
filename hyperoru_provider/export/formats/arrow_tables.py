"""Rows as Arrow tables: by column where that is possible, row by row where something is odd."""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from itertools import accumulate
from operator import attrgetter
from typing import Any

import msgspec

os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # Arrow's own keeps for each thread what it once needed

import pyarrow as pa  # noqa: TID253 - imported where Parquet is written
import pyarrow.compute as pc  # noqa: TID253
import pyarrow.json  # noqa: TID253

from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.escaping import shorten
from hyperoru_provider.client.lists.rows import Rows, parts_of
from hyperoru_provider.client.times import TimeFormat
from hyperoru_provider.export.columns import Column, ColumnSchema, extra_text, raw_text, types_of
from hyperoru_provider.export.parts import Batch

_TYPES = {
    "string": pa.string(),
    "boolean": pa.bool_(),
    "decimal": pa.decimal128(38, 18),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "json": pa.string(),
}
#: what the text of a column of JSON begins with
_BEGINS: dict[Any, str] = {list: "[", dict: "{"}
_ABSENT = msgspec.Raw(b"")
_SHORTEST_TIME = len("2024-09-20T08:36:00")


class ArrowTableBuilder:
    """Converts rows to Arrow tables of one fixed schema, for formats that are written from such tables.

    What the path of the request says of rows that lack it is filled in, as in the other formats with columns.

    :param column_schema: the rows' columns.
    """

    def __init__(self, column_schema: ColumnSchema) -> None:
        self._column_schema = column_schema
        self.schema = pa.schema([(column.name, _TYPES[column.type]) for column in column_schema.columns])

    def table_of(self, batch: Batch) -> pa.Table:
        """Return the rows of a batch as one table, which is the same however they came.

        :raises HyperoruContractError: a row is not as the model says, or an amount does not fit; the text names it.
        """
        tables = (self.prepare(rows) if rows.prepared is None else rows.prepared for rows in batch)
        return pa.concat_tables(tables).combine_chunks()

    def prepare(self, rows: Rows) -> pa.Table:
        """Return rows as a table. Called in threads of its own, as most of it runs beside others.

        :raises HyperoruContractError: see :meth:`table_of`.
        """
        try:
            return ColumnReader(self._column_schema, self.schema, rows.texts).read()
        except ODD:
            return read_one_by_one(self._column_schema, self.schema, rows)


def read_one_by_one(column_schema: ColumnSchema, schema: pa.Schema, rows: Rows) -> pa.Table:
    """Return rows as a table by way of a model of each: slower, and right for any row.

    :raises HyperoruContractError: a row is not as the model says, or an amount does not fit; the text names it.
    """
    values = list(zip(*column_schema.values(rows), strict=True))
    arrays = [_array(column, field, rows) for column, field in zip(values, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


class ColumnReader:
    """Decodes all rows at once, with no Python object for each value.

    :param column_schema: the rows' columns.
    :param schema: what they are in Arrow.
    :param texts: the rows' JSON texts.
    :raises OddRowsError: this is not sure to give what a model of each row gives.
    """

    def __init__(self, column_schema: ColumnSchema, schema: pa.Schema, texts: Sequence[bytes | msgspec.Raw]) -> None:
        self._column_schema = column_schema
        self._schema = schema
        self._texts = texts
        self._sent = msgspec.json.decode(texts[0])
        if not isinstance(self._sent, dict):
            raise OddRowsError
        fields = column_schema.model.model_fields
        self._kinds = {name: types_of(field.annotation) for name, field in fields.items()}
        if {int} in self._kinds.values():  # any text fits into its column
            raise OddRowsError
        self._names = {field: _name(column_schema.endpoint.names_of(field), self._sent) for field in fields}
        if any(self._names.get(name, name) != name for name in self._sent):  # one of our names, for something else
            raise OddRowsError

    def read(self) -> pa.Table:
        """Return the rows as a table of the schema."""
        types = self._types()
        raw_names = [name for name in self._sent if name not in types]
        raw = self._raw_columns(raw_names) if raw_names else {}
        read = self._read_json(types, ignore_others=bool(raw))
        arrays = [self._array(column, raw, types, read) for column in self._column_schema.columns]
        return pa.Table.from_arrays(arrays, schema=self._schema)

    def _types(self) -> dict[str, pa.DataType]:
        """Return the type as which each of the server's fields is read, without those that are kept as JSON text."""
        return {
            self._names[column.name]: _sniffed(
                column, self._sent[self._names[column.name]], self._column_schema.time_format
            )
            for column in self._column_schema.columns
            if self._names.get(column.name) in self._sent and column.type != "json"
        }

    def _read_json(self, types: dict[str, pa.DataType], *, ignore_others: bool) -> pa.Table:
        """Return the fields as Arrow's own reader finds them.

        :param ignore_others: whether there are further fields; who keeps them as text notices unexpected ones.
        """
        options = pa.json.ParseOptions(
            explicit_schema=pa.schema(types), unexpected_field_behavior="ignore" if ignore_others else "error"
        )
        lines = pa.BufferReader(b"\n".join(self._texts))
        read = pa.json.read_json(lines, pa.json.ReadOptions(use_threads=False, block_size=1 << 26), options)
        read.validate(full=True)  # the reader lets amounts pass that have too many digits
        if read.num_rows != len(self._texts):
            raise OddRowsError
        return read

    def _array(
        self, column: Column, raw: dict[str, list[str | None]], types: dict[str, pa.DataType], read: pa.Table
    ) -> pa.Array:
        """Return a column of the schema."""
        name, kind = self._names.get(column.name), _TYPES[column.type]
        if column.name in raw:
            values = _text_array(raw[column.name])
        elif name not in types:
            values = pa.nulls(len(self._texts), kind)
        elif column.type == "timestamp":
            values = _as_times(read[name], self._column_schema.time_format)
        else:
            values = read[name].cast(kind)
        if column.name in self._column_schema.known:
            values = pc.fill_null(values, _text_array([self._column_schema.known[column.name]])[0])
        field = self._column_schema.model.model_fields.get(column.name)
        if field is not None and field.is_required() and values.null_count:
            raise OddRowsError
        return values

    def _raw_columns(self, raw_names: list[str]) -> dict[str, list[str | None]]:
        """Return the columns of JSON text: those of the model, and ``extra``.

        :raises msgspec.DecodeError: a row has a field that the first row has not.
        """
        known = {name: field for field, name in self._names.items() if name in self._sent}
        attribute_of = {name: f"f{number}" for number, name in enumerate(self._sent)}
        struct = msgspec.defstruct(
            "Sent",
            [(attribute, msgspec.Raw, _ABSENT) for attribute in attribute_of.values()],
            rename={attribute: name for name, attribute in attribute_of.items()},
            forbid_unknown_fields=True,
            gc=False,
        )
        lines = b"[" + b",".join(self._texts) + b"]"
        items = msgspec.json.decode(lines, type=list[struct])  # type: ignore[valid-type]
        values = {name: list(map(attrgetter(attribute_of[name]), items)) for name in raw_names}
        columns: dict[str, list[str | None]] = {
            known[name]: [raw_text(value) for value in values.pop(name)] for name in raw_names if name in known
        }
        begin = {name: _BEGINS[kind] for name in columns for kind in self._kinds[name] if kind in _BEGINS}
        if any(text is not None and text[0] != begin.get(name) for name, texts in columns.items() for text in texts):
            raise OddRowsError
        columns["extra"] = [
            extra_text({name: value for name, value in zip(values, row, strict=True) if value is not _ABSENT})
            for row in zip(*values.values(), strict=True)
        ] or [None] * len(items)
        return columns


class OddRowsError(Exception):
    """The rows are not of the plain kind that can be read by column."""


ODD = (OddRowsError, pa.ArrowException, msgspec.DecodeError, UnicodeDecodeError)


def _name(names: tuple[str, ...], sent: Any) -> str:
    """Return which of a field's names the server uses.

    :raises OddRowsError: it uses several.
    """
    found = [name for name in names if name in sent]
    if len(found) > 1:  # another row may have only the second
        raise OddRowsError
    return found[0] if found else names[0]


def _sniffed(column: Column, value: Any, time_format: TimeFormat) -> pa.DataType:
    """Return the type as which a column is read: ids may be numbers on one server, and text on another."""
    if column.type == "timestamp":
        return pa.string() if time_format == "iso" else pa.int64()
    return pa.int64() if column.type == "string" and type(value) is int else _TYPES[column.type]


def _as_times(texts: pa.ChunkedArray, time_format: TimeFormat) -> pa.ChunkedArray:
    """Return times as :func:`~hyperoru_provider.client.times.parse_time` does, or raise."""
    if time_format != "iso":
        return texts.cast(pa.timestamp("s" if time_format == "seconds" else "ms")).cast(_TYPES["timestamp"])
    shortest = pc.min(pc.binary_length(texts)).as_py()
    if shortest is not None and shortest < _SHORTEST_TIME:  # a date has no known time of day
        raise OddRowsError
    try:
        return texts.cast(_TYPES["timestamp"])
    except pa.ArrowInvalid:
        return texts.cast(pa.timestamp("us")).cast(_TYPES["timestamp"])  # no offset at all: UTC


def _text_array(texts: Sequence[str | None]) -> pa.StringArray:
    """Return texts as an array, as ``pa.array`` does, which imports pandas where that is installed."""
    data = [(text or "").encode() for text in texts]
    offsets = array("i", accumulate(map(len, data), initial=0))
    are_valid = int("".join("0" if text is None else "1" for text in reversed(texts)), 2)
    bitmap = are_valid.to_bytes(len(texts) // 8 + 1, "little")
    return pa.StringArray.from_buffers(len(texts), *map(pa.py_buffer, (offsets, b"".join(data), bitmap)))


def _array(values: Sequence[Any], field: pa.Field, rows: Rows) -> pa.Array:
    try:
        return pa.array(values, field.type)
    except pa.ArrowInvalid:
        for row, value in zip(rows, values, strict=True):
            try:
                pa.array([value], field.type)
            except pa.ArrowInvalid as error:
                raise HyperoruContractError(
                    f"{field.name} {shorten(str(value))} of the row {'/'.join(map(str, parts_of(row.key)))} does not "
                    f"fit {field.type}: {error}. Nothing was rounded; file_format jsonl and csv keep it."
                ) from None
        raise

"""Rows as Arrow tables: by column where that is possible, row by row where something is odd."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any, overload

import msgspec

os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # Arrow's own keeps for each thread what it once needed

import pyarrow as pa  # noqa: TID253 - imported where Parquet is written
import pyarrow.compute as pc  # noqa: TID253
import pyarrow.json  # noqa: TID253

from hyperoru_provider.client.api.endpoints import ListEndpoint
from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.lists.page import Page
from hyperoru_provider.client.lists.rows import BulkRows, Row, Span
from hyperoru_provider.export.columns import Column, ColumnSchema, extra_text, raw_text
from hyperoru_provider.export.parts import Batch

_TYPES = {
    "string": pa.string(),
    "boolean": pa.bool_(),
    "decimal": pa.decimal128(38, 18),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "json": pa.string(),
}
_ABSENT = msgspec.Raw(b"")
_SHORTEST_TIME = len("2024-09-20T08:36:00")


class ArrowRows(BulkRows):
    """Rows that are a table.

    :param table: the rows.
    :param times: their times.
    :param keys: their keys, a column for each part.
    :param texts: their JSON texts, in another order.
    :param order: where each row's text is.
    """

    def __init__(
        self, table: pa.Table, times: pa.Array, keys: pa.Table, texts: list[msgspec.Raw], order: pa.Array
    ) -> None:
        self.table = table
        self._times = times
        self._keys = keys
        self._texts = texts
        self._order = order

    def key_columns(self) -> list[list[int | str]]:
        """Give each part of the keys, in the order of the rows."""
        return [part.to_pylist() for part in self._keys.columns]

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[Row]:
        texts = (bytes(self._texts[place]) for place in self._order.to_pylist())
        return map(Row, self._times.to_pylist(), zip(*self.key_columns(), strict=True), texts)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> ArrowRows: ...
    def __getitem__(self, index: int | slice) -> Row | ArrowRows:
        if isinstance(index, slice):
            start, stop, _ = index.indices(len(self))
            table, times, keys, order = (
                part.slice(start, max(stop - start, 0)) for part in (self.table, self._times, self._keys, self._order)
            )
            return ArrowRows(table, times, keys, self._texts, order)
        place = range(len(self))[index]
        key = tuple(part[place].as_py() for part in self._keys.columns)
        return Row(self._times[place].as_py(), key, bytes(self._texts[self._order[place].as_py()]))


class ArrowEncoder:
    """Makes rows Arrow tables of one fixed schema.

    :param table: the rows' columns.
    """

    def __init__(self, table: ColumnSchema) -> None:
        self._table = table
        self._columns = table.columns
        self.schema = pa.schema([(column.name, _TYPES[column.type]) for column in self._columns])

    def read(self, pages: list[Page], span: Span) -> Sequence[Row] | None:
        """Read all pages of a list at once; see :class:`~hyperoru_provider.client.lists.pass_reader.Bulk`."""
        texts = [text for page in pages for text in page.lines]
        if not texts:
            return []
        try:
            read, table = self._by_column(texts)
            keys = pa.table({name: self._sent(name, read) for name in span.endpoint.key})
            times = self._times(span.endpoint, read)
            if not (_are_keys(keys) and self._as_asked(span, read, times)):
                return None
        except (*_ODD, OverflowError):
            return None
        order = _in_order(times, keys)
        times = times.take(order)
        inside = pc.and_(pc.greater_equal(times, span.start), pc.less(times, span.end))
        if not pc.all(inside).as_py():
            order, times = order.filter(inside), times.filter(inside)
        return ArrowRows(table.take(order), times, keys.take(order), texts, order)

    def of(self, batch: Batch) -> pa.Table:
        """Make rows one table; how they are divided does not show in it.

        :raises HyperoruContractError: a row is not as the model says, or an amount does not fit; the text names it.
        """
        return pa.concat_tables(map(self._one, batch)).combine_chunks()

    def _one(self, rows: Sequence[Row]) -> pa.Table:
        if isinstance(rows, ArrowRows):
            return rows.table
        try:
            return self._by_column([row.raw for row in rows])[1]
        except _ODD:
            return self._by_row(rows)

    def _by_column(self, texts: Sequence[bytes | msgspec.Raw]) -> tuple[pa.Table, pa.Table]:
        """Decode all rows at once, with no Python object for each value.

        :return: the rows by the server's names, and as a table of the schema.
        :raises _OddError: this is not sure to give what :meth:`_by_row` gives.
        """
        sent = msgspec.json.decode(texts[0])
        if not isinstance(sent, dict):
            raise _OddError
        names = {field: _name(self._table.endpoint.names_of(field), sent) for field in self._table.model.model_fields}
        if any(names.get(name, name) != name for name in sent):  # one of our names, for something else
            raise _OddError
        known = {name: field for field, name in names.items() if name in sent}
        types = {
            names[column.name]: _sniffed(column, sent[names[column.name]])
            for column in self._columns
            if names.get(column.name) in sent and column.type != "json"
        }
        raw = {}
        if raw_names := [name for name in sent if name not in types]:
            raw = self._raw_columns(sent, known, raw_names, texts)
        unexpected = "ignore" if raw else "error"  # if there is JSON text, the one who reads it notices
        options = pa.json.ParseOptions(explicit_schema=pa.schema(types), unexpected_field_behavior=unexpected)
        lines = pa.BufferReader(b"\n".join(texts))
        read = pa.json.read_json(lines, pa.json.ReadOptions(use_threads=False, block_size=1 << 26), options)
        read.validate(full=True)  # the reader lets amounts pass that have too many digits
        if read.num_rows != len(texts):
            raise _OddError
        arrays = []
        for column in self._columns:
            field = self._table.model.model_fields.get(column.name)
            if column.name in raw:
                array = pa.array(raw[column.name], _TYPES[column.type])
            elif names.get(column.name) not in types:
                array = pa.nulls(len(texts), _TYPES[column.type])
            elif column.type == "timestamp":
                array = _as_times(read[names[column.name]])
            else:
                array = read[names[column.name]].cast(_TYPES[column.type])
            if field is not None and field.is_required() and array.null_count:
                raise _OddError
            arrays.append(array)
        return read, pa.Table.from_arrays(arrays, schema=self.schema)

    def _sent(self, field: str, read: pa.Table) -> pa.ChunkedArray:
        """Find a field under the name by which the server sent it."""
        name = _name(self._table.endpoint.names_of(field), read.column_names)
        if name not in read.column_names:
            raise _OddError
        return read[name]

    def _times(self, endpoint: ListEndpoint, read: pa.Table) -> pa.Array:
        """Read the field which is the row's time."""
        return _as_times(self._sent(endpoint.time or "", read)).combine_chunks()

    def _as_asked(self, span: Span, read: pa.Table, times: pa.Array) -> bool:
        """Tell whether all rows are of the time and of what else was asked for."""
        spread = pc.min_max(times).as_py()
        asked = [field for field in span.endpoint.verified_fields if span.filters.get(field) is not None]
        first, last = span.slack
        return (
            first <= spread["min"]
            and spread["max"] <= last
            and all(
                span.verified_fields(field, value)
                for field in asked
                for value in pc.unique(self._sent(field, read)).to_pylist()
            )
        )

    def _raw_columns(
        self, sent: dict[str, Any], known: dict[str, str], raw_names: list[str], texts: Sequence[bytes | msgspec.Raw]
    ) -> dict[str, list[str | None]]:
        """Give the columns of JSON text: those of the model, and ``extra``.

        :raises msgspec.DecodeError: a row has a field that the first row has not.
        """
        attribute_of = {name: f"f{number}" for number, name in enumerate(sent)}
        struct = msgspec.defstruct(
            "Sent",
            [(attribute, msgspec.Raw, _ABSENT) for attribute in attribute_of.values()],
            rename={attribute: name for name, attribute in attribute_of.items()},
            forbid_unknown_fields=True,
            gc=False,
        )
        lines = b"[" + b",".join(texts) + b"]"
        items = msgspec.json.decode(lines, type=list[struct])  # type: ignore[valid-type]
        values = {name: list(map(attrgetter(attribute_of[name]), items)) for name in raw_names}
        columns: dict[str, list[str | None]] = {
            known[name]: [raw_text(value) for value in values.pop(name)] for name in raw_names if name in known
        }
        if any(text is not None and text[0] != "[" for texts in columns.values() for text in texts):
            raise _OddError
        columns["extra"] = [
            extra_text({name: value for name, value in zip(values, row, strict=True) if value is not _ABSENT})
            for row in zip(*values.values(), strict=True)
        ] or [None] * len(items)
        return columns

    def _by_row(self, rows: Sequence[Row]) -> pa.Table:
        values = list(zip(*self._table.values(rows), strict=True))
        arrays = [_array(column, field, rows) for column, field in zip(values, self.schema, strict=True)]
        return pa.Table.from_arrays(arrays, schema=self.schema)


class _OddError(Exception):
    """The rows are not of the plain kind that can be read by column."""


_ODD = (_OddError, pa.ArrowException, msgspec.DecodeError, UnicodeDecodeError)


def _name(names: tuple[str, ...], sent: Any) -> str:
    """Tell which of a field's names the server uses."""
    found = [name for name in names if name in sent]
    if len(found) > 1:  # another row may have only the second
        raise _OddError
    return found[0] if found else names[0]


def _sniffed(column: Column, value: Any) -> pa.DataType:
    """Tell as what a column is read: ids may be numbers on one server, and text on another."""
    if column.type == "timestamp":
        return pa.string()
    return pa.int64() if column.type == "string" and type(value) is int else _TYPES[column.type]


def _as_times(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Read times as :func:`~hyperoru_provider.client.times.parse_time` does, or not at all."""
    shortest = pc.min(pc.binary_length(texts)).as_py()
    if shortest is not None and shortest < _SHORTEST_TIME:  # a date has no known time of day
        raise _OddError
    try:
        return texts.cast(_TYPES["timestamp"])
    except pa.ArrowInvalid:
        return texts.cast(pa.timestamp("us")).cast(_TYPES["timestamp"])  # no offset at all: UTC


def _are_keys(keys: pa.Table) -> bool:
    """Tell whether each row has a key, and none has that of another."""
    texts = [part for part in keys.columns if pa.types.is_string(part.type)]
    return (
        all(pa.types.is_int64(part.type) or pa.types.is_string(part.type) for part in keys.columns)
        and len(keys.group_by(keys.column_names, use_threads=False).aggregate([])) == len(keys)
        and not any(part.null_count for part in keys.columns)
        and not any(pc.any(pc.equal(part, "")).as_py() for part in texts)
    )


def _in_order(times: pa.Array, keys: pa.Table) -> pa.Array:
    """Give the places of rows in the order of time, then key; of texts the shorter one goes first."""
    ranks = {"time": times}
    for number, part in enumerate(keys.columns):
        if pa.types.is_string(part.type):
            ranks[f"length {number}"] = pc.utf8_length(part)
        ranks[f"part {number}"] = part
    return pc.sort_indices(pa.table(ranks), sort_keys=[(name, "ascending") for name in ranks])


def _array(values: Sequence[Any], field: pa.Field, rows: Sequence[Row]) -> pa.Array:
    try:
        return pa.array(values, field.type)
    except pa.ArrowInvalid:
        for row, value in zip(rows, values, strict=True):
            try:
                pa.array([value], field.type)
            except pa.ArrowInvalid as error:
                raise HyperoruContractError(
                    f"{field.name} of the row {'/'.join(map(str, row.key))} does not fit {field.type}: {error}. "
                    "Nothing was rounded; export as jsonl to keep it."
                ) from None
        raise

"""Rows as Arrow tables: by columns where that is possible, row by row where something is odd."""

from __future__ import annotations

import io
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa  # noqa: TID253 - imported where Parquet is written
import pyarrow.json  # noqa: TID253

from hyperoru_provider.client.contract import WindowedEndpoint
from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.paging import Row
from hyperoru_provider.export.columns import Column, Table, extra_text, raw_text

_TYPES = {
    "string": pa.string(),
    "boolean": pa.bool_(),
    "decimal": pa.decimal128(38, 18),
    "timestamp": pa.timestamp("us", tz="UTC"),
    "json": pa.string(),
}


_ABSENT = msgspec.Raw(b"")


class ArrowTable:
    """Makes rows Arrow tables of one fixed schema.

    :param table: the rows' columns.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._columns = table.columns
        self.schema = pa.schema([(column.name, _TYPES[column.type]) for column in self._columns])

    def of(self, rows: list[Row]) -> pa.Table:
        """Make rows a table.

        :raises HyperoruContractError: a row is not as the model says, or an amount does not fit; the text names it.
        """
        try:
            return self._by_column(rows)
        except (pa.ArrowException, msgspec.DecodeError, _OddError):
            return self._by_row(rows)

    def _by_column(self, rows: list[Row]) -> pa.Table:
        """Decode all rows at once, with no Python object for each value.

        :raises _OddError: this is not sure to give what :meth:`_by_row` gives.
        """
        sent = msgspec.json.decode(rows[0].raw)
        names = {field: self._sent_as(field, sent) for field in self._table.model.model_fields}
        known = {name: field for field, name in names.items() if name in sent}
        plain = {
            column.name: _sniffed(column, sent[names[column.name]])
            for column in self._columns
            if names.get(column.name) in sent and column.type not in ("json", "timestamp")
        }
        fields = [(names[field], kind) for field, kind in plain.items()]
        raw = {}
        if raw_names := [name for name in sent if self._is_raw(known.get(name))]:
            raw = self._raw_columns(sent, known, raw_names, rows)
        else:  # only the time is left, which the rows know
            fields += [(name, pa.string()) for name in sent if known[name] not in plain]
        unexpected = "ignore" if raw else "error"  # if there is JSON text, the one who reads it notices
        options = pa.json.ParseOptions(explicit_schema=pa.schema(fields), unexpected_field_behavior=unexpected)
        lines = io.BytesIO(b"\n".join([row.raw for row in rows]))
        read = pa.json.read_json(lines, pa.json.ReadOptions(use_threads=False, block_size=1 << 26), options)
        read.validate(full=True)  # the reader lets amounts pass that have too many digits
        if read.num_rows != len(rows):
            raise _OddError
        arrays = []
        for column in self._columns:
            field = self._table.model.model_fields.get(column.name)
            if column.name in plain:
                array = read[names[column.name]].cast(_TYPES[column.type])
            elif column.type == "timestamp":
                array = self._times(column, rows)
            else:
                array = pa.array(raw.get(column.name, [None] * len(rows)), _TYPES[column.type])
            if field is not None and field.is_required() and array.null_count:
                raise _OddError
            arrays.append(array)
        return pa.Table.from_arrays(arrays, schema=self.schema)

    def _sent_as(self, field: str, sent: dict[str, Any]) -> str:
        names = self._table.endpoint.names_of(field)
        found = [name for name in names if name in sent]
        if len(found) > 1:  # another row may have only the second
            raise _OddError
        return found[0] if found else names[0]

    def _times(self, column: Column, rows: list[Row]) -> pa.Array:
        """Take the rows' own time, which is parsed already."""
        endpoint = self._table.endpoint
        if not isinstance(endpoint, WindowedEndpoint) or endpoint.time != column.name:
            raise _OddError
        return pa.array([row.time for row in rows], _TYPES["timestamp"])

    def _is_raw(self, field: str | None) -> bool:
        return field is None or any(field == column.name and column.type == "json" for column in self._columns)

    def _raw_columns(
        self, sent: dict[str, Any], known: dict[str, str], raw_names: list[str], rows: list[Row]
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
        lines = b"[" + b",".join([row.raw for row in rows]) + b"]"
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
        ] or [None] * len(rows)
        return columns

    def _by_row(self, rows: list[Row]) -> pa.Table:
        values = list(zip(*self._table.values(rows), strict=True))
        arrays = [_array(column, field, rows) for column, field in zip(values, self.schema, strict=True)]
        return pa.Table.from_arrays(arrays, schema=self.schema)


class _OddError(Exception):
    """The rows are not of the plain kind that can be read by column."""


def _sniffed(column: Column, value: Any) -> pa.DataType:
    """Tell as what a column is read: ids may be numbers on one server, and text on another."""
    return pa.int64() if column.type == "string" and type(value) is int else _TYPES[column.type]


def _array(values: Sequence[Any], field: pa.Field, rows: list[Row]) -> pa.Array:
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

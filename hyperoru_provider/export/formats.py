"""Rows as JSON lines, CSV and Parquet: the columns come from the model, never from the data."""

from __future__ import annotations

import csv
import gzip
import io
import types
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple, TypeAlias, Union, cast, get_args, get_origin

import msgspec

from hyperoru_provider.client.errors import HyperoruConfigError, HyperoruContractError
from hyperoru_provider.client.models import Resource
from hyperoru_provider.client.paging import Row
from hyperoru_provider.client.times import format_time

FileFormat: TypeAlias = Literal["jsonl", "csv", "parquet"]

#: what a file may be compressed with; the first is the default
COMPRESSIONS: dict[str, tuple[str, ...]] = {
    "jsonl": ("gzip", "none"),
    "csv": ("none", "gzip"),
    "parquet": ("zstd", "snappy", "gzip", "none"),
}

_PRECISION, _SCALE = 38, 18
_json = msgspec.json.Encoder(decimal_format="number", order="sorted")
_decode = msgspec.json.Decoder(float_hook=Decimal).decode

Encode: TypeAlias = Callable[[list[Row]], None]


class Column(NamedTuple):
    """A column of a file: its name, and ``string``, ``boolean``, ``decimal``, ``timestamp`` or ``json``."""

    name: str
    type: str


@dataclass(frozen=True)
class Format:
    """How rows become a file.

    :param file_format: ``jsonl`` (each row as the server sent it), ``csv`` or ``parquet``.
    :param compression: one of :data:`COMPRESSIONS`; ``None`` for the format's default.
    :param model: the model whose fields are the columns of CSV and Parquet.
    :param read: makes a row one of the model.
    :raises HyperoruConfigError: the format or compression is not known, or pyarrow is missing for Parquet.
    """

    file_format: FileFormat
    compression: str
    model: type[Resource]
    read: Callable[[Row], Resource]

    @classmethod
    def choose(
        cls,
        file_format: str,
        compression: str | None,
        model: type[Resource],
        read: Callable[[Row], Resource],
    ) -> Format:
        """Check and complete a user's choice; see the class."""
        known = COMPRESSIONS.get(file_format)
        if known is None:
            raise HyperoruConfigError(f"file_format {file_format!r}: expected one of {', '.join(COMPRESSIONS)}.")
        compression = known[0] if compression is None else compression
        if compression not in known:
            raise HyperoruConfigError(
                f"compression {compression!r} of {file_format}: expected one of {', '.join(known)}."
            )
        if file_format == "parquet":
            try:
                import pyarrow.parquet  # noqa: F401
            except ImportError:
                raise HyperoruConfigError(
                    "Parquet needs pyarrow: pip install 'airflow-provider-hyperoru[parquet]'."
                ) from None
        return cls(file_format, compression, model, read)  # type: ignore[arg-type]

    @property
    def extension(self) -> str:
        """The end of a file's name."""
        return (
            f"{self.file_format}.gz"
            if self.compression == "gzip" and self.file_format != "parquet"
            else self.file_format
        )

    @property
    def columns(self) -> list[Column]:
        """The model's fields, and ``extra`` for a JSON object of all that it does not know."""
        fields = self.model.model_fields.items()
        return [*(Column(name, _kind(field.annotation)) for name, field in fields), Column("extra", "json")]

    @contextmanager
    def open(self, path: Path) -> Iterator[Encode]:
        """Begin a file; gives a function that appends rows to it.

        The same rows in the same calls give the same bytes.
        """
        if self.file_format == "parquet":
            with self._parquet(path) as encode:
                yield encode
            return
        with path.open("wb") as file, self._compressed(file) as stream:
            yield self._csv(stream) if self.file_format == "csv" else lambda rows: _write_lines(stream, rows)

    def _compressed(self, file: IO[bytes]) -> AbstractContextManager[IO[bytes]]:
        if self.compression == "gzip":
            packed = gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0)
            return cast("IO[bytes]", packed)
        return nullcontext(file)

    def _csv(self, stream: IO[bytes]) -> Encode:
        columns = self.columns
        stream.write((",".join(column.name for column in columns) + "\n").encode())

        def encode(rows: list[Row]) -> None:
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(
                [_CSV[column.type](value) for column, value in zip(columns, values, strict=True)]
                for values in self._values(rows)
            )
            stream.write(text.getvalue().encode())

        return encode

    @contextmanager
    def _parquet(self, path: Path) -> Iterator[Encode]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        arrow = {
            "string": pa.string(),
            "boolean": pa.bool_(),
            "decimal": pa.decimal128(_PRECISION, _SCALE),
            "timestamp": pa.timestamp("us", tz="UTC"),
            "json": pa.string(),
        }
        columns = self.columns
        schema = pa.schema([(column.name, arrow[column.type]) for column in columns])

        def encode(rows: list[Row]) -> None:
            values = zip(*self._values(rows), strict=True)
            arrays = [
                _array(pa, [_ARROW[column.type](value) for value in column_values], field, rows)
                for column, column_values, field in zip(columns, values, schema, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))

        with pq.ParquetWriter(path, schema, compression=self.compression) as writer:
            yield encode

    def _values(self, rows: list[Row]) -> Iterator[tuple[Any, ...]]:
        """Give each row's values in the order of the columns."""
        for row in rows:
            item = self.read(row)
            yield (*(getattr(item, name) for name in self.model.model_fields), item.model_extra or None)


def as_row(item: Resource, moment: datetime) -> Row:
    """Make an item a row of its own."""
    return Row(moment, (), _json.encode(item.model_dump()))


def from_row(model: type[Resource], row: Row) -> Resource:
    """Make a row of its own the item again."""
    return model.model_validate(_decode(row.raw))


def _write_lines(stream: IO[bytes], rows: list[Row]) -> None:
    stream.write(b"".join(row.raw + b"\n" for row in rows))


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


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _json_text(value: Any) -> str | None:
    return None if value is None else _json.encode(value).decode()


def _same(value: Any) -> Any:
    return value


_ARROW: dict[str, Callable[[Any], Any]] = {
    "string": _text,
    "boolean": _same,
    "decimal": _same,
    "timestamp": _same,
    "json": _json_text,
}
_CSV: dict[str, Callable[[Any], str | None]] = {
    "string": _text,
    "boolean": lambda value: None if value is None else str(value).lower(),
    "decimal": lambda value: None if value is None else format(value, "f"),
    "timestamp": lambda value: None if value is None else format_time(value),
    "json": _json_text,
}


def _array(pa: Any, values: list[Any], field: Any, rows: list[Row]) -> Any:
    """Make an Arrow array; an amount that does not fit is an error that names its row."""
    try:
        return pa.array(values, field.type)
    except pa.ArrowInvalid:
        for row, value in zip(rows, values, strict=True):
            try:
                pa.array([value], field.type)
            except pa.ArrowInvalid as error:
                raise HyperoruContractError(
                    f"{field.name} of the row {'/'.join(row.key)} does not fit {field.type}: {error}. "
                    "Nothing was rounded; export as jsonl to keep it."
                ) from None
        raise

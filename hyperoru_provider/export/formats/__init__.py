"""Rows as files: JSON lines, CSV and Parquet."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from itertools import chain
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias, cast

from hyperoru_provider.client.errors import HyperoruConfigError
from hyperoru_provider.client.lists.rows import Rows
from hyperoru_provider.client.times import format_time
from hyperoru_provider.export.columns import ColumnSchema
from hyperoru_provider.export.parts import Batch

if TYPE_CHECKING:
    from hyperoru_provider.export.formats.arrow import ArrowEncoder

FileFormat: TypeAlias = Literal["jsonl", "csv", "parquet"]

#: what a file may be compressed with; the first is the default
COMPRESSIONS: dict[str, tuple[str, ...]] = {
    "jsonl": ("gzip", "zstd", "none"),
    "csv": ("none", "gzip", "zstd"),
    "parquet": ("zstd", "snappy", "gzip", "none"),
}


Encode: TypeAlias = Callable[[Batch], None]


@dataclass(frozen=True)
class Format:
    """How rows become a file.

    :param file_format: ``jsonl`` (each row as the server sent it), ``csv`` or ``parquet``.
    :param compression: one of :data:`COMPRESSIONS`; ``None`` for the format's default.
    :param table: what makes rows columns, for CSV and Parquet.
    :raises HyperoruConfigError: the format or compression is not known, or what it needs is not installed.
    """

    file_format: FileFormat
    compression: str
    table: ColumnSchema

    @classmethod
    def choose(cls, file_format: str, compression: str | None, table: ColumnSchema) -> Format:
        """Check and complete a user's choice; see the class."""
        known = COMPRESSIONS.get(file_format)
        if known is None:
            raise HyperoruConfigError(f"file_format {file_format!r}: expected one of {', '.join(COMPRESSIONS)}.")
        compression = known[0] if compression is None else compression
        if compression not in known:
            raise HyperoruConfigError(
                f"compression {compression!r} of {file_format}: expected one of {', '.join(known)}."
            )
        form = cls(file_format, compression, table)  # type: ignore[arg-type]
        if form.needs is not None and find_spec(form.needs) is None:
            extra = "parquet" if file_format == "parquet" else "zstd"
            raise HyperoruConfigError(
                f"{file_format} with {compression} needs {form.needs}: "
                f"pip install 'airflow-provider-hyperoru[{extra}]'."
            )
        return form

    @property
    def needs(self) -> str | None:
        """The package that must be installed for it, and whose version shows in the files."""
        if self.file_format == "parquet":
            return "pyarrow"
        return "zstandard" if self.compression == "zstd" else None

    @property
    def extension(self) -> str:
        """The end of a file's name."""
        packed = {"gzip": ".gz", "zstd": ".zst"} if self.file_format != "parquet" else {}
        return self.file_format + packed.get(self.compression, "")

    @contextmanager
    def open(self, file: IO[bytes]) -> Iterator[Encode]:
        """Begin a file; gives a function that appends rows to it.

        The same rows in the same calls give the same bytes.
        """
        if self.file_format == "parquet":
            with self._parquet(file) as encode:
                yield encode
            return
        with self._compressed(file) as stream:
            yield self._csv(stream) if self.file_format == "csv" else lambda batch: _write_lines(stream, batch)

    def _compressed(self, file: IO[bytes]) -> AbstractContextManager[IO[bytes]]:
        if self.compression == "gzip":
            packed = gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0)
            return cast("IO[bytes]", packed)
        if self.compression == "zstd":
            import zstandard

            return cast("IO[bytes]", zstandard.ZstdCompressor().stream_writer(file, closefd=False))
        return nullcontext(file)

    def _csv(self, stream: IO[bytes]) -> Encode:
        columns = self.table.columns
        stream.write((",".join(column.name for column in columns) + "\r\n").encode())

        def encode(batch: Batch) -> None:
            text = io.StringIO()
            csv.writer(text, lineterminator="\r\n").writerows(
                [
                    _CSV[column.type](value) if column.type in _CSV else value
                    for column, value in zip(columns, values, strict=True)
                ]
                for values in self.table.values(chain(*batch))
            )
            stream.write(text.getvalue().encode())

        return encode

    @property
    def prepare(self) -> Callable[[Rows], Any] | None:
        """What makes rows ready in the thread that reads them, where that pays."""
        return self._arrow.prepare if self.file_format == "parquet" else None

    @cached_property
    def _arrow(self) -> ArrowEncoder:
        from hyperoru_provider.export.formats.arrow import ArrowEncoder

        return ArrowEncoder(self.table)

    @contextmanager
    def _parquet(self, file: IO[bytes]) -> Iterator[Encode]:
        import pyarrow.parquet as pq

        table = self._arrow
        with pq.ParquetWriter(
            file, table.schema, compression=self.compression, use_dictionary=self.table.repeating
        ) as writer:
            yield lambda batch: writer.write_table(table.table_of(batch))


def _write_lines(stream: IO[bytes], batch: Batch) -> None:
    for rows in batch:
        stream.write(b"\n".join([*rows.texts, b""]))


_CSV: dict[str, Callable[[Any], str | None]] = {
    "boolean": lambda value: None if value is None else str(value).lower(),
    "decimal": lambda value: None if value is None else format(value, "f"),
    "timestamp": lambda value: None if value is None else format_time(value),
}

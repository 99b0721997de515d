"""Parquet: typed columns. What needs pyarrow is imported where a file is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, ClassVar

from hyperoru_provider.client.lists.rows import Rows
from hyperoru_provider.export.columns import ColumnSchema, fields_of_columns
from hyperoru_provider.export.formats.encoder import Append, WrittenRow
from hyperoru_provider.export.parts import BATCH_ROWS, Batch
from hyperoru_provider.params.choices import COMPRESSIONS

if TYPE_CHECKING:
    from hyperoru_provider.export.formats.arrow_tables import ArrowTableBuilder


class ParquetEncoder:
    """Writes typed columns, a row group for each batch; see :class:`.Encoder`."""

    file_format: ClassVar[str] = "parquet"
    compressions: ClassVar[tuple[str, ...]] = COMPRESSIONS["parquet"]
    requires = "pyarrow"
    extra = "parquet"
    extension = "parquet"

    def __init__(self, schema: ColumnSchema, compression: str) -> None:
        self.schema = schema
        self.compression = compression
        self._builder: ArrowTableBuilder | None = None

    @property
    def prepare(self) -> Callable[[Rows], Any] | None:
        """What makes rows Arrow tables while others are fetched."""
        return self._prepare

    @contextmanager
    def open(self, file: IO[bytes]) -> Iterator[Append]:
        """Begin a file, and return what appends rows to it."""
        tables = self._tables()  # before pyarrow, whose memory pool it chooses
        import pyarrow.parquet as pq

        with pq.ParquetWriter(
            file, tables.schema, compression=self.compression, use_dictionary=self.schema.repeating
        ) as writer:

            def append(batch: Batch) -> None:
                writer.write_table(tables.table_of(batch))

            yield append

    def read(self, file: IO[bytes], only: Sequence[str] | None = None) -> Iterator[WrittenRow]:
        """Yield the rows of a file, with these fields or those of their key."""
        self._tables()  # before pyarrow, as above
        import pyarrow.parquet as pq

        names = self.schema.key if only is None else only
        columns = None if only is None else [*only, "extra"]  # those that the file does not have are passed over
        for batch in pq.ParquetFile(file).iter_batches(BATCH_ROWS, columns=columns):
            for row in batch.to_pylist():
                yield WrittenRow(fields_of_columns(row, names), row)

    def _prepare(self, rows: Rows) -> Any:
        return self._tables().prepare(rows)

    def _tables(self) -> ArrowTableBuilder:
        """Import pyarrow, once there are rows: it takes as much memory as the largest answer."""
        if self._builder is None:
            from hyperoru_provider.export.formats.arrow_tables import ArrowTableBuilder

            self._builder = ArrowTableBuilder(self.schema)
        return self._builder

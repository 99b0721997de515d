"""Data files of an Iceberg table, which nobody sees until a snapshot names them."""

from __future__ import annotations

import itertools
import logging
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

import pyarrow as pa
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import _dataframe_to_data_files
from pyiceberg.manifest import DataFile
from pyiceberg.table.metadata import TableMetadata

from hyperoru_provider.client.errors import HyperoruContractError

log = logging.getLogger(__name__)

#: returns rows anew each time, in tables that are small enough for the memory
Read: TypeAlias = Callable[[], Iterable[pa.Table]]


class DataFiles:
    """Data files that were written, and can be removed as long as no snapshot names them."""

    def __init__(self) -> None:
        self._files: list[DataFile] = []
        self._written_for: object = None

    def __iter__(self) -> Iterator[DataFile]:
        """Yield the files."""
        return iter(self._files)

    @property
    def rows(self) -> int:
        """How many rows the files have."""
        return sum(file.record_count for file in self._files)

    def renew(self, metadata: TableMetadata, io: FileIO, read: Read) -> None:
        """Write the rows, unless they are written for just this table, as others may make a new one of its name."""
        needed = metadata.table_uuid, metadata.schema(), metadata.spec()
        if self._written_for != needed:
            self.remove(io)
            self.write(metadata, io, read())
            self._written_for = needed

    def write(self, metadata: TableMetadata, io: FileIO, tables: Iterable[pa.Table]) -> None:
        """Write rows to files, of which each has the rows of one partition.

        :raises HyperoruContractError: a row has no value for a required column.
        """
        name, numbers = uuid.uuid4(), itertools.count()
        required = [field.name for field in metadata.schema().fields if field.required]
        for table in tables:
            for column in required:
                if column not in table.column_names or table[column].null_count:
                    raise HyperoruContractError(
                        f"The table requires a value of {column}, which a row lacks. Nothing was committed: let the "
                        "column be optional there."
                    )
            self._files += _dataframe_to_data_files(metadata, table, io, name, numbers)

    def remove(self, io: FileIO) -> None:
        """Remove the files, as far as their storage lets it be."""
        for file in self._files:
            try:
                io.delete(file.file_path)
            except Exception:
                log.warning("%s is part of nothing, but could not be removed", file.file_path, exc_info=True)
        self._files, self._written_for = [], None

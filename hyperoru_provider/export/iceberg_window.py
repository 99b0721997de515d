"""Which rows of an Iceberg table are those of an export: of its window and its filters."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyiceberg.expressions import AlwaysTrue, And, BooleanExpression, GreaterThanOrEqual, LessThan, LessThanOrEqual
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import ArrowScan
from pyiceberg.schema import Schema
from pyiceberg.table import DataScan, FileScanTask
from pyiceberg.table.metadata import TableMetadata

from hyperoru_provider.client.errors import HyperoruConfigError
from hyperoru_provider.export.manifest import ExportSpec

#: mypy takes their parameters for those of pydantic
_COMPARISONS: tuple[Any, Any, Any] = (GreaterThanOrEqual, LessThanOrEqual, LessThan)


class Share(NamedTuple):
    """A data file that may have rows of the export.

    :param task: the file, with what deletes some of its rows.
    :param rows: how many rows of the export it has.
    :param others: how many other rows.
    """

    task: FileScanTask
    rows: int
    others: int


class RowsOfExport:
    """Finds the rows of an export in a table: those of its window whose columns are as its filters say.

    :param spec: what is exported.
    :param name: the table, for errors.
    :raises HyperoruConfigError: the window or a filter is not to be seen in the columns.
    """

    def __init__(self, spec: ExportSpec, name: str) -> None:
        self._time = spec.time_column
        self._window = spec.window
        self._limits = spec.limits
        texts = {column.name for column in spec.schema.columns if column.type == "string"}
        if unseen := sorted({*self._limits} - texts):
            raise HyperoruConfigError(
                f"The filter {', '.join(unseen)} is not a column of text, so it is not known which rows of {name} to "
                "replace. Leave it out."
            )
        self._columns = [*self._limits, *([self._time] if self._time else [])]
        self._counted: dict[frozenset[str], Share] = {}

    def renamed(self, metadata: TableMetadata) -> list[str]:
        """Return the columns that a table once had and has no more, of those by which the rows are found."""
        former = {name for schema in metadata.schemas for name in schema.column_names}
        return sorted({*self._columns} & former - {*metadata.schema().column_names})

    def shares(self, metadata: TableMetadata, io: FileIO) -> Iterator[Share]:
        """Yield each data file that has rows of the export."""
        if not {*self._columns} <= {*metadata.schema().column_names}:  # no row has a value there
            return
        for task in DataScan(metadata, io, row_filter=self._filter()).plan_files():
            paths = frozenset(file.file_path for file in (task.file, *task.delete_files))
            if paths not in self._counted:
                self._counted[paths] = self._measured(task, metadata, io)
            if self._counted[paths].rows:
                yield self._counted[paths]

    def count(self, metadata: TableMetadata, io: FileIO) -> int:
        """Return how many rows of the export a table has."""
        return sum(share.rows for share in self.shares(metadata, io))

    def others(self, share: Share, metadata: TableMetadata, io: FileIO) -> pa.Table:
        """Return the rows of a file that are not those of the export."""
        table = _read(share.task, metadata, io, metadata.schema())
        return table.filter(pc.invert(self._are_of_export(table)))

    def _measured(self, task: FileScanTask, metadata: TableMetadata, io: FileIO) -> Share:
        if not self._limits and not task.delete_files and task.residual == AlwaysTrue():
            return Share(task, task.file.record_count, 0)
        schema = metadata.schema()
        table = _read(task, metadata, io, schema.select(*(self._columns or schema.column_names[:1])))
        rows = pc.sum(self._are_of_export(table)).as_py() or 0
        return Share(task, rows, table.num_rows - rows)

    def _filter(self) -> BooleanExpression:
        """Return what is true of all rows of the export, and of few others; no upper or lower case is known there."""
        at_least, at_most, below = _COMPARISONS
        conditions: list[BooleanExpression] = []
        if self._time and self._window:
            conditions += [
                at_least(self._time, self._window.start.isoformat()),
                below(self._time, self._window.end.isoformat()),
            ]
        for name, text in self._limits.items():
            if text.isascii():  # upper case sorts before lower case
                conditions += [at_least(name, text.upper()), at_most(name, text.lower())]
        return And(AlwaysTrue(), AlwaysTrue(), *conditions)

    def _are_of_export(self, table: pa.Table) -> pa.ChunkedArray:
        """Return for each row whether it is one of the export; a row without a value is none."""
        conditions: list[Any] = [
            pc.equal(pc.utf8_lower(table[name]), pc.utf8_lower(pa.scalar(text, table[name].type)))
            for name, text in self._limits.items()
        ]
        if self._time and self._window:
            times = table[self._time]
            start, end = (pa.scalar(each, times.type) for each in (self._window.start, self._window.end))
            conditions += [pc.greater_equal(times, start), pc.less(times, end)]
        if not conditions:
            return pa.chunked_array([pa.repeat(True, table.num_rows)])
        return pc.fill_null(reduce(pc.and_kleene, conditions), False)


def _read(task: FileScanTask, metadata: TableMetadata, io: FileIO, columns: Schema) -> pa.Table:
    return ArrowScan(metadata, io, columns, AlwaysTrue()).to_table([task])

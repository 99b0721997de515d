"""The columns of an Iceberg table: which a list has there, and whether a table that is there can take its rows."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import Any

from pyiceberg.exceptions import NotInstalledError
from pyiceberg.partitioning import PARTITION_FIELD_ID_START, PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.transforms import DayTransform
from pyiceberg.types import BooleanType, DecimalType, IcebergType, NestedField, StringType, StructType, TimestamptzType

from hyperoru_provider.client.errors import HyperoruConfigError
from hyperoru_provider.export.columns import Column

#: kind of a column -> its type, which is that of the Arrow tables
TYPES: dict[str, IcebergType] = {
    "string": StringType(),
    "boolean": BooleanType(),
    "decimal": DecimalType(38, 18),
    "timestamp": TimestamptzType(),
    "json": StringType(),
}
_NEWEST_VERSION = 2  # PyIceberg reads 3, but does not write it


def new_schema(columns: Iterable[Column]) -> Schema:
    """Return the schema of a new table."""
    return Schema(
        *(NestedField(number, name, TYPES[kind], required=False) for number, (name, kind) in enumerate(columns, 1))
    )


def day_partition(schema: Schema, time: str) -> PartitionSpec:
    """Return a partition for each day in UTC.

    :param time: the column of the time.
    """
    source = schema.find_field(time).field_id
    return PartitionSpec(PartitionField(source, PARTITION_FIELD_ID_START, DayTransform(), f"{time}_day"))


def check_table(metadata: TableMetadata, name: str, columns: Iterable[Column]) -> None:
    """Check that a table can take rows of these columns, once it has those that it lacks.

    :param name: the table, for errors.
    :raises HyperoruConfigError: it can't.
    """
    fields = {field.name: field for field in metadata.schema().fields}
    wanted = {column.name: TYPES[column.type] for column in columns}
    problems = [
        f"{field.name} is {field.field_type}, but must be {kind}"
        for field in fields.values()
        if (kind := wanted.get(field.name, field.field_type)) != field.field_type
    ]
    problems += [
        f"{field.name} has a required field within, which can't be left out"
        for field in fields.values()
        if field.name not in wanted and _requires(field.field_type)
    ]
    problems += [
        f"{field.name} is required, but no column of the list"
        for field in fields.values()
        if field.required and field.name not in wanted
    ]
    if problems:
        raise HyperoruConfigError(
            f"The columns of {name} don't fit: {'; '.join(problems)}. A column of another type is never changed: "
            "export to another table, or change this one."
        )
    if found := _unsupported(metadata, wanted.keys()):
        raise HyperoruConfigError(f"The table {name} {found}: rows can't be replaced there. Export to another table.")


def _requires(kind: IcebergType) -> bool:
    """Return whether a type has a field that a row must have even where the whole is left out: PyIceberg demands it."""
    inner = kind.fields if isinstance(kind, StructType) else ()
    return any(field.required or _requires(field.field_type) for field in inner)


def _unsupported(metadata: TableMetadata, columns: Set[str]) -> str:
    """Return what of a table PyIceberg can't write or read; empty if there is nothing.

    :param columns: which of its columns are written.
    """
    snapshot = metadata.current_snapshot()
    summary: Any = snapshot.summary if snapshot and snapshot.summary else {}
    if metadata.format_version > _NEWEST_VERSION:
        return f"has the format version {metadata.format_version}, of which at most {_NEWEST_VERSION} can be written"
    if (file_format := metadata.properties.get("write.format.default", "parquet")) != "parquet":
        return f"is written as {file_format}, and not as parquet"
    if summary.get("total-equality-deletes") not in (None, "0"):
        return "has equality deletes of another engine, which PyIceberg can't read; a compaction removes them"
    for field in metadata.spec().fields:
        try:
            field.transform.pyarrow_transform(metadata.schema().find_type(field.source_id))
        except (NotImplementedError, NotInstalledError, ValueError) as error:
            return f"has the partition {field.name}, which PyIceberg can't write here {error}".rstrip()
        if (source := metadata.schema().find_column_name(field.source_id)) not in columns:
            return f"is partitioned by {source}, which is no column of the list"
    return ""


def missing_columns(schema: Schema, columns: Iterable[Column]) -> list[Column]:
    """Return the columns that a table lacks."""
    there = {field.name for field in schema.fields}
    return [column for column in columns if column.name not in there]

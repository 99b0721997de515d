"""SQLite: a file that one transaction writes to at a time."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from hyperoru_provider.export.sql_database import Packed, SqlDatabase, upsert_on_conflict


class _AsText(sa.TypeDecorator[Any]):
    """An amount with all its digits, or a time in UTC, always of the same length so that texts compare as times do."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        if isinstance(value, datetime):
            return value.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
        return None if value is None else format(value, "f")


_TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    "string": sa.Text(),
    "boolean": sa.Boolean(),
    "decimal": _AsText(),
    "timestamp": _AsText(),
    "json": sa.Text(),
}


class Sqlite(SqlDatabase):
    """SQLite, by the module of the standard library."""

    title = "SQLite"
    locks = "any process that has the file open"

    def __init__(self, connect: Callable[[], Any]) -> None:
        self.types = _TYPES
        super().__init__(connect, "sqlite://")

    def configured(self, connection: Any) -> Any:
        """Let a connection wait for ten minutes while others write."""
        connection.execute("PRAGMA busy_timeout = 600000")
        return connection

    def exact(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Return a column as it is compared character by character, even if it is ``COLLATE NOCASE``."""
        return sa.collate(column, "BINARY") if isinstance(column.type, sa.String) else column

    def lock(self, connection: sa.Connection, table: sa.Table) -> None:
        """Lock the file."""
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def insert(self, connection: sa.Connection, table: sa.Table, batches: Iterable[Packed]) -> None:
        """Insert rows, a batch at a time, whatever the table would do with a row that it has."""
        names = table.columns.keys()
        for batch in batches:
            rows = pickle.loads(batch.data)  # noqa: S301 - written by this process
            connection.execute(
                table.insert().prefix_with("OR ABORT"), [dict(zip(names, values, strict=True)) for values in rows]
            )

    def upsert(self, connection: sa.Connection, table: sa.Table, stage: sa.Table, key: Sequence[str]) -> int:
        """Insert or update rows by one statement."""
        return connection.execute(
            upsert_on_conflict(sqlite.insert(table).prefix_with("OR ABORT"), table, stage, key, self.exact)
        ).rowcount

    def stage_schema(self, table: sa.Table) -> str | None:
        """Return the schema of temporary tables."""
        return "temp"

    def is_timeout(self, error: Any) -> bool:
        """Return whether others wrote for too long."""
        return getattr(error, "sqlite_errorname", "") == "SQLITE_BUSY"

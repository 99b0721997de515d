"""PostgreSQL: rows go there by ``COPY``, most of them as the JSON text that the server sent."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from hyperoru_provider.client.errors import HyperoruConfigError
from hyperoru_provider.client.lists.rows import Rows
from hyperoru_provider.export.columns import ColumnSchema
from hyperoru_provider.export.sql_copy import CopyEncoder
from hyperoru_provider.export.sql_database import Packed, SqlDatabase, upsert_on_conflict

_TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    "string": sa.Text(),
    "boolean": sa.Boolean(),
    "decimal": sa.Numeric(),
    "timestamp": sa.DateTime(timezone=True),
    "json": sa.Text(),  # jsonb refuses some of the texts that JSON allows, and most readers round it
}

_KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}


class Postgres(SqlDatabase):
    """PostgreSQL, by psycopg 3."""

    title = "PostgreSQL"
    locks = "pg_stat_activity and pg_locks"
    holds_nul = False

    def __init__(self, connect: Callable[[], Any]) -> None:
        self.types = _TYPES
        super().__init__(connect, "postgresql+psycopg://", isolation_level="READ COMMITTED")
        sa.event.listen(self.engine, "begin", _limit_waiting)
        self._encoder: CopyEncoder | None = None

    def configured(self, connection: Any) -> Any:
        """Let a connection send any character, and its cursors return tuples."""
        from psycopg.rows import tuple_row

        connection.row_factory = tuple_row
        connection.execute("SET client_encoding TO 'UTF8'")
        connection.commit()
        return connection

    def lock(self, connection: sa.Connection, table: sa.Table) -> None:
        """Lock the table against others who write; its readers go on."""
        name = connection.dialect.identifier_preparer.format_table(table)
        connection.exec_driver_sql(f"LOCK TABLE {name} IN SHARE ROW EXCLUSIVE MODE")

    def found_types(self, connection: sa.Connection, table: sa.Table) -> dict[str, str]:
        """Return the types of a table's columns, with a collation that takes other texts for the same.

        :raises HyperoruConfigError: rows can't be copied there, or not found again.
        """
        _check_kind(connection, table)
        types = super().found_types(connection, table)
        self.note_lengths(table, types)
        query = (
            "SELECT attname, collname FROM pg_attribute JOIN pg_collation ON pg_collation.oid = attcollation "
            "WHERE attrelid = CAST(:name AS regclass) AND NOT collisdeterministic"
        )
        return types | {name: f"{types[name]} COLLATE {kind}" for name, kind in _look_up(connection, table, query)}

    def unique_keys(self, connection: sa.Connection, table: sa.Table) -> list[list[str]]:
        """Return the columns of each unique index that is checked at once, and for all rows; of no expressions.

        :raises HyperoruConfigError: rows of other tables are rows of this one, too, and no index knows of them.
        """
        children = (
            "SELECT 1 FROM pg_inherits JOIN pg_class parent ON parent.oid = inhparent "
            "JOIN pg_class child ON child.oid = inhrelid WHERE inhparent = CAST(:name AS regclass) "
            "AND parent.relkind = 'r' AND CAST(CAST(child.relnamespace AS regnamespace) AS text) NOT LIKE '%timescale%'"
        )
        if _look_up(connection, table, children):
            raise HyperoruConfigError(
                f"Tables inherit from {table.name}, so no unique index holds for all of its rows, which upsert needs. "
                "Partition it instead, or set mode='replace'."
            )
        query = (
            "SELECT ARRAY(SELECT COALESCE(attname, '') FROM unnest(indkey::int2[]) WITH ORDINALITY AS key (number, n) "
            "LEFT JOIN pg_attribute ON attrelid = indrelid AND attnum = number AND attnum > 0 WHERE n <= indnkeyatts) "
            "FROM pg_index WHERE indrelid = CAST(:name AS regclass) AND indisunique AND indisvalid AND indimmediate "
            "AND indpred IS NULL"
        )
        return [columns for (columns,) in _look_up(connection, table, query)]

    def as_text(self, rows: Rows, schema: ColumnSchema) -> bytes | None:
        """Return rows as CSV, or ``None`` if something about them is odd."""
        if self._encoder is None:
            self._encoder = CopyEncoder(schema)
        text = self._encoder.encode(rows)
        # a longer text is refused by the server, but for spaces at its end
        return None if text and self._lengths and b' ",' in text else text

    def insert(self, connection: sa.Connection, table: sa.Table, batches: Iterable[Packed]) -> None:
        """Copy rows, by as few statements as there are changes from text to values and back."""
        quote = connection.dialect.identifier_preparer
        columns = ", ".join(quote.format_column(column) for column in table.columns)
        into = f"COPY {quote.format_table(table)} ({columns}) FROM STDIN"
        for is_text, group in groupby(batches, lambda batch: batch.is_text):
            statement = f"{into} (FORMAT csv, NULL 'null', ENCODING 'UTF8')" if is_text else into
            with connection.connection.cursor() as cursor, cursor.copy(statement) as copy:  # type: ignore[attr-defined]
                for batch in group:
                    if is_text:
                        copy.write(batch.data)
                        continue
                    for values in pickle.loads(batch.data):  # noqa: S301 - written by this process
                        copy.write_row(values)

    def upsert(self, connection: sa.Connection, table: sa.Table, stage: sa.Table, key: Sequence[str]) -> int:
        """Insert or update rows by one statement."""
        return connection.execute(upsert_on_conflict(postgresql.insert(table), table, stage, key, self.exact)).rowcount

    def partition_columns(self, connection: sa.Connection, table: sa.Table) -> list[str]:
        """Return the columns by which a table is partitioned."""
        query = (
            "SELECT attname FROM pg_partitioned_table JOIN pg_attribute ON attrelid = partrelid "
            "AND attnum = ANY (partattrs::int2[]) WHERE partrelid = CAST(:name AS regclass) ORDER BY attnum"
        )
        return [name for (name,) in _look_up(connection, table, query)]

    def stage_schema(self, table: sa.Table) -> str | None:
        """Return the schema of temporary tables."""
        return "pg_temp"

    def is_refusal(self, error: Any) -> bool:
        """Return whether a type, a constraint or a trigger refuses a row."""
        return super().is_refusal(error) or getattr(error, "sqlstate", None) == "P0001"

    def is_timeout(self, error: Any) -> bool:
        """Return whether others held a lock for too long."""
        return getattr(error, "sqlstate", None) == "55P03"

    def is_deadlock(self, error: Any) -> bool:
        """Return whether others and this transaction waited for each other."""
        return getattr(error, "sqlstate", None) in ("40P01", "40001")


def _look_up(connection: sa.Connection, table: sa.Table, query: str) -> list[tuple[Any, ...]]:
    """Return what the database knows of a table.

    :param query: has ``:name`` in place of the table.
    """
    name = connection.dialect.identifier_preparer.format_table(table)
    return list(map(tuple, connection.execute(sa.text(query), {"name": name})))


def _check_kind(connection: sa.Connection, table: sa.Table) -> None:
    query = "SELECT relkind, row_security_active(oid) FROM pg_class WHERE oid = CAST(:name AS regclass)"
    ((kind, has_policies),) = _look_up(connection, table, query)
    if kind not in ("r", "p"):
        raise HyperoruConfigError(f"{table.name} is {_KINDS.get(kind, 'of another kind')}: name a table.")
    if has_policies:
        raise HyperoruConfigError(
            f"The table {table.name} has row-level security for this user, with which PostgreSQL copies no rows: use "
            "its owner, or a role with BYPASSRLS."
        )


def _limit_waiting(connection: sa.Connection) -> None:
    """Let a transaction wait for locks of others no longer than in SQLite, unless the connection says how long."""
    connection.exec_driver_sql(
        "SELECT set_config('lock_timeout', '10min', true) WHERE current_setting('lock_timeout') = '0'"
    )

"""The databases that a load can write to: how each is connected to, what its types are, and how it takes many rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from hyperoru_provider.client.errors import (
    HyperoruConcurrentWriteError,
    HyperoruConfigError,
    HyperoruContractError,
)
from hyperoru_provider.client.escaping import shorten


class _AsText(sa.TypeDecorator[Any]):
    """An amount with all its digits, or a time in UTC, always of the same length so that texts compare as times do."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        if isinstance(value, datetime):
            return value.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
        return None if value is None else format(value, "f")


#: kind of a column -> its type
TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    "string": sa.Text(),
    "boolean": sa.Boolean(),
    "decimal": sa.Numeric().with_variant(_AsText(), "sqlite"),
    "timestamp": sa.DateTime(timezone=True).with_variant(_AsText(), "sqlite"),
    "json": sa.Text(),  # PostgreSQL's jsonb refuses some of the texts that JSON allows, and most readers round it
}


def make_engine(connect: Callable[[], Any]) -> sa.Engine:
    """Return an engine of new connections, each as its owner configured it but for what a transaction needs.

    :param connect: returns a new connection of psycopg or sqlite3.
    :raises HyperoruConfigError: it is one of another database.
    """
    with closing(connect()) as connection:
        driver = type(connection).__module__.partition(".")[0]

    def connect_for_transaction() -> Any:
        connection = connect()
        if driver == "sqlite3":
            connection.execute("PRAGMA busy_timeout = 600000")  # ten minutes, while others write
        else:
            from psycopg.rows import tuple_row

            connection.row_factory = tuple_row
        return connection

    options: dict[str, Any] = {"creator": connect_for_transaction, "poolclass": sa.NullPool, "hide_parameters": True}
    if driver == "sqlite3":
        engine = sa.create_engine("sqlite://", **options)
    elif driver == "psycopg":
        engine = sa.create_engine("postgresql+psycopg://", isolation_level="READ COMMITTED", **options)
        sa.event.listen(engine, "begin", _limit_waiting)
    else:
        raise HyperoruConfigError(
            f"The SQL connection uses {driver}, which is not supported. Use PostgreSQL (with psycopg 3, from "
            "apache-airflow-providers-postgres) or SQLite."
        )
    sa.event.listen(engine, "handle_error", _explain_waiting)
    return engine


def _limit_waiting(connection: sa.Connection) -> None:
    """Let a transaction wait for locks of others no longer than in SQLite, unless the connection says how long."""
    connection.exec_driver_sql(
        "SELECT set_config('lock_timeout', '10min', true) WHERE current_setting('lock_timeout') = '0'"
    )


def _explain_waiting(context: sa.ExceptionContext) -> None:
    error = context.original_exception
    if "LockNotAvailable" in type(error).__name__ or getattr(error, "sqlite_errorname", "") == "SQLITE_BUSY":
        raise HyperoruConcurrentWriteError(
            f"Timed out waiting for a lock in the database: {error}. Nothing was written: find out who holds it "
            "(pg_stat_activity and pg_locks in PostgreSQL), and run this again."
        ) from error


def type_name(kind: Any, dialect: sa.Dialect) -> str:
    """Return the name of a column's type, the same for all that hold the same values.

    :param kind: the type, as an inspector found it, or a text.
    """
    if isinstance(kind, (str, sa.types.NullType)):
        return str(kind)
    kind = getattr(kind, "data_type", kind)  # that of a domain
    name: str = kind.compile(dialect).partition(" COLLATE ")[0]  # how texts are sorted
    return name.replace("TIMESTAMP(6)", "TIMESTAMP")


def partition_columns(connection: sa.Connection, table: sa.Table) -> list[str]:
    """Return the columns by which a table is partitioned; none of a table that is not."""
    if connection.dialect.name == "sqlite":
        return []
    found = connection.execute(
        sa.text(
            "SELECT attname FROM pg_partitioned_table JOIN pg_attribute ON attrelid = partrelid "
            "AND attnum = ANY (partattrs::int2[]) WHERE partrelid = CAST(:name AS regclass) ORDER BY attnum"
        ),
        {"name": connection.dialect.identifier_preparer.format_table(table)},
    )
    return list(found.scalars())


@contextmanager
def writing(engine: sa.Engine, table: sa.Table) -> Iterator[sa.Connection]:
    """Yield a transaction in which nobody else writes to a table; its readers go on.

    :raises HyperoruContractError: the database refuses a row.
    """
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                name = connection.dialect.identifier_preparer.format_table(table)
                connection.exec_driver_sql(f"LOCK TABLE {name} IN SHARE ROW EXCLUSIVE MODE")
            yield connection
    except Exception as error:
        cause: Any = getattr(error, "orig", error)
        if not _is_refusal(cause):
            raise
        raise HyperoruContractError(
            f"The table {table.name} rejects a change, so everything was rolled back: {shorten(str(cause))} If the "
            "row is right, change the table's constraint, trigger or type. A duplicate key may be two keys that the "
            "database considers equal. Rows to which other tables refer can't be replaced, only upserted."
        ) from error


def _is_refusal(error: Any) -> bool:
    """Return whether a database says that it takes a row for wrong: by a type, a constraint, or a trigger of a user."""
    kinds = {cls.__name__ for cls in type(error).__mro__}
    return not kinds.isdisjoint({"IntegrityError", "DataError"}) or getattr(error, "sqlstate", None) == "P0001"


def insert(connection: sa.Connection, table: sa.Table, batches: Iterable[list[tuple[Any, ...]]]) -> None:
    """Insert rows: into PostgreSQL by ``COPY``, which is many times faster.

    :param batches: the rows' values, in the order of the table's columns.
    """
    if connection.dialect.name == "sqlite":
        names = table.columns.keys()
        for batch in batches:
            connection.execute(table.insert(), [dict(zip(names, values, strict=True)) for values in batch])
        return
    quote = connection.dialect.identifier_preparer
    columns = ", ".join(quote.format_column(column) for column in table.columns)
    statement = f"COPY {quote.format_table(table)} ({columns}) FROM STDIN"
    with connection.connection.cursor() as cursor, cursor.copy(statement) as copy:  # type: ignore[attr-defined]
        for batch in batches:
            for values in batch:
                copy.write_row(values)

"""A table in PostgreSQL or SQLite that shows a whole load or what was there before, never half of one."""

from __future__ import annotations

import logging
import pickle
import re
import tempfile
from collections.abc import Callable, Iterable
from contextlib import closing
from datetime import datetime
from itertools import chain, islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from hyperoru_provider.client.api.endpoints import WindowedEndpoint
from hyperoru_provider.client.api.models import Model
from hyperoru_provider.client.errors import HyperoruConfigError, HyperoruContractError
from hyperoru_provider.client.lists.rows import Row, Rows
from hyperoru_provider.client.times import format_time
from hyperoru_provider.export.columns import Column, ColumnSchema
from hyperoru_provider.export.progress import Progress
from hyperoru_provider.export.run import ExportSpec

log = logging.getLogger(__name__)

_MODES = ("replace", "upsert")
_NAME = re.compile(r"(?:([\w$-]+)\.)?([\w$-]+)")
_LONGEST_NAME = 63  # bytes; PostgreSQL cuts off the rest of a name in silence
_STAGE = "hyperoru_stage"


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
    "decimal": sa.Numeric().with_variant(_AsText(), "sqlite"),
    "timestamp": sa.DateTime(timezone=True).with_variant(_AsText(), "sqlite"),
    "json": sa.Text(),  # PostgreSQL's jsonb refuses some of the texts that JSON allows, and most readers round it
}


def load(
    spans: Iterable[Rows],
    subject: ExportSpec,
    landing: SqlDestination,
    batch_rows: int,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write rows to a table and commit them; if anything fails, the table stays as it was.

    The server is read to its end, and its rows are checked and made values, before the database is asked: no lock
    waits for that.

    :param spans: the rows in their order, in lists of any length.
    :param subject: what they are.
    :param landing: where they go.
    :param batch_rows: rows to hold in memory, beside those of a span; at least 1.
    :param progress: told the rows.
    :return: a summary, ready for XCom.
    """
    progress = Progress(subject.window) if progress is None else progress
    rows = chain.from_iterable(progress.record(spans))
    count = 0
    with tempfile.TemporaryFile(prefix="hyperoru-") as scratch:
        while batch := list(islice(rows, batch_rows)):
            pickle.dump(landing.values(batch), scratch)
            count += 1
        scratch.seek(0)
        log.info("All %d rows are read; writing them to %s", progress.rows, landing.name)
        batches = (pickle.load(scratch) for _ in range(count))  # noqa: S301 - a file of this process, without a name
        landing.store(batches, subject, progress.rows)
    progress.finish()
    return {
        "rows": progress.rows,
        "window": subject.window.as_dict(),
        "table": landing.name,
        "mode": landing.mode,
        "first_time": progress.first and format_time(progress.first),
        "last_time": progress.last and format_time(progress.last),
    }


class SqlDestination:
    """Makes a window of rows the content of a table, in one transaction.

    :param connect: gives a new connection of psycopg or sqlite3.
    :param name: the table, or ``schema.table``, exactly as the database has it.
    :param mode: ``replace``: the rows of the window are deleted first; ``upsert``: rows are found by their key.
    :param model: the model whose fields are the columns.
    :param endpoint: the list that the rows are from, with its key and time.
    :raises HyperoruConfigError: the name, the mode, the database or the contract's time can't be used.
    """

    def __init__(
        self, connect: Callable[[], Any], name: str, mode: str, model: type[Model], endpoint: WindowedEndpoint
    ) -> None:
        match = _NAME.fullmatch(name)
        if match is None or any(len(part.encode()) > _LONGEST_NAME for part in name.split(".")):
            raise HyperoruConfigError(
                f"table {name!r}: expected table or schema.table, each of letters, digits, _, - and $, and of at most "
                f"{_LONGEST_NAME} bytes."
            )
        if mode not in _MODES:
            raise HyperoruConfigError(f"mode {mode!r}: expected {' or '.join(_MODES)}.")
        rows = ColumnSchema(model, endpoint)
        if Column(endpoint.time, "timestamp") not in rows.columns:
            raise HyperoruConfigError(f"The contract's time {endpoint.time} is no column, so no window is known by it.")
        self.name = name
        self.mode = mode
        self._rows = rows
        self._key = endpoint.key
        known = {column.name for column in rows.columns}
        self._added = [place for place, field in enumerate(self._key) if field not in known]
        columns = [*rows.columns, *(Column(self._key[place], "string") for place in self._added)]
        schema, table = match.groups()
        self._table = sa.Table(
            _quoted(table),
            sa.MetaData(),
            *(sa.Column(_quoted(name), _TYPES[kind], index=name == endpoint.time) for name, kind in columns),
            sa.PrimaryKeyConstraint(*self._key),
            schema=schema and _quoted(schema),
        )
        self._time = self._table.c[endpoint.time]
        self._engine = _engine(connect)

    def prepare(self, create: bool) -> None:
        """Check that the table can take the rows.

        :param create: whether to make the table, if there is none, with a primary key and an index of the time.
        :raises HyperoruConfigError: there is no table, its columns don't fit, or it lacks the index of ``upsert``.
        """
        where = (self._table.name, self._table.schema)
        if create:
            try:
                self._table.metadata.create_all(self._engine)
            except sa.exc.DBAPIError:
                if not sa.inspect(self._engine).has_table(*where):  # else another run made it at the same moment
                    raise
        with self._engine.connect() as connection:
            database = sa.inspect(connection)
            if not database.has_table(*where):
                raise HyperoruConfigError(
                    f"There is no table {self.name} (upper and lower case matter). Create it, or set create_table=True."
                )
            self._check_columns({column["name"]: column["type"] for column in database.get_columns(*where)})
            unique: list[Any] = [
                database.get_pk_constraint(*where)["constrained_columns"],
                *(constraint["column_names"] for constraint in database.get_unique_constraints(*where)),
                *(index["column_names"] for index in database.get_indexes(*where) if _is_unique(index)),
            ]
        if self.mode == "upsert" and not any(set(columns) == set(self._key) for columns in unique):
            key = ", ".join(self._key)
            raise HyperoruConfigError(
                f"The table {self.name} has no unique index on ({key}), by which upsert finds the rows to update. "
                f"CREATE UNIQUE INDEX hyperoru_key ON {self.name} ({key}), or set mode='replace'."
            )

    def _check_columns(self, found: dict[str, Any]) -> None:
        problems = []
        for column in self._table.columns:
            wanted, kind = column.type.compile(self._engine.dialect), found.get(column.name, "missing")
            untold = isinstance(kind, (str, sa.types.NullType))
            there = str(kind) if untold else kind.compile(self._engine.dialect)
            if there != wanted and not (wanted == "TEXT" and there.startswith("VARCHAR")):
                problems.append(f"{column.name} is {there} and must be {wanted}")
        if problems:
            raise HyperoruConfigError(f"The columns of {self.name} don't fit: {'; '.join(problems)}.")

    def values(self, rows: list[Row]) -> list[tuple[Any, ...]]:
        """Give the rows' values in the order of the table's columns.

        :raises HyperoruContractError: a row is not as the model says; the text names it.
        """
        return [
            (*values, *(str(row.key[place]) for place in self._added))
            for row, values in zip(rows, self._rows.values(rows), strict=True)
        ]

    def store(self, batches: Iterable[list[tuple[Any, ...]]], subject: ExportSpec, count: int) -> None:
        """Write all rows in one transaction, while nobody else writes to the table.

        :param batches: the rows' values.
        :param subject: what they are.
        :param count: how many they are.
        :raises HyperoruContractError: not just these rows are in the window (``replace``) or under their keys
            (``upsert``) afterwards.
        """
        table = self._table
        with self._engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                name = connection.dialect.identifier_preparer.format_table(table)
                connection.exec_driver_sql(f"LOCK TABLE {name} IN SHARE ROW EXCLUSIVE MODE")  # readers go on
            if self.mode == "replace":
                window = [self._time >= subject.window.start, self._time < subject.window.end]
                window += [
                    sa.func.lower(table.c[name]) == sa.func.lower(value)
                    for name, value in subject.as_dict()["filters"].items()
                ]
                connection.execute(table.delete().where(*window))
                _insert(connection, table, batches)
                written = sa.select(sa.func.count()).select_from(table).where(*window)
            else:
                written = self._upsert(connection, batches)
            found = connection.scalar(written)
            if found != count:
                raise HyperoruContractError(
                    f"{count} rows were written to {self.name}, but {found} are found there by their time, account_id "
                    "and symbol (replace) or key (upsert), so all was taken back. Either rows lack the account_id or "
                    "symbol that was asked for, or the table has a trigger or rule that adds, drops or changes rows."
                )

    def _upsert(self, connection: sa.Connection, batches: Iterable[list[tuple[Any, ...]]]) -> sa.Select[Any]:
        """Insert rows, or update those whose key is there already, where they differ; gives the query that counts them.

        They go by way of a temporary table, which refuses a key that comes twice.
        """
        table, on_sqlite = self._table, connection.dialect.name == "sqlite"
        stage = sa.Table(
            f"{_STAGE}_2" if table.name == _STAGE else _STAGE,  # it hides other tables of its name
            sa.MetaData(),
            *(sa.Column(column.name, column.type) for column in table.columns),
            sa.PrimaryKeyConstraint(*self._key),
            schema="temp" if on_sqlite else "pg_temp",
            prefixes=["TEMPORARY"],
            postgresql_on_commit="DROP",
        )
        stage.create(connection, checkfirst=False)
        _insert(connection, stage, batches)
        into: Any = (sqlite if on_sqlite else postgresql).insert(table)
        # without a condition, SQLite would take ON CONFLICT for one of a join
        insert = into.from_select(stage.columns.keys(), stage.select().where(sa.true()))
        new = {column: insert.excluded[column.name] for column in table.columns if column.name not in self._key}
        differs = sa.or_(*(column.is_distinct_from(value) for column, value in new.items()))
        key = [table.c[name] for name in self._key]
        connection.execute(insert.on_conflict_do_update(index_elements=key, set_=new, where=differs))
        same = sa.and_(*(column == stage.c[column.name] for column in key))
        return sa.select(sa.func.count()).select_from(table).where(sa.exists().where(same))


def _quoted(name: str) -> sa.quoted_name:
    """Let a name stand in quotes everywhere: which words are reserved differs between versions of a database."""
    return sa.quoted_name(name, quote=True)


def _insert(connection: sa.Connection, table: sa.Table, batches: Iterable[list[tuple[Any, ...]]]) -> None:
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


def _engine(connect: Callable[[], Any]) -> sa.Engine:
    """Make an engine of new connections, each as its owner configured it but for what a transaction needs."""
    with closing(connect()) as connection:
        driver = type(connection).__module__.partition(".")[0]

    def ready() -> Any:
        connection = connect()
        if driver == "sqlite3":
            connection.execute("PRAGMA busy_timeout = 600000")  # ten minutes, while others write
        else:
            from psycopg.rows import tuple_row

            connection.row_factory = tuple_row
        return connection

    options: dict[str, Any] = {"creator": ready, "poolclass": sa.NullPool, "hide_parameters": True}
    if driver == "sqlite3":
        return sa.create_engine("sqlite://", **options)
    if driver == "psycopg":
        return sa.create_engine("postgresql+psycopg://", isolation_level="READ COMMITTED", **options)
    raise HyperoruConfigError(
        f"The SQL connection is one of {driver}. The table can be in PostgreSQL (with psycopg 3, by "
        "apache-airflow-providers-postgres) or in SQLite."
    )


def _is_unique(index: Any) -> bool:
    return bool(index["unique"]) and not any(name.endswith("_where") for name in index.get("dialect_options", {}))

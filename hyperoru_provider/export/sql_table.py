"""A table in PostgreSQL or SQLite that shows a whole load or what was there before, never half of one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from hyperoru_provider.client.api.endpoints import ListEndpoint
from hyperoru_provider.client.errors import HyperoruConfigError, HyperoruContractError
from hyperoru_provider.client.lists.rows import Row, parts_of
from hyperoru_provider.export.columns import Column
from hyperoru_provider.export.manifest import ExportSpec
from hyperoru_provider.export.sql_engine import TYPES, begin_writing, insert, make_engine
from hyperoru_provider.params import arguments
from hyperoru_provider.params.choices import SQL_MODES

_NAME = re.compile(r"(?:([\w$-]+)\.)?([\w$-]+)")
_LONGEST_NAME = 63  # bytes; PostgreSQL cuts off the rest of a name in silence
_STAGE = "hyperoru_stage"


class SqlTable:
    """Writes the rows of an export to a table, in one transaction.

    :param connect: returns a new connection of psycopg or sqlite3.
    :param name: the table, or ``schema.table``, exactly as the database has it.
    :param mode: ``replace``: the rows of the window and filters are deleted first; ``upsert``: rows are found by
        their key.
    :param spec: what the rows are.
    :raises HyperoruConfigError: the name, the mode or the database can't be used, or the window or a filter is not to
        be seen in the columns.
    """

    def __init__(self, connect: Callable[[], Any], name: str, mode: str, spec: ExportSpec) -> None:
        match = _NAME.fullmatch(name)
        if match is None or any(len(part.encode()) > _LONGEST_NAME for part in name.split(".")):
            raise HyperoruConfigError(
                f"table {name!r}: expected table or schema.table, each of letters, digits, _, - and $, and of at most "
                f"{_LONGEST_NAME} bytes."
            )
        self.name = name
        self.mode = arguments.choice("mode", mode, SQL_MODES)
        self._spec = spec
        self._key, time = _key_and_time(spec)
        columns = spec.schema.columns
        known = {column.name for column in columns}
        self._added = [place for place, field in enumerate(self._key) if field not in known]
        columns += [Column(self._key[place], "string") for place in self._added]
        schema, table = match.groups()
        self._table = sa.Table(
            _quoted(table),
            sa.MetaData(),
            *(sa.Column(_quoted(name), TYPES[kind], index=name == time) for name, kind in columns),
            sa.PrimaryKeyConstraint(*self._key),
            schema=schema and _quoted(schema),
        )
        self._replaced = self._conditions(time) if mode == "replace" else []
        self._engine = make_engine(connect)

    def _conditions(self, time: str | None) -> list[sa.ColumnElement[bool]]:
        """Return what is true of just those rows that ``replace`` replaces."""
        columns, window = self._table.c, self._spec.window
        unseen = sorted({*self._spec.limits} - {*columns.keys()})
        if unseen:
            raise HyperoruConfigError(
                f"The filter {', '.join(unseen)} is no column, so replace can't tell which rows of {self.name} to "
                "replace. Leave it out, or set mode='upsert'."
            )
        inside = [columns[time] >= window.start, columns[time] < window.end] if window and time else []
        limits = self._spec.limits.items()
        return inside + [sa.func.lower(columns[name]) == sa.func.lower(value) for name, value in limits]

    def prepare(self, create: bool) -> None:
        """Check that the table can take the rows.

        :param create: whether to create the table if it does not exist, with a primary key and an index of the time.
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
        """Return the rows' values in the order of the table's columns.

        :raises HyperoruContractError: a row is not as the model says; the text names it.
        """
        return [
            (*values, *(str(parts_of(row.key)[place]) for place in self._added))
            for row, values in zip(rows, self._spec.schema.values(rows), strict=True)
        ]

    def count_replaced(self) -> int:
        """Return how many rows ``replace`` would delete; ``upsert`` deletes none."""
        if self.mode == "upsert":
            return 0
        with self._engine.connect() as connection:
            return connection.scalar(self._count(*self._replaced)) or 0

    def has_rows(self) -> bool:
        """Return whether the table has any row."""
        with self._engine.connect() as connection:
            return connection.execute(sa.select(sa.literal(1)).select_from(self._table).limit(1)).first() is not None

    def store(self, batches: Iterable[list[tuple[Any, ...]]], count: int) -> None:
        """Write all rows in one transaction, while nobody else writes to the table.

        :param batches: the rows' values.
        :param count: how many they are.
        :raises HyperoruContractError: not just these rows are in the window and of the filters (``replace``) or under
            their keys (``upsert``) afterwards.
        """
        with self._engine.begin() as connection:
            begin_writing(connection, self._table)
            if self.mode == "replace":
                connection.execute(self._table.delete().where(*self._replaced))
                insert(connection, self._table, batches)
                written = self._count(*self._replaced)
            else:
                written = self._upsert(connection, batches)
            found = connection.scalar(written)
            if found != count:
                raise HyperoruContractError(
                    f"{count} rows were written to {self.name}, but {found} are found there by their time and filters "
                    "such as account_id and symbol (replace) or key (upsert), so all was taken back. Either rows lack "
                    "what was filtered by, or the table has a trigger or rule that adds, drops or changes rows."
                )

    def _count(self, *conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
        return sa.select(sa.func.count()).select_from(self._table).where(*conditions)

    def _upsert(self, connection: sa.Connection, batches: Iterable[list[tuple[Any, ...]]]) -> sa.Select[Any]:
        """Insert rows, or update those whose key is there already, where they differ.

        They go by way of a temporary table, which refuses a key that comes twice.

        :return: what counts the rows of these keys.
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
        insert(connection, stage, batches)
        into: Any = (sqlite if on_sqlite else postgresql).insert(table)
        # without a condition, SQLite would take ON CONFLICT for one of a join
        statement = into.from_select(stage.columns.keys(), stage.select().where(sa.true()))
        new = {column: statement.excluded[column.name] for column in table.columns if column.name not in self._key}
        differs = sa.or_(*(column.is_distinct_from(value) for column, value in new.items()))
        key = [table.c[name] for name in self._key]
        connection.execute(statement.on_conflict_do_update(index_elements=key, set_=new, where=differs))
        same = sa.and_(*(column == stage.c[column.name] for column in key))
        return self._count(sa.exists().where(same))


def _key_and_time(spec: ExportSpec) -> tuple[tuple[str, ...], str | None]:
    """Return the fields of the rows' key, and that of their time, which is ``None`` for a list without a window."""
    endpoint = spec.endpoint
    if not isinstance(endpoint, ListEndpoint) or not endpoint.key:
        raise HyperoruConfigError(f"{spec.resource} has no key by which its rows could be told apart in a table.")
    if spec.window is None:
        return endpoint.key, None
    if endpoint.time is None or Column(endpoint.time, "timestamp") not in spec.schema.columns:
        raise HyperoruConfigError(f"The contract's time {endpoint.time} is no column, so no window is known by it.")
    return endpoint.key, endpoint.time


def _quoted(name: str) -> sa.quoted_name:
    """Return a name that stands in quotes everywhere: which words are reserved differs between databases."""
    return sa.quoted_name(name, quote=True)


def _is_unique(index: Any) -> bool:
    return bool(index["unique"]) and not any(name.endswith("_where") for name in index.get("dialect_options", {}))

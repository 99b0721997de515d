"""A table of a database that shows a whole load or what was there before, never half of one."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from hyperoru_provider.client.api.endpoints import ListEndpoint
from hyperoru_provider.client.errors import HyperoruConcurrentWriteError, HyperoruConfigError, HyperoruContractError
from hyperoru_provider.client.escaping import shorten
from hyperoru_provider.client.lists.rows import Row, Rows, parts_of
from hyperoru_provider.export.columns import Column
from hyperoru_provider.export.manifest import ExportSpec
from hyperoru_provider.export.row_changes import RowChanges
from hyperoru_provider.export.sql_conflicts import check_own_rows, keeping_spellings
from hyperoru_provider.export.sql_database import Packed, Values
from hyperoru_provider.export.sql_differences import write_differences
from hyperoru_provider.export.sql_engine import open_database
from hyperoru_provider.params import arguments
from hyperoru_provider.params.choices import ON_NUL, SQL_MODES
from hyperoru_provider.params.window import Window

log = logging.getLogger(__name__)


class Changes(NamedTuple):
    """How many rows of a table a load has changed."""

    inserted: int
    updated: int
    deleted: int


class SqlTable:
    """Writes the rows of an export to a table, in one transaction.

    :param connect: returns a new connection; see :func:`.open_database`.
    :param name: the table, or ``schema.table``, exactly as the database has it.
    :param mode: ``replace``: the rows of the window and filters are deleted first; ``upsert``: rows are found by
        their key.
    :param spec: what the rows are.
    :param on_nul: what becomes of a text with a NUL, which PostgreSQL can't hold: ``fail``: it is an error;
        ``replace``: U+FFFD takes its place.
    :raises HyperoruConfigError: the name, the mode or the database can't be used, or the window or a filter is not to
        be seen in the columns.
    """

    def __init__(
        self, connect: Callable[[], Any], name: str, mode: str, spec: ExportSpec, on_nul: str = "fail"
    ) -> None:
        schema, table = arguments.table("table", name)
        self.name = name
        self.mode = arguments.choice("mode", mode, SQL_MODES)
        self._spec = spec
        self._key, self._time = _key_and_time(spec)
        if self.mode == "upsert" and not self._key:
            raise HyperoruConfigError(
                f"{spec.resource} has no key, so upsert can't tell which rows of {name} to update. Set mode='replace', "
                f"or name a key in the contract's {spec.resource}.key."
            )
        columns = spec.schema.columns
        known = {column.name for column in columns}
        self._added = [place for place, field in enumerate(self._key) if field not in known]
        columns += tuple(Column(self._key[place], "string") for place in self._added)
        self._database = open_database(connect)
        types = zip(columns, self._database.column_types(columns, self._key), strict=True)
        self._table = sa.Table(
            _quoted(table),
            sa.MetaData(),
            *(sa.Column(_quoted(column.name), kind, index=column.name == self._time) for column, kind in types),
            *([sa.PrimaryKeyConstraint(*self._key)] if self._key else []),
            schema=schema and _quoted(schema),
            mysql_engine="InnoDB",
        )
        self._limits = self._conditions() if mode == "replace" else []
        self._replaced = [*self._within(self._table, spec.window), *self._limits]
        #: rows that ``replace`` would delete, when they were last looked at before the server was read
        self.replaced = 0
        self._on_nul = arguments.choice("on_nul", on_nul, ON_NUL)
        self._nul_found = False

    def _conditions(self) -> list[sa.ColumnElement[bool]]:
        """Return what is true of just those rows, of any time, that ``replace`` replaces."""
        columns = self._table.c
        unseen = sorted({*self._spec.limits} - {*columns.keys()})
        if unseen:
            raise HyperoruConfigError(
                f"The filter {', '.join(unseen)} is not a column, so replace can't tell which rows of {self.name} to "
                "replace. Leave it out, or set mode='upsert'."
            )
        limits = self._spec.limits.items()
        return [sa.func.lower(columns[name]) == sa.func.lower(value) for name, value in limits]

    def _within(self, table: sa.Table, window: Window | None) -> list[sa.ColumnElement[bool]]:
        """Return what is true of just those rows that are in a window."""
        time = table.c[self._time] if self._time else None
        return [time >= window.start, time < window.end] if window and time is not None else []

    def prepare(self, create: bool) -> None:
        """Check that the table can take the rows.

        :param create: whether to create the table if it does not exist, with a primary key and an index of the time.
        :raises HyperoruConfigError: there is no table, its columns don't fit, or it lacks the index of ``upsert``.
        """
        where, engine = (self._table.name, self._table.schema), self._database.engine
        if create:
            try:
                self._table.metadata.create_all(engine)
            except sa.exc.DBAPIError:
                if not sa.inspect(engine).has_table(*where):  # else another run made it at the same moment
                    raise
        with engine.connect() as connection:
            if not sa.inspect(connection).has_table(*where):
                raise HyperoruConfigError(
                    f"The table {self.name} does not exist (names are case-sensitive). Create it, or set "
                    "create_table=True."
                )
            self._check_columns(self._database.found_types(connection, self._table))
            if self.mode == "replace":
                self.replaced = connection.scalar(self._count(*self._replaced)) or 0
                return
            unique = self._database.unique_keys(connection, self._table)
            if not any(set(columns) == set(self._key) for columns in unique):
                raise HyperoruConfigError(
                    self._advice_on_index(self._database.partition_columns(connection, self._table))
                )

    def _advice_on_index(self, partitioned_by: list[str]) -> str:
        """Return a text that says which index ``upsert`` lacks; databases want a partition's columns in each."""
        key = ", ".join(self._key)
        text = f"The table {self.name} has no unique index on ({key}), which upsert needs to find the rows to update."
        if set(partitioned_by) <= set(self._key):
            return f"{text} CREATE UNIQUE INDEX hyperoru_key ON {self.name} ({key}), or set mode='replace'."
        text = (
            f"{text} {self._database.title} requires it to include {', '.join(partitioned_by)}, by which the table is "
            "partitioned."
        )
        if not set(partitioned_by) <= {*self._table.c.keys()}:
            return f"{text} Set mode='replace'."
        longer = list(dict.fromkeys([*self._key, *partitioned_by]))
        return (
            f"{text} Set the contract's key of {self._spec.resource} to {json.dumps(longer)} and CREATE UNIQUE INDEX "
            f"hyperoru_key ON {self.name} ({', '.join(longer)}), or set mode='replace'."
        )

    def _check_columns(self, found: Mapping[str, str]) -> None:
        problems = [
            f"{column.name} is {found.get(column.name, 'missing')}, but must be "
            f"{column.type.compile(self._database.engine.dialect)}"
            for column in self._table.columns
            if not self._database.fits(column, found.get(column.name, "missing"))
        ]
        if problems:
            raise HyperoruConfigError(f"The columns of {self.name} don't fit: {'; '.join(problems)}.")

    def packed(self, rows: Rows) -> Packed:
        """Return rows as :meth:`store` takes them, checked and converted.

        :raises HyperoruContractError: a row is not as the model says, or the database can't hold it; the text names it.
        """
        text = None if self._added else self._database.as_text(rows, self._spec.schema)
        if text is not None:
            return Packed(len(rows), text, is_text=True)
        values = [
            self._storable(row, (*values, *(str(parts_of(row.key)[place]) for place in self._added)))
            for row, values in zip(rows, self._spec.schema.values(rows), strict=True)
        ]
        return self._database.packed(values)

    def _storable(self, row: Row, values: Values) -> Values:
        """Return a row's values as the database can hold them.

        :raises HyperoruContractError: it can't hold one of them exactly.
        """
        if misfit := self._database.misfit(values):
            place, why = misfit
            raise HyperoruContractError(
                f"{self._table.columns[place].name} of the row {_name_of(row)} {shorten(why)}. Nothing was written: "
                "change the column's type, or export to files."
            )
        return values if self._database.holds_nul else self._without_nul(row, values)

    def _without_nul(self, row: Row, values: Values) -> Values:
        if b"\\u0000" not in row.raw:
            return values
        found = [column.name for column, value in zip(self._table.columns, values, strict=True) if _has_nul(value)]
        if not found:
            return values
        where = f"{' and '.join(found)} of the row {_name_of(row)}"
        if self._on_nul == "fail":
            raise HyperoruContractError(
                f"{where} contains a NUL (U+0000), which PostgreSQL can't store. Set on_nul='replace' to store "
                "U+FFFD instead, or export to files, which keep it."
            )
        if not self._nul_found:
            log.warning("%s contains a NUL (U+0000): U+FFFD is stored instead, there and in any further row", where)
            self._nul_found = True
        return tuple(value.replace("\0", "\ufffd") if _has_nul(value) else value for value in values)

    def has_rows(self) -> bool:
        """Return whether the table has any row."""
        with self._database.engine.connect() as connection:
            return connection.execute(sa.select(sa.literal(1)).select_from(self._table).limit(1)).first() is not None

    def store(self, batches: Iterable[Packed], count: int) -> Changes:
        """Write all rows in one transaction, while nobody else writes to the table.

        :param batches: the rows.
        :param count: how many they are.
        :return: how many rows of the table were changed.
        :raises HyperoruContractError: not just these rows are in the window and of the filters (``replace``) or under
            their keys (``upsert``) afterwards, or the database refuses one.
        :raises HyperoruConcurrentWriteError: ``replace`` would delete other rows than those that were there before.
        """
        with self._database.writing(self._table) as connection:
            if self.mode == "replace":
                with keeping_spellings(connection, self._table, self._replaced, self._spec):
                    deleted = connection.execute(self._table.delete().where(*self._replaced)).rowcount
                    self._check_unchanged(deleted, count)
                    self._database.insert(connection, self._table, batches)
                written, changes = self._count(*self._replaced), Changes(count, 0, deleted)
            else:
                written, changes = self._upsert(connection, batches, count)
            self._check_written(connection, written, count)
        return changes

    def store_differences(
        self,
        batches: Iterable[Packed],
        count: int,
        windows: Sequence[Window],
        check: Callable[[Window, int, RowChanges], None],
    ) -> None:
        """Write the rows that differ from those of the table, of the filters, as :meth:`store` writes all.

        :param batches: the rows.
        :param count: how many they are.
        :param windows: the windows by which changes are counted: in order, and together that of the rows.
        :param check: called before the commit for each window, with how many rows it has and what has changed; what it
            raises takes all back.
        :raises HyperoruContractError: see :meth:`store`.
        :raises HyperoruConcurrentWriteError: see :meth:`store`.
        """
        with (
            self._database.writing(self._table) as connection,
            keeping_spellings(connection, self._table, self._replaced, self._spec),
        ):
            self._check_unchanged(connection.scalar(self._count(*self._replaced)) or 0, count)
            stage = self._staged(connection, batches)
            conditions = [
                ([*self._within(self._table, each), *self._limits], self._within(stage, each)) for each in windows
            ]
            found = write_differences(connection, self._table, stage, conditions, self._database.exact)
            self._check_written(connection, self._count(*self._replaced), count)
            for window, changes, (old, _) in zip(windows, found, conditions, strict=True):
                check(window, connection.scalar(self._count(*old)) or 0, changes)

    def _check_unchanged(self, found: int, count: int) -> None:
        """Check that nobody has written rows of the export while the server was read, which may be newer ones.

        :param found: how many are there now; as many as were read are taken for the same ones.
        """
        if found not in (self.replaced, count):
            raise HyperoruConcurrentWriteError(
                f"{self.name} had {self.replaced} rows of the window and filters when reading began, and has {found} "
                f"now, which another run or user has written; {count} were read. They may be newer than these, so "
                "nothing was written: run this again."
            )

    def _check_written(self, connection: sa.Connection, written: sa.Select[Any], count: int) -> None:
        found = connection.scalar(written)
        if found != count:
            raise HyperoruContractError(
                f"{count} rows were written to {self.name}, but {found} are found there by their time and filters "
                "such as account_id and symbol (replace) or key (upsert), so everything was rolled back. Either rows "
                "lack a field that was filtered by, or the table has a trigger or rule that adds, drops or changes "
                "rows."
            )

    def _count(self, *conditions: sa.ColumnElement[bool]) -> sa.Select[Any]:
        return sa.select(sa.func.count()).select_from(self._table).where(*conditions)

    def _upsert(
        self, connection: sa.Connection, batches: Iterable[Packed], count: int
    ) -> tuple[sa.Select[Any], Changes]:
        """Insert rows, or update those whose key is there already, where they differ.

        :return: what counts those that are there afterwards, and how many rows were changed.
        :raises HyperoruContractError: a row that is there under one of the keys is another one.
        """
        table, stage = self._table, self._staged(connection, batches)
        check_own_rows(connection, table, stage, self._time, self._spec)
        same_key = [table.c[name] == stage.c[name] for name in self._key]
        inserted = count - (connection.scalar(self._count(sa.exists().where(*same_key))) or 0)
        changed = self._database.upsert(connection, table, stage, self._key)
        exact = self._database.exact
        same_row = [exact(column).is_not_distinct_from(stage.c[column.name]) for column in table.columns]
        written = self._count(sa.exists().where(*same_key, *same_row))
        return written, Changes(inserted, changed - inserted, 0)

    def _staged(self, connection: sa.Connection, batches: Iterable[Packed]) -> sa.Table:
        """Return a temporary table of rows, which refuses a key that comes twice."""
        stage = self._database.stage(connection, self._table, self._key)
        self._database.insert(connection, stage, batches)
        return stage


def _key_and_time(spec: ExportSpec) -> tuple[tuple[str, ...], str | None]:
    """Return the fields of the rows' key, and that of their time, which is ``None`` for a list without a window."""
    endpoint = spec.endpoint
    if not isinstance(endpoint, ListEndpoint):
        raise HyperoruConfigError(f"{spec.resource} is not a list, and has no key for a table.")
    return endpoint.key, spec.time_column


def _quoted(name: str) -> sa.quoted_name:
    """Return a name that stands in quotes everywhere: which words are reserved differs between databases."""
    return sa.quoted_name(name, quote=True)


def _has_nul(value: Any) -> bool:
    return isinstance(value, str) and "\0" in value


def _name_of(row: Row) -> str:
    return shorten("/".join(map(str, parts_of(row.key))))

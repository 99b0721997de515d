"""What a load needs of a database, and how PostgreSQL, SQLite and MySQL differ in it."""

from __future__ import annotations

import pickle
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import sqlalchemy as sa

from hyperoru_provider.client.errors import HyperoruConcurrentWriteError, HyperoruContractError
from hyperoru_provider.client.escaping import shorten
from hyperoru_provider.client.lists.rows import Rows
from hyperoru_provider.export.columns import Column, ColumnSchema

_STAGE = "hyperoru_stage"
_VARCHAR = re.compile(r"VARCHAR(?:\((\d+)\))?")

#: the values of a row, in the order of a table's columns
Values = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Packed:
    """Rows as the database is going to be sent them; they wait in a file until all rows are read.

    :param rows: how many.
    :param data: their values, pickled, or what is sent as it is.
    :param is_text: whether they are the latter.
    """

    rows: int
    data: bytes
    is_text: bool = False

    def __len__(self) -> int:
        return self.rows


class SqlDatabase(ABC):
    """A database: its connections, its types, and the statements that each one writes in its own way.

    :param connect: returns a new connection.
    """

    #: what it is called
    title: ClassVar[str]
    #: what it names its locks by, for the one who looks for theirs
    locks: ClassVar[str]
    #: whether a text may contain a NUL
    holds_nul: ClassVar[bool] = True
    #: kind of a column -> its type
    types: Mapping[str, sa.types.TypeEngine[Any]]

    def __init__(self, connect: Callable[[], Any], url: str, **options: Any) -> None:
        self._connect = connect
        self._lengths: list[tuple[int, str, int]] = []
        self.engine = sa.create_engine(
            url, creator=lambda: self.configured(connect()), poolclass=sa.NullPool, hide_parameters=True, **options
        )
        sa.event.listen(self.engine, "handle_error", lambda context: self._check_lock(context.original_exception))

    @abstractmethod
    def configured(self, connection: Any) -> Any:
        """Return a new connection as its owner configured it, but for what a transaction needs."""

    def column_types(self, columns: Sequence[Column], key: Sequence[str]) -> list[sa.types.TypeEngine[Any]]:
        """Return the types of a table's columns.

        :param key: which of them are its key.
        """
        return [self.types[column.type] for column in columns]

    def found_types(self, connection: sa.Connection, table: sa.Table) -> dict[str, str]:
        """Return the type of each column that a table has in the database, the same for all that hold the same values.

        One that the database computes by itself can't be written to, and is of no type of ours.

        :raises HyperoruConfigError: the table can't be written to in a transaction.
        """
        return {
            column["name"]: "GENERATED" if column.get("computed") else _type_name(column["type"], connection.dialect)
            for column in sa.inspect(connection).get_columns(table.name, table.schema)
        }

    def fits(self, column: sa.Column[Any], found: str) -> bool:
        """Return whether a column can hold our values, by the type that the database has it in."""
        wanted = column.type.compile(self.engine.dialect)
        return found == wanted or (wanted == "TEXT" and _VARCHAR.fullmatch(found) is not None)

    def unique_keys(self, connection: sa.Connection, table: sa.Table) -> list[list[str]]:
        """Return the columns of each key that a table holds only once."""
        inspector, where = sa.inspect(connection), (table.name, table.schema)
        return [
            list(inspector.get_pk_constraint(*where)["constrained_columns"]),
            *(constraint["column_names"] for constraint in inspector.get_unique_constraints(*where)),
            *(list(map(str, index["column_names"])) for index in inspector.get_indexes(*where) if _is_unique(index)),
        ]

    def partition_columns(self, connection: sa.Connection, table: sa.Table) -> list[str]:
        """Return the columns by which a table is partitioned; none of a table that is not."""
        return []

    def exact(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Return a column as it is compared character by character, whatever its collation."""
        return column

    def note_lengths(self, table: sa.Table, types: Mapping[str, str]) -> None:
        """Note how many characters the columns hold: of a longer text, spaces at its end would be cut off in silence.

        :param types: of the table's columns, as :meth:`found_types` returns them.
        """
        kinds = [(place, types.get(column.name, "")) for place, column in enumerate(table.columns)]
        self._lengths = [
            (place, kind, int(match[1])) for place, kind in kinds if (match := _VARCHAR.fullmatch(kind)) and match[1]
        ]

    def misfit(self, values: Values) -> tuple[int, str] | None:
        """Return which of a row's values the database can't hold exactly, and why; ``None`` if it holds all."""
        for place, kind, length in self._lengths:
            if values[place] is not None and len(values[place]) > length:
                return place, f"has {len(values[place])} characters, and does not fit {kind}"
        return None

    def as_text(self, rows: Rows, schema: ColumnSchema) -> bytes | None:
        """Return rows as a text that the database takes as it is, or ``None`` if each row has to be looked at."""
        return None

    def packed(self, rows: Sequence[Values]) -> Packed:
        """Return rows as :meth:`insert` takes them.

        :param rows: their values.
        """
        return Packed(len(rows), pickle.dumps(rows))

    @abstractmethod
    def insert(self, connection: sa.Connection, table: sa.Table, batches: Iterable[Packed]) -> None:
        """Insert rows."""

    @abstractmethod
    def upsert(self, connection: sa.Connection, table: sa.Table, stage: sa.Table, key: Sequence[str]) -> int:
        """Insert rows, or update those whose key is there already, where they differ.

        :param stage: the new rows, under their key.
        :return: how many rows were changed in all.
        """

    def stage(self, connection: sa.Connection, table: sa.Table, key: Sequence[str]) -> sa.Table:
        """Return a new temporary table with the columns of another one, which refuses a key that comes twice."""
        stage = self.stage_of(table)
        stage.append_constraint(sa.PrimaryKeyConstraint(*(stage.c[name] for name in key)))
        stage.create(connection, checkfirst=False)
        return stage

    def stage_of(self, table: sa.Table) -> sa.Table:
        """Return the temporary table of another one; while it is there, it hides any other table of its name."""
        return sa.Table(
            f"{_STAGE}_2" if table.name == _STAGE else _STAGE,
            sa.MetaData(),
            *(sa.Column(column.name, column.type) for column in table.columns),
            schema=self.stage_schema(table),
            prefixes=["TEMPORARY"],
            postgresql_on_commit="DROP",
            mysql_engine="InnoDB",
        )

    @abstractmethod
    def stage_schema(self, table: sa.Table) -> str | None:
        """Return where the temporary table of another one is."""

    @contextmanager
    def writing(self, table: sa.Table) -> Iterator[sa.Connection]:
        """Yield a transaction in which nobody else writes to a table; its readers go on.

        :raises HyperoruContractError: the database refuses a row.
        :raises HyperoruConcurrentWriteError: others hold a lock for too long.
        """
        try:
            with self.transaction(table) as connection:
                yield connection
        except Exception as error:
            cause: Any = getattr(error, "orig", error)
            self._check_lock(cause)
            if not self.is_refusal(cause):
                raise
            raise HyperoruContractError(
                f"The table {table.name} rejects a change, so everything was rolled back: {shorten(str(cause))} If the "
                "row is right, change the table's constraint, trigger or type. A duplicate key may be two keys that "
                "the database considers equal. Rows to which other tables refer can't be replaced, only upserted."
            ) from error

    @contextmanager
    def transaction(self, table: sa.Table) -> Iterator[sa.Connection]:
        """Yield a transaction that has locked a table against others who write."""
        with self.engine.begin() as connection:
            self.lock(connection, table)
            yield connection

    @abstractmethod
    def lock(self, connection: sa.Connection, table: sa.Table) -> None:
        """Lock a table for a transaction against others who write."""

    def is_refusal(self, error: Any) -> bool:
        """Return whether a database says that a row is wrong: by a type, a constraint, or a trigger of a user."""
        return not _kinds(error).isdisjoint({"IntegrityError", "DataError"})

    def is_timeout(self, error: Any) -> bool:
        """Return whether a database says that others held a lock for too long."""
        return False

    def is_deadlock(self, error: Any) -> bool:
        """Return whether a database has ended a transaction as others and it waited for each other."""
        return False

    def _check_lock(self, error: Any) -> None:
        if self.is_timeout(error):
            raise HyperoruConcurrentWriteError(
                f"Timed out waiting for a lock in the database: {error}. Nothing was written: find out who holds it "
                f"({self.locks} in {self.title}), and run this again."
            ) from error
        if self.is_deadlock(error):
            raise HyperoruConcurrentWriteError(
                f"Another transaction wrote to the same rows of the database: {error}. Nothing was written: run this "
                "again."
            ) from error


def _kinds(error: Any) -> set[str]:
    """Return the names of an error's classes, which drivers have in common."""
    return {cls.__name__ for cls in type(error).__mro__}


def _type_name(kind: Any, dialect: sa.Dialect) -> str:
    if isinstance(kind, sa.types.NullType):
        return str(kind)
    kind = getattr(kind, "data_type", kind)  # that of a domain
    name: str = kind.compile(dialect).partition(" COLLATE ")[0]  # how texts are sorted
    return name.replace("TIMESTAMP(6)", "TIMESTAMP")


def _is_unique(index: Any) -> bool:
    return bool(index["unique"]) and not any(name.endswith("_where") for name in index.get("dialect_options", {}))


def upsert_on_conflict(
    into: Any,
    table: sa.Table,
    stage: sa.Table,
    key: Sequence[str],
    exact: Callable[[sa.ColumnElement[Any]], sa.ColumnElement[Any]],
) -> sa.Insert:
    """Return the ``INSERT ... ON CONFLICT`` of PostgreSQL and SQLite.

    :param into: an ``INSERT`` of the dialect.
    :param exact: see :meth:`SqlDatabase.exact`.
    """
    # without a condition, SQLite would take ON CONFLICT for one of a join
    statement = into.from_select(stage.columns.keys(), stage.select().where(sa.true()))
    new = {column: statement.excluded[column.name] for column in table.columns if column.name not in key}
    differs = sa.or_(*(exact(column).is_distinct_from(value) for column, value in new.items()))
    found: sa.Insert = statement.on_conflict_do_update(
        index_elements=[table.c[name] for name in key], set_=new, where=differs
    )
    return found.execution_options(preserve_rowcount=True)

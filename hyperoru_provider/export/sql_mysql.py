"""MySQL and MariaDB: tables of InnoDB, in sessions that cut, round and fold nothing in silence."""

from __future__ import annotations

import hashlib
import pickle
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from decimal import Decimal
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from hyperoru_provider.client.errors import HyperoruConcurrentWriteError, HyperoruConfigError
from hyperoru_provider.export.columns import Column
from hyperoru_provider.export.sql_database import Packed, SqlDatabase, Values

_LONGEST_KEY, _KEY_BYTES, _CHARACTER_BYTES = 500, 3072, 4  # of an index of InnoDB, and of utf8mb4
_BATCH_BYTES, _OVERHEAD_BYTES = 1 << 20, 1 << 16
_ESCAPED = re.compile(r"""[\0\n\r\x1a"'\\]""")
_OLDEST_MYSQL = (8, 0, 31)
_OLDEST_MARIADB = (10, 6)
_SESSION = """\
SET SESSION autocommit = 0, sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00',
sql_safe_updates = 0,
innodb_lock_wait_timeout =
    IF(@@SESSION.innodb_lock_wait_timeout = @@GLOBAL.innodb_lock_wait_timeout, 600, @@SESSION.innodb_lock_wait_timeout),
lock_wait_timeout =
    IF(@@SESSION.lock_wait_timeout = @@GLOBAL.lock_wait_timeout, 600, @@SESSION.lock_wait_timeout)"""
_TIMEOUTS = {1205}
_DEADLOCKS = {1213, 1020, 3058}
#: a null, a default, a length, a range, a reference, a check, a partition, a SIGNAL: what of a row is refused
_REFUSALS = {1048, 1062, 1216, 1217, 1264, 1265, 1292, 1364, 1366, 1369, 1406, 1451, 1452, 1526, 1644, 3819, 4025}
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")
#: of texts, which strict sessions refuse to cut, but for spaces at their end
_BYTES = {"TEXT": 2**16 - 1, "MEDIUMTEXT": 2**24 - 1}
_TEXT = re.compile(r"VARCHAR\(\d+\)|(?:MEDIUM|LONG)?TEXT")


class _Utc(sa.TypeDecorator[Any]):
    """A time in UTC, without its offset, which the database doesn't know."""

    impl = mysql.DATETIME(fsp=6)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        return None if value is None else _text_of(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:
        return value and value.replace(tzinfo=UTC)


class MySql(SqlDatabase):
    """MySQL or MariaDB, by mysqlclient or MySQL Connector/Python.

    :param connect: returns a new connection.
    :param connection: one of them, which tells what is there.
    :raises HyperoruConfigError: it is too old to be exact.
    """

    title = "MySQL or MariaDB"
    locks = "information_schema.innodb_trx and SHOW ENGINE INNODB STATUS"

    def __init__(self, connect: Callable[[], Any], connection: Any) -> None:
        driver = "mysqldb" if hasattr(connection, "set_character_set") else "mysqlconnector"
        super().__init__(connect, f"mysql+{driver}://")
        with closing(connection.cursor()) as cursor:
            cursor.execute("SELECT VERSION() AS version, @@max_allowed_packet AS packet")
            found_there = cursor.fetchall()[0]
            version, self._packet = found_there.values() if isinstance(found_there, dict) else found_there
        is_mariadb = "mariadb" in version.lower()
        found = tuple(map(int, re.findall(r"\d+", version)[:3]))
        oldest = _OLDEST_MARIADB if is_mariadb else _OLDEST_MYSQL
        if found < oldest:
            raise HyperoruConfigError(
                f"The database's version is {version}, which can't compare texts exactly. MySQL 8.0.31, MariaDB 10.6, "
                "or a later one is needed."
            )
        #: compares texts by their characters: with upper and lower case, accents, and spaces at their end
        self._collation = "utf8mb4_nopad_bin" if is_mariadb else "utf8mb4_0900_bin"
        text = mysql.LONGTEXT(charset="utf8mb4", collation=self._collation)
        self.types = {
            "string": text,
            "boolean": sa.Boolean(),
            "decimal": mysql.DECIMAL(65, 30),
            "timestamp": _Utc(),
            "json": text,
        }
        self._decimals: list[tuple[int, str, int, int]] = []
        self._bytes: list[tuple[int, str, int]] = []

    def configured(self, connection: Any) -> Any:
        """Let a connection be strict, in UTC, and send every character as it is."""
        if hasattr(connection, "set_character_set"):
            from MySQLdb.cursors import Cursor

            connection.cursorclass = Cursor
            connection.set_character_set("utf8mb4", "utf8mb4_bin")
        else:
            connection.set_charset_collation("utf8mb4", "utf8mb4_bin")
        with closing(connection.cursor()) as cursor:
            cursor.execute(_SESSION)
        return connection

    def column_types(self, columns: Sequence[Column], key: Sequence[str]) -> list[sa.types.TypeEngine[Any]]:
        """Return the types of a table's columns: texts of a key only as long as fit into one index together."""
        texts = sum(column.type == "string" for column in columns if column.name in key)
        room = (_KEY_BYTES - 8 * (len(key) - texts)) // (_CHARACTER_BYTES * max(texts, 1))
        of_key = mysql.VARCHAR(min(room, _LONGEST_KEY), charset="utf8mb4", collation=self._collation)
        return [
            of_key if column.name in key and column.type == "string" else self.types[column.type] for column in columns
        ]

    def found_types(self, connection: sa.Connection, table: sa.Table) -> dict[str, str]:
        """Return the types of a table's columns, with what makes them other ones; note how much texts and amounts hold.

        :raises HyperoruConfigError: the table's rows can't be rolled back.
        """
        self._check_engine(connection, table)
        columns = "column_name, column_type, collation_name, is_nullable, generation_expression"
        types = {name: self._type_name(*rest) for name, *rest in _look_up(connection, table, columns, "columns")}
        kinds = [(place, types.get(column.name, "")) for place, column in enumerate(table.columns)]
        self._decimals = [
            (place, kind, int(match[1]), int(match[2])) for place, kind in kinds if (match := _DECIMAL.fullmatch(kind))
        ]
        self._bytes = [(place, kind, _BYTES[kind]) for place, kind in kinds if kind in _BYTES]
        self.note_lengths(table, types)
        return types

    def _check_engine(self, connection: sa.Connection, table: sa.Table) -> None:
        engine = next((name for (name,) in _look_up(connection, table, "engine", "tables")), None)
        if engine != "InnoDB":
            raise HyperoruConfigError(
                f"The table {table.name} is {f'of the engine {engine}' if engine else 'a view'}, and only those of "
                "InnoDB are all or nothing. ALTER TABLE ... ENGINE = InnoDB, or name another table."
            )

    def _type_name(self, kind: Any, collation: str | None, nullable: str, computed: str | None) -> str:
        if computed:
            return "GENERATED"
        name: str = (kind.decode() if isinstance(kind, bytes) else kind).upper()  # bytes, in some versions
        if collation not in (None, self._collation):
            return f"{name} COLLATE {collation}"
        # old servers make the present time of a null in such a column
        return f"{name} NOT NULL" if name.startswith("TIMESTAMP") and nullable == "NO" else name

    def fits(self, column: sa.Column[Any], found: str) -> bool:
        """Return whether a column can hold our values; whether it holds all of them is looked at row by row."""
        if isinstance(column.type, sa.String):
            return _TEXT.fullmatch(found) is not None
        if isinstance(column.type, mysql.DECIMAL):
            return _DECIMAL.fullmatch(found) is not None
        if isinstance(column.type, sa.Boolean):
            return found in ("TINYINT(1)", "TINYINT")
        return found in ("DATETIME(6)", "TIMESTAMP(6)")

    def unique_keys(self, connection: sa.Connection, table: sa.Table) -> list[list[str]]:
        """Return the columns of each unique index; not of one of the beginnings of texts, or of expressions."""
        found = _look_up(connection, table, "seq_in_index, index_name, column_name, sub_part, non_unique", "statistics")
        keys: dict[str, list[str]] = {}
        for _, index, column, part, repeats in sorted(found, key=itemgetter(0, 1)):
            if not repeats:
                keys.setdefault(index, []).append(column if part is None and column is not None else "")
        return list(keys.values())

    def partition_columns(self, connection: sa.Connection, table: sa.Table) -> list[str]:
        """Return the columns by which a table is partitioned."""
        found = _look_up(connection, table, "partition_expression, subpartition_expression", "partitions")
        return sorted({name for each in found for text in each for name in re.findall("`([^`]+)`", text or "")})

    def misfit(self, values: Values) -> tuple[int, str] | None:
        """Return which value is too long or too exact for its column, or too long to be sent."""
        for place, kind, precision, scale in self._decimals:
            if values[place] is not None and not _fits(values[place], precision, scale):
                return place, f"{format(values[place], 'f')} does not fit {kind}, which would round it"
        for place, kind, most in self._bytes:
            text = values[place] or ""
            if len(text) * _CHARACTER_BYTES > most and (size := len(text.encode())) > most:
                return place, f"takes {size} bytes, and does not fit {kind}"
        if sum(len(value) for value in values if isinstance(value, str)) * _CHARACTER_BYTES * 2 > self._packet:
            sizes = [_sent_bytes(value) if isinstance(value, str) else 0 for value in values]
            if sum(sizes) > self._packet - _OVERHEAD_BYTES:
                place = sizes.index(max(sizes))
                return place, f"takes {sizes[place]} bytes, and a row at most max_allowed_packet, {self._packet}"
        return super().misfit(values)

    def packed(self, rows: Sequence[Values]) -> Packed:
        """Return rows as :meth:`insert` takes them, in texts that no driver makes a float of, or cuts."""
        return super().packed([tuple(map(_sent, values)) for values in rows])

    def insert(self, connection: sa.Connection, table: sa.Table, batches: Iterable[Packed]) -> None:
        """Insert rows, as many by one statement as a packet has room for."""
        quote = connection.dialect.identifier_preparer
        columns = ", ".join(quote.format_column(column) for column in table.columns)
        places = ", ".join(["%s"] * len(table.columns))
        statement = f"INSERT INTO {quote.format_table(table)} ({columns}) VALUES ({places})"  # noqa: S608 - quoted
        cursor = connection.connection.cursor()
        for batch in batches:
            for rows in _cut(pickle.loads(batch.data), min(_BATCH_BYTES, self._packet // 2)):  # noqa: S301 - ours
                cursor.executemany(statement, rows)
        cursor.close()

    def upsert(self, connection: sa.Connection, table: sa.Table, stage: sa.Table, key: Sequence[str]) -> int:
        """Update rows and insert others: ``ON DUPLICATE KEY`` would also update rows of any other unique key."""
        same = [table.c[name] == stage.c[name] for name in key]
        new = {column: stage.c[column.name] for column in table.columns if column.name not in key}
        differs = sa.or_(*(column.is_distinct_from(value) for column, value in new.items()))
        updated = connection.execute(table.update().values(new).where(*same, differs)).rowcount
        missing = stage.select().where(~sa.exists().where(*same))
        into = table.insert().from_select(stage.columns.keys(), missing)
        return updated + connection.execute(into, execution_options={"preserve_rowcount": True}).rowcount

    def stage_schema(self, table: sa.Table) -> str | None:
        """Return the database of a table, where its temporary one hides others of its name."""
        return table.schema

    @contextmanager
    def transaction(self, table: sa.Table) -> Iterator[sa.Connection]:
        """Yield a transaction that has the lock of loads, and locks whatever it reads against others who write."""
        with self.engine.connect().execution_options(isolation_level="SERIALIZABLE") as connection:
            lock = self._lock_name(connection, table)
            self.lock(connection, table)
            try:
                yield connection
                connection.commit()
            finally:
                with suppress(sa.exc.SQLAlchemyError):  # a connection that is lost has let go of all
                    connection.rollback()
                    stage = connection.dialect.identifier_preparer.format_table(self.stage_of(table))
                    connection.exec_driver_sql(f"DROP TEMPORARY TABLE IF EXISTS {stage}")
                    connection.execute(sa.text("DO RELEASE_LOCK(:name)"), {"name": lock})

    def lock(self, connection: sa.Connection, table: sa.Table) -> None:
        """Take the lock that each load of a table takes: one of the table itself would commit."""
        lock = sa.text("SELECT GET_LOCK(:name, @@SESSION.innodb_lock_wait_timeout)")
        if connection.scalar(lock, {"name": self._lock_name(connection, table)}) != 1:
            raise HyperoruConcurrentWriteError(
                f"Timed out waiting for a lock in the database: another load writes to {table.name}. Nothing was "
                "written: run this again."
            )

    def _lock_name(self, connection: sa.Connection, table: sa.Table) -> str:
        """Return the name of a table's lock, which all databases of a server share, in at most 64 characters."""
        database = connection.scalar(sa.text("SELECT COALESCE(:schema, DATABASE())"), {"schema": table.schema})
        return "hyperoru_" + hashlib.sha256(f"{database}.{table.name}".lower().encode()).hexdigest()[:40]

    def is_refusal(self, error: Any) -> bool:
        """Return whether a type, a constraint or a trigger refuses a row."""
        return super().is_refusal(error) or _number(error) in _REFUSALS

    def is_timeout(self, error: Any) -> bool:
        """Return whether others held a lock for too long."""
        return _number(error) in _TIMEOUTS

    def is_deadlock(self, error: Any) -> bool:
        """Return whether others and this transaction waited for each other."""
        return _number(error) in _DEADLOCKS


def _look_up(connection: sa.Connection, table: sa.Table, columns: str, view: str) -> list[tuple[Any, ...]]:
    """Return what the database knows of a table.

    :param view: of the information schema.
    """
    query = f"SELECT {columns} FROM information_schema.{view} "  # noqa: S608 - no word of it is a user's
    where = "WHERE table_schema = COALESCE(:schema, DATABASE()) AND table_name = :name"
    found = connection.execute(sa.text(query + where), {"schema": table.schema, "name": table.name})
    return list(map(tuple, found))


def _number(error: Any) -> Any:
    """Return the number of an error of the server; ``None`` for any other error."""
    is_ours = type(error).__module__.partition(".")[0] in ("MySQLdb", "mysql") and error.args
    return getattr(error, "errno", error.args[0]) if is_ours else None


def _fits(amount: Decimal, precision: int, scale: int) -> bool:
    whole, _, fraction = format(amount, "f").lstrip("-").partition(".")
    return len(fraction.rstrip("0")) <= scale and len(whole.lstrip("0")) <= precision - scale


def _sent_bytes(text: str) -> int:
    return len(text.encode()) + len(_ESCAPED.findall(text))


def _text_of(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def _sent(value: Any) -> Any:
    """Return a value as the database is sent it."""
    if isinstance(value, Decimal):
        return format(value, "f")
    return _text_of(value) if isinstance(value, datetime) else value


def _cut(rows: list[Values], size: int) -> Iterator[list[Values]]:
    """Yield rows in lists of at most so many bytes, but for a row that is longer by itself."""
    part: list[Values] = []
    left = size
    for values in rows:
        length = sum(len(value) * _CHARACTER_BYTES + 4 if isinstance(value, str) else 8 for value in values)
        if part and length > left:
            yield part
            part, left = [], size
        part.append(values)
        left -= length
    if part:
        yield part

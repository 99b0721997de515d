"""Real databases for tests: each test has an empty one of its own."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import mysql.connector
import psycopg
import pytest
import redis
from psycopg.conninfo import conninfo_to_dict

from hyperoru_provider.client.api.contract import load_contract
from hyperoru_provider.client.api.models import Trade
from hyperoru_provider.export.columns import ColumnSchema

POSTGRES = os.environ.get("HYPERORU_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")
MARIADB = os.environ.get("HYPERORU_TEST_MARIADB", "mysql://root@127.0.0.1:3306")
REDIS = os.environ.get("HYPERORU_TEST_REDIS", "redis://127.0.0.1:6379")
_TYPES = {
    "sqlite": {"decimal": "TEXT", "timestamp": "TEXT"},
    "postgres": {"decimal": "NUMERIC", "timestamp": "TIMESTAMP WITH TIME ZONE"},
    "mariadb": {"decimal": "DECIMAL(65,30)", "timestamp": "DATETIME(6)"},
}
#: of the databases' own tables, which tests make
COLLATION = "utf8mb4_nopad_bin"


@dataclass(frozen=True)
class Database:
    """A database of one test.

    :param kind: ``postgres``, ``sqlite`` or ``mariadb``.
    :param connect: returns a new connection.
    :param connection: what Airflow calls a connection.
    """

    kind: str
    connect: Callable[[], Any]
    connection: dict[str, Any]

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(self.connect()) as connection:
            return self.ask(connection, statement)

    def ask(self, connection: Any, statement: str) -> list[tuple[Any, ...]]:
        """Return what a statement finds by a connection of one's own, and commit."""
        with closing(connection.cursor()) as cursor:
            cursor.execute(statement)
            found = cursor.fetchall() if cursor.description else []
        connection.commit()
        return [tuple(map(_in_utc, row)) for row in found] if self.kind == "mariadb" else found

    def create(self, name: str = "trades", *more: str, **types: str) -> None:
        """Make a table of one's own, without a key; ``types`` of columns, empty to leave one out."""
        columns = {
            column.name: "VARCHAR(500)"
            if (self.kind, column.name) == ("mariadb", "trade_id")
            else _TYPES[self.kind].get(column.type, "TEXT")
            for column in ColumnSchema(Trade, load_contract().trades).columns
        } | types
        parts = [f'"{column}" {kind}' for column, kind in columns.items() if kind]
        self.query(f"CREATE TABLE {name} ({', '.join([*parts, *more])})")

    def trades(self, table: str = "trades") -> dict[str, tuple[str, Decimal]]:
        """Return the account and price of each row, and fail if a key is there twice."""
        rows = self.query(f"SELECT trade_id, account_id, price FROM {table}")
        assert len({row[0] for row in rows}) == len(rows)
        return {trade_id: (account_id, Decimal(price)) for trade_id, account_id, price in rows}


def _in_utc(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value


def in_file(path: Path) -> Database:
    """Return a database of SQLite."""
    return Database("sqlite", lambda: sqlite3.connect(path), {"conn_type": "sqlite", "host": str(path)})


def administrator() -> psycopg.Connection:
    """Return a connection to PostgreSQL that may make what tests need."""
    try:
        return psycopg.connect(POSTGRES, autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no PostgreSQL at HYPERORU_TEST_POSTGRES: {error}")


@contextmanager
def of_one_own() -> Iterator[str]:
    """Yield the URL of a database of PostgreSQL, and leave nothing of it afterwards."""
    name = f"hyperoru_{uuid.uuid4().hex[:12]}"
    with administrator() as admin:
        admin.execute(f"CREATE DATABASE {name}")
        try:
            yield urlsplit(POSTGRES)._replace(path=f"/{name}").geturl()
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def redis_of_one_own() -> Iterator[str]:
    """Yield the URL of a database of Redis that was empty, and leave it so."""
    for number in range(15, -1, -1):
        url = f"{REDIS}/{number}"
        with redis.Redis.from_url(url, socket_connect_timeout=5) as database:
            try:
                taken = database.dbsize() or not database.set("hyperoru_tests", "take another one", nx=True)
            except redis.ConnectionError as error:
                if os.environ.get("CI"):
                    raise
                pytest.skip(f"no Redis at HYPERORU_TEST_REDIS: {error}")
            if taken:
                continue
            try:
                yield url
            finally:
                database.flushdb()
            return
    pytest.fail("each database of the Redis at HYPERORU_TEST_REDIS holds something")


@contextmanager
def in_schema() -> Iterator[Database]:
    """Yield a schema of PostgreSQL, and leave nothing of it afterwards."""
    schema = f"hyperoru_{uuid.uuid4().hex[:12]}"
    options = f"-c search_path={schema}"
    parts = conninfo_to_dict(POSTGRES)
    fields = {"host": "host", "port": "port", "login": "user", "password": "password", "schema": "dbname"}
    connection = {name: parts.pop(part) for name, part in fields.items() if part in parts}
    # what a connection may be set to for other uses must do no harm
    extra = {**parts, "options": options, "cursor": "dictcursor", "autocommit": True}
    with administrator() as admin:
        admin.execute(f"CREATE SCHEMA {schema}")
        try:
            yield Database(
                "postgres",
                lambda: psycopg.connect(POSTGRES, options=options),
                {"conn_type": "postgres", **connection, "extra": extra},
            )
        finally:
            admin.execute(f"DROP SCHEMA {schema} CASCADE")


@contextmanager
def in_mariadb(driver: str, collation: str = COLLATION) -> Iterator[Database]:
    """Yield a database of MariaDB, and leave nothing of it afterwards.

    :param driver: ``mysqlclient`` or ``mysql-connector-python``.
    :param collation: of tables that name none.
    """
    place, name = urlsplit(MARIADB), f"hyperoru_{uuid.uuid4().hex[:12]}"
    parts: dict[str, Any] = {"host": place.hostname, "port": place.port or 3306, "user": place.username}
    parts["password"] = place.password or ""
    make = _mysqlclient() if driver == "mysqlclient" else mysql.connector.connect

    def connect(**more: Any) -> Any:
        connection = make(**parts, **more)
        with closing(connection.cursor()) as cursor:
            cursor.execute("SET SESSION sql_mode = 'ANSI_QUOTES'")  # so that all databases quote names alike
        return connection

    def administer(statement: str) -> None:
        with closing(make(**parts)) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(statement)

    try:
        administer(f"CREATE DATABASE {name} COLLATE {collation}")
    except (mysql.connector.Error, OSError) as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no MariaDB at HYPERORU_TEST_MARIADB: {error}")
    connection = {"conn_type": "mysql", "host": parts["host"], "port": parts["port"], "schema": name}
    connection |= {"login": parts["user"], "password": parts["password"], "extra": {"client": driver}}
    try:
        yield Database("mariadb", partial(connect, database=name), connection)
    finally:
        administer(f"DROP DATABASE {name}")


def _mysqlclient() -> Callable[..., Any]:
    try:
        import MySQLdb
    except ImportError as error:
        pytest.skip(f"no mysqlclient ({error}); with a compiler and libmariadb-dev, `make` installs it")
    connect: Callable[..., Any] = MySQLdb.connect
    return connect

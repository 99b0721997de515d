"""Which database a connection is of."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

from hyperoru_provider.client.errors import HyperoruConfigError
from hyperoru_provider.export.sql_database import SqlDatabase


def open_database(connect: Callable[[], Any]) -> SqlDatabase:
    """Return the database of new connections.

    :param connect: returns a new connection of psycopg, sqlite3, mysqlclient or MySQL Connector/Python.
    :raises HyperoruConfigError: it is one of another database, or too old a one.
    """
    with closing(connect()) as connection:
        driver = type(connection).__module__.partition(".")[0]
        if driver == "sqlite3":
            from hyperoru_provider.export.sql_sqlite import Sqlite

            return Sqlite(connect)
        if driver == "psycopg":
            from hyperoru_provider.export.sql_postgres import Postgres

            return Postgres(connect)
        if driver in ("MySQLdb", "mysql"):
            from hyperoru_provider.export.sql_mysql import MySql

            return MySql(connect, connection)
    raise HyperoruConfigError(
        f"The SQL connection uses {driver}, which is not supported. Use PostgreSQL (with psycopg 3, from "
        "apache-airflow-providers-postgres), MySQL or MariaDB (with mysqlclient or MySQL Connector/Python, from "
        "apache-airflow-providers-mysql), or SQLite."
    )

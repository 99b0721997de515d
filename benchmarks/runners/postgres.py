"""PostgreSQL: a load by this provider, and beside it the ``COPY`` of a file that has the very same rows ready."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg  # noqa: TID253 - as a DAG file's hooks do

from benchmarks.job import AMOUNT, WINDOW, Check, Job, Landed
from hyperoru_provider.operators.sql import HyperoruTradesToSqlOperator

POSTGRES = os.environ.get("HYPERORU_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")
_SCHEMA = "hyperoru_bench"
_TABLE = f"{_SCHEMA}.trades"
_CHUNK = 1 << 18
_READY: list[tuple[Any, ...]] = []


def make_ready(job: Job) -> None:
    """Make an empty schema."""
    _ask(f"DROP SCHEMA IF EXISTS {_SCHEMA} CASCADE", f"CREATE SCHEMA {_SCHEMA}")
    place = urlsplit(POSTGRES)
    connection = {"conn_type": "postgres", "host": place.hostname, "port": place.port or 5432}
    connection |= {"login": place.username, "password": place.password or "", "schema": place.path.strip("/")}
    os.environ["AIRFLOW_CONN_BENCH_SQL"] = json.dumps(connection)


def run(job: Job) -> Check:
    """Load the window into a table that it makes, with a primary key and an index of the time."""
    arguments: dict[str, Any] = {"sql_conn_id": "bench_sql", "table": _TABLE, "create_table": True, **WINDOW}
    HyperoruTradesToSqlOperator(task_id="load", **arguments).execute({})
    return _landed


def make_file_ready(job: Job) -> None:
    """Make a file of the same rows in the same order, and an empty table of the same columns and indexes."""
    make_ready(job)
    run(job)
    with (
        _file(job).open("wb") as file,
        psycopg.connect(POSTGRES) as connection,
        connection.cursor().copy(f"COPY {_TABLE} TO STDOUT") as rows,
    ):
        for data in rows:
            file.write(data)
    _ask(f"TRUNCATE {_TABLE}")


def copy(job: Job) -> Check:
    """Copy the file into the table, in one transaction."""
    with (
        _file(job).open("rb") as file,
        psycopg.connect(POSTGRES) as connection,
        connection.cursor().copy(f"COPY {_TABLE} FROM STDIN") as rows,
    ):
        while data := file.read(_CHUNK):
            rows.write(data)
    return _landed


def make_rows_ready(job: Job) -> None:
    """Hold the same rows in memory, as psycopg reads them, and make an empty table."""
    make_ready(job)
    run(job)
    _READY.extend(_ask(f"SELECT * FROM {_TABLE}"))  # noqa: S608 - no word of it is a user's
    _ask(f"TRUNCATE {_TABLE}")


def copy_rows(job: Job) -> Check:
    """Copy the rows that are in memory into the table, one after another, in one transaction."""
    with psycopg.connect(POSTGRES) as connection, connection.cursor().copy(f"COPY {_TABLE} FROM STDIN") as rows:
        for values in _READY:
            rows.write_row(values)
    return _landed


def _landed() -> Landed:
    """Count and add up what is in the table, and remove it."""
    ((rows, total),) = _ask(f"SELECT count(*), sum({AMOUNT}) FROM {_TABLE}")  # noqa: S608 - no word of it is a user's
    _ask(f"DROP SCHEMA {_SCHEMA} CASCADE")
    return Landed(rows, total)


def _file(job: Job) -> Path:
    return Path(job.directory, "rows")


def _ask(*statements: str) -> list[tuple[Any, ...]]:
    """Return what the last statement finds."""
    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []

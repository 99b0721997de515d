"""An export as a process of its own, to be killed. What it needs is loaded before it is forked."""

from __future__ import annotations

import errno
import logging
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple
from unittest.mock import patch

import airflow.models.taskinstance
import airflow.providers.amazon.aws.fs.s3
import airflow.providers.apache.iceberg.hooks.iceberg
import airflow.providers.mysql.hooks.mysql
import airflow.providers.postgres.hooks.postgres
import airflow.providers.sqlite.hooks.sqlite  # noqa: F401
import pyarrow.parquet  # noqa: F401
import pyiceberg.catalog.sql  # noqa: F401
from airflow.sdk import BaseOperator, ObjectStoragePath
from airflow.sdk.exceptions import AirflowException

from hyperoru_provider.client.errors import HyperoruConcurrentWriteError, HyperoruError
from hyperoru_provider.client.http import retry
from hyperoru_provider.export import commit_lock, iceberg_table  # noqa: F401
from hyperoru_provider.export.directory import ExportDirectory
from hyperoru_provider.operators.iceberg import HyperoruToIcebergOperator
from hyperoru_provider.operators.sql import HyperoruTradesToSqlOperator
from hyperoru_provider.operators.trades import HyperoruExportTradesOperator

ObjectStoragePath("file:///").exists()

REFUSED = 3
FAILED = 4


class Conditions(NamedTuple):
    """What a run has to make do with; ``None`` for no bound.

    :param file: the bytes of any file, temporary ones among them, that the system lets it write.
    :param disk: the bytes in all that the destination has room for.
    :param crowd: how many runs come to their commits together, and how many seconds they wait for one another; their
        disk is slow then.
    """

    file: int | None = None
    disk: int | None = None
    crowd: tuple[int, float] | None = None

    def arrange(self, directory: Path) -> None:
        """Make it so in this process.

        :param directory: of the run, beside those of the others.
        """
        if self.file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.file, self.file))
        if self.disk is not None:
            patch.object(shutil, "copyfileobj", partial(_copy_while_there_is_room, [self.disk])).start()
        if self.crowd is not None:
            commit, replace = ExportDirectory.commit, Path.replace
            patch.object(ExportDirectory, "commit", _before(commit, partial(_meet, directory, *self.crowd))).start()
            patch.object(Path, "replace", _before(replace, lambda: time.sleep(random.uniform(0, 0.01)))).start()


def run(connection: str, directory: Path, arguments: dict[str, Any]) -> None:
    """Export below a directory, to another destination or to a table of Iceberg."""
    _begin(connection, directory)
    operator: BaseOperator
    if "table" in arguments:
        operator = HyperoruToIcebergOperator(task_id="t", resource="trades", **arguments)
    else:
        operator = HyperoruExportTradesOperator(task_id="t", **{"destination": str(directory / "export"), **arguments})
    operator.execute({})


def load(connection: str, directory: Path, arguments: dict[str, Any], database: str) -> None:
    """Load into the table ``trades`` of a database.

    :param database: its connection.
    """
    os.environ["AIRFLOW_CONN_SQL"] = database
    _begin(connection, directory)
    operator = HyperoruTradesToSqlOperator(
        task_id="t", sql_conn_id="sql", table="trades", create_table=True, **arguments
    )
    operator.execute({})


def _begin(connection: str, directory: Path) -> None:
    """Set a process up whose log goes to a file in a directory.

    The client, and who finds the lock of a run that was killed, wait as they do in production, only shorter.
    """
    patch.object(retry, "RetryPolicy", partial(retry.RetryPolicy, initial_delay=0.02, max_delay=0.1)).start()
    patch.object(commit_lock, "PATIENCE", 40).start()
    patch.object(commit_lock, "RENEWAL", 0.5).start()
    logging.basicConfig(filename=directory / "log", level=logging.INFO, force=True)
    tempfile.tempdir = str(directory / "temp")
    os.environ["AIRFLOW_CONN_HYPERORU_DEFAULT"] = connection


def run_beside_others(
    connection: str, directory: Path, arguments: dict[str, Any], environment: dict[str, str], conditions: Conditions
) -> None:
    """Export, and exit with a status of its own if another run was faster, or the server or a disk failed."""
    os.environ.update(environment)
    conditions.arrange(directory)
    try:
        run(connection, directory, arguments)
    except HyperoruConcurrentWriteError:
        sys.exit(REFUSED)
    except (HyperoruError, AirflowException, OSError) as error:
        logging.exception("The export failed: %s", type(error).__name__)
        sys.exit(FAILED)


def _before(method: Callable[..., Any], act: Callable[[], None]) -> Callable[..., Any]:
    """Return a method that does something else first."""

    def both(*arguments: Any) -> Any:
        act()
        return method(*arguments)

    return both


def _meet(directory: Path, size: int, seconds: float) -> None:
    """Wait until all runs are here, but not for those who don't come."""
    (directory / "here").touch()
    until = time.monotonic() + seconds
    while len(list(directory.parent.glob("*/here"))) < size and time.monotonic() < until:
        time.sleep(0.005)


def _copy_while_there_is_room(left: list[int], source: IO[bytes], sink: IO[bytes], size: int) -> None:
    """Stand for :func:`shutil.copyfileobj` onto a disk that gets full."""
    while data := source.read(size):
        sink.write(data[: max(0, left[0])])
        left[0] -= len(data)
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

"""An export as a process of its own, to be killed. What it needs is loaded before it is forked."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow.parquet  # noqa: F401
from airflow.sdk import ObjectStoragePath

from hyperoru_provider.client.errors import HyperoruConcurrentWriteError
from hyperoru_provider.client.http import retry
from hyperoru_provider.export import commit_lock
from hyperoru_provider.operators.trades import HyperoruExportTradesOperator

ObjectStoragePath("file:///").exists()

REFUSED = 3


def run(connection: str, directory: Path, arguments: dict[str, Any]) -> None:
    """Export below a directory, or to another destination; the log goes to a file in it.

    The client, and who finds the lock of a run that was killed, wait as they do in production, only shorter.
    """
    patch.object(retry, "RetryPolicy", partial(retry.RetryPolicy, initial_delay=0.02, max_delay=0.1)).start()
    patch.object(commit_lock, "PATIENCE", 20).start()
    logging.basicConfig(filename=directory / "log", level=logging.INFO, force=True)
    tempfile.tempdir = str(directory / "temp")
    os.environ["AIRFLOW_CONN_HYPERORU_DEFAULT"] = connection
    operator = HyperoruExportTradesOperator(task_id="t", **{"destination": str(directory / "export"), **arguments})
    operator.execute({})


def run_beside_others(connection: str, directory: Path, arguments: dict[str, Any], environment: dict[str, str]) -> None:
    """Export, and exit with a status of its own if another run was faster."""
    os.environ.update(environment)
    try:
        run(connection, directory, arguments)
    except HyperoruConcurrentWriteError:
        sys.exit(REFUSED)

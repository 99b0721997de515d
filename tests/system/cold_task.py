"""A task that starts cold: a process of its own, with a token neither in memory nor, at first, in the Variable."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import airflow.providers_manager  # noqa: F401
from airflow.sdk.api.datamodels._generated import VariableResponse  # noqa: F401
from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import (
    ErrorResponse,
    GetVariable,
    MaskSecret,
    OKResponse,
    PutVariable,
    VariableResult,
)

import hyperoru_provider.client.client  # noqa: F401
from hyperoru_provider.operators.traders import HyperoruListTradersOperator


class Supervisor:
    """Stands for the supervisor of a task, which asks Airflow's API server for Variables: here they are files.

    :param variables: their directory.
    :param seconds: how long the API server takes.
    :param together: where all tasks wait for one another when they have been told that there is no Variable.
    """

    def __init__(self, variables: Path, seconds: float, together: Any) -> None:
        self._variables = variables
        self._seconds = seconds
        self._together = together

    def send(self, message: Any) -> Any:
        if isinstance(message, MaskSecret):  # goes no further than to the supervisor
            return None
        time.sleep(self._seconds)
        path = self._variables / message.key
        match message:
            case GetVariable():
                try:
                    return VariableResult(key=message.key, value=path.read_text())
                except FileNotFoundError:
                    if self._together is not None:
                        self._together.wait()
                        self._together = None
                    return ErrorResponse(error=ErrorType.VARIABLE_NOT_FOUND)
            case PutVariable():
                temporary = path.with_name(uuid4().hex)
                temporary.write_text(message.value)
                temporary.replace(path)
                return OKResponse(ok=True)
        raise AssertionError(message)


def run(connection: str, variables: Path, seconds: float, together: Any, done: Any) -> None:
    """List the traders, once all others have seen, too, that there is no token."""
    tempfile.tempdir = str(variables.parent)
    os.environ["AIRFLOW_CONN_HYPERORU_DEFAULT"] = connection
    task_runner.SUPERVISOR_COMMS = SimpleNamespace(send=Supervisor(variables, seconds, together).send)  # type: ignore[assignment]
    done.put(len(HyperoruListTradersOperator(task_id="t").execute({})))

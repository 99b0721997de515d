"""Parses DAG files in a process of its own, and tells what they touched and what came out.

The arguments are the moment to live in and the files; the answer is a JSON object of files on the output.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import patch

import airflow
import time_machine
from airflow.models.serialized_dag import SerializedDagModel
from airflow.sdk import BaseHook, Connection, Variable

try:
    from airflow.dag_processing.dagbag import BundleDagBag
    from airflow.serialization.serialized_objects import DagSerialization
except ImportError:  # before Airflow 3.2
    from airflow.models.dagbag import DagBag as BundleDagBag  # type: ignore[no-redef]
    from airflow.serialization.serialized_objects import SerializedDAG as DagSerialization  # type: ignore

# The package may be installed beside Airflow, or in an editable way.
AIRFLOW = str(Path(airflow.__file__).parent) + os.sep
OURS = f"{os.sep}hyperoru_provider{os.sep}"
CLOCKS = {"time", "time_ns", "monotonic", "perf_counter", "now", "utcnow", "today", "localtime", "gmtime"}


@contextmanager
def watched(file: str, touched: set[str]) -> Iterator[None]:
    """Note each touch of the network, connections, Variables or the clock."""

    def refuse(what: str) -> Any:
        def refusal(*_: object, **__: object) -> None:
            touched.add(what)
            raise RuntimeError(f"a DAG file touched the {what}")

        return refusal

    def profile(frame: FrameType, event: str, arg: Any) -> None:
        if (
            event == "c_call"
            and getattr(arg, "__name__", "") in CLOCKS
            and str(getattr(arg, "__self__", arg)).find("time") >= 0
            and asked_by(frame, file)
        ):
            touched.add("clock")

    with (
        patch.object(socket.socket, "connect", refuse("network")),
        patch.object(socket, "getaddrinfo", refuse("network")),
        patch.object(BaseHook, "get_connection", refuse("connection")),
        patch.object(Connection, "get", refuse("connection")),
        patch.object(Variable, "get", refuse("variable")),
    ):
        sys.setprofile(profile)
        try:
            yield
        finally:
            sys.setprofile(None)


def asked_by(frame: FrameType | None, file: str) -> bool:
    """Tell whether it was the DAG file or this package that called, and not Airflow on its own account."""
    while frame:
        name = frame.f_code.co_filename
        if name == file or OURS in name:
            return True
        if name.startswith(AIRFLOW):
            return False
        frame = frame.f_back
    return False


def main(moment: str, *files: str) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    found = {}
    for file in files:
        touched: set[str] = set()
        with time_machine.travel(moment, tick=True), watched(file, touched):
            bag = BundleDagBag(dag_folder=file, bundle_path=Path(file).parent, safe_mode=False)
        dags = {
            dag_id: SerializedDagModel.hash(DagSerialization.to_dict(dag))  # type: ignore[no-untyped-call]
            for dag_id, dag in sorted(bag.dags.items())
        }
        found[file] = {"touched": sorted(touched), "errors": list(bag.import_errors.values()), "dags": dags}
    print(json.dumps(found), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Notes what each task's process holds when it has succeeded: memory, open files, sockets."""

from __future__ import annotations

import json
import os
import resource
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin


@hookimpl
def on_task_instance_success(task_instance: Any) -> None:
    process = psutil.Process()
    cost = {
        "at": time.time(),
        "task": f"{task_instance.dag_id}.{task_instance.task_id}",
        "peak_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "files": process.num_fds(),
        "sockets": len(process.net_connections("inet")),
    }
    with Path(os.environ["AIRFLOW_HOME"], "costs.ndjson").open("a") as file:
        file.write(json.dumps(cost) + "\n")


class Costs(AirflowPlugin):
    name = "costs"
    listeners: list[Any] = [SimpleNamespace(on_task_instance_success=on_task_instance_success)]  # noqa: RUF012

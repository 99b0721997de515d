"""Tasks that all start cold on one host log in once.

HYPERORU_COLD_TASKS says how many; ``make crowd-test`` starts a hundred.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from pathlib import Path

import pytest

from hyperoru_provider.sandbox import Sandbox
from tests.airflow_home import connection
from tests.system import cold_task

TASKS = int(os.environ.get("HYPERORU_COLD_TASKS", "12"))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120 + 10 * TASKS)]

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([cold_task.__name__])


@pytest.mark.parametrize("api_seconds", [0.01, 1.0])
def test_cold_tasks_log_in_once(api_seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where Airflow's API server, which has the token, is slow."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # gh-126631
    variables = tmp_path / "variables"
    variables.mkdir()
    together, done = _processes.Barrier(TASKS), _processes.SimpleQueue()
    with Sandbox(latency=0.2) as sandbox:
        tasks = [
            _processes.Process(target=cold_task.run, args=(connection(sandbox), variables, api_seconds, together, done))
            for _ in range(TASKS)
        ]
        for task in tasks:
            task.start()
        begun = time.monotonic()
        for task in tasks:
            task.join()
        stats = sandbox.stats()
    assert [task.exitcode for task in tasks] == [0] * TASKS
    assert [done.get() for _ in tasks] == [5] * TASKS
    (variable,) = variables.iterdir()
    assert json.loads(variable.read_text())["token"]
    print(f"{TASKS} cold tasks: {stats['logins']} logins, {time.monotonic() - begun:.0f} s")
    assert stats["logins"] == 1

"""Airflow as its users run it: scheduler, dag-processor, api-server, triggerer, workers as processes of their own."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import sqlalchemy
from cryptography.fernet import Fernet

from tests.airflow_home import environment, fernet_key

T = TypeVar("T")

_COMPONENTS = {
    "api-server": ["api-server", "--workers", "1", "--host", "127.0.0.1", "--port", "{port}"],
    "dag-processor": ["dag-processor"],
    "scheduler": ["scheduler", "--skip-serve-logs"],
    "triggerer": ["triggerer", "--skip-serve-logs"],
}
_WORKER = ["celery", "worker", "--skip-serve-logs", "--celery-hostname", "{name}@%h"]
_FAST = {
    "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
    "AIRFLOW__CORE__PARALLELISM": "8",
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "false",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "true",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "3600",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "6",
}
# what a worker leaves that is killed is taken up after seconds in place of minutes, or a day
_CELERY = {
    "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
    "AIRFLOW__CELERY__SYNC_PARALLELISM": "1",
    "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
    "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
}


class AirflowProcesses:
    """A whole Airflow on a home of its own.

    :param triggerer: whether it has one.
    :param broker: the Redis database of its Celery workers; without one, the scheduler runs the tasks.
    """

    def __init__(self, home: Path, dags: Path, *, triggerer: bool = False, broker: str = "", **variables: str) -> None:
        self.home = home
        self.workers: list[str] = []
        self._components = [name for name in _COMPONENTS if triggerer or name != "triggerer"]
        self._broker = broker
        celery = {**_CELERY, "AIRFLOW__CELERY__BROKER_URL": broker} if broker else {}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._url = f"http://127.0.0.1:{self._port}"
        address = {
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self._url}/execution/",
            "AIRFLOW__API__PORT": str(self._port),
        }
        self._environment = environment(home, dags, **{**_FAST, **celery, **address, **variables})
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._client = httpx.Client(base_url=self._url, timeout=20)
        self._database = sqlalchemy.create_engine(
            self._environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"], poolclass=sqlalchemy.NullPool
        )

    def query(self, sql: str, **values: object) -> list[tuple[Any, ...]]:
        """Read the metadata database."""
        with self._database.connect() as database:
            return [tuple(row) for row in database.execute(sqlalchemy.text(sql), values)]

    def secret(self, key: str) -> dict[str, Any]:
        """Read a Variable that Airflow has encrypted; empty if there is none."""
        for (value,) in self.query("SELECT val FROM variable WHERE key = :key AND is_encrypted", key=key):
            found: dict[str, Any] = json.loads(Fernet(fernet_key()).decrypt(value.encode()))
            return found
        return {}

    def everything(self) -> Iterator[tuple[str, bytes]]:
        """All that this Airflow keeps: each value of each table, and each file of its home."""
        for table in sqlalchemy.inspect(self._database).get_table_names():
            for number, row in enumerate(self.query(f'SELECT * FROM "{table}"')):
                for value in row:
                    yield f"database: {table}, row {number}", value if isinstance(value, bytes) else str(value).encode()
        for path in files(self.home):
            yield f"{'database' if path.name.startswith('airflow.db') else 'logs'}: {path}", path.read_bytes()

    def start(self, workers: int = 0) -> None:
        """Start all processes."""
        for name in (*self._components, *self.workers):
            self._start(name)
        self.scale(workers)

    def scale(self, workers: int) -> None:
        """Start Celery workers until there are so many; each has a temporary directory, as on a host of its own."""
        for number in range(len(self.workers) + 1, workers + 1):
            self.workers.append(f"worker-{number}")
            self._start(self.workers[-1])
        self.wait_for(self._is_up, "Airflow to be up", every=0.3)

    def replace(self, name: str) -> None:
        """kill -9 a component with its children, and start another one."""
        self._end(self.family(name), name)
        self._start(name)

    def restart(self, name: str, seconds: float = 90) -> None:
        """Restart a component as an operator would: it may end what it has begun, and the next one is up."""
        family = self.family(name)
        process = self._processes.pop(name)
        process.terminate()
        self.wait_for(lambda: process.poll() is not None, f"{name} to end", seconds=seconds)
        self.wait_for(lambda: not any(map(_lives, family)), f"the processes of {name} to end", seconds=20)
        self._start(name)
        self.wait_for(self._is_up, f"{name} to be up again", every=0.3)

    def _start(self, name: str) -> None:
        logs = self.home / "process-logs"
        logs.mkdir(exist_ok=True)
        scratch = self.home / f"scratch-{name}" if name in self.workers else self.home / "scratch"
        scratch.mkdir(exist_ok=True)
        command = _COMPONENTS.get(name, _WORKER)
        with (logs / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [sys.executable, "-m", "airflow", *(a.format(name=name, port=self._port) for a in command)],
                env={**self._environment, "TMPDIR": str(scratch)},
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _is_up(self) -> bool:
        try:
            health = self._client.get("/api/v2/monitor/health").json()
            names = [
                name.replace("-", "_") for name in _COMPONENTS if name in self._components and name != "api-server"
            ]
            if any(health[name]["status"] != "healthy" for name in names):
                return False
            if not self._workers_answer():
                return False
            token = self._client.get("/auth/token").raise_for_status().json()["access_token"]
        except (httpx.TransportError, ValueError):
            return False
        self._client.headers["Authorization"] = f"Bearer {token}"
        return True

    def _workers_answer(self) -> bool:
        if not self.workers:
            return True
        from celery import Celery

        answers = Celery(broker=self._broker).control.ping(timeout=1, limit=len(self.workers))
        return {node.partition("@")[0] for answer in answers for node in answer} == set(self.workers)

    def stop(self) -> None:
        """End every process as an operator would, and leave none of their children behind."""
        family = self.family()
        self._processes["scheduler"].terminate()
        self._processes["dag-processor"].terminate()
        deadline = time.monotonic() + 15
        for name in ("scheduler", "dag-processor"):
            with suppress(subprocess.TimeoutExpired):
                self._processes[name].wait(max(0.0, deadline - time.monotonic()))
        # the api-server keeps nothing that this could harm, and takes seconds to end by itself
        self._end(family, *self._processes)

    def kill_all(self) -> None:
        """End every process at once."""
        self._end(self.family(), *self._processes)

    def _end(self, family: list[psutil.Process], *names: str) -> None:
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for name in names:
            self._processes.pop(name).wait()
        self.wait_for(lambda: not any(map(_lives, family)), "the processes of Airflow to end", seconds=10)

    def family(self, *names: str) -> list[psutil.Process]:
        """All processes of these components, or of all."""
        found = []
        for process in [self._processes[name] for name in names or self._processes]:
            try:
                parent = psutil.Process(process.pid)
                found += [parent, *parent.children(recursive=True)]
            except psutil.NoSuchProcess:
                continue
        return found

    def run(self, dag_id: str, **conf: object) -> list[dict[str, Any]]:
        """Run a DAG, which must succeed; gives its task instances."""
        return self.finished(dag_id, self.trigger(dag_id, **conf))

    def trigger(self, dag_id: str, partition_key: str | None = None, /, **conf: object) -> str:
        """Start a run, perhaps of a partition; gives its id."""
        order = {"logical_date": None, "conf": conf, **({"partition_key": partition_key} if partition_key else {})}

        def created() -> httpx.Response | None:
            answer = self._client.post(f"/api/v2/dags/{dag_id}/dagRuns", json=order)
            return None if answer.status_code == 404 or answer.is_server_error else answer

        answer = self.wait_for(created, f"the DAG {dag_id}")
        assert answer.status_code == 200, answer.text
        run_id: str = answer.json()["dag_run_id"]
        return run_id

    def finished(self, dag_id: str, run_id: str, seconds: float = 120) -> list[dict[str, Any]]:
        """Wait until a run has succeeded; gives its task instances."""

        def state() -> str | None:
            # cheaper than asking the api-server
            sql = "SELECT state FROM dag_run WHERE dag_id = :dag_id AND run_id = :run_id"
            ((state,),) = self.query(sql, dag_id=dag_id, run_id=run_id)
            return state if state in ("success", "failed") else None

        assert self.wait_for(state, f"the run of {dag_id}", seconds, every=0.2) == "success", self.tail()
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances"
        instances: list[dict[str, Any]] = []
        while True:
            page = self._client.get(path, params={"limit": 100, "offset": len(instances)}).json()
            instances += page["task_instances"]
            if len(instances) >= page["total_entries"]:
                return instances

    def fail(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Mark a task as failed, as a user does."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}"
        answer = self._client.patch(path, json={"new_state": "failed"})
        assert answer.status_code == 200, answer.text

    def clear(self, dag_id: str, run_id: str) -> None:
        """Clear all tasks of a run, as a user does."""
        order = {"dag_run_id": run_id, "dry_run": False, "only_failed": False, "reset_dag_runs": True}
        answer = self._client.post(f"/api/v2/dags/{dag_id}/clearTaskInstances", json=order)
        assert answer.status_code == 200, answer.text

    def set_pool(self, name: str, slots: int) -> None:
        """Make a pool, or change its size, as a user does."""
        answer = self._client.post("/api/v2/pools", json={"name": name, "slots": slots})
        if answer.status_code == 409:
            change = {"pool": name, "slots": slots, "include_deferred": False}
            answer = self._client.patch(f"/api/v2/pools/{name}", json=change)
        assert answer.is_success, answer.text

    def pid(self, dag_id: str, run_id: str, map_index: int) -> int:
        """The process of a running task."""
        sql = (
            "SELECT pid FROM task_instance "
            "WHERE dag_id = :dag_id AND run_id = :run_id AND map_index = :map_index AND state = 'running'"
        )
        ((pid,),) = self.query(sql, dag_id=dag_id, run_id=run_id, map_index=map_index)
        return int(pid)

    def wait_for(self, probe: Callable[[], T | None], what: str, seconds: float = 120, every: float = 0.1) -> T:
        """Ask until there is an answer; gives up with the tail of the logs, and at once if a process has died."""
        deadline = time.monotonic() + seconds
        while True:
            if found := probe():
                return found
            dead = [name for name, process in self._processes.items() if process.poll() is not None]
            assert not dead, f"{', '.join(dead)} ended while waiting for {what}\n{self.tail()}"
            assert time.monotonic() < deadline, f"waited {seconds} s for {what}\n{self.tail()}"
            time.sleep(every)

    def kill(self, pid: int) -> None:
        """kill -9 a process, if it is one of this Airflow's, and see it end."""
        (process,) = (process for process in self.family() if process.pid == pid)
        process.kill()
        self.wait_for(lambda: not _lives(process), "a killed process to end", seconds=10, every=0.01)

    def tail(self, lines: int = 20) -> str:
        """The end of each process's log, and of the logs of tasks that failed."""
        files = {path: path.read_text(errors="replace") for path in self.home.glob("process-logs/*.log")}
        tasks = {path: path.read_text(errors="replace") for path in self.home.glob("logs/dag_id=*/**/*.log")}
        failed = {path: text for path, text in tasks.items() if '"level":"error"' in text}
        for path in sorted(failed, key=lambda path: path.stat().st_mtime)[-3:]:
            files[path] = failed[path]
        return "\n".join(
            "\n".join([f"--- {path.relative_to(self.home)}", *(line[:2000] for line in text.splitlines()[-lines:])])
            for path, text in files.items()
        )


def files(directory: Path) -> list[Path]:
    """Every file below a directory."""
    return sorted(path for path in directory.rglob("*") if path.is_file())


def _lives(process: psutil.Process) -> bool:
    """Whether a process runs; one that is dead but still listed does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False

"""A deployment as large houses run it: Celery workers, Redis, PostgreSQL, S3, and connections from a secrets backend.

Workers and the triggerer are killed in the middle of exports, and then everything is restarted, one after another: no
row is lost or doubled, no task is stuck, and each host logs in once at most.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from hyperoru_provider.sandbox import Sandbox
from tests.airflow_home import connection, migrated
from tests.databases import of_one_own, redis_of_one_own
from tests.lakes import local_lake
from tests.places import EXAMPLES
from tests.system.airflow_processes import AirflowProcesses
from tests.system.faulty_s3 import Lake, lake

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

HERE = Path(__file__).resolve().parent
DAGS = sorted(path.stem for path in EXAMPLES.glob("*.py"))
LIVE = "hyperoru_live_trades"
FLEET = "hyperoru_fleet_export"
PASSWORD = "celery-pass-R5t8w2"
VARIABLE = "hyperoru_session_token__hyperoru_default"
WORKERS = 2
EXPORTS = 100  # five traders, twenty days
SLOTS = 8
TIMES = "%Y-%m-%dT%H:%M:%SZ"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(password=PASSWORD) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def bucket() -> Iterator[Lake]:
    with lake() as bucket:
        yield bucket


@pytest.fixture(scope="module")
def warehouse() -> Iterator[str]:
    with of_one_own() as url:
        yield url


@pytest.fixture(scope="module")
def since() -> datetime:
    """Where the exports of live trades begin."""
    return datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)


@pytest.fixture(scope="module")
def airflow(
    sandbox: Sandbox, bucket: Lake, warehouse: str, since: datetime, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[AirflowProcesses]:
    """The deployment, with all example DAGs. They begin at once."""
    secrets = tmp_path_factory.mktemp("secrets") / "connections.json"
    place = urlsplit(warehouse)
    connections = {
        "hyperoru_default": json.loads(connection(sandbox)),
        "hyperoru_sql": {
            "conn_type": "postgres",
            "host": place.hostname,
            "port": place.port,
            "login": place.username,
            "password": place.password,
            "schema": place.path.strip("/"),
        },
        "lake": bucket.connection,
        "iceberg_default": local_lake(tmp_path_factory.mktemp("iceberg")).connection,
    }
    secrets.write_text(json.dumps(connections))
    home = tmp_path_factory.mktemp("celery") / "home"
    dags = shutil.copytree(HERE / "deployment", home / "dags")
    for path in EXAMPLES.glob("*.py"):
        # what fails is repeated soon
        text, count = re.subn(r'("retry_delay": pendulum\.duration)\(\w+=\d+\)', r"\1(seconds=1)", path.read_text())
        assert count == text.count("retry_delay")
        (dags / path.name).write_text(text)
    with of_one_own() as url, redis_of_one_own() as broker:
        airflow = AirflowProcesses(
            migrated(home, AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=url),
            dags,
            triggerer=True,
            broker=broker,
            AIRFLOW__CELERY__WORKER_CONCURRENCY="2",
            AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=url,
            AIRFLOW__SECRETS__BACKEND="airflow.secrets.local_filesystem.LocalFilesystemBackend",
            AIRFLOW__SECRETS__BACKEND_KWARGS=json.dumps({"connections_file_path": str(secrets)}),
            HYPERORU_EXPORTS=bucket.address("exports"),
            HYPERORU_DUCKDB=str(home / "trades.duckdb"),
            HYPERORU_POOL="hyperoru",
            HYPERORU_SINCE=since.isoformat(),
        )
        try:
            airflow.start(WORKERS)
            airflow.set_pool("hyperoru", SLOTS)
            yield airflow
        finally:
            airflow.kill_all()


class Fleet:
    """A run of the example that maps exports over traders and days, and a sensor that waits meanwhile."""

    def __init__(self, airflow: AirflowProcesses, sandbox: Sandbox, destination: str) -> None:
        self._airflow = airflow
        self._sandbox = sandbox
        start = datetime(2026, 3, 1, tzinfo=UTC)
        self.window = start.strftime(TIMES), (start + timedelta(days=EXPORTS // 5)).strftime(TIMES)
        self.waiting = airflow.trigger("waits", since=datetime.now(UTC).isoformat())
        airflow.wait_for(lambda: self._states("waits", self.waiting) == ["deferred"], "the sensor to be deferred")
        conf = dict(zip(("start", "end"), (time[:10] for time in self.window), strict=True))
        self.run_id = airflow.trigger(FLEET, destination=destination, **conf)

    def _states(self, dag_id: str, run_id: str) -> list[str]:
        sql = "SELECT state FROM task_instance WHERE dag_id = :dag_id AND run_id = :run_id"
        return [state for (state,) in self._airflow.query(sql, dag_id=dag_id, run_id=run_id)]

    def exports(self, state: str) -> dict[int, int]:
        """The processes of the exports of a state, by map index."""
        sql = (
            "SELECT map_index, pid FROM task_instance "
            "WHERE dag_id = :dag_id AND run_id = :run_id AND task_id = 'export' AND map_index >= 0 AND state = :state"
        )
        return dict(self._airflow.query(sql, dag_id=FLEET, run_id=self.run_id, state=state))

    def when_done(self, count: int) -> None:
        """Wait until so many exports are done."""
        self._airflow.wait_for(lambda: len(self.exports("success")) >= count, f"{count} exports", every=0.3)

    def run_by(self, component: str) -> dict[int, int]:
        """The exports that this worker runs now."""
        processes = {process.pid for process in self._airflow.family(component)}
        return {index: pid for index, pid in self.exports("running").items() if pid in processes}

    def is_waiting(self) -> bool:
        return self._states("waits", self.waiting) == ["deferred"]

    def finished(self) -> dict[int, int]:
        """Let trader 5 trade, and wait for the end of all; gives the tries of each export."""
        tasks = self._airflow.finished(FLEET, self.run_id, seconds=240)
        assert self.is_waiting()
        self._sandbox.trade(1, account_id=5)
        self._airflow.finished("waits", self.waiting)
        return {task["map_index"]: task["try_number"] for task in tasks if task["task_id"] == "export"}


def test_every_example_dag_is_green(airflow: AirflowProcesses, sandbox: Sandbox) -> None:
    airflow.trigger(FLEET, start="2026-01-05", end="2026-01-06")

    def all_green() -> bool:
        sandbox.trade(1, notional=20_000)  # which wakes the DAGs that wait for events
        runs = Counter(airflow.query("SELECT dag_id, state FROM dag_run"))
        assert not any(state == "failed" for _, state in runs), f"{runs}\n{airflow.tail()}"
        # the first run of live trades only catches up
        return all(runs[dag_id, "success"] > (dag_id == LIVE) for dag_id in DAGS)

    airflow.wait_for(all_green, "each example DAG to succeed", seconds=240, every=1)


def test_hosts_log_in_once_at_most(airflow: AirflowProcesses, sandbox: Sandbox) -> None:
    """Which are two workers and the triggerer."""
    assert 1 <= sandbox.stats()["logins"] <= WORKERS + 1
    assert airflow.secret(VARIABLE)["token"]


def test_examples_land_the_rows_of_the_service(
    airflow: AirflowProcesses, sandbox: Sandbox, bucket: Lake, warehouse: str, since: datetime
) -> None:
    for name in ("daily_trades/trades", "nightly_export/trades", "fleet_export/trades"):
        check_rows(sandbox, landed(bucket, f"exports/{name}"))
    live = sorted(landed(bucket, "exports/live_trades"), key=lambda export: export[0]["start"])
    assert datetime.fromisoformat(live[0][0]["start"]) == since
    assert all(one["end"] == next_one["start"] for (one, _), (next_one, _) in pairwise(live))
    assert check_rows(sandbox, live)
    ((start, end),) = airflow.query(
        "SELECT data_interval_start, data_interval_end FROM dag_run WHERE dag_id = 'hyperoru_trades_to_sql'"
    )
    with psycopg.connect(warehouse) as database:
        loaded = [row[0] for row in database.execute("SELECT trade_id FROM trades")]
    rows = sandbox.trades(start.astimezone(UTC).strftime(TIMES), end.astimezone(UTC).strftime(TIMES))
    assert sorted(loaded) == sorted(str(row["trade_id"]) for row in rows)
    assert loaded


def test_kills_and_restarts_cost_time_and_nothing_else(
    airflow: AirflowProcesses, sandbox: Sandbox, bucket: Lake
) -> None:
    """A hundred exports, whose token ends when they begin."""
    sandbox.set_faults(latency=0.1)
    fleet = Fleet(airflow, sandbox, bucket.address("fleet"))
    fleet.when_done(2)
    before = sandbox.stats()["logins"]
    sandbox.revoke_tokens()

    fleet.when_done(15)
    victims = airflow.wait_for(lambda: fleet.run_by("worker-1"), "the first worker to run exports", every=0.01)
    airflow.replace("worker-1")
    fleet.when_done(30)
    airflow.replace("triggerer")
    assert fleet.is_waiting()

    fleet.when_done(40)
    sandbox.set_faults(latency=1.5)  # so that exports go on until all is restarted
    for name in (*airflow.workers, "scheduler", "triggerer", "dag-processor", "api-server"):
        airflow.wait_for(lambda: fleet.exports("running"), "exports to run")
        airflow.restart(name)
        assert fleet.is_waiting()
    assert len(fleet.exports("success")) < EXPORTS, "the exports were over before all was restarted"
    sandbox.set_faults(latency=0)

    tries = fleet.finished()
    logins = sandbox.stats()["logins"] - before
    print(f"{len(victims)} exports were killed; {logins} logins followed the end of the token")
    assert len(tries) == EXPORTS
    assert victims.keys() <= {index for index, number in tries.items() if number > 1}
    assert 1 <= logins <= WORKERS + 1
    exports = landed(bucket, "fleet")
    assert len(exports) == EXPORTS
    check_rows(sandbox, exports, window=fleet.window)


def test_no_task_is_stuck(airflow: AirflowProcesses) -> None:
    sql = (
        "SELECT dag_id, task_id, state FROM task_instance WHERE state IS NULL OR state NOT IN ('success', 'skipped') "
        "UNION ALL SELECT dag_id, run_id, state FROM dag_run WHERE state != 'success'"
    )
    airflow.wait_for(lambda: airflow.query(sql) == [], "all tasks to be done")
    sql = "SELECT dag_id, run_id, task_id, map_index FROM task_state_store WHERE key = 'hyperoru_export'"
    for task in airflow.query(sql):  # of one that ended while the API server was away
        names = ("dag_id", "run_id", "task_id", "map_index")
        place = airflow.home.joinpath("logs", *map("{}={}".format, names, task))
        logs = "".join(log.read_text() for log in place.glob("*.log"))
        assert "hyperoru_export could not be cleared" in logs, task


def test_nothing_is_left_on_the_workers(airflow: AirflowProcesses) -> None:
    for worker in airflow.workers:
        left = {path.name for path in (airflow.home / f"scratch-{worker}").iterdir() if path.suffix != ".lock"}
        assert not {name for name in left if name.startswith("hyperoru")}


def test_no_secret_is_kept(airflow: AirflowProcesses) -> None:
    token = airflow.secret(VARIABLE)["token"]
    seen = 0
    for place, text in airflow.everything():
        seen += 1
        assert not any(secret in text for secret in (PASSWORD.encode(), token[:20].encode())), place
    assert seen > 1_000


Export = tuple[dict[str, str], list[str]]


def landed(bucket: Lake, name: str) -> list[Export]:
    """The window and the rows of each export below a directory, after a check of its files."""
    files = bucket.files(name)
    found: list[Export] = []
    for path, text in files.items():
        directory, _, file_name = path.rpartition("/")
        if file_name != "_manifest.json":
            continue
        manifest: dict[str, Any] = json.loads(text)
        rows: list[str] = []
        for file in manifest["files"]:
            data = files[f"{directory}/{file['name']}"]
            assert hashlib.sha256(data).hexdigest() == file["sha256"]
            rows += gzip.decompress(data).decode().splitlines()
        assert len(rows) == manifest["rows"]
        found.append((manifest["window"], rows))
    assert found
    return found


def check_rows(sandbox: Sandbox, exports: list[Export], window: tuple[str, str] | None = None) -> int:
    """Compare the rows of exports with the service's own; gives how many there are."""
    starts, ends = zip(*((window["start"], window["end"]) for window, _ in exports), strict=True)
    assert window in (None, (min(starts), max(ends)))
    rows = sorted(row for _, rows in exports for row in rows)
    assert rows == sorted(sandbox.rows("trades", min(starts), max(ends)))
    return len(rows)

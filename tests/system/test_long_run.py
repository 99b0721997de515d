"""A triggerer and exports over hours, beside a market that is sped up and a server that fails: nothing piles up.

HYPERORU_LONG_SECONDS says how long; ``make long-run`` takes two hours. What is sampled is kept in ``samples.ndjson``,
and ``python -m tests.system.flatness`` judges it at any time.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from hyperoru_provider.sandbox import Sandbox
from tests.airflow_home import connection, migrated
from tests.databases import of_one_own
from tests.exports import windows
from tests.listed import held
from tests.places import EXAMPLES
from tests.system import flatness
from tests.system.airflow_processes import AirflowProcesses, files

SECONDS = float(os.environ.get("HYPERORU_LONG_SECONDS", "0"))
EACH = min(30.0, SECONDS / 40)
PACE = 10
LIVE = "hyperoru_live_trades"
FAULTS: dict[str, Any] = {
    "pace": PACE,
    "error_rate": 0.02,
    "rate_limit_rate": 0.01,
    "retry_after": 1,
    "drop_rate": 0.01,
    "truncate_rate": 0.01,
    "socket_drop_rate": 0.0005,
    "socket_lose_rate": 0.01,
    "socket_duplicate_rate": 0.01,
    "socket_malformed_rate": 0.001,
}
CALM = {name: 0 for name in FAULTS if name.endswith("_rate")}
# what takes some of a core by itself is slowed down
SLOW = {
    "AIRFLOW__CORE__PARALLELISM": "4",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "5",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "1",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "5",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "60",
}

HERE = Path(__file__).resolve().parent / "long"


def test_what_grows_is_told_from_what_wavers() -> None:
    wave = [100 + number * 7 % 13 for number in range(120)]
    values: dict[str, Callable[[int], float]] = {
        "wavers": lambda number: wave[number],
        "warms up": lambda number: min(number, 35) * 50,
        "falls": lambda number: -number,
        "one that is left each time": lambda number: number,
        "several at once now and then": lambda number: number // 20 * 20,
        "grows below its noise": lambda number: wave[number] + number / 4,
        "one more in the end": lambda number: 3 + (number > 70),
        "airflow: history": lambda number: number,
    }
    samples = [{"at": number * 30, **{name: value(number) for name, value in values.items()}} for number in range(120)]
    growing = [
        "grows below its noise",
        "one more in the end",
        "one that is left each time",
        "several at once now and then",
    ]
    assert flatness.report(samples)[1] == growing


class Sampler:
    """Samples what an Airflow holds, into a file."""

    def __init__(self, airflow: AirflowProcesses, sandbox: Sandbox, path: Path) -> None:
        self.path = path
        self._airflow = airflow
        self._sandbox = sandbox
        self._costs = (airflow.home / "costs.ndjson").open("a+")
        tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        counts = [f"SELECT '{table}', COUNT(*) FROM \"{table}\"" for (table,) in airflow.query(tables)]
        self._counts = " UNION ALL ".join(counts)

    def sample(self) -> None:
        """Add a sample."""
        sample = {
            "at": time.time(),
            **self._processes(),
            **self._tasks(),
            **self._files(),
            **self._rows(),
            "sandbox: sockets": self._sandbox.stats()["sockets"]["open"],
        }
        with self.path.open("a") as file:
            file.write(json.dumps(sample) + "\n")

    def _processes(self) -> dict[str, float]:
        found: Counter[str] = Counter()
        for name in ("triggerer", "scheduler", "dag-processor", "api-server"):
            for number, process in enumerate(self._airflow.family(name)):
                # the triggerer's first process supervises the one that runs the provider's triggers
                of_ours = name == "triggerer" and number
                owner = "triggerer" if of_ours else f"airflow: {name}{', children' if number else ''}"
                try:
                    with process.oneshot():
                        found[f"{owner}: MB"] += process.memory_info().rss / 1e6
                        found[f"{owner}: files"] += process.num_fds()
                        found[f"{owner}: sockets"] += len(process.net_connections("inet"))
                        found["airflow: CPU seconds"] += sum(process.cpu_times()[:2])
                except psutil.NoSuchProcess:
                    continue
        return dict(found)

    def _tasks(self) -> dict[str, float]:
        """The most that a task of each kind held since the last sample."""
        found: dict[str, float] = {}
        for line in self._costs:
            cost = json.loads(line)
            for what, value in {
                "MB": cost["peak_kb"] / 1e3,
                "files": cost["files"],
                "sockets": cost["sockets"],
            }.items():
                name = f"task {cost['task']}: {what}"
                found[name] = max(found.get(name, 0), value)
        return found

    def _files(self) -> dict[str, int]:
        home = self._airflow.home
        scratch = [path.name for path in (home / "scratch").iterdir()]
        ours = sum(name.startswith("hyperoru") for name in scratch)
        left = [path for path in files(home / "exports") if not path.name.startswith(("part-", "_manifest"))]
        return {
            "files: temporary, of the provider": ours,
            "airflow: files: temporary, others": len(scratch) - ours,
            "files: home": len(list(home.iterdir())),
            "files: beside exports": len(left),
        }

    def _rows(self) -> dict[str, float]:
        rows = dict(self._airflow.query(self._counts))
        ours = {
            "rows: Variables": rows.pop("variable"),
            "rows: task states": rows.pop("task_state_store"),
            "rows: asset states": rows.pop("asset_state_store"),
            "rows: triggers": rows.pop("trigger"),
            "rows: XComs of a task instance": rows["xcom"] / max(1, rows["task_instance"]),
        }
        return {**ours, **{f"airflow: rows: {name}": count for name, count in rows.items() if count}}


@pytest.fixture
def since() -> datetime:
    return datetime.now(UTC).replace(second=0, microsecond=0)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(password="long-pass-V8n3s1") as sandbox:
        yield sandbox


@pytest.fixture
def warehouse() -> Iterator[str]:
    with of_one_own() as url:
        yield url


@pytest.fixture
def airflow(sandbox: Sandbox, warehouse: str, since: datetime, tmp_path: Path) -> Iterator[AirflowProcesses]:
    """A running Airflow on PostgreSQL, whose DAG of live trades is woken once a minute."""
    home = tmp_path / "home"
    dags = shutil.copytree(HERE / "dags", home / "dags")
    live = (EXAMPLES / f"{LIVE}.py").read_text()
    assert "min_interval=5" in live
    (dags / f"{LIVE}.py").write_text(live.replace("min_interval=5", "min_interval=60"))
    with of_one_own() as url:
        airflow = AirflowProcesses(
            migrated(home, AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=url),
            dags,
            triggerer=True,
            AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=url,
            AIRFLOW__CORE__PLUGINS_FOLDER=str(HERE / "plugins"),
            AIRFLOW_CONN_HYPERORU_DEFAULT=connection(sandbox),
            AIRFLOW_CONN_WAREHOUSE=url_of_a_connection(warehouse),
            HYPERORU_EXPORTS=(home / "exports").as_uri(),
            HYPERORU_SINCE=since.isoformat(),
            **SLOW,
        )
        try:
            airflow.start()
            yield airflow
        finally:
            airflow.kill_all()


def url_of_a_connection(url: str) -> str:
    return url.replace("postgresql://", "postgres://", 1)


@pytest.mark.slow
@pytest.mark.skipif(not SECONDS, reason="make long-run")
@pytest.mark.timeout(900 + 2 * SECONDS)
def test_nothing_piles_up(
    airflow: AirflowProcesses, sandbox: Sandbox, warehouse: str, since: datetime, tmp_path: Path
) -> None:
    """Sockets and requests fail all the time; once in ten minutes the server restarts.

    Tokens end in the first third, which warms up, twelve of them: Airflow keeps each secret that it has to mask, and
    all of them in each expression that it has compiled to find them, so that a token costs it some 100 KB for good.
    """
    sampler = Sampler(airflow, sandbox, tmp_path / "samples.ndjson")
    print(f"Samples are kept in {sampler.path}")
    sandbox.set_faults(**FAULTS)
    begun = time.monotonic()
    next_sample, next_crash, next_end = 0.0, SECONDS / 12, SECONDS / 36
    while (now := time.monotonic() - begun) < SECONDS:
        if now >= next_sample:
            sampler.sample()
            next_sample += EACH
        if now >= next_crash:
            sandbox.stop()
            sandbox.start()
            next_crash += SECONDS / 12
        if now >= next_end and now < SECONDS / 3:
            sandbox.revoke_tokens()
            next_end += SECONDS / 36
        time.sleep(min(1.0, EACH))
    table, growing = flatness.report(flatness.read(sampler.path))
    print(table)
    check_rows(airflow, sandbox, warehouse, since)
    assert not growing, table


def check_rows(airflow: AirflowProcesses, sandbox: Sandbox, warehouse: str, since: datetime) -> None:
    """Check that what was exported and loaded is what the market traded."""
    sandbox.set_faults(**CALM)
    last = datetime.now(UTC).replace(second=0, microsecond=0)

    def complete() -> bool:
        found = windows(airflow.home / "exports")
        return bool(found) and datetime.fromisoformat(found[-1][0]["end"]) > last

    airflow.wait_for(complete, "the last export", seconds=300, every=5)
    exports = windows(airflow.home / "exports")
    rows = [row for _, rows in exports for row in rows]
    assert all(one["end"] == next_one["start"] for (one, _), (next_one, _) in pairwise(exports))
    assert rows == held(sandbox, start=since.isoformat(), end=exports[-1][0]["end"])
    assert len(rows) > PACE / 2 * SECONDS

    loads = airflow.query(
        "SELECT r.data_interval_start, r.data_interval_end FROM dag_run r JOIN task_instance i USING (dag_id, run_id) "
        "WHERE dag_id = 'every_minute' AND task_id = 'load' AND i.state = 'success'"
    )
    assert len(loads) > SECONDS / 120
    with psycopg.connect(warehouse) as database:
        loaded = {int(row[0]) for row in database.execute("SELECT trade_id FROM trades")}
    expected = {
        json.loads(row)["trade_id"]
        for start, end in loads
        for row in held(sandbox, start=start.isoformat(), end=end.isoformat())
    }
    assert loaded == expected

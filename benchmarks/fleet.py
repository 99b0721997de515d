"""Measures one window, exported by the example ``hyperoru_fleet_export`` on 2 and on 4 Celery workers.

The whole deployment runs here: scheduler, dag-processor, api-server, the workers with one process each, PostgreSQL and
Redis. The service is a sandbox that takes its time for each answer, as a real one does. The last measurement is of as
many workers and a pool of fewer slots: it is the pool that bounds what the service sees.
"""

# ruff: noqa: T201

from __future__ import annotations

import argparse
import json
import shutil
import signal
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from hyperoru_provider.sandbox import Sandbox
from tests.airflow_home import connection, migrated
from tests.databases import of_one_own, redis_of_one_own
from tests.places import EXAMPLES
from tests.sample_trades import trades
from tests.system.airflow_processes import AirflowProcesses

DAG = "hyperoru_fleet_export"
POOL = "fleet"
START = datetime(2026, 3, 1, tzinfo=UTC)


class Run(NamedTuple):
    """What one run took."""

    seconds: float
    exports: int
    logins: int
    at_once: int


@contextmanager
def deployed(sandbox: Sandbox) -> Iterator[AirflowProcesses]:
    """Run Airflow with the example and without a worker."""
    with (
        tempfile.TemporaryDirectory(prefix="hyperoru-fleet-") as directory,
        of_one_own() as database,
        redis_of_one_own() as broker,
    ):
        home = Path(directory, "home")
        dags = home / "dags"
        dags.mkdir(parents=True)
        shutil.copy(EXAMPLES / f"{DAG}.py", dags)
        airflow = AirflowProcesses(
            migrated(home, AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=database),
            dags,
            broker=broker,
            AIRFLOW__CELERY__WORKER_CONCURRENCY="1",
            AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=database,
            AIRFLOW_CONN_HYPERORU_DEFAULT=connection(sandbox),
            HYPERORU_EXPORTS=(home / "exports").as_uri(),
            HYPERORU_POOL=POOL,
        )
        try:
            airflow.start()
            yield airflow
        finally:
            airflow.kill_all()


def measure(airflow: AirflowProcesses, sandbox: Sandbox, days: int, latency: float) -> Run:
    """Export the window once, beginning with a token that has ended."""
    sandbox.reset()
    sandbox.set_faults(latency=latency)
    sandbox.revoke_tokens()
    end = START + timedelta(days=days)
    run_id = airflow.trigger(DAG, start=f"{START:%Y-%m-%d}", end=f"{end:%Y-%m-%d}")
    airflow.finished(DAG, run_id, seconds=1800)
    stats = sandbox.stats()
    sql = (
        "SELECT EXTRACT(EPOCH FROM MAX(end_date) - MIN(start_date)), COUNT(*), SUM(try_number) FROM task_instance "
        "WHERE dag_id = :dag_id AND run_id = :run_id AND task_id = 'export'"
    )
    ((seconds, exports, tries),) = airflow.query(sql, dag_id=DAG, run_id=run_id)
    assert tries == exports, "an export was repeated"
    return Run(float(seconds), exports, stats["logins"], stats["max_in_flight"])


def exported(airflow: AirflowProcesses) -> int:
    """Add up the rows of all exports."""
    manifests = (airflow.home / "exports").rglob("_manifest.json")
    return sum(int(json.loads(path.read_text())["rows"]) for path in manifests)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 4], help="how many, from few to many")
    parser.add_argument("--days", type=int, default=8, help="of the window; each has an export for each of 4 traders")
    parser.add_argument("--rows", type=int, default=64_000, help="in the window")
    parser.add_argument("--latency", type=float, default=300.0, help="milliseconds before each answer")
    parser.add_argument("--rounds", type=int, default=3, help="the median of so many is taken")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that a kill, too, ends and removes everything
    most, fewest = max(options.workers), min(options.workers)
    lines = ["| Workers | Slots | Exports | Rows | Seconds | Rows per second | Logins | Requests at once |"]
    lines.append("| --- " * 8 + "|")
    rows = trades(options.rows, START, timedelta(days=options.days))
    with Sandbox(rows=rows) as sandbox, deployed(sandbox) as airflow:
        for workers, slots in [*((workers, most) for workers in options.workers), (most, fewest)]:
            airflow.scale(workers)
            airflow.set_pool(POOL, slots)
            runs = [measure(airflow, sandbox, options.days, options.latency / 1000) for _ in range(options.rounds)]
            assert exported(airflow) == options.rows
            print(*runs, sep="\n", file=sys.stderr, flush=True)
            seconds = statistics.median(run.seconds for run in runs)
            logins, at_once = (sorted({run[field] for run in runs}) for field in (2, 3))
            lines.append(
                f"| {workers} | {slots} | {runs[0].exports} | {options.rows:,} | {seconds:.0f} | "
                f"{options.rows / seconds:,.0f} | {', '.join(map(str, logins))} | {', '.join(map(str, at_once))} |"
            )
    print("\n".join(lines))


if __name__ == "__main__":
    main()

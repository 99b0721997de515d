"""Runs servers and contenders in processes of their own. This process stays small.

It must: on Linux the peak memory of a process that was started is at least that of the one that started it.
"""

# ruff: noqa: S603

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

from benchmarks.contenders import XCOM, Contender
from benchmarks.job import Job
from benchmarks.server import COUNTS, EMAIL, PASSWORD, TOKEN

ROOT = Path(__file__).resolve().parents[1]
_LONGEST = 3600.0


class Failed(Exception):
    """A contender broke, or lost rows."""


@dataclass(frozen=True)
class Sample:
    """What one run cost: wall clock, CPU seconds, peak memory in bytes, and requests that were answered or refused."""

    seconds: float
    cpu: float
    peak: int
    profile: str = ""
    answered: int = 0
    refused: int = 0


@dataclass(frozen=True)
class Server:
    """A running server, its rows, and the exact sum that they must come to."""

    port: int
    rows: int
    total: Decimal


class Group(NamedTuple):
    """What all contenders are measured with: milliseconds before each answer, rows, and requests allowed a second."""

    latency: float
    rows: int
    quota: int | None = None

    def __str__(self) -> str:
        """Return it as the title of a table."""
        allowed = f", {self.quota} requests a second allowed" if self.quota else ""
        return f"{self.latency:g} ms a request, {self.rows:,} rows{allowed}"


@contextmanager
def serving(group: Group) -> Iterator[Server]:
    """Run a server; it ends with the block, or with this process."""
    latency, rows, quota = group
    command = [sys.executable, "-m", "benchmarks.server", "--rows", str(rows), "--latency", str(latency)]
    command += [] if quota is None else ["--quota", str(quota)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            facts = json.loads(process.stdout.readline() if process.stdout else b"")
            yield Server(facts["port"], rows, Decimal(facts["total"]))
        finally:
            process.kill()


def run(contender: Contender, server: Server, directory: Path, *options: str) -> Sample:
    """Let a contender do the job once.

    :param directory: for what all runs write; each cleans up behind itself.
    :param options: of :mod:`benchmarks.child`.
    :raises Failed: it broke, or what landed is not what the server has.
    """
    before, place = _counts(server), directory / "run"
    home, work, result = place / "airflow", place / "work", place / "result.json"
    work.mkdir(parents=True)
    job = Job(server.port, server.rows, str(work))
    try:
        if contender.name == XCOM:
            shutil.copytree(_migrated(directory / "migrated"), home)
        environment = {**airflow_environment(home), **_connections(job), **job.as_environment(), "TMPDIR": str(place)}
        _python(["benchmarks.child", contender.name, str(result), *options], environment, place / "log")
        found = json.loads(result.read_text())
    finally:
        shutil.rmtree(place)
    total = None if found["total"] is None else Decimal(found["total"])
    if found["rows"] not in (None, server.rows) or total not in (None, server.total):
        came, sent = f"{found['rows']} rows of {total}", f"{server.rows} of {server.total}"
        raise Failed(f"{contender.name}: there came {came} in all, but the server has {sent}.")
    after = _counts(server)
    answered, refused = (after[name] - before[name] for name in ("answered", "refused"))
    return Sample(**found["cost"], answered=answered, refused=refused)


def _counts(server: Server) -> dict[str, int]:
    """Give how many requests the server has answered and refused."""
    with urlopen(f"http://127.0.0.1:{server.port}{COUNTS}") as response:
        counts: dict[str, int] = json.load(response)
    return counts


def _migrated(home: Path) -> Path:
    """Make an Airflow with a database, once."""
    if not home.exists():
        _python(["airflow", "db", "migrate"], airflow_environment(home), home / "log")
    return home


def airflow_environment(home: Path) -> dict[str, str]:
    """Give the environment of an Airflow that has nothing of the user's own."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "airflow.cfg").touch()  # Airflow would write a long one
    return {
        **{name: value for name, value in os.environ.items() if not name.lstrip("_").startswith(("AIRFLOW", "PYTHON"))},
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "benchmarks" / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        # it has each task that reports a hook's lineage, as ours does, load the assets of all providers
        "AIRFLOW__OPENLINEAGE__DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "TZ": "UTC",
    }


def _connections(job: Job) -> dict[str, str]:
    ours = {"conn_type": "hyperoru", "login": EMAIL, "password": PASSWORD, "extra": {"token_cache": "memory"}}
    http = {"conn_type": "http", "extra": {"Authorization": f"Bearer {TOKEN}"}}
    return {
        "AIRFLOW_CONN_HYPERORU_DEFAULT": json.dumps({"host": job.url, **ours}),
        "AIRFLOW_CONN_BENCH_HTTP": json.dumps({"host": job.url, **http}),
    }


def _python(command: list[str], environment: dict[str, str], log: Path) -> None:
    """Run a module to its end, with its output in a file."""
    try:
        with log.open("wb") as output:
            subprocess.run(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=True,
                timeout=_LONGEST,
            )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
        raise Failed(f"{error}\n{end}") from None

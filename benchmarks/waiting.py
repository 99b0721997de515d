"""Measures what thousands of deferred sensors cost a triggerer: ours, and the HTTP provider's beside them."""

# ruff: noqa: S603, T201

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from urllib.request import urlopen

import psutil

from benchmarks.server import EMAIL, PASSWORD
from benchmarks.waiting_server import MARKS

ROOT = Path(__file__).resolve().parents[1]
_NAMES = {"health": "HyperoruHealthSensor", "http": "HttpSensor", "price": "HyperoruPriceSensor, 50 symbols"}
_LATE = 0.5


@dataclass(frozen=True)
class Sample:
    """What a triggerer needs: CPU as a share of one core, memory and sockets of the process with the event loop."""

    cpu: float
    loop_cpu: float
    memory: int
    sockets: int


@dataclass(frozen=True)
class Result:
    """What one measurement found."""

    kind: str
    count: int
    running: int
    before: Sample
    during: Sample
    after: Sample
    requests: float
    on_time: float
    worst: float
    blocked: int

    @property
    def cpu(self) -> float:
        """The share of a core that the waiting costs."""
        return self.during.cpu - self.before.cpu


class Triggerer:
    """A real triggerer with a home of its own.

    :param home: its directory.
    :param port: where the server is.
    :param most: how many triggers it may have.
    """

    def __init__(self, home: Path, port: int, most: int) -> None:
        self._home = home
        self._port = port
        home.mkdir()
        (home / "airflow.cfg").touch()  # Airflow would write a long one
        connection = {"host": f"http://127.0.0.1:{port}", "login": EMAIL, "password": PASSWORD}
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.lstrip("_").startswith("AIRFLOW")},
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
            "AIRFLOW__CORE__UNIT_TEST_MODE": "false",
            "AIRFLOW__TRIGGERER__CAPACITY": str(most),
            "AIRFLOW__TRIGGERER__MAX_TRIGGER_TO_SELECT_PER_LOOP": "500",
            "AIRFLOW_CONN_HYPERORU_DEFAULT": json.dumps(
                {**connection, "conn_type": "hyperoru", "extra": {"token_cache": "memory"}}
            ),
            "AIRFLOW_CONN_HTTP_DEFAULT": json.dumps({"conn_type": "http", "host": connection["host"]}),
            "NO_PROXY": "127.0.0.1",
        }
        self._do("airflow", "db", "migrate")
        self.log = home / "triggerer.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "airflow", "triggerer", "--skip-serve-logs"],
                env=self._environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def begin(self, kind: str, count: int, interval: float, patience: float) -> int:
        """Let so many tasks wait, and see their triggers run; gives how many do when the patience ends."""
        self._do("benchmarks.waiting_rows", kind, "--count", str(count), "--interval", str(interval))
        logs = self._home / "logs"
        until = time.monotonic() + patience
        while (running := sum(1 for _ in logs.rglob("*.trigger.*.log"))) < count and time.monotonic() < until:
            if self._process.poll() is not None:  # else each trigger has said in a log that it starts
                raise RuntimeError(self.log.read_text(errors="replace")[-3000:])
            time.sleep(1)
        return running

    def end(self) -> None:
        """Let all tasks end."""
        self._do("benchmarks.waiting_rows", "end")

    def stop(self) -> None:
        """End it with its children."""
        for process in self._family():
            process.kill()
        self._process.wait()

    def sample(self, seconds: float) -> Sample:
        """Watch it for a while."""
        runner = self._family()[-1]
        begun, cpu, loop = time.monotonic(), self._cpu(), _cpu(runner)
        time.sleep(seconds)
        spent = time.monotonic() - begun
        sockets = sum(1 for each in runner.net_connections() if each.raddr and each.raddr.port == self._port)
        return Sample((self._cpu() - cpu) / spent, (_cpu(runner) - loop) / spent, runner.memory_info().rss, sockets)

    def blocked(self) -> int:
        """Give how often its loop was blocked so far."""
        return self.log.read_text(errors="replace").count("async thread was blocked")

    def _cpu(self) -> float:
        return sum(map(_cpu, self._family()))

    def _family(self) -> list[psutil.Process]:
        parent = psutil.Process(self._process.pid)
        return [parent, *parent.children(recursive=True)]

    def _do(self, *command: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", *command],
            env=self._environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stdout[-1000:] + done.stderr[-3000:])


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def serving(latency: float) -> Iterator[int]:
    """Run the server; gives its port."""
    command = [sys.executable, "-m", "benchmarks.waiting_server", "--latency", str(latency)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield int(process.stdout.readline())
        finally:
            process.kill()


def measure(kind: str, count: int, options: argparse.Namespace, directory: Path) -> Result:
    """Let so many wait, and watch the triggerer and the server."""
    with serving(options.latency) as port:
        triggerer = Triggerer(directory / f"{kind}-{count}", port, count + 100)
        try:
            time.sleep(5)
            before = triggerer.sample(10)
            running = triggerer.begin(kind, count, options.interval, options.patience)
            time.sleep(1.5 * options.interval)
            marks(port)
            blocked = triggerer.blocked()
            during = triggerer.sample(options.seconds)
            asked = marks(port)
            blocked = triggerer.blocked() - blocked
            triggerer.end()
            time.sleep(10)
            after = triggerer.sample(2)
        finally:
            triggerer.stop()
    late = [abs(later - earlier - options.interval) for times in asked.values() for earlier, later in pairwise(times)]
    on_time = sum(1 for each in late if each <= _LATE) / len(late) if late else 0.0
    requests = sum(map(len, asked.values())) * options.interval / options.seconds
    return Result(kind, count, running, before, during, after, requests, on_time, max(late, default=0.0), blocked)


def marks(port: int) -> dict[str, list[float]]:
    """Give when the server was asked what since the last time."""
    found = defaultdict(list)
    with urlopen(f"http://127.0.0.1:{port}{MARKS}") as answer:
        for moment, what in json.load(answer):
            found[what].append(moment)
    return found


def table(results: list[Result], interval: float) -> str:
    """Write the results in Markdown."""
    lines = [
        f"| Sensors | CPU, share of a core | of it the event loop | requests in {interval:g} s "
        f"| on time (±{_LATE:g} s) | worst | loop blocked | memory before, during, after "
        "| sockets before, during, after |",
        "| --- " * 9 + "|",
    ]
    for each in results:
        started = "" if each.running == each.count else f", of which {each.running:,} had started"
        three = (each.before, each.during, each.after)
        memory = ", ".join(f"{sample.memory / 1e6:.0f}" for sample in three)
        sockets = ", ".join(f"{sample.sockets}" for sample in three)
        loop = each.during.loop_cpu - each.before.loop_cpu
        lines.append(
            f"| {each.count:,} {_NAMES[each.kind]}{started} | {each.cpu:.1%} | {loop:.1%} | {each.requests:.1f} | "
            f"{each.on_time:.1%} | {each.worst:.2f} s | {each.blocked} | {memory} MB | {sockets} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.waiting", description=__doc__)
    parser.add_argument("--triggers", type=int, nargs="+", default=[1_000, 5_000])
    parser.add_argument("--only", nargs="+", choices=_NAMES, default=list(_NAMES))
    parser.add_argument("--interval", type=float, default=10.0, help="seconds from poll to poll")
    parser.add_argument("--seconds", type=float, default=60.0, help="to watch each")
    parser.add_argument("--patience", type=float, default=150.0, help="seconds to wait for all triggers to start")
    parser.add_argument("--latency", type=float, default=20.0, help="milliseconds before each answer")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that a kill, too, ends and removes everything
    results = []
    with tempfile.TemporaryDirectory(prefix="hyperoru-waiting-") as directory:
        for kind in options.only:
            for count in options.triggers[: 1 if kind == "price" else None]:
                results.append(measure(kind, count, options, Path(directory)))
                print(results[-1], file=sys.stderr, flush=True)
    print(table(results, options.interval))


if __name__ == "__main__":
    main()

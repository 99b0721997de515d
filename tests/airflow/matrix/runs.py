"""Runs many cells, some at once, each against a sandbox of its worker, and says which are wrong."""

from __future__ import annotations

import multiprocessing
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.airflow.matrix.cells import Result, run_cell
from tests.airflow.matrix.expected import expected
from tests.airflow.matrix.faults import Fault
from tests.airflow.matrix.outcomes import AS_SENT, EXACT, NOTHING, WAITS
from tests.airflow.matrix.place import PASSWORD, truth
from tests.airflow.matrix.subjects import SUBJECTS, Subject

#: bounds of a cell: the peak of memory above its start in megabytes, requests, and seconds for which a trigger's loop
#: is held. What is held is measured three times before it counts: others use this machine, too
MEGABYTES = 150
REQUESTS = 400
HELD_SECONDS = 0.1
_TRIES = 3
_PATIENCE = 15.0
_IMPATIENCE = 1.0
_CALM = Fault("none", NOTHING, EXACT)


@dataclass(frozen=True)
class Cell:
    """A subject and a fault, and how they must end together."""

    subject: Subject
    fault: Fault
    expected: frozenset[str]

    @classmethod
    def of(cls, subject: Subject, fault: Fault) -> Cell:
        """Return a cell of the matrix."""
        return cls(subject, fault, expected(subject, fault))

    def __str__(self) -> str:
        return f"{self.subject.name} | {self.fault.name}"


@dataclass(frozen=True)
class Worker:
    """What a worker works with.

    :param url: of its sandbox.
    :param earlier: what an earlier run of each subject has committed, by its name.
    """

    url: str
    earlier: Path

    def run(self, cell: Cell) -> Result:
        """Run a cell; again if nothing but the clock speaks against it."""
        for _ in range(_TRIES):
            result = self._run_once(cell)
            if result.held <= HELD_SECONDS:
                break
        return result

    def _run_once(self, cell: Cell) -> Result:
        with tempfile.TemporaryDirectory() as directory:
            if cell.subject.lands:
                shutil.copytree(self.earlier / cell.subject.name, directory, dirs_exist_ok=True)
            patience = _IMPATIENCE if WAITS in cell.expected else _PATIENCE
            return run_cell(self.url, cell.subject, cell.fault, Path(directory), patience)


def problems(cell: Cell, result: Result) -> list[str]:
    """Return what is wrong with a cell."""
    found = list(result.wrongs)
    if result.outcome not in cell.expected:
        found.append(f"{result.outcome} in place of {' or '.join(sorted(cell.expected))}")
    if result.megabytes > MEGABYTES:
        found.append(f"{result.megabytes:.0f} MB above its start")
    if result.requests > REQUESTS:
        found.append(f"{result.requests} requests")
    if result.held > HELD_SECONDS:
        found.append(f"it held the loop for {1000 * result.held:.0f} ms")
    return found


@contextmanager
def sandbox(seed: int) -> Iterator[str]:
    """Run a sandbox as a process, and yield its address."""
    command = [sys.executable, "-m", "hyperoru_provider.sandbox", "--seed", str(seed), "--password", PASSWORD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = re.search(r"http://\S+", process.stdout.readline())
        assert address is not None
        try:
            yield address[0]
        finally:
            process.terminate()


def make_earlier(directory: Path) -> Path:
    """Let each subject that lands rows commit those of another server, which an error must leave alone."""
    with sandbox(seed=8) as url:
        for subject in SUBJECTS.values():
            if subject.lands:
                where = directory / subject.name
                where.mkdir(parents=True)
                result = run_cell(url, subject, _CALM, where, _PATIENCE)
                # its rows are not those of the other server, which only their amounts may tell
                assert result.outcome == AS_SENT or result.outcome.startswith("lie: 0 rows doubled"), result
    return directory


_worker: list[Worker] = []


def _begin(workers: multiprocessing.SimpleQueue[Worker]) -> None:
    _worker.append(workers.get())


def _run(number: int) -> tuple[int, Result]:
    return number, _worker[0].run(_cells[number])


_cells: Sequence[Cell] = ()


def run_all(cells: Sequence[Cell], urls: Iterable[str], earlier: Path) -> Iterator[tuple[Cell, Result]]:
    """Run cells at once on several sandboxes, and yield what comes of them as it comes."""
    global _cells  # inherited by the workers, as functions can't be sent to them
    _cells = cells
    for cell in cells:
        truth(cell.fault.switches.get("merge_after_limit", 0))
    context = multiprocessing.get_context("fork")
    workers: multiprocessing.SimpleQueue[Worker] = context.SimpleQueue()
    urls = list(urls)
    for url in urls:
        workers.put(Worker(url, earlier))
    with context.Pool(len(urls), _begin, (workers,)) as pool:
        for number, result in pool.imap_unordered(_run, range(len(cells))):
            yield cells[number], result

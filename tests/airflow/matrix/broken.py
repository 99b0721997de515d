"""Subjects that break what the matrix holds, each in a way of its own: whoever judges must see them all."""

from __future__ import annotations

import logging
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from unittest import mock

from hyperoru_provider.client.errors import HyperoruContractError
from tests.airflow.matrix import cells
from tests.airflow.matrix.faults import Fault
from tests.airflow.matrix.loops import run_in_loop
from tests.airflow.matrix.outcomes import CONTRACT, EXACT, NOTHING, Asks
from tests.airflow.matrix.place import PASSWORD, Place
from tests.airflow.matrix.runs import Cell, problems
from tests.airflow.matrix.subjects import Subject


def hold_the_loop(place: Place) -> str:
    async def hold() -> str:
        end = time.thread_time() + 0.3
        while time.thread_time() < end:
            pass
        return EXACT

    return run_in_loop(hold())


def take_memory(place: Place) -> str:
    assert len(bytearray(b"x") * 200_000_000)
    return EXACT


def hang(place: Place) -> str:
    time.sleep(60)
    return EXACT


def die(place: Place) -> str:
    os._exit(1)


def fail_raw(place: Place) -> str:
    raise TypeError("an int in place of a str")


def lie(place: Place) -> str:
    return "lie: 1 rows doubled"


def destroy(place: Place) -> str:
    for path in place.directory.iterdir():
        path.unlink()
    raise HyperoruContractError("The server sent the same page twice.")


def log_the_password(place: Place) -> str:
    logging.getLogger("somewhere").debug("logging in with %s", PASSWORD[2:10])
    return EXACT


def print_the_password(place: Place) -> str:
    print(PASSWORD)
    return EXACT


def return_the_password(place: Place) -> str:
    place.keep({"result": [PASSWORD]})
    return EXACT


def write_the_password(place: Place) -> str:
    (place.directory / "part").write_text(PASSWORD)
    return EXACT


def tell_the_password(place: Place) -> str:
    raise HyperoruContractError(f"Not {PASSWORD.encode().hex()}")


WRONG: dict[Callable[[Place], str], str] = {
    hold_the_loop: "it held the loop",
    take_memory: "MB above its start",
    hang: "hangs in place of",
    die: "dies in place of",
    fail_raw: "raw TypeError in place of",
    lie: "lie: 1 rows doubled in place of",
    destroy: "an error changed what was committed before",
    log_the_password: "a secret shows",
    print_the_password: "a secret shows",
    return_the_password: "a secret shows",
    write_the_password: "a secret shows",
    tell_the_password: "a secret shows",
}


def unseen(url: str) -> list[str]:
    """Return those of which nobody saw that they are wrong.

    :param url: of a sandbox.
    """
    calm, found = Fault("none", NOTHING, EXACT), []
    for run, expected in WRONG.items():
        with mock.patch.object(cells, "DEADLINE", 1.0 if run is hang else cells.DEADLINE):
            cell = Cell(Subject(run.__name__, object, Asks.TRADES, run), calm, frozenset({EXACT, CONTRACT}))
            with tempfile.TemporaryDirectory() as directory:
                with closing(sqlite3.connect(Path(directory) / "test.db")) as database:
                    database.executescript("CREATE TABLE trades (id); INSERT INTO trades VALUES (1)")
                told = problems(cell, cells.run_cell(url, cell.subject, calm, Path(directory), patience=1.0))
            if not any(expected in problem for problem in told):
                found.append(f"{run.__name__}: {told}")
    return found

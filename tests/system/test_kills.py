"""Exports of a server with faults, killed at random moments until they end.

HYPERORU_KILLS says how often to kill; ``make kill-test`` does it 200 times.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.databases import Database
from tests.lakes import TABLE, Lake, local_lake
from tests.sample_trades import trades
from tests.system import exporter

KILLS = int(os.environ.get("HYPERORU_KILLS", "12"))
SEED = int(os.environ.get("HYPERORU_SEED", "1"))

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60 + 20 * KILLS)]

DAY = {"start": "2025-04-02", "end": "2025-04-03"}
KINDS: dict[str, dict[str, Any]] = {
    "by rows": {"file_format": "parquet", "rows_per_part": 2_500, "concurrency": 1},
    "by bytes": {"file_format": "jsonl", "compression": "none", "bytes_per_part": 800_000, "concurrency": 2},
}
EARLIER: dict[str, Any] = {"file_format": "jsonl", "compression": "none", "rows_per_part": 3_500}
FAULTS = {"latency": 0.01, "error_rate": 0.05, "rate_limit_rate": 0.03, "drop_rate": 0.03, "retry_after": 0.05}

#: a load of a table of a database, in seven batches
TO_DATABASE: dict[str, Any] = {"start": "2025-04-02", "end": "2025-04-02T08:00:00Z", "batch_rows": 1_500}
#: a load of a table that begins with the rows of some traders
TO_TABLE: dict[str, Any] = {"table": TABLE, "create_table": True, "partition_by_day": True, "concurrency": 2}
ROWS = 30_000

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([exporter.__name__])


class Kind(NamedTuple):
    """A kind of export, what it leaves undisturbed, and how many seconds that takes."""

    arguments: dict[str, Any]
    files: dict[str, bytes]
    seconds: float


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A sandbox in a process of its own."""
    data = tmp_path_factory.mktemp("data") / "trades.ndjson"
    data.write_bytes(b"\n".join(trades(ROWS, datetime(2025, 4, 2, tzinfo=UTC), timedelta(days=1))))
    faults = [f"--fault={name}={value}" for name, value in FAULTS.items()]
    with subprocess.Popen(
        [sys.executable, "-m", "hyperoru_provider.sandbox", "--data", str(data), *faults],
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            assert server.stdout
            told = re.search(r"(http\S+) \(login (\S+), password (\S+)\)", server.stdout.readline())
            assert told
            yield json.dumps(
                {
                    "conn_type": "hyperoru",
                    "host": told[1],
                    "login": told[2],
                    "password": told[3],
                    "extra": {"token_cache": "memory", "max_retries": 20},
                }
            )
        finally:
            server.kill()


@pytest.fixture(scope="module", autouse=True)
def fork_server() -> Iterator[None]:
    """Let the process that is forked find what it loads first: it is given no path of ours (gh-126631)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        yield


def begin(connection: str, where: Path, lake: Lake | None = None, **arguments: Any) -> Any:
    environment = {} if lake is None else {"AIRFLOW_CONN_ICEBERG_DEFAULT": json.dumps(lake.connection)}
    return begin_process(
        exporter.run_beside_others,
        where,
        *(connection, where, DAY | arguments, environment, exporter.Conditions()),
    )


def begin_process(target: Callable[..., None], where: Path, *arguments: Any) -> Any:
    (where / "temp").mkdir(parents=True, exist_ok=True)
    process = _processes.Process(target=target, args=arguments)
    process.start()
    return process


def ended(process: Any) -> None:
    process.join(60)
    assert process.exitcode == 0


def kills_until_done(begin: Callable[[], Any], check: Callable[[], None] = lambda: None) -> int:
    """Kill one process after another until one has ended by itself, and return how many were killed.

    :param begin: begins one, and waits for the moment to kill it.
    :param check: fails if what is there then is neither what was there before nor all of it.
    """
    kills = 0
    while True:
        process = begin()
        process.kill()
        process.join()
        check()
        if process.exitcode == 0:
            return kills
        assert process.exitcode == -9
        kills += 1


def files_of(where: Path) -> dict[str, bytes]:
    files = (path for path in (where / "export").rglob("*") if path.is_file())
    return {str(path.relative_to(where)): path.read_bytes() for path in files}


def undisturbed(connection: str, where: Path, arguments: dict[str, Any]) -> Kind:
    ended(begin(connection, where / "warm", **arguments))
    begun = time.monotonic()
    ended(begin(connection, where, **arguments))
    seconds = time.monotonic() - begun
    files = files_of(where)
    assert files == files_of(where / "warm")
    assert len(files) > 8
    return Kind(arguments, files, seconds)


def test_killed_exports_end_as_undisturbed_ones(connection: str, tmp_path: Path) -> None:
    kinds = [undisturbed(connection, tmp_path / name, arguments) for name, arguments in KINDS.items()]
    ended(begin(connection, tmp_path / "earlier", **EARLIER))
    rng = random.Random(SEED)
    kills = resumed = exports = 0
    while kills < KILLS or not resumed:
        exports += 1
        kind = kinds[exports % 2]
        where = tmp_path / f"killed-{exports}"
        if rng.random() < 0.5:
            shutil.copytree(tmp_path / "earlier", where)

        def begin_export(kind: Kind = kind, where: Path = where) -> Any:
            process = begin(connection, where, **kind.arguments)
            process.join(rng.uniform(0, 1.2 * kind.seconds))
            return process

        kills += kills_until_done(begin_export)
        assert files_of(where) == kind.files, f"export {exports} of seed {SEED}"
        assert not [path for path in (where / "temp").iterdir() if path.suffix != ".lock"]
        resumed += (where / "log").read_text().count("Resuming after")
        shutil.rmtree(where)
    print(f"{kills} kills in {exports} exports, {resumed} tries resumed, undisturbed {kinds[0].seconds:.1f} s")
    assert resumed > kills / 20  # the others were killed before the first part was closed


@pytest.mark.parametrize("database", ["sqlite", "postgres", "mariadb"], indirect=True)
def test_killed_loads_of_a_table_show_all_or_nothing(connection: str, tmp_path: Path, database: Database) -> None:
    """In both modes, over a table whose rows all differ: after each kill it is as it was, or as it is to be."""

    def begin_load(mode: str) -> Any:
        place = json.dumps(database.connection)
        return begin_process(exporter.load, tmp_path, connection, tmp_path, TO_DATABASE | {"mode": mode}, place)

    def begin_any_load() -> Any:
        process = begin_load(rng.choice(["replace", "upsert"]))
        process.join(rng.uniform(0, 1.5 * seconds))
        return process

    def check() -> None:
        assert rows() in (before, whole), f"load {loads} of seed {SEED}"

    def rows() -> list[tuple[Any, ...]]:
        return sorted(database.query("SELECT trade_id, account_name, price, side FROM trades"))

    for _ in range(2):  # the first one is slower
        begun = time.monotonic()
        ended(begin_load("replace"))
        seconds = time.monotonic() - begun
    whole = rows()
    assert len(whole) > 6 * TO_DATABASE["batch_rows"]
    rng = random.Random(SEED)
    kills = loads = 0
    while kills < max(KILLS // 3, 4):
        loads += 1
        database.query("UPDATE trades SET account_name = 'old', side = 'SELL'")
        database.query("DELETE FROM trades WHERE trade_id LIKE '%7'")
        before = rows()
        kills += kills_until_done(begin_any_load, check)
        assert rows() == whole
        assert not [path for path in (tmp_path / "temp").iterdir() if path.suffix != ".lock"]
    print(f"{kills} kills in {loads} loads into {database.kind}, undisturbed {seconds:.1f} s")


class Loads:
    """Loads of one table, one after another.

    :param connection: of the server.
    :param where: the directory of the table.
    """

    def __init__(self, connection: str, where: Path) -> None:
        where.mkdir()
        self._connection, self._where, self.lake = connection, where, local_lake(where)

    def whole(self, **arguments: Any) -> float:
        """Load to the end, and return how many seconds it took after all was read."""
        process = begin(self._connection, self._where, self.lake, **TO_TABLE, **arguments)
        self.wait_until_read(process)
        begun = time.monotonic()
        ended(process)
        return time.monotonic() - begun

    def wait_until_read(self, process: Any) -> None:
        """Wait until the rows are read, and written from then on."""
        log, seen = self._where / "log", self.count_read()
        while process.is_alive() and (not log.exists() or self.count_read() == seen):
            time.sleep(0.005)

    def count_read(self) -> int:
        """Return how many tries have read all rows."""
        log = self._where / "log"
        return log.read_text().count("rows are read; writing them") if log.exists() else 0

    def begin(self, rng: random.Random, reading: float, writing: float) -> Any:
        """Begin a load, and wait for a random moment of it."""
        process = begin(self._connection, self._where, self.lake, **TO_TABLE)
        if rng.random() < 0.7:
            self.wait_until_read(process)
            process.join(rng.uniform(0, 1.2 * writing))
        else:
            process.join(rng.uniform(0, reading))
        return process


def test_killed_loads_of_a_table_end_right(connection: str, tmp_path: Path) -> None:
    """Whenever they are killed, a reader sees the rows of before or all of the window."""
    undisturbed = Loads(connection, tmp_path / "undisturbed")
    begun = time.monotonic()
    writing = undisturbed.whole()
    reading = time.monotonic() - begun - writing
    after = undisturbed.lake.prices()
    assert len(after) == ROWS
    rng = random.Random(SEED)
    kills = loads = orphans = 0
    while kills < max(KILLS // 2, 6):
        loads += 1
        table = Loads(connection, tmp_path / f"killed-{loads}")
        table.whole(filters={"account_id": 2})
        before = table.lake.prices()
        assert 0 < len(before) < ROWS

        def check(table: Loads = table, before: dict[str, Any] = before) -> None:
            assert table.lake.prices() in (before, after)

        kills += kills_until_done(partial(table.begin, rng, reading, writing), check)
        assert table.lake.prices() == after, f"load {loads} of seed {SEED}"
        assert len(table.lake.table.snapshots()) == 2
        assert not [path for path in (tmp_path / f"killed-{loads}" / "temp").iterdir() if path.suffix != ".lock"]
        orphans += len(table.lake.orphans())
        shutil.rmtree(tmp_path / f"killed-{loads}")
    print(f"{kills} kills in {loads} loads of a table, undisturbed {reading:.1f} + {writing:.1f} s; {orphans} orphans")

"""Two, five and ten exports of one window at once, some of them killed: one is whole, always, and the others say so.

HYPERORU_CROWDS says how many rounds there are on each storage; ``make crowd-test`` does 300.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from hyperoru_provider.sandbox import Sandbox
from tests.sample_trades import trades
from tests.system import exporter

ROUNDS = int(os.environ.get("HYPERORU_CROWDS", "3"))
SEED = int(os.environ.get("HYPERORU_SEED", "1"))
SIZES = (2, 5, 10)
ROWS = 400
ARGUMENTS = {"start": "2025-04-02", "end": "2025-04-03", "file_format": "jsonl", "compression": "none"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120 + 60 * ROUNDS)]

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([exporter.__name__])

#: returns the destination of a round, and what reads all files there by name
Place = Callable[[str], tuple[str, Callable[[], dict[str, bytes]]]]


@pytest.fixture(scope="module", autouse=True)
def fork_server() -> Iterator[None]:
    """Let the process that is forked find what it loads first: it is given no path of ours (gh-126631)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        yield


@pytest.fixture(scope="module")
def connection() -> Iterator[str]:
    rows = [json.loads(row) for row in trades(ROWS, datetime(2025, 4, 2, tzinfo=UTC), timedelta(days=1))]
    with Sandbox(rows=rows) as server:
        described = {"conn_type": "hyperoru", "host": server.url, "login": server.email, "password": server.password}
        yield json.dumps({**described, "extra": {"token_cache": "memory", "max_retries": 20}})


@pytest.fixture
def local(tmp_path: Path) -> Place:
    def place(name: str) -> tuple[str, Callable[[], dict[str, bytes]]]:
        where = tmp_path / name
        return str(where), lambda: {path.name: path.read_bytes() for path in where.rglob("*") if path.is_file()}

    return place


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    extra = {"endpoint_url": f"http://{host}:{port}", "region_name": "us-east-1"}
    connection = {"conn_type": "aws", "login": "test", "password": "test", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_LAKE", json.dumps(connection))
    bucket = boto3.resource("s3", aws_access_key_id="test", aws_secret_access_key="test", **extra).Bucket("lake")
    bucket.create()

    def place(name: str) -> tuple[str, Callable[[], dict[str, bytes]]]:
        found = bucket.objects.filter(Prefix=f"{name}/")
        return f"s3://lake@lake/{name}", lambda: {
            item.key.rpartition("/")[2]: item.get()["Body"].read() for item in found.all()
        }

    yield place
    server.stop()


def begin(connection: str, where: Path, **arguments: Any) -> Any:
    (where / "temp").mkdir(parents=True, exist_ok=True)
    lake = {name: value for name, value in os.environ.items() if name == "AIRFLOW_CONN_LAKE"}
    process = _processes.Process(
        target=exporter.run_beside_others, args=(connection, where, ARGUMENTS | arguments, lake)
    )
    process.start()
    return process


def statuses(crowd: list[Any], kills: set[int], rng: random.Random) -> list[int]:
    """Wait for the end of each run, or kill it at some moment, and return their exit statuses."""
    for number, process in enumerate(crowd):
        if number in kills:
            process.join(rng.uniform(0, 0.6))
            process.kill()
    for process in crowd:
        process.join(100)
    return [process.exitcode for process in crowd]


def rows_of(files: dict[str, bytes]) -> int:
    """Read an export as a consumer does, checking every hash."""
    named = json.loads(files["_manifest.json"])["files"]
    for file in named:
        assert hashlib.sha256(files[file["name"]]).hexdigest() == file["sha256"]
    return len({json.loads(line)["trade_id"] for file in named for line in files[file["name"]].splitlines()})


@pytest.mark.parametrize("storage", ["local", "s3"])
def test_one_of_a_crowd_is_whole_and_the_others_say_so(
    storage: str, connection: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    place: Place = request.getfixturevalue(storage)
    rng = random.Random(SEED)
    whole = refused = killed = 0
    for number in range(ROUNDS):
        size = SIZES[number % len(SIZES)]
        destination, files = place(f"round-{number}")
        if earlier := rng.random() < 0.5:
            assert statuses([begin(connection, tmp_path / "earlier", destination=destination)], set(), rng) == [0]
        kills = {each for each in range(size) if number % 2 and rng.random() < 0.4}
        crowd = [
            begin(connection, tmp_path / f"{number}-{each}", destination=destination, rows_per_part=90 + each)
            for each in range(size)
        ]
        ended = statuses(crowd, kills, rng)
        assert {*ended} <= {0, exporter.REFUSED, -9}, f"round {number} of seed {SEED}"
        found = files()
        if earlier or 0 in ended or exporter.REFUSED in ended or "_manifest.json" in found:
            assert rows_of(found) == ROWS, f"round {number} of seed {SEED}"
        assert -9 in ended or 0 in ended
        if -9 not in ended:
            shown = {name for name in found if name.startswith("part-")}
            assert shown == {file["name"] for file in json.loads(found["_manifest.json"])["files"]}
        assert statuses([begin(connection, tmp_path / "last", destination=destination)], set(), rng) == [0]
        found = files()
        assert found.keys() == {"_manifest.json", "part-00000.jsonl"}  # nothing is left of the others
        assert rows_of(found) == ROWS
        whole, refused, killed = (
            whole + ended.count(0),
            refused + ended.count(exporter.REFUSED),
            killed + ended.count(-9),
        )
    print(f"{ROUNDS} rounds on {storage}: {whole} runs were whole, {refused} were refused, {killed} were killed")
    assert refused

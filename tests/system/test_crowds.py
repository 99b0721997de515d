"""Exports of one window at once, of a server and a storage that fail, some of them killed: one is whole, or none is.

A round is drawn from a seed: two, five or ten runs, the faults of the server and of S3, disks that get full, tokens
that end, and who is killed when. A consumer then finds the rows of the window, byte by byte, or what was there before,
and each run said what it did. One more run, undisturbed, then leaves what a run leaves that nothing ever disturbed.

HYPERORU_CROWDS says how many rounds there are on each storage, from the one on with the number HYPERORU_FIRST_ROUND;
``make crowd-test`` does 500. With the seed HYPERORU_SEED, the number says all that is drawn.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hyperoru_provider.sandbox import Sandbox
from hyperoru_provider.sandbox.faults import Faults
from tests.exports import files_of
from tests.listed import held
from tests.sample_trades import trades
from tests.system import exporter
from tests.system.exporter import Conditions
from tests.system.faulty_s3 import lake

ROUNDS = int(os.environ.get("HYPERORU_CROWDS", "3"))
SEED = int(os.environ.get("HYPERORU_SEED", "1"))
FIRST = int(os.environ.get("HYPERORU_FIRST_ROUND", "0"))
SIZES = (2, 5, 10)
DAY = datetime(2025, 4, 2, tzinfo=UTC)
ROWS = trades(700, DAY, timedelta(days=1))
EARLIER = ROWS[:-30]
ARGUMENTS = {"start": "2025-04-02", "end": "2025-04-03", "file_format": "jsonl", "compression": "none"}
PART = 150
UNDISTURBED = Conditions()
EXPORT = "trades/20250402T000000Z_20250403T000000Z/"
RATES = {"error_rate": 0.15, "rate_limit_rate": 0.1, "drop_rate": 0.1, "truncate_rate": 0.1, "latency": 0.05}
LISTS: tuple[dict[str, Any], ...] = (
    *[{}] * 8,  # most of the others let few runs come to a commit
    {"order": "oldest"},
    {"order": "mixed"},
    {"order": "changing"},
    {"unstable": 1},
    {"duplicate_rows": True},
    {"repeat_newest": True},
    {"total": "changing"},
    {"total": "none", "has_more": False},
    {"cap": 120},
    {"past_the_end": "last"},
)
TOKENS: tuple[dict[str, Any], ...] = ({}, {}, {"token_lifetime": 0.5}, {"single_session": True})

LONG = pytest.mark.skipif(ROUNDS < 10, reason="make crowd-test")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(120 + 60 * ROUNDS)]

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([exporter.__name__])


class Local:
    """A disk, as :class:`tests.system.faulty_s3.Lake` is a bucket."""

    def __init__(self, root: Path) -> None:
        self.connection: dict[str, Any] = {}
        self._root = root

    def address(self, name: str) -> str:
        return str(self._root / name)

    def files(self, name: str) -> dict[str, bytes]:
        return files_of(self._root / name)

    def put(self, name: str, files: dict[str, bytes]) -> None:
        for file, data in files.items():
            path = self._root / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def fail(self, rate: float, seed: str) -> None:
        pass

    def calm(self) -> None:
        pass


class Disturbances(NamedTuple):
    """What happens in a round."""

    faults: dict[str, Any]
    storage_faults: float
    conditions: list[Conditions]
    kills: dict[int, float]
    revoked_after: float | None
    parts: list[int]
    over_an_earlier_one: bool


def drawn(rng: random.Random, number: int, storage: str, seconds: float) -> Disturbances:
    """Draw what happens in a round; in half of them, all commit at once.

    :param seconds: what an undisturbed run takes.
    """
    size = SIZES[number] if number < len(SIZES) else rng.choices(SIZES, (7, 2, 1))[0]
    faults: dict[str, Any] = {name: rng.uniform(0, most) for name, most in RATES.items() if rng.random() < 0.4}
    faults |= rng.choice(LISTS) | rng.choice(TOKENS) | {"retry_after": rng.choice((None, 0.05))}
    conditions = [Conditions(crowd=(size, 4 * seconds) if rng.random() < 0.5 else None)] * size
    if rng.random() < 0.3:
        victim, room = rng.randrange(size), rng.randrange(400_000)
        one = conditions[victim]
        conditions[victim] = rng.choice((one._replace(file=room // 4 + 30_000), one._replace(disk=room)))
    killed = [each for each in range(size) if rng.random() < 0.4] if rng.random() < 0.6 else []
    return Disturbances(
        faults,
        rng.choice((0, 0, 0.01, 0.04)) if storage != "local" else 0,
        conditions,
        {each: rng.uniform(0, 2 * seconds) for each in killed},
        rng.uniform(0, 2 * seconds) if rng.random() < 0.3 else None,
        [PART + each * rng.choice((0, 1)) for each in range(size)],
        rng.random() < 0.5,
    )


@pytest.fixture(scope="module", autouse=True)
def fork_server() -> Iterator[None]:
    """Let the process that is forked find what it loads first: it is given no path of ours (gh-126631)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        yield


@pytest.fixture
def local(tmp_path: Path) -> Local:
    return Local(tmp_path / "local")


@pytest.fixture
def s3() -> Iterator[Any]:
    with lake() as found:
        yield found


@pytest.fixture
def lax_s3() -> Iterator[Any]:
    """One that lets two create an object that only one should."""
    with lake(knows_conditions=False) as found:
        yield found


class Crowd:
    """Runs of the window, beside each other.

    :param sandbox: what they ask.
    :param place: a storage.
    :param name: of the directory in it that they export to.
    :param scratch: where each has a directory for its log and its temporary files.
    """

    def __init__(self, sandbox: Sandbox, place: Any, name: str, scratch: Path) -> None:
        login = {"conn_type": "hyperoru", "host": sandbox.url, "login": sandbox.email, "password": sandbox.password}
        self._connection = json.dumps({**login, "extra": {"token_cache": "memory", "max_retries": 20}})
        self._environment = {"AIRFLOW_CONN_LAKE": json.dumps(place.connection), "AWS_MAX_ATTEMPTS": "2"}
        self._destination = place.address(name)
        self._scratch = scratch
        self._runs: list[Any] = []

    def begin(self, rows_per_part: int, conditions: Conditions = UNDISTURBED) -> Any:
        """Begin a run."""
        where = self._scratch / str(len(self._runs))
        (where / "temp").mkdir(parents=True)
        arguments = {**ARGUMENTS, "destination": self._destination, "rows_per_part": rows_per_part}
        run = _processes.Process(
            target=exporter.run_beside_others, args=(self._connection, where, arguments, self._environment, conditions)
        )
        run.start()
        self._runs.append(run)
        return run

    def disturb(self, acts: list[tuple[float, Callable[[], None]]]) -> list[int]:
        """Do each thing at its time, and return how each run ended."""
        begun = time.monotonic()
        for seconds, act in sorted(acts, key=lambda act: act[0]):
            time.sleep(max(0.0, begun + seconds - time.monotonic()))
            act()
        for run in self._runs:
            run.join(600)
        return [run.exitcode for run in self._runs]

    def left(self) -> list[str]:
        """Return what temporary files are left but locks."""
        return [path.name for path in self._scratch.glob("*/temp/*") if path.suffix != ".lock"]


def undisturbed(sandbox: Sandbox, place: Any, name: str, scratch: Path) -> dict[str, bytes]:
    """Return what one run leaves."""
    crowd = Crowd(sandbox, place, name, scratch)
    crowd.begin(PART)
    assert crowd.disturb([]) == [0], (scratch / "0" / "log").read_text()[-3000:]
    found: dict[str, bytes] = place.files(name)
    assert not crowd.left()
    shutil.rmtree(scratch)
    return found


def consumed(files: dict[str, bytes]) -> list[bytes] | None:
    """Read an export as a consumer does, checking every hash; ``None`` if there is none."""
    if f"{EXPORT}_manifest.json" not in files:
        return None
    manifest = json.loads(files[f"{EXPORT}_manifest.json"])
    rows: list[bytes] = []
    for file in manifest["files"]:
        data = files[EXPORT + file["name"]]
        assert hashlib.sha256(data).hexdigest() == file["sha256"], file
        rows += data.splitlines()
    assert len(rows) == manifest["rows"]
    return rows


def check(ended: list[int], found: dict[str, bytes], there: list[bytes], happened: Disturbances) -> None:
    """Check what a consumer finds after a crowd.

    :param there: the rows that the server has now, which are more than at first where rows arrive.
    """
    assert {*ended} <= {0, exporter.REFUSED, exporter.FAILED, -9}
    rows = consumed(found)
    if rows is not None and not (happened.over_an_earlier_one and rows == EARLIER):
        among = {*rows}
        assert rows == [row for row in there if row in among]
        assert among >= {*ROWS}
    else:
        assert 0 not in ended
        assert (rows is None) != happened.over_an_earlier_one
        assert exporter.REFUSED not in ended
    if not {*ended} - {0, exporter.REFUSED}:
        named = {file["name"] for file in json.loads(found[f"{EXPORT}_manifest.json"])["files"]}
        assert {name.removeprefix(EXPORT) for name in found if "/part-" in name} == named


@pytest.mark.parametrize("storage", ["local", "s3", pytest.param("lax_s3", marks=LONG)])
def test_what_a_consumer_finds_is_whole_whatever_happens(
    storage: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    place = request.getfixturevalue(storage)
    with Sandbox(rows=EARLIER) as sandbox:
        earlier = undisturbed(sandbox, place, "earlier", tmp_path / "earlier")
    begun = time.monotonic()
    with Sandbox(rows=ROWS) as sandbox:
        expected = undisturbed(sandbox, place, "undisturbed", tmp_path / "undisturbed")
    seconds = time.monotonic() - begun
    counts: Counter[str] = Counter()
    begun = time.monotonic()
    for number in range(FIRST, FIRST + ROUNDS):
        happened = drawn(random.Random(f"{SEED}:{storage}:{number}"), number, storage, seconds)
        scratch = tmp_path / f"{number}"
        try:
            ended, left = play(number, happened, place, scratch, earlier, expected)
        except AssertionError as error:
            raise AssertionError(f"round {number} of seed {SEED} on {storage}, see {scratch}: {happened}") from error
        counts.update(failures(scratch))
        shutil.rmtree(scratch)
        counts.update(
            {0: "whole", exporter.REFUSED: "refused", exporter.FAILED: "failed", -9: "killed"}[e] for e in ended
        )
        counts["rounds without an export"] += left is None
    took = (time.monotonic() - begun) / ROUNDS
    print(f"{ROUNDS} rounds on {storage}, {took:.1f} s each; runs: {dict(counts)}")


def failures(scratch: Path) -> list[str]:
    """Return the errors of the runs of a round that failed."""
    return [
        error for log in scratch.glob("crowd/*/log") for error in re.findall("The export failed: (.*)", log.read_text())
    ]


def play(
    number: int,
    happened: Disturbances,
    place: Any,
    scratch: Path,
    earlier: dict[str, bytes],
    expected: dict[str, bytes],
) -> tuple[list[int], list[bytes] | None]:
    """Play a round, and return how its runs ended, and what a consumer found then."""
    name = f"round-{number}"
    if happened.over_an_earlier_one:
        place.put(name, earlier)
    with Sandbox(rows=ROWS, seed=SEED * 100_000 + number, **happened.faults) as sandbox:
        crowd = Crowd(sandbox, place, name, scratch / "crowd")
        place.fail(happened.storage_faults, f"{SEED}:{number}")
        runs = [crowd.begin(*each) for each in zip(happened.parts, happened.conditions, strict=True)]
        acts: list[tuple[float, Callable[[], None]]] = [(at, runs[each].kill) for each, at in happened.kills.items()]
        if happened.revoked_after is not None:
            acts.append((happened.revoked_after, sandbox.revoke_tokens))
        ended = crowd.disturb(acts)
        place.calm()
        sandbox.set_faults(**Faults().as_dict())
        there = held(sandbox, start="2025-04-02T00:00:00Z", end="2025-04-03T00:00:00Z")
        found = place.files(name)
        check(ended, found, there, happened)
        assert not crowd.left()
        if there != ROWS:
            expected = undisturbed(sandbox, place, f"{name}-undisturbed", scratch / "undisturbed")
        assert undisturbed(sandbox, place, name, scratch / "last") == expected
    return ended, consumed(found)

"""A task that is killed in the middle of an export, and its retry."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hyperoru_provider.sandbox import Sandbox
from tests.system.airflow_processes import AirflowProcesses

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


class Outcome(NamedTuple):
    """What is left of two killed exports: into an empty directory, and into one that held an earlier export."""

    destination: Path
    tasks: list[dict[str, Any]]
    before: dict[str, bytes]
    at_kill: dict[str, dict[str, bytes]]


@pytest.fixture(scope="module")
def outcome(airflow: AirflowProcesses, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    destination = tmp_path_factory.mktemp("restart")
    sandbox.reset()
    airflow.run("prepare", destination=destination.as_uri())
    before = contents(destination / "replaced")

    sandbox.set_faults(latency=0.1)  # so that the second half of an export takes seconds
    run_id = airflow.trigger("killed", destination=destination.as_uri())
    at_kill: dict[str, dict[str, bytes]] = {}

    def killed() -> bool:
        """Kill each task when some parts of its export are closed."""
        for index, name in enumerate(["fresh", "replaced"]):
            if name not in at_kill and len(list((destination / name).rglob("_next-keys-*"))) >= 3:
                airflow.kill(airflow.pid("killed", run_id, index))
                at_kill[name] = contents(destination / name)
        return len(at_kill) == 2

    airflow.wait_for(killed, "both exports to be half done", every=0.02)
    sandbox.set_faults(latency=0)
    return Outcome(destination, airflow.finished("killed", run_id), before, at_kill)


def test_killed_in_the_middle(outcome: Outcome) -> None:
    assert [(task["state"], task["try_number"]) for task in outcome.tasks] == [("success", 2)] * 2
    assert "_manifest.json" not in outcome.at_kill["fresh"]
    for name in ("fresh", "replaced"):
        assert 3 <= len([file for file in outcome.at_kill[name] if file.startswith("_next-part-")]) < 13


def test_retry_goes_on_after_the_last_closed_part(airflow: AirflowProcesses, outcome: Outcome) -> None:
    """What was closed is known from Airflow's task state store, from which it is gone in the end."""
    logs = [path.read_text() for path in (airflow.home / "logs" / "dag_id=killed").rglob("attempt=2.log")]
    assert len(logs) == 2
    assert all(
        re.search(r"Resuming after 2025-04-02T.*: \d+000 rows in \d+ parts are already there", log) for log in logs
    )
    assert airflow.query("SELECT key FROM task_state_store") == []
    assert not [name for found in outcome.at_kill.values() for name in found if "checkpoint" in name]


def test_killed_export_leaves_the_earlier_one_readable(outcome: Outcome) -> None:
    found = outcome.at_kill["replaced"]
    assert found["_manifest.json"] == outcome.before["_manifest.json"]
    named = json.loads(found["_manifest.json"])["files"]
    assert named
    for file in named:
        assert hashlib.sha256(found[file["name"]]).hexdigest() == file["sha256"]


@pytest.mark.parametrize("name", ["fresh", "replaced"])
def test_retry_leaves_what_an_undisturbed_export_does(outcome: Outcome, name: str) -> None:
    undisturbed = contents(outcome.destination / "undisturbed")
    assert json.loads(undisturbed["_manifest.json"])["rows"] == 25_000
    assert len(undisturbed) == 14  # and the manifest
    assert contents(outcome.destination / name) == undisturbed


def test_nothing_is_left_on_the_worker(airflow: AirflowProcesses, outcome: Outcome) -> None:
    left = [path for path in (airflow.home / "scratch").iterdir() if path.suffix != ".lock"]
    assert not [path.name for path in left if path.name.startswith("hyperoru")]


def contents(directory: Path) -> dict[str, bytes]:
    """All files of the one export in a directory, but those that vanish while they are read."""
    found = {}
    for path in directory.rglob("*"):
        try:
            found[path.name] = path.read_bytes()
        except (FileNotFoundError, IsADirectoryError):
            continue
    return found

"""One login serves a fleet: tasks in processes of their own, restarts of Airflow, and tokens that the server ended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from hyperoru_provider.sandbox import Sandbox
from tests.system.airflow_processes import AirflowProcesses, files

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

TASKS = 20
VARIABLE = "hyperoru_session_token__hyperoru_default"


class Run(NamedTuple):
    """What a run of the DAG left."""

    tasks: list[dict[str, Any]]
    logins: int
    at_once: int
    exports: Path
    token: str


@pytest.fixture(scope="module")
def runs(airflow: AirflowProcesses, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    """Three runs: of a new Airflow, after a restart of it, and after the server ended all tokens."""

    def run() -> Run:
        sandbox.reset()
        sandbox.set_faults(latency=0.2)  # time enough for all that start together to see that there is no token
        exports = tmp_path_factory.mktemp("fleet")
        tasks = airflow.run("fleet", destination=exports.as_uri())
        stats = sandbox.stats()
        return Run(tasks, stats["logins"], stats["max_in_flight"], exports, stored_token(airflow))

    assert not stored_token(airflow), "the first run is to be cold"
    runs = [run()]
    airflow.stop()
    airflow.start()
    runs.append(run())
    sandbox.revoke_tokens()
    runs.append(run())
    return runs


def stored_token(airflow: AirflowProcesses) -> str:
    """The token that is shared; empty if there is none."""
    return str(airflow.secret(VARIABLE).get("token", ""))


def test_each_task_of_each_run_succeeds_at_once(runs: list[Run]) -> None:
    for run in runs:
        assert [(task["state"], task["try_number"]) for task in run.tasks] == [("success", 1)] * TASKS


def test_tasks_start_together(runs: list[Run]) -> None:
    assert min(run.at_once for run in runs) > 1


def test_cold_tasks_log_in_once(runs: list[Run]) -> None:
    assert runs[0].logins == 1


def test_restarted_airflow_does_not_log_in(runs: list[Run]) -> None:
    assert runs[1].logins == 0
    assert runs[1].token == runs[0].token


def test_ended_token_costs_one_login(runs: list[Run]) -> None:
    assert runs[2].logins == 1
    assert runs[2].token != runs[0].token


def test_runs_land_the_same_bytes(runs: list[Run]) -> None:
    first, *others = ({str(p.relative_to(r.exports)): p.read_bytes() for p in files(r.exports)} for r in runs)
    assert len(first) >= 2 * TASKS - 2
    assert sum(json.loads(data)["rows"] for name, data in first.items() if name.endswith("_manifest.json")) > 5_000
    assert all(other == first for other in others)


def test_secrets_are_nowhere_in_plain(airflow: AirflowProcesses, sandbox: Sandbox, runs: list[Run]) -> None:
    tokens = {run.token for run in runs}
    assert len(tokens) == 2
    assert all(tokens)
    profile = httpx.get(f"{sandbox.url}/api/users/profile", headers={"Authorization": f"Bearer {runs[2].token}"})
    assert profile.status_code == 200  # so this is what is to be searched for

    # The begin of a token is enough, as a log may cut it.
    secrets = [sandbox.password.encode(), *(token[:20].encode() for token in tokens)]
    seen = {"database": 0, "logs": 0, "exports": 0}
    for place, text in everywhere(airflow, runs):
        seen[place.partition(":")[0]] += 1
        assert not any(secret in text for secret in secrets), place
    assert seen["database"] > 1_000
    assert seen["logs"] > 3 * TASKS
    assert seen["exports"] > 3 * TASKS


def test_search_for_secrets_sees_what_is_there(airflow: AirflowProcesses, runs: list[Run]) -> None:
    found = {place.partition(":")[0] for place, text in everywhere(airflow, runs) if b"20250401T" in text}
    assert found == {"database", "exports", "logs"}  # the summaries in XCom, the directories, where it went


def everywhere(airflow: AirflowProcesses, runs: list[Run]) -> Iterator[tuple[str, bytes]]:
    """All that Airflow and the exports keep."""
    yield from airflow.everything()
    for run in runs:
        for path in files(run.exports):
            yield f"exports: {path}", str(path).encode() + path.read_bytes()

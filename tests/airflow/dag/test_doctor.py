"""The doctor and Airflow's connections, in a real Airflow: read from anywhere, written to the database."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hyperoru_provider.sandbox import Sandbox
from tests.airflow_home import connection, copied, environment, migrated
from tests.places import EXAMPLES

NAME = "hyperoru_doctor"
DOCTOR = [
    sys.executable,
    "-c",
    "import sys; from hyperoru_provider.doctor.__main__ import hyperoru; sys.exit(hyperoru())",
]
SHOW = """
import sys
from airflow.models import Connection
print("\\n" + Connection.get_connection_from_secrets(sys.argv[1]).extra)
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    template = migrated(tmp_path_factory.getbasetemp() / "airflow-template")
    return copied(template, tmp_path_factory.mktemp("doctor") / "home")


def run(home: Path, command: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=environment(home, EXAMPLES, **variables), capture_output=True, text=True, timeout=110, check=False
    )


def added(home: Path, name: str, sandbox: Sandbox, **extra: object) -> None:
    command = [sys.executable, "-m", "airflow", "connections", "add", name]
    done = run(home, [*command, "--conn-json", connection(sandbox, **extra)])
    assert done.returncode == 0, done.stderr


def extra_of(home: Path, name: str) -> dict[str, object]:
    done = run(home, [sys.executable, "-c", SHOW, name])
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_write_puts_the_contract_into_the_connection(home: Path) -> None:
    extra: dict[str, object] = {"token_cache": "memory", "timeout": 20, "contract": {"klines": {"cap": 400}}}
    with Sandbox(paging="offset") as sandbox:
        added(home, NAME, sandbox, **extra)
        written = run(home, [*DOCTOR, "doctor", "--conn-id", NAME, "--write"])
        assert written.returncode == 0, written.stderr
        assert "What was found was put into the connection" in written.stdout
        assert "Put this into" not in written.stdout
        contract = {"klines": {"cap": 400}, "trades": {"paging": "offset"}}
        assert extra_of(home, NAME) == {**extra, "contract": contract}

        again = run(home, [*DOCTOR, "doctor", "--conn-id", NAME, "--json", "--write"])
        assert again.returncode == 0, again.stderr
        told = json.loads(again.stdout)  # and nothing else is there
        assert (told["contract"], told["written"]) == (contract, False)
    assert sandbox.password not in written.stdout + written.stderr


def test_a_connection_of_the_environment_is_read_but_not_written(home: Path) -> None:
    with Sandbox(paging="offset") as sandbox:
        variables = {"AIRFLOW_CONN_HYPERORU_ENV": connection(sandbox, token_cache="memory")}
        read = run(home, [*DOCTOR, "doctor", "--conn-id", "hyperoru_env"], **variables)
        assert (read.returncode, '"paging": "offset"' in read.stdout) == (1, True)
        asked = sandbox.stats()["requests"]
        done = run(home, [*DOCTOR, "doctor", "--conn-id", "hyperoru_env", "--write"], **variables)
        assert sandbox.stats()["requests"] == asked
    assert (done.returncode, done.stdout) == (2, "")
    assert "is read from EnvironmentVariablesBackend" in done.stderr


def test_another_connection_of_the_same_name_is_left_alone(home: Path) -> None:
    with Sandbox(paging="offset") as sandbox:
        added(home, "hyperoru_shadowed", sandbox, timeout=7)
        variables = {"AIRFLOW_CONN_HYPERORU_SHADOWED": connection(sandbox, token_cache="memory")}
        done = run(home, [*DOCTOR, "doctor", "--conn-id", "hyperoru_shadowed", "--write"], **variables)
    assert done.returncode == 2
    assert extra_of(home, "hyperoru_shadowed") == {"timeout": 7}


def test_a_database_that_is_not_migrated(home: Path, tmp_path: Path) -> None:
    variables = {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/none.db"}
    done = run(home, [*DOCTOR, "doctor", "--conn-id", NAME, "--write"], **variables)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_connection_that_is_not_there(home: Path) -> None:
    done = run(home, [*DOCTOR, "doctor", "--conn-id", "nobody"])
    assert done.returncode == 2
    assert "nobody" in done.stderr
    assert "Traceback" not in done.stderr

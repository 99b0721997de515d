"""The doctor and Airflow's connections, in a real Airflow: read from anywhere, written to the database."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from hyperoru_provider.sandbox import Sandbox
from tests.airflow_home import connection, copied, environment, fernet_key, migrated
from tests.places import EXAMPLES

NAME = "hyperoru_doctor"
DOCTOR = [
    sys.executable,
    "-c",
    "import sys; from hyperoru_provider.doctor.__main__ import hyperoru; sys.exit(hyperoru())",
]
SHADOWED = "hyperoru_shadowed"
EXTRAS: dict[str, dict[str, object]] = {
    NAME: {"token_cache": "memory", "timeout": 20, "contract": {"klines": {"cap": 400}}},
    SHADOWED: {"timeout": 7},
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(paging="offset") as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def home(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of an Airflow whose database has two connections."""
    template = migrated(tmp_path_factory.getbasetemp() / "airflow-template")
    home = copied(template, tmp_path_factory.mktemp("doctor") / "home")
    file = home / "connections.json"
    file.write_text(json.dumps({name: json.loads(connection(sandbox, **extra)) for name, extra in EXTRAS.items()}))
    done = run(home, [sys.executable, "-m", "airflow", "connections", "import", str(file)])
    assert done.returncode == 0, done.stderr
    return home


def run(home: Path, command: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=environment(home, EXAMPLES, **variables), capture_output=True, text=True, timeout=110, check=False
    )


def extra_of(home: Path, name: str) -> dict[str, object]:
    """Read the extra of a connection, which Airflow has encrypted."""
    with closing(sqlite3.connect(home / "airflow.db")) as database:
        sql = "SELECT extra FROM connection WHERE conn_id = ? AND is_extra_encrypted"
        ((extra,),) = database.execute(sql, [name])
    found: dict[str, object] = json.loads(Fernet(fernet_key()).decrypt(extra.encode()))
    return found


def test_write_puts_the_contract_into_the_connection(home: Path, sandbox: Sandbox) -> None:
    written = run(home, [*DOCTOR, "doctor", "--conn-id", NAME, "--write"])
    assert written.returncode == 0, written.stderr
    assert "What was found was put into the connection" in written.stdout
    assert "Put this into" not in written.stdout
    contract = {"klines": {"cap": 400}, "trades": {"paging": "offset"}}
    assert extra_of(home, NAME) == {**EXTRAS[NAME], "contract": contract}

    again = run(home, [*DOCTOR, "doctor", "--conn-id", NAME, "--json", "--write"])
    assert again.returncode == 0, again.stderr
    told = json.loads(again.stdout)  # and nothing else is there
    assert (told["contract"], told["written"]) == (contract, False)
    assert sandbox.password not in written.stdout + written.stderr


def test_a_connection_of_the_environment_is_read_but_not_written(home: Path, sandbox: Sandbox) -> None:
    variables = {"AIRFLOW_CONN_HYPERORU_ENV": connection(sandbox, token_cache="memory")}
    read = run(home, [*DOCTOR, "doctor", "--conn-id", "hyperoru_env"], **variables)
    assert (read.returncode, '"paging": "offset"' in read.stdout) == (1, True)
    asked = sandbox.stats()["requests"]
    done = run(home, [*DOCTOR, "doctor", "--conn-id", "hyperoru_env", "--write"], **variables)
    assert sandbox.stats()["requests"] == asked
    assert (done.returncode, done.stdout) == (2, "")
    assert "is read from EnvironmentVariablesBackend" in done.stderr


def test_another_connection_of_the_same_name_is_left_alone(home: Path, sandbox: Sandbox) -> None:
    variables = {f"AIRFLOW_CONN_{SHADOWED.upper()}": connection(sandbox, token_cache="memory")}
    done = run(home, [*DOCTOR, "doctor", "--conn-id", SHADOWED, "--write"], **variables)
    assert done.returncode == 2
    assert extra_of(home, SHADOWED) == EXTRAS[SHADOWED]


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

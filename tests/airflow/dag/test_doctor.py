"""The doctor and Airflow's connections, in a real Airflow: read from anywhere, written to the database."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hyperoru_provider.sandbox import Sandbox
from tests.airflow_home import copied, environment, migrated
from tests.places import EXAMPLES

NAME = "hyperoru_doctor"
DOCTOR = [
    sys.executable,
    "-c",
    "import sys; from hyperoru_provider.doctor.__main__ import hyperoru; sys.exit(hyperoru())",
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    template = migrated(tmp_path_factory.getbasetemp() / "airflow-template")
    return copied(template, tmp_path_factory.mktemp("doctor") / "home")


def run(home: Path, command: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=environment(home, EXAMPLES, **variables), capture_output=True, text=True, timeout=110, check=False
    )


def test_write_puts_the_contract_into_the_connection(home: Path) -> None:
    extra = {"token_cache": "memory", "contract": {"klines": {"cap": 400}}}
    with Sandbox(paging="offset") as sandbox:
        connection = {
            "conn_type": "hyperoru",
            "host": sandbox.url,
            "login": sandbox.email,
            "password": sandbox.password,
        }
        stored = json.dumps(connection | {"extra": extra})
        added = run(home, [sys.executable, "-m", "airflow", "connections", "add", NAME, "--conn-json", stored])
        assert added.returncode == 0, added.stderr

        written = run(home, [*DOCTOR, "doctor", "--conn-id", NAME, "--write"])
        assert (written.returncode, '"paging": "offset"' in written.stdout) == (1, True), written.stderr
        assert f"put into the connection {NAME}" in written.stderr

        again = run(home, [*DOCTOR, "doctor", "--conn-id", NAME, "--json"])
        assert again.returncode == 0, again.stderr
        told = json.loads(again.stdout[again.stdout.index("{\n") :])
        assert told["contract"] == {"klines": {"cap": 400}, "trades": {"paging": "offset"}}
    assert sandbox.password not in written.stdout + written.stderr


def test_a_connection_of_the_environment_is_read_but_not_written(home: Path) -> None:
    with Sandbox(paging="offset") as sandbox:
        connection = {
            "conn_type": "hyperoru",
            "host": sandbox.url,
            "login": sandbox.email,
            "password": sandbox.password,
        }
        variable = json.dumps(connection | {"extra": {"token_cache": "memory"}})
        done = run(
            home, [*DOCTOR, "doctor", "--conn-id", "hyperoru_env", "--write"], AIRFLOW_CONN_HYPERORU_ENV=variable
        )
    assert done.returncode == 2
    assert '"paging": "offset"' in done.stdout
    assert "is not in Airflow's database" in done.stderr


def test_a_connection_that_is_not_there(home: Path) -> None:
    done = run(home, [*DOCTOR, "doctor", "--conn-id", "nobody"])
    assert done.returncode == 2
    assert "nobody" in done.stderr
    assert "Traceback" not in done.stderr

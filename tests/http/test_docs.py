"""What the documentation shows is what happens."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.http.export.test_hazards import HAZARDS
from tests.places import ROOT

DOCS = ROOT / "docs"
EXAMPLE = (DOCS / "contract.md").read_text().partition("## A worked example")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"```\w*\n(.*?)```", EXAMPLE, re.DOTALL)
STEPS = re.findall(r"\*\*\d\.\*\* `python fit\.py '(.*?)'`\n\n```\n(.*?)```", EXAMPLE, re.DOTALL)


@pytest.fixture(scope="module")
def fit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The example's files, and its server."""
    where = tmp_path_factory.mktemp("example")
    rows, command, script = BLOCKS[:3]
    (where / "fills.ndjson").write_text(rows)
    arguments = shlex.split(command.replace("\\\n", " ").replace("--port 8099", "--port 0"))
    server = subprocess.Popen([sys.executable, *arguments[1:]], cwd=where, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        url = re.search(r"http://\S+", server.stdout.readline())
        assert url
        (where / "fit.py").write_text(script.replace("http://127.0.0.1:8099", url[0]))
        yield where / "fit.py"
    finally:
        server.terminate()
        server.wait()
        assert server.stdout
        server.stdout.close()


@pytest.mark.slow
@pytest.mark.parametrize(("contract", "shown"), STEPS, ids=range(1, len(STEPS) + 1))
def test_each_step_of_fitting_a_contract(fit: Path, contract: str, shown: str) -> None:
    done = subprocess.run([sys.executable, fit.name, contract], cwd=fit.parent, capture_output=True, text=True)
    told = done.stderr.strip().splitlines()[-1].rpartition("errors.")[2] if done.returncode else done.stdout.strip()
    told = re.sub(r"^[a-z_.]+\.(?=[A-Z])", "", told)
    assert re.fullmatch(re.escape(shown.strip()).replace(re.escape("..."), ".*"), told), told


def test_the_connection_has_the_contract_of_the_last_step() -> None:
    connection = json.loads(BLOCKS[-1].partition("'")[2].rpartition("'")[0])
    assert len(STEPS) == 6
    assert connection["extra"]["contract"] == json.loads(STEPS[-1][0])


def test_the_hazards_that_the_promises_name() -> None:
    table = (DOCS / "promises.md").read_text().partition("| Hazards |\n")[2].partition("\n\n")[0]
    named = {name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.rpartition(" | ")[2])}
    assert len(named) > 20
    assert named <= set(HAZARDS)

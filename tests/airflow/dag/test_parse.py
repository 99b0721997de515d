"""What DAG files cost where they are parsed again and again: no network, no connection, no clock, few milliseconds."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

import hyperoru_provider
from tests.airflow_home import copied, environment, migrated
from tests.airflow_output import without_alembic
from tests.places import EXAMPLES

pytestmark = pytest.mark.slow

HERE = Path(__file__).resolve().parent
PACKAGE = Path(hyperoru_provider.__file__).parent
FILES = sorted([*EXAMPLES.glob("*.py"), *(HERE / "dags").glob("*.py")])
MODULES = sorted(
    f"hyperoru_provider.{path.parent.name}.{path.stem}"
    for kind in ("operators", "sensors")
    for path in (PACKAGE / kind).glob("[!_]*.py")
)
#: what a DAG file imports for its watchers
TRIGGER = "hyperoru_provider.triggers.events"
#: calls of functions while a module is imported, some 900 of which take a millisecond on a quiet machine
MOST_CALLS = 9_000

# What must not be done, to see that it would be seen.
OFFENCES = {
    "network": ["import socket; socket.create_connection(('127.0.0.1', 9))"],
    "connection": ["from airflow.sdk import BaseHook; BaseHook.get_connection('hyperoru_default')"],
    "variable": ["from airflow.sdk import Variable; Variable.get('x')"],
    "clock": [
        "import pendulum; START = pendulum.now('UTC')",
        "import datetime; START = datetime.datetime.now()",
        "import datetime; START = datetime.date.today()",
        "import time; START = time.time()",
    ],
}
OFFENDER = """
from airflow.sdk import DAG

try:
    {offence}
except Exception:
    pass
with DAG("offender", schedule=None, tags=[str(globals().get("START", ""))]):
    pass
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    template = migrated(tmp_path_factory.getbasetemp() / "airflow-template")
    return copied(template, tmp_path_factory.mktemp("parse") / "home")


@pytest.fixture(scope="module")
def offenders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """DAG files for each kind of offence."""
    folder = tmp_path_factory.mktemp("offenders")
    paths: dict[str, list[Path]] = {}
    for what, offences in OFFENCES.items():
        for number, offence in enumerate(offences):
            paths.setdefault(what, []).append(folder / f"{what}{number}.py")
            paths[what][-1].write_text(OFFENDER.format(offence=offence))
    return paths


def probe(home: Path, script: str, *arguments: str, **variables: str) -> Callable[[], Any]:
    """Run a script of this directory in a process of its own; gives a function that waits for its answer."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / script), *arguments],
        env=environment(home, HERE / "dags", **variables),
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

    def answer() -> Any:
        try:
            answer, log = process.communicate(timeout=200)
        finally:
            process.kill()
        assert process.returncode == 0, log
        return json.loads(without_alembic(answer))

    return answer


@pytest.fixture(scope="module")
def parsed(home: Path, offenders: dict[str, list[Path]]) -> list[dict[str, dict[str, Any]]]:
    """All files parsed by two processes that live years apart."""
    files = [str(path) for path in (*FILES, *chain(*offenders.values()))]
    answers = [
        probe(home, "parse_probe.py", moment, *files, PYTHONHASHSEED=seed)
        for moment, seed in (("2026-03-01T10:20:30Z", "1"), ("2031-12-31T23:59:59Z", "2"))
    ]
    return [answer() for answer in answers]


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_parsing_touches_nothing(parsed: list[dict[str, dict[str, Any]]], file: Path) -> None:
    for process in parsed:
        assert process[str(file)]["errors"] == []
        assert process[str(file)]["dags"]
        assert process[str(file)]["touched"] == []


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_each_parse_gives_the_same_dag(parsed: list[dict[str, dict[str, Any]]], file: Path) -> None:
    first, second = (process[str(file)]["dags"] for process in parsed)
    assert first == second


@pytest.mark.parametrize("what", OFFENCES)
def test_touching_something_would_be_seen(
    parsed: list[dict[str, dict[str, Any]]], offenders: dict[str, list[Path]], what: str
) -> None:
    for process in parsed:
        assert [process[str(path)]["touched"] for path in offenders[what]] == [[what]] * len(OFFENCES[what])


def test_changing_dag_would_be_seen(parsed: list[dict[str, dict[str, Any]]], offenders: dict[str, list[Path]]) -> None:
    for path in offenders["clock"]:
        first, second = (process[str(path)]["dags"] for process in parsed)
        assert first != second


@pytest.fixture(scope="module")
def costs(home: Path, pytestconfig: pytest.Config) -> dict[str, dict[str, Any]]:
    """What imports cost once there is bytecode of the modules, as there is where they are installed."""
    bytecode = {"PYTHONPYCACHEPREFIX": str(home / "pycache"), "PYTHONDONTWRITEBYTECODE": ""}
    modules = (*MODULES, TRIGGER, "hyperoru_provider.export.formats")
    found: dict[str, dict[str, Any]] = probe(home, "import_probe.py", *modules, **bytecode)()
    capture: Any = pytestconfig.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("\nImports, over airflow.sdk or airflow.triggers.base:")
        for module, cost in found.items():
            print(
                f"{cost['milliseconds']:6.1f} ms, {cost['calls']:6} calls, {len(cost['modules']):3} modules  {module}"
            )
    return found


@pytest.mark.parametrize("module", MODULES)
def test_import_is_cheap(costs: dict[str, dict[str, Any]], module: str) -> None:
    assert module in costs[module]["modules"]
    assert costs[module]["calls"] <= MOST_CALLS
    assert len(costs[module]["modules"]) <= 20


def test_a_trigger_for_watchers_is_cheap(costs: dict[str, dict[str, Any]]) -> None:
    assert costs[TRIGGER]["calls"] <= MOST_CALLS
    ours = [name for name in costs[TRIGGER]["modules"] if not name.startswith("airflow.")]
    assert len(ours) <= 10


def test_dear_import_would_be_seen(costs: dict[str, dict[str, Any]]) -> None:
    dear = costs["hyperoru_provider.export.formats"]  # it builds the models
    assert dear["calls"] > MOST_CALLS and len(dear["modules"]) > 20

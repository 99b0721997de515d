"""Test the provider with each version of Airflow that it supports, and write the README's table of them.

Each version gets an environment of its own in ``.matrix/``, made by uv and resolved as of the version's time: with what
its users had. There run the tests of all that knows Airflow, those of the wheel, and the demo, whose manifests must
have the same SHA-256 with every version.

What came of each version is kept there, too: the table is written once all of them are right with the same package,
in one run or in several.
"""

# ruff: noqa: S603, T201

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from local import ROOT

PLACE = ROOT / ".matrix"
KEPT = "outcome.json"
PACKAGE = ROOT / "hyperoru_provider"
README = ROOT / "README.md"
BEGIN, END = "<!-- written by make matrix -->\n", "<!-- end -->\n"
UV = str(Path(sys.executable).with_name("uv"))

ALL = (
    *("tests/fast", "tests/http/client", "tests/airflow", "tests/system/test_wheel.py"),
    # the cells of faults have a page of their own, and the samples of a deployment want Celery, those of the docs mypy
    *(f"--ignore=tests/{name}" for name in ("airflow/matrix", "fast/test_deployment.py", "fast/test_samples.py")),
)
#: what CI runs with the lowest and the next version
CUT = (
    *(f"tests/airflow/test_{name}.py" for name in ("hook", "operators", "sensors", "events", "backfill_operator")),
    *(
        f"tests/airflow/test_{name}.py"
        for name in ("task_state", "live_trades", "storage", "class_paths", "connection_form")
    ),
    *(f"tests/airflow/dag/test_{name}.py" for name in ("daily_trades", "deferred", "backfill_klines", "parse")),
)
_STATE = "no state stores: what waits and backfills remember is kept in Variables until they end"


class Version(NamedTuple):
    """A version of Airflow.

    :param name: how it is chosen.
    :param airflow: what is installed.
    :param python: the Python that is taken if it is there.
    :param as_of: the day of the resolution; ``None`` for today.
    :param lowest: whether all direct dependencies are the lowest that are allowed.
    :param loaded: a module that is loaded before all tests, as this Airflow does.
    :param differs: what is otherwise than with the newest version.
    """

    name: str
    airflow: str
    python: str
    as_of: str | None = None
    lowest: bool = False
    loaded: str = ""
    differs: str = ""


VERSIONS = (
    Version("lowest", "3.1.0", "3.11", "2025-10-10", lowest=True, differs=f"the lowest of all dependencies; {_STATE}"),
    Version("3.1", "3.1.8", "3.12", "2026-03-25", differs=_STATE),
    Version("3.2", "3.2.2", "3.12", "2026-06-15", differs=_STATE),
    Version("3.3", "3.3.2", "3.13"),
    Version("3.4", "3.4.0b2", "3.14", loaded="httpx2", differs="httpx2 in place of httpx, as Airflow loads it"),
)


class Outcome(NamedTuple):
    """What came of a version.

    :param python: the Python that was taken.
    :param tests: how many tests ran.
    :param failed: how many of them failed, or could not run.
    :param manifests: the SHA-256 of the demo's manifests; empty if it failed.
    :param package: the SHA-256 of the package that was tested.
    """

    python: str
    tests: int
    failed: int
    manifests: str
    package: str

    @property
    def is_right(self) -> bool:
        """Whether all ran, and nothing failed."""
        return self.tests > 0 and not self.failed and self.manifests != ""


def main() -> int:
    """Run the versions, and write the table if all of them ran as a whole."""
    options = _arguments()
    chosen = [version for version in VERSIONS if not options.versions or version.name in options.versions]
    PLACE.mkdir(exist_ok=True)
    with ThreadPoolExecutor(options.jobs) as pool:
        outcomes = list(pool.map(lambda version: test(version, quick=options.quick), chosen))
    print(table_of(chosen, outcomes))
    if len({outcome.manifests for outcome in outcomes}) > 1:
        print("The demo's manifests differ, or the demo failed: see .matrix/*/demo.log.", file=sys.stderr)
        return 1
    if not options.quick:
        write_table()
    return 0 if all(outcome.is_right for outcome in outcomes) else 1


def write_table() -> None:
    """Write the README's table, if all versions were right with the package as it is now."""
    kept = [PLACE / version.name / KEPT for version in VERSIONS]
    outcomes = [Outcome(*json.loads(path.read_text())) for path in kept if path.exists()]
    same = {(outcome.package, outcome.manifests) for outcome in outcomes}
    if len(outcomes) < len(VERSIONS) or len(same) > 1 or not all(outcome.is_right for outcome in outcomes):
        return
    before, _, rest = README.read_text().partition(BEGIN)
    table = table_of(VERSIONS, outcomes)
    README.write_text(before + BEGIN + f"Tested by `make matrix`:\n\n{table}" + END + rest.partition(END)[2])


def test(version: Version, *, quick: bool) -> Outcome:
    """Make the environment of a version, and run the tests there."""
    home = PLACE / version.name
    home.mkdir(exist_ok=True)
    python = home / "env/bin/python"
    with (home / "install.log").open("w") as log:
        install(version, home, python, log.fileno())
    shown = _run([python, "-c", "import platform; print(platform.python_version())"], capture=True)
    _say(version, f"Airflow {version.airflow} on Python {shown}: tests")
    results = home / "tests.xml"
    results.unlink(missing_ok=True)
    with (home / "tests.log").open("w") as log:
        selected = CUT if quick else ALL
        # before Airflow 3.3, dag.test() takes five seconds to begin each task
        loaded = ["-p", version.loaded] if version.loaded else []
        options = [*loaded, "-p", "no:cacheprovider", "-o", "timeout=600", f"--junit-xml={results}"]
        command: list[str | Path] = [python, "-m", "pytest", *selected, *options]
        _run(command, output=log.fileno(), PYTHONPATH=str(ROOT), HYPERORU_LONGEST_RUN="500", HYPERORU_CASES="400")
    tests, failed = counts(results)
    _say(version, f"{tests} tests, {failed} failed; see {(home / 'tests.log').relative_to(ROOT)}")
    with (home / "demo.log").open("w") as log:
        _run([python, ROOT / "scripts/demo.py"], output=log.fileno(), DEMO_DIRECTORY=str(home / "demo"))
    found = re.search(r"SHA-256 of all manifests: (\w+)", (home / "demo.log").read_text())
    outcome = Outcome(shown, tests, failed, found[1] if found else "", digest_of_package())
    if not quick:
        (home / KEPT).write_text(json.dumps(outcome))
    return outcome


def digest_of_package() -> str:
    """Return the SHA-256 of all files of the package."""
    paths = sorted(path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return hashlib.sha256(b"".join(bytes(path.relative_to(ROOT)) + path.read_bytes() for path in paths)).hexdigest()


def install(version: Version, home: Path, python: Path, log: int) -> None:
    """Make an environment; what is there is made fit."""
    wanted, pinned = home / "airflow.txt", home / "requirements.txt"
    wanted.write_text(f"apache-airflow=={version.airflow}\n")
    as_of = ["--exclude-newer", version.as_of] if version.as_of else []
    lowest = ["--resolution", "lowest-direct"] if version.lowest else []
    path = os.pathsep.join([*_pyenv(), os.environ.get("PATH", os.defpath)])
    if not python.exists():
        found = _run([UV, "python", "find", version.python], capture=True, PATH=path)
        _run(
            [UV, "venv", "--quiet", "--seed", "--python", found or sys.executable, home / "env"], output=log, check=True
        )
    compile_: list[str | Path] = [UV, "pip", "compile", "--quiet", "--python", python, "pyproject.toml", "--extra=all"]
    _run([*compile_, *as_of, *lowest, "--constraint", wanted, "--output-file", pinned], output=log, check=True)
    into: list[str | Path] = [UV, "pip", "install", "--python", python]
    _run([*into, "--requirements", pinned], output=log, check=True)
    _run([*into, "--no-deps", "--editable", ROOT], output=log, check=True)
    _run([*into, "--constraint", pinned, "--group", "test"], output=log, check=True)
    # its hook, without mysqlclient, which would have to be compiled
    _run([*into, *as_of, "--no-deps", "apache-airflow-providers-mysql"], output=log, check=True)


def counts(results: Path) -> tuple[int, int]:
    """Return how many tests ran, and how many of them failed, by pytest's own report."""
    if not results.exists():
        return 0, 0
    suites = ElementTree.parse(results).getroot().iter("testsuite")  # noqa: S314 - our own
    total = failed = 0
    for suite in suites:
        total += int(suite.get("tests", 0)) - int(suite.get("skipped", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    return total, failed


def table_of(versions: Sequence[Version], outcomes: Sequence[Outcome]) -> str:
    """Return the table in Markdown."""
    lines = ["| Airflow | Python | Resolved | Tests | What differs |", "| --- | --- | --- | --- | --- |"]
    for version, outcome in zip(versions, outcomes, strict=True):
        result = f"{outcome.tests}" if not outcome.failed else f"{outcome.failed} of {outcome.tests} failed"
        resolved = f"as of {version.as_of}" if version.as_of else "newest"
        lines.append(f"| {version.airflow} | {outcome.python} | {resolved} | {result} | {version.differs} |")
    return "\n".join(lines) + "\n"


def _arguments() -> argparse.Namespace:
    names = [version.name for version in VERSIONS]
    parser = argparse.ArgumentParser(prog="make matrix", description=__doc__)
    parser.add_argument("versions", nargs="*", choices=[*names, []], metavar="NAME", help=f"of {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="only the tests that CI runs with each version")
    parser.add_argument("--jobs", type=int, default=1, help="how many versions to test at once")
    return parser.parse_args()


def _run(
    command: Sequence[str | Path], *, output: int | None = None, capture: bool = False, check: bool = False, **more: str
) -> str:
    into = subprocess.PIPE if capture else output
    wanted = {**os.environ, **more}
    ended = subprocess.run(command, cwd=ROOT, env=wanted, stdout=into, stderr=output, text=True, check=False)
    if check and ended.returncode:
        sys.exit(f"{' '.join(map(str, command[:4]))} failed: see the install.log in {PLACE.relative_to(ROOT)}.")
    return ended.stdout.strip() if capture and not ended.returncode else ""


def _pyenv() -> list[str]:
    """Return where pyenv has its Pythons, which uv does not look at."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    return [str(path) for path in sorted(root.glob("versions/*/bin"))]


def _say(version: Version, text: str) -> None:
    print(f"{version.name}: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())

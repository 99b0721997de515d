"""The wheel, installed where nothing of this source tree can be seen."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from email.message import Message
from email.parser import Parser
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from airflow.dag_processing.bundles import manager as bundle_manager

from hyperoru_provider.get_provider_info import get_provider_info
from hyperoru_provider.sandbox import Sandbox
from tests.airflow_output import without_alembic
from tests.places import EXAMPLES, ROOT

try:
    from airflow.dag_processing.dagbag import BundleDagBag as DAG_BAG
except ImportError:  # before Airflow 3.2
    from airflow.models.dagbag import DagBag as DAG_BAG  # type: ignore[no-redef]

pytestmark = pytest.mark.slow

NAME = "airflow-provider-hyperoru"
PACKAGE = "hyperoru_provider"
#: the module in which Airflow looks for the examples, by the distribution's name
EXAMPLES_OF = "airflow_provider_hyperoru"
CONNECTION_KEYS = {"connection-type", "hook-name", "hook-class-name", "ui-field-behaviour", "conn-fields"}
BEHAVIOUR_KEYS = {"hidden-fields", "relabeling", "placeholders"}
FIELD_KEYS = {"label", "description", "schema"}
STANDARD_FIELDS = {"description", "host", "schema", "login", "password", "port", "extra"}


@dataclass(frozen=True)
class Installed:
    """A Python that has the wheel and what it needs, and no other trace of this project."""

    python: Path
    home: Path

    def run(self, *arguments: str | Path, **more: str) -> str:
        """Run Python; give what it prints, having checked that it succeeds and complains of nothing."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
        environment |= {"AIRFLOW_HOME": str(self.home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", **more}
        # Airflow's own use of argparse is to go, says Python 3.14, into what Airflow prints
        environment["PYTHONWARNINGS"] = "ignore::PendingDeprecationWarning"
        ended = subprocess.run(
            [self.python, *arguments], cwd=self.home, env=environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert without_alembic(ended.stderr) == ""
        return without_alembic(ended.stdout)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    # with the build backend at hand, no network is needed
    isolation = ["--no-build-isolation"] if find_spec("hatchling") else []
    _pip(sys.executable, "wheel", "--no-deps", *isolation, "--wheel-dir", directory, ROOT)
    (built,) = directory.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Make an environment of links to all that is installed here but this project, and install the wheel there."""
    root = tmp_path_factory.mktemp("installed")
    venv.create(root / "env", symlinks=True)
    python = root / "env/bin/python"
    libraries = _libraries(python)
    own = _own_entries()
    for source in {Path(sysconfig.get_path("purelib")), Path(sysconfig.get_path("platlib"))}:
        for entry in source.iterdir():
            if entry.name not in own:
                (libraries / entry.name).symlink_to(entry)
    assert list(libraries.glob("*hyperoru*")) == []
    # without an index, this proves that what the wheel requires is what is there
    _pip(python, "install", "--no-index", wheel)
    home = root / "home"
    home.mkdir()
    return Installed(python, home)


@pytest.fixture(scope="session")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


@pytest.fixture
def connections() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = get_provider_info()["connection-types"]
    assert found
    return found


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    info = next(name.partition("/")[0] for name in names if ".dist-info/" in name)
    assert {name.partition("/")[0] for name in names} == {"hyperoru_provider", EXAMPLES_OF, info}
    assert {"hyperoru_provider/py.typed", f"{info}/licenses/LICENSE"} <= set(names)
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "hyperoru_provider").rglob("*.py")}
    examples = {f"{EXAMPLES_OF}/example_dags/{path.relative_to(EXAMPLES)}" for path in EXAMPLES.rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == sources | examples
    assert [name for name in names if "test" in name] == []


def test_airflow_finds_the_provider(installed: Installed, metadata: Message) -> None:
    (found,) = json.loads(installed.run("-m", "airflow", "providers", "get", NAME, "-o", "json"))
    assert found == {"Provider": NAME, "Version": metadata["Version"]}


def test_airflow_loads_the_hook(installed: Installed) -> None:
    hooks = json.loads(installed.run("-m", "airflow", "providers", "hooks", "-o", "json"))
    assert [hook for hook in hooks if hook["connection_type"] == "hyperoru"] == [
        {
            "connection_type": "hyperoru",
            "class": "hyperoru_provider.hooks.hyperoru.HyperoruHook",
            "conn_id_attribute_name": "hyperoru_conn_id",
            "package_name": NAME,
            "hook_name": "Hyperoru",
        }
    ]


@pytest.mark.skipif(
    not hasattr(bundle_manager, "_add_provider_example_dags_to_bundle"), reason="loads no examples of providers"
)
def test_the_examples_show_where_airflow_loads_examples(installed: Installed) -> None:
    """By default it does; where it does not find the module of a provider, the first command logs a traceback."""
    code = (
        "from airflow.dag_processing.bundles.manager import DagBundlesManager;"
        f"from {DAG_BAG.__module__} import {DAG_BAG.__name__} as BundleDagBag;"
        f"(bundle,) = (each for each in DagBundlesManager().get_all_dag_bundles() if each.name.startswith('{NAME}'));"
        "bag = BundleDagBag(dag_folder=bundle.path, bundle_path=bundle.path);"
        "print(*sorted(bag.dags), *bag.import_errors)"
    )
    told = installed.run("-c", code, AIRFLOW__CORE__LOAD_EXAMPLES="True")
    assert "Could not load provider module airflow_provider_hyperoru" not in told
    shown = {path.stem for path in EXAMPLES.glob("*.py")} | {"hyperoru_volume_by_day"}  # which is beside its asset
    assert told.splitlines()[-1].split() == sorted(shown)


def test_the_demo_runs(installed: Installed) -> None:
    told = installed.run(ROOT / "scripts/demo.py", DEMO_DIRECTORY=str(installed.home / "demo"))
    assert re.search(r"SHA-256 of all manifests: \w{64}\n", told)
    assert told.endswith("Logins at the sandbox: 1\n")


@pytest.mark.timeout(600)
def test_the_tutorial_by_the_letter(installed: Installed) -> None:
    page = (ROOT / "docs/tutorial.md").read_text()
    _install, _serve, connect, export, look, _schedule = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    (dag,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert "T12:00" in export  # a run at midnight stays, and is taken for the scheduled one of that date
    place = installed.home / "tutorial"
    (place / "airflow/dags").mkdir(parents=True)
    (place / "airflow/dags/trades_by_trader.py").write_text(dag)
    command = installed.python.with_name("airflow")  # the links have none
    command.write_text(f'#!/bin/sh\nexec {installed.python} -m airflow "$@"\n')
    command.chmod(0o755)
    with Sandbox() as sandbox:
        port = sandbox.url.rpartition(":")[2]
        script = f"set -e\n{connect.replace('8099', port)}{export}{look}"
        path = os.pathsep.join([str(installed.python.parent), os.environ["PATH"]])
        ended = subprocess.run(
            ["bash", "-c", script],
            cwd=place,
            env={"PATH": path, "HOME": str(place)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        assert sandbox.stats()["logins"] <= 2  # of the doctor and of Airflow
    counts = re.findall(r"^\w+ +(\d+) +[\d.]+$", ended.stdout, re.MULTILINE)
    manifests = [json.loads(path.read_text()) for path in place.glob("airflow/exports/trades/*/_manifest.json")]
    assert {manifest["window"]["start"] for manifest in manifests} == {"2026-01-15T00:00:00Z"}
    assert sorted(map(int, counts)) == sorted(manifest["rows"] for manifest in manifests if manifest["rows"])


def test_what_is_imported_has_types(installed: Installed) -> None:
    dag = shutil.copy(Path(__file__).with_name("typed_dag.py"), installed.home)  # away from the source tree
    assert "Success" in installed.run("-m", "mypy", "--strict", "--config-file=", "--cache-dir=/dev/null", dag)


@pytest.mark.parametrize("statement", ["import airflow", "import airflow.sdk", "import hyperoru_provider, airflow.sdk"])
def test_airflow_imports_unharmed(installed: Installed, statement: str) -> None:
    assert installed.run("-c", statement) == ""


def test_the_entry_point_imports_no_more_than_the_version(installed: Installed) -> None:
    code = (
        "import sys, typing, __future__; from importlib.metadata import entry_points;"
        "points = entry_points(group='apache_airflow_provider');"
        "(point,) = (point for point in points if point.dist.name == NAME);"
        "before = set(sys.modules); point.load()(); print(*sorted(set(sys.modules) - before))"
    ).replace("NAME", repr(NAME))
    imported = installed.run("-c", code).split()
    assert imported == [PACKAGE, f"{PACKAGE}.get_provider_info", f"{PACKAGE}.version"]


def test_all_that_is_named_can_be_imported(installed: Installed) -> None:
    info = get_provider_info()
    modules = [
        module
        for kind in ("hooks", "operators", "sensors", "triggers")
        for group in info.get(kind, [])
        for module in group["python-modules"]
    ]
    classes = [connection["hook-class-name"].rpartition(".")[::2] for connection in info["connection-types"]]
    assert modules
    code = (
        f"import importlib; [importlib.import_module(module) for module in {modules}];"
        f"print(*(getattr(importlib.import_module(module), name).conn_type for module, name in {classes}))"
    )
    assert installed.run("-c", code).split() == [item["connection-type"] for item in info["connection-types"]]


#: how a class begins that users or Airflow name; HyperoruSensor is the base of others
CLASSES = {
    kind: rf"^class Hyperoru(?!Sensor\b)\w*{kind[:-1].title()}\("
    for kind in ("hooks", "operators", "sensors", "triggers")
}


def test_all_modules_with_operators_are_named() -> None:
    info = get_provider_info()
    for kind in CLASSES:
        named = {module for group in info.get(kind, []) for module in group["python-modules"]}
        files = (ROOT / "hyperoru_provider" / kind).glob("[!_]*.py")
        ours = [file.stem for file in files if re.search(CLASSES[kind], file.read_text(), re.MULTILINE)]
        assert named == {f"hyperoru_provider.{kind}.{module}" for module in ours}


def test_the_provider_info_fits_airflows_schema() -> None:
    spec = find_spec("airflow")
    assert spec is not None
    assert spec.origin is not None
    schema = json.loads(Path(spec.origin).with_name("provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


def test_the_form_has_only_keys_that_airflow_knows(connections: list[dict[str, Any]]) -> None:
    """A key that Airflow doesn't know is passed over in silence."""
    for connection in connections:
        behaviour = connection["ui-field-behaviour"]
        assert set(connection) <= CONNECTION_KEYS
        assert set(behaviour) <= BEHAVIOUR_KEYS
        assert {*behaviour["hidden-fields"], *behaviour["relabeling"]} <= STANDARD_FIELDS
        assert set(behaviour["placeholders"]) <= STANDARD_FIELDS | set(connection["conn-fields"])
        for field in connection["conn-fields"].values():
            assert set(field) <= FIELD_KEYS
            jsonschema.Draft202012Validator.check_schema(field["schema"])


def test_the_package_name_is_that_of_the_distribution(metadata: Message) -> None:
    assert get_provider_info()["package-name"] == metadata["Name"] == NAME


def _pip(python: str | Path, *arguments: str | Path) -> None:
    command = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def _libraries(python: Path) -> Path:
    """Say where a Python has its packages."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(subprocess.check_output([python, "-c", code], text=True).strip())


def _own_entries() -> set[str]:
    """Name what the installation of this project, editable or not, put beside other packages."""
    try:
        files = distribution(NAME).files or []
    except PackageNotFoundError:
        return set()
    return {file.parts[0] for file in files}

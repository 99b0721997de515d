"""The samples of a deployment in the docs: what they name is there, in Airflow and in this package."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.places import EXAMPLES, ROOT

PAGE = ROOT / "docs" / "deployment.md"
COMPOSE = ROOT / "docs" / "deployment" / "docker-compose.yaml"
VALUES = ROOT / "docs" / "deployment" / "values.yaml"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PROCESSES = {"api-server", "scheduler", "dag-processor", "triggerer", "celery worker"}


def parsed(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


def directory_of(package: str) -> Path:
    """Return where a package is installed, without importing it."""
    found = find_spec(package)
    assert found
    assert found.origin
    return Path(found.origin).parent


@pytest.fixture(scope="module")
def options() -> set[tuple[str, str]]:
    """All options that Airflow and its Celery provider know, by section."""
    airflow = directory_of("airflow")
    core = yaml.safe_load((airflow / "config_templates" / "config.yml").read_text())
    spec = spec_from_file_location("celery_info", airflow / "providers" / "celery" / "get_provider_info.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    sections = [*core.items(), *module.get_provider_info()["config"].items()]
    return {(section, option) for section, text in sections for option in text["options"]}


def variables() -> Iterator[tuple[str, str]]:
    """Yield each environment variable of the samples, and its value."""
    for service in parsed(COMPOSE)["services"].values():
        yield from service.get("environment", {}).items()
    values = parsed(VALUES)
    yield from ((each["name"], each["value"]) for each in values["env"])
    yield from ((each["envName"], "") for each in values["secret"])


def test_each_process_of_airflow_is_a_service() -> None:
    services = parsed(COMPOSE)["services"]
    commands = {name: service.get("command") for name, service in services.items()}
    assert {command for command in commands.values() if isinstance(command, str)} >= PROCESSES
    assert {*services} == {
        "postgres",
        "redis",
        "init",
        "api-server",
        "scheduler",
        "dag-processor",
        "triggerer",
        "worker",
    }
    assert services["worker"]["deploy"]["replicas"] >= 2


def test_services_and_volumes_that_are_named_are_there() -> None:
    compose = parsed(COMPOSE)
    for service in compose["services"].values():
        assert {*service.get("depends_on", {})} <= {*compose["services"]}
        named = {volume.partition(":")[0] for volume in service.get("volumes", ())}
        assert {name for name in named if not name.startswith(".")} <= {*compose["volumes"]}
    urls = " ".join(compose["services"]["worker"]["environment"].values())
    assert {*re.findall(r"(?:@|redis://|http://)([a-z-]+)[:/]", urls)} == {"postgres", "redis", "api-server"}


def test_options_that_are_set_are_airflow_s(options: set[tuple[str, str]]) -> None:
    names = {name for name, _ in variables() if name.startswith("AIRFLOW__")}
    assert len(names) > 8
    found = {tuple(name.removeprefix("AIRFLOW__").lower().split("__", 1)) for name in names}
    found |= {(section, option) for section, given in parsed(VALUES)["config"].items() for option in given}
    assert found <= options


def test_an_option_that_is_not_there_would_be_noticed(options: set[tuple[str, str]]) -> None:
    assert ("core", "executor") in options
    assert ("core", "executer") not in options
    assert ("celery_broker_transport_options", "visibility_timeout") in options


def test_what_is_set_for_example_dags_is_read_by_them() -> None:
    text = "".join(path.read_text() for path in EXAMPLES.glob("*.py"))
    read = {*re.findall(r'environ\.get\("(\w+)"', text)}
    assert {name for name, _ in variables() if name.startswith("HYPERORU_")} == {"HYPERORU_EXPORTS", "HYPERORU_POOL"}
    assert {"HYPERORU_EXPORTS", "HYPERORU_POOL"} <= read


@pytest.mark.parametrize("path", [COMPOSE, PAGE], ids=lambda path: path.name)
def test_what_is_installed_is_this_package(path: Path) -> None:
    ((version, name, extras),) = re.findall(
        r'RUN pip install --no-cache-dir "apache-airflow==([\d.]+)" "([\w-]+)\[([\w,]+)\]"', path.read_text()
    )
    assert name == PROJECT["name"]
    assert {*extras.split(",")} <= {*PROJECT["optional-dependencies"]}
    assert f"apache-airflow=={version}" in (ROOT / "constraints.txt").read_text().splitlines()
    assert f"FROM apache/airflow:{version}\n" in path.read_text()
    assert parsed(VALUES)["airflowVersion"] == version


def test_the_pool_is_made_that_the_examples_are_told() -> None:
    compose = parsed(COMPOSE)["services"]
    (command,) = compose["init"]["command"]
    assert f"airflow pools set {compose['worker']['environment']['HYPERORU_POOL']} " in command
    assert dict(variables())["HYPERORU_POOL"] in PAGE.read_text()


def test_secrets_are_in_no_sample() -> None:
    for name, value in variables():
        if name.endswith(("_KEY", "_SECRET", "HYPERORU_DEFAULT")):
            assert value == "" or value.startswith("${")

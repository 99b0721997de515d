"""What it costs a DAG file to import an operator, beside what Airflow's SDK has loaded already."""

# ruff: noqa: S603

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.measure import ROOT, airflow_environment

OURS = "hyperoru_provider"
_OTHERS = (
    "airflow.providers.http.operators.http",
    "airflow.providers.http.sensors.http",
    "airflow.providers.common.sql.operators.sql",
    "airflow.providers.amazon.aws.operators.s3",
    "airflow.providers.amazon.aws.sensors.s3",
    "airflow.providers.postgres.hooks.postgres",
)
_SCRIPT = """
import json, sys, time
from airflow.sdk import DAG, BaseHook, BaseOperator, BaseSensorOperator
before, begun = len(sys.modules), time.perf_counter()
__import__(sys.argv[1])
print(json.dumps([(time.perf_counter() - begun) * 1000, len(sys.modules) - before]))
"""


class Cost(NamedTuple):
    """What importing a module costs: milliseconds, and modules that it loads."""

    module: str
    milliseconds: float
    modules: int


def measure(rounds: int, directory: Path) -> list[Cost]:
    """Measure what DAG files import of this provider, and some of others that are installed.

    :param directory: for Airflow's files.
    """
    folders = [ROOT / OURS / name for name in ("operators", "sensors")]
    ours = [f"{OURS}.{path.parent.name}.{path.stem}" for folder in folders for path in sorted(folder.glob("[a-z]*.py"))]
    others = [module for module in _OTHERS if _is_installed(module)]
    environment = airflow_environment(directory)
    return [_cost(module, rounds, environment) for module in (*ours, f"{OURS}.triggers.events", *others)]


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _cost(module: str, rounds: int, environment: dict[str, str]) -> Cost:
    command = [sys.executable, "-c", _SCRIPT, module]
    found = [
        json.loads(subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, check=True).stdout)
        for _ in range(rounds)
    ]
    return Cost(module, median(milliseconds for milliseconds, _ in found), found[0][1])

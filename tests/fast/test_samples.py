"""Each sample of Python in the documentation has types that fit; many are run by other tests, too."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SAMPLE = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
#: what samples that are parts of a DAG file take from it
FILE = """
import json
from typing import Any

import pendulum
from airflow.providers.amazon.aws.transfers.s3_to_redshift import S3ToRedshiftOperator
from airflow.sdk import DAG, Asset, Context, ObjectStoragePath, Param, task
from airflow.timetables.interval import CronDataIntervalTimetable

from hyperoru_provider.operators.market import HyperoruFetchMarketOperator
from hyperoru_provider.operators.reconcile import HyperoruReconcileOperator
from hyperoru_provider.operators.traders import HyperoruListTradersOperator
from hyperoru_provider.operators.trades import HyperoruExportTradesOperator

EXPORTS = Asset("exports")
context: Context
traders: Any

"""
#: beside the project's own, so that what `make lint` has learned of all that is imported is known already
SETTINGS = """
[[tool.mypy.overrides]]
module = ["samples.*"]
disallow_untyped_calls = false
disallow_untyped_defs = false
"""


@pytest.mark.slow
def test_samples_have_types_that_fit(tmp_path: Path) -> None:
    project = (ROOT / "pyproject.toml").read_text().replace("$MYPY_CONFIG_FILE_DIR", str(ROOT))
    (tmp_path / "pyproject.toml").write_text(project + SETTINGS)
    (tmp_path / "samples").mkdir()
    samples = 0
    for page in PAGES:
        for number, code in enumerate(SAMPLE.findall(page.read_text()), start=1):
            (tmp_path / "samples" / f"{page.stem.replace('-', '_')}_{number}.py").write_text(FILE + code)
            samples += 1
    assert samples > 50
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(ROOT / ".mypy_cache"), "samples"]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout

"""The DAG of the page ``docs/first-day.md``, as it stands there, in real Airflow against the sandbox."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.dataset
import pytest

from hyperoru_provider.sandbox import Sandbox
from tests.airflow.dag.conftest import HERE
from tests.airflow_home import connection, copied, environment, migrated
from tests.listed import held
from tests.places import ROOT

pytestmark = pytest.mark.slow


def sample() -> str:
    """Return the only DAG of the page."""
    (found,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/first-day.md").read_text(), re.DOTALL)
    return str(found)


@pytest.mark.timeout(200)
def test_the_first_dag_exports_the_last_day(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    home = copied(migrated(tmp_path_factory.getbasetemp() / "airflow-template"), tmp_path / "home")
    dags, exports = tmp_path / "dags", tmp_path / "exports"
    dags.mkdir()
    file = dags / "first_export.py"
    file.write_text(sample().replace("file:///tmp/exports", exports.as_uri()))
    bundle = {
        "name": "dags",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": str(dags)},
    }
    variables = {"AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle])}
    now = datetime.now(UTC)  # as "airflow dags test" does without a date
    order = {"file": str(file), "dag_id": "first_export", "logical_date": now.isoformat(), "conf": {}, "retries": False}
    with Sandbox() as sandbox:
        environ = {"AIRFLOW_CONN_HYPERORU_DEFAULT": connection(sandbox)}
        done = subprocess.run(
            [sys.executable, str(HERE / "dag_runner.py")],
            env=environment(home, dags, **variables),
            input=json.dumps({**order, "environ": environ}) + "\n",
            capture_output=True, text=True, timeout=150, check=True,
        )  # fmt: skip
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        start, end = today - timedelta(days=1), today
        rows = held(sandbox, start=start.isoformat(), end=end.isoformat())
    outcome = json.loads(done.stdout)
    assert outcome.get("state") == "success", done.stderr[-5000:]
    files = [str(each) for each in exports.rglob("*.parquet")]
    assert pyarrow.dataset.dataset(files).count_rows() == len(rows) > 0

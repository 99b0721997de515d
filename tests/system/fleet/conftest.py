from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hyperoru_provider.sandbox import Sandbox
from tests.airflow_home import connection, copied, migrated
from tests.sample_trades import trades
from tests.system.airflow_processes import AirflowProcesses

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="package")
def sandbox() -> Iterator[Sandbox]:
    """Rows for the fleet on the first day, and so many on the second that they are read in more than one span."""
    rows = trades(6_000, datetime(2025, 4, 1, tzinfo=UTC), timedelta(hours=10))
    rows += trades(25_000, datetime(2025, 4, 2, tzinfo=UTC), timedelta(days=1), first_id=10_000)
    with Sandbox(password="fleet-pass-Q7w9x3", rows=rows) as sandbox:
        yield sandbox


@pytest.fixture(scope="package")
def airflow(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowProcesses]:
    """A running Airflow, which ends with the tests of this package: it costs a part of a core while nobody asks it."""
    template = migrated(tmp_path_factory.getbasetemp() / "airflow-template")
    home = copied(template, tmp_path_factory.mktemp("system") / "home")
    airflow = AirflowProcesses(home, HERE / "dags", AIRFLOW_CONN_HYPERORU_DEFAULT=connection(sandbox))
    try:
        airflow.start()
        yield airflow
    finally:
        airflow.kill_all()

"""The example ``hyperoru_partitioned_trades`` in a real Airflow: each day that is exported has a run of its own."""

from __future__ import annotations

import json
import shutil
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from hyperoru_provider.sandbox import Sandbox
from tests.airflow_home import connection, copied, migrated
from tests.listed import held
from tests.places import EXAMPLES
from tests.sample_trades import trades
from tests.system.airflow_processes import AirflowProcesses

pytestmark = pytest.mark.slow

EXPORT, READER = "hyperoru_partitioned_trades", "hyperoru_volume_by_day"
DAYS = {"2025-04-01": "2025-04-02", "2025-04-02": "2025-04-03"}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(rows=trades(900, datetime(2025, 4, 1, tzinfo=UTC), timedelta(days=3))) as sandbox:
        yield sandbox


@pytest.fixture
def airflow(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AirflowProcesses]:
    """A running Airflow with the example, whose schedule begins by itself with the day before."""
    template = migrated(tmp_path_factory.getbasetemp() / "airflow-template")
    home = copied(template, tmp_path_factory.mktemp("partitions") / "home")
    (home / "dags").mkdir()
    shutil.copy(EXAMPLES / f"{EXPORT}.py", home / "dags")
    airflow = AirflowProcesses(
        home,
        home / "dags",
        AIRFLOW_CONN_HYPERORU_DEFAULT=connection(sandbox),
        HYPERORU_EXPORTS=(home / "exports").as_uri(),
    )
    try:
        airflow.start()
        yield airflow
    finally:
        airflow.kill_all()


def test_each_partition_is_read_by_a_run_of_its_own(airflow: AirflowProcesses, sandbox: Sandbox) -> None:
    for run_id in [airflow.trigger(EXPORT, day) for day in DAYS]:
        airflow.finished(EXPORT, run_id)

    def results() -> dict[str, Any] | None:
        sql = (
            "SELECT partition_key, value FROM xcom JOIN dag_run ON dag_run_id = dag_run.id "
            "WHERE dag_run.dag_id = :dag_id AND key = 'return_value'"
        )
        found = {day: json.loads(value) for day, value in airflow.query(sql, dag_id=READER) if day in DAYS}
        return found if found.keys() == DAYS.keys() else None

    assert airflow.wait_for(results, "a run for each partition", every=0.3) == {
        day: [{"window": {"start": f"{day}T00:00:00Z", "end": f"{end}T00:00:00Z"}, **added_up(sandbox, day, end)}]
        for day, end in DAYS.items()
    }
    runs = [day for (day,) in airflow.query("SELECT partition_key FROM dag_run WHERE dag_id = :dag_id", dag_id=READER)]
    assert len(runs) == len(set(runs))


def added_up(sandbox: Sandbox, start: str, end: str) -> dict[str, Any]:
    """What the server itself holds of a day."""
    rows = [json.loads(row, parse_float=Decimal, parse_int=Decimal) for row in held(sandbox, start=start, end=end)]
    volume: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        volume[row["symbol"]] += row["price"] * row["quantity"]
    assert rows
    return {"rows": len(rows), "volume": {symbol: str(volume[symbol]) for symbol in sorted(volume)}}

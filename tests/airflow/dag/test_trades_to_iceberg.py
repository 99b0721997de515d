"""The DAG ``hyperoru_trades_to_iceberg`` in real Airflow, against the sandbox and a catalog of SQLite."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from hyperoru_provider.sandbox import Sandbox
from tests.airflow.dag.dag_runs import Outcome, RunDag
from tests.lakes import TABLE, local_lake
from tests.sample_trades import trades

pytestmark = pytest.mark.slow

DAY = datetime(2026, 1, 15, tzinfo=UTC)
NEXT = "2026-01-16T00:00:00Z"


def test_a_day_and_the_day_again(run_dag: RunDag, tmp_path: Path) -> None:
    lake = local_lake(tmp_path)

    def run(sandbox: Sandbox, **conf: object) -> Outcome:
        environ = {"AIRFLOW_CONN_ICEBERG_DEFAULT": json.dumps(lake.connection)}
        outcome = run_dag(sandbox, "hyperoru_trades_to_iceberg", NEXT, environ, **conf)
        assert outcome.succeeded_at_once()
        return outcome

    def sent(lines: list[bytes]) -> dict[str, Decimal]:
        rows = [json.loads(line, parse_float=Decimal, parse_int=Decimal) for line in lines]
        return {str(row["trade_id"]): row["price"] for row in rows}

    mine = trades(900, DAY, timedelta(days=1))
    before = trades(50, DAY - timedelta(days=1), timedelta(days=1), first_id=10_000)
    after = trades(50, DAY + timedelta(days=1), timedelta(days=1), first_id=20_000)
    with Sandbox(rows=[*before, *mine, *after]) as sandbox:
        summary = run(sandbox).result("load")
        assert (summary["rows"], summary["table"], summary["replaced"]) == (900, TABLE, 0)
        assert summary["window"] == {"start": "2026-01-15T00:00:00Z", "end": NEXT}
        assert lake.prices(int(summary["snapshot_id"])) == lake.prices() == sent(mine)
        assert run(sandbox).result("load") == {**summary, "written": False}
        run(sandbox, start="2026-01-14", end="2026-01-15")
        assert lake.prices() == sent([*before, *mine])
    with Sandbox(rows=mine[:800]) as sandbox:
        assert run(sandbox).result("load")["replaced"] == 900
    assert lake.prices() == sent([*before, *mine[:800]])

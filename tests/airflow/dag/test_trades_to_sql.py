"""The DAG ``hyperoru_trades_to_sql`` in real Airflow, against the sandbox and a database of SQLite."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from hyperoru_provider.sandbox import Sandbox
from tests.airflow.dag.dag_runs import Outcome, RunDag
from tests.sample_trades import trades

pytestmark = pytest.mark.slow

DAY = datetime(2026, 1, 15, tzinfo=UTC)
NEXT = "2026-01-16T00:00:00Z"


def test_a_day_and_the_day_again(run_dag: RunDag, tmp_path: Path) -> None:
    file = tmp_path / "trades.db"

    def run(sandbox: Sandbox, **conf: object) -> Outcome:
        database = json.dumps({"conn_type": "sqlite", "host": str(file)})
        outcome = run_dag(sandbox, "hyperoru_trades_to_sql", NEXT, {"AIRFLOW_CONN_HYPERORU_SQL": database}, **conf)
        assert outcome.succeeded_at_once()
        return outcome

    def held() -> dict[str, Decimal]:
        with closing(sqlite3.connect(file)) as connection:
            return {key: Decimal(price) for key, price in connection.execute("SELECT trade_id, price FROM trades")}

    def sent(lines: list[bytes]) -> dict[str, Decimal]:
        rows = [json.loads(line, parse_float=Decimal, parse_int=Decimal) for line in lines]
        return {str(row["trade_id"]): row["price"] for row in rows}

    mine = trades(900, DAY, timedelta(days=1))
    before = trades(50, DAY - timedelta(days=1), timedelta(days=1), first_id=10_000)
    after = trades(50, DAY + timedelta(days=1), timedelta(days=1), first_id=20_000)
    with Sandbox(rows=[*before, *mine, *after]) as sandbox:
        assert run(sandbox).result("load") | {"first_time": "", "last_time": ""} == {
            "rows": 900,
            "window": {"start": "2026-01-15T00:00:00Z", "end": NEXT},
            "table": "trades",
            "mode": "replace",
            "inserted": 900,
            "updated": 0,
            "deleted": 0,
            "first_time": "",
            "last_time": "",
        }
        assert held() == sent(mine)
        run(sandbox, start="2026-01-14", end="2026-01-15", mode="upsert")
        assert held() == sent([*before, *mine])
    with Sandbox(rows=mine[:800]) as sandbox:
        run(sandbox)
    assert held() == sent([*before, *mine[:800]])

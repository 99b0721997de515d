"""The DAG ``hyperoru_trades_to_duckdb`` in real Airflow, against the sandbox."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from hyperoru_provider.sandbox import Sandbox
from tests.airflow.dag.dag_runs import RunDag
from tests.sample_trades import trades

pytestmark = pytest.mark.slow

DAY = datetime(2026, 1, 15, tzinfo=UTC)


def test_a_day_that_is_loaded_again_replaces_its_rows(run_dag: RunDag, tmp_path: Path) -> None:
    file = tmp_path / "trades.duckdb"
    rows = trades(20, DAY - timedelta(days=1), timedelta(days=1)) + trades(40, DAY, timedelta(days=1), first_id=21)

    def load(served: list[bytes], end: datetime) -> tuple[int, set[str]]:
        with Sandbox(rows=served) as sandbox:
            outcome = run_dag(
                sandbox,
                "hyperoru_trades_to_duckdb",
                end.isoformat(),
                destination=tmp_path.as_uri(),
                database=str(file),
            )
        assert outcome.succeeded_at_once()
        with duckdb.connect(str(file), read_only=True) as database:
            return outcome.result("load"), {
                key for (key,) in database.execute("SELECT trade_id FROM trades").fetchall()
            }

    assert load(rows, DAY) == (20, {str(number) for number in range(1, 21)})
    assert load(rows, DAY + timedelta(days=1)) == (60, {str(number) for number in range(1, 61)})
    assert load(rows[:-1], DAY + timedelta(days=1)) == (59, {str(number) for number in range(1, 60)})
    with duckdb.connect(str(file), read_only=True) as database:
        ((price,),) = database.execute("SELECT price FROM trades WHERE trade_id = '1'").fetchall()
    assert isinstance(price, Decimal)

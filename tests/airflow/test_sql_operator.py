"""The trades of a sandbox into tables of databases, through Airflow's connections and hooks."""

from __future__ import annotations

import gzip
import json
import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import Context

from hyperoru_provider.client.errors import HyperoruApiError, HyperoruConfigError, HyperoruContractError
from hyperoru_provider.operators.sql import HyperoruTradesToSqlOperator
from hyperoru_provider.sandbox import Sandbox
from tests.databases import Database
from tests.places import REAL_ROWS

REAL_SUMS = (Decimal("80597.53564146"), Decimal("1272260.125956"))
START, END = datetime(2024, 9, 20, tzinfo=UTC), datetime(2025, 5, 2, tzinfo=UTC)
BOTH = pytest.mark.parametrize("mode", ["replace", "upsert"])
#: what takes long: other databases are tested below the operator
TWO_DATABASES = pytest.mark.parametrize("database", ["postgres", "sqlite"], indirect=True)


@pytest.fixture
def database(database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Make it the Airflow connection ``sql``."""
    monkeypatch.setenv("AIRFLOW_CONN_SQL", json.dumps(database.connection))
    return database


def sums(database: Database) -> tuple[Decimal, ...]:
    """Add up, by SQL where it has exact numbers."""
    if database.kind != "sqlite":
        return database.query("SELECT sum(commission), sum(realized_pnl) FROM trades")[0]
    with localcontext(prec=60):
        rows = database.query("SELECT commission, realized_pnl FROM trades")
        return tuple(sum(map(Decimal, column), Decimal()) for column in zip(*rows, strict=True))


def made_up(count: int, price: str = "") -> list[dict[str, Any]]:
    """Trades at whole minutes that up to hundreds share, oldest first."""
    rng = random.Random(3)
    minutes: list[datetime] = []
    while len(minutes) < count:
        minutes += [START + timedelta(minutes=rng.randrange(300_000))] * rng.choice((1, 1, 2, 30, 300))
    return [
        {
            "trade_id": number,
            "account_id": number % 4 + 1,  # a trade keeps its trader and symbol, whatever else changes
            "symbol": ("BTC", "ETH", "@107", "PURR/USDC")[number % 3 + number % 2],
            "side": rng.choice(("BUY", "SELL")),
            "price": price or f"{rng.randrange(10**9)}.{rng.randrange(10**6):06}",
            "quantity": f"{rng.randrange(10**20)}E-18",
            "commission": f"-{rng.randrange(10**24)}E-20",
            "realized_pnl": rng.choice(("0", "0.0", f"{rng.randrange(10**9)}.00E-05")),
            "trade_time": minute.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "crossed": rng.random() < 0.5,
        }
        for number, minute in enumerate(sorted(minutes[:count]), start=1)
    ]


@pytest.fixture
def connected(connect: Callable[..., None]) -> Callable[[Sandbox], None]:
    return lambda sandbox: connect(sandbox, token_cache="memory", max_retries=0)


def run(start: Any = START, end: Any = END, **arguments: Any) -> dict[str, Any]:
    arguments = {"sql_conn_id": "sql", "table": "trades", "create_table": True, **arguments}
    operator = HyperoruTradesToSqlOperator(task_id="t", start=start, end=end, **arguments)
    summary: dict[str, Any] = operator.execute(Context())
    return summary


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("source", ["made up", *(["real"] if REAL_ROWS.exists() else [])])
def test_each_row_once_and_exact(
    database: Database, connected: Callable[[Sandbox], None], mode: str, source: str
) -> None:
    """In windows that end within minutes, between them, and a moment after many trades."""
    given = REAL_ROWS.read_bytes() if source == "real" else b""
    rows = [json.loads(line) for line in gzip.decompress(given).splitlines()] if given else made_up(1_500)
    shared = Counter(datetime.fromisoformat(row["trade_time"]) for row in rows).most_common(2)
    assert shared[1][1] > 200
    (one, _), (two, _) = sorted(shared)
    bounds = [START, one, one + timedelta(milliseconds=1), two - timedelta(seconds=1), two + timedelta(minutes=1), END]
    windows = list(pairwise(bounds))[::-1]
    with Sandbox(data=REAL_ROWS) if given else Sandbox(rows=rows) as sandbox:
        connected(sandbox)
        summaries = [run(start, end, mode=mode, batch_rows=400) for start, end in windows]
    assert sum(summary["rows"] for summary in summaries) == len(rows)
    assert sorted(database.query("SELECT trade_id FROM trades")) == sorted((str(row["trade_id"]),) for row in rows)
    with localcontext(prec=60):
        sent = tuple(sum(Decimal(row[name]) for row in rows) for name in ("commission", "realized_pnl"))
    assert sums(database) == (REAL_SUMS if given else sent)
    digits = {str(row["trade_id"]): row["quantity"] for row in rows}
    for trade_id, quantity in database.query("SELECT trade_id, quantity FROM trades"):
        assert Decimal(quantity) == Decimal(str(digits[trade_id]))


@TWO_DATABASES
@BOTH
def test_again_after_the_server_changed(database: Database, connected: Callable[[Sandbox], None], mode: str) -> None:
    rows = made_up(700)
    with Sandbox(rows=rows) as sandbox:
        connected(sandbox)
        summary = run(mode=mode)
        before = database.query("SELECT * FROM trades ORDER BY trade_id")
        assert summary["inserted"] == 700
        summary = run(mode=mode)
        assert summary == json.loads(json.dumps(summary))
    assert database.query("SELECT * FROM trades ORDER BY trade_id") == before
    assert summary == {
        "rows": 700,
        "window": {"start": "2024-09-20T00:00:00Z", "end": "2025-05-02T00:00:00Z"},
        "table": "trades",
        "mode": mode,
        "inserted": 700 if mode == "replace" else 0,
        "updated": 0,
        "deleted": 700 if mode == "replace" else 0,
        "first_time": rows[0]["trade_time"],
        "last_time": rows[-1]["trade_time"],
    }
    with Sandbox(rows=[*rows[:100], rows[101] | {"price": "77"}, *rows[102:]]) as sandbox:
        connected(sandbox)
        run(mode=mode)
    after = database.query("SELECT * FROM trades ORDER BY trade_id")
    gone, old = (next(row for row in before if row[0] == str(rows[place]["trade_id"])) for place in (100, 101))
    new = next(row for row in after if row[0] == old[0])
    assert Decimal(new[10]) == 77
    expected = [new if row == old else row for row in before if row != gone or mode == "upsert"]
    assert after == expected


@TWO_DATABASES
def test_only_a_trader_or_symbol(database: Database, connected: Callable[[Sandbox], None]) -> None:
    rows = made_up(400)
    mine = [row for row in rows if (row["account_id"], row["symbol"]) == (1, "BTC")]
    others = [row for row in rows if row["symbol"] != "BTC"]
    with Sandbox(rows=rows) as sandbox:
        connected(sandbox)
        run()
        assert run(account_id=1, symbol="BTC")["rows"] == len(mine) > 0
    assert len(database.query("SELECT * FROM trades")) == 400
    with Sandbox(rows=others) as sandbox:
        connected(sandbox)
        with pytest.raises(HyperoruContractError, match="on_empty"):
            run(account_id="1", symbol="BTC")
        run(account_id="1", symbol="BTC", on_empty="succeed")
        assert len(database.query("SELECT * FROM trades")) == 400 - len(mine)
        run(symbol="BTC", on_empty="succeed")
    assert len(database.query("SELECT * FROM trades")) == len(others)


@TWO_DATABASES
def test_an_empty_window(database: Database, connected: Callable[[Sandbox], None]) -> None:
    with Sandbox(rows=made_up(50)) as sandbox:
        connected(sandbox)
        summary = run("2030-01-01", "2030-01-02")
    assert (summary["rows"], summary["first_time"], summary["last_time"]) == (0, None, None)
    assert database.query("SELECT * FROM trades") == []


class Watch(threading.Thread):
    """Looks at a table again and again from another connection, and notes which states it saw.

    :param database: where it is.
    """

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database
        self._over = threading.Event()
        self.seen: Counter[tuple[Any, ...]] = Counter()

    def run(self) -> None:
        with closing(self._database.connect()) as connection:
            while not self._over.is_set():
                self.seen.update(self._database.ask(connection, "SELECT count(*), min(price), max(price) FROM trades"))
                time.sleep(0.001)

    def __enter__(self) -> Counter[tuple[Any, ...]]:
        self.start()
        return self.seen

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()


def state(database: Database) -> tuple[Any, ...]:
    return database.query("SELECT count(*), min(price), max(price) FROM trades")[0]


@TWO_DATABASES
@BOTH
def test_nobody_sees_a_part(database: Database, connected: Callable[[Sandbox], None], mode: str) -> None:
    states = []
    with Sandbox(rows=made_up(2_000, "1")) as one, Sandbox(rows=made_up(2_500, "2")) as two:
        connected(one)
        run(mode=mode)
        states.append(state(database))
        connected(two)
        with Watch(database) as seen:
            run(mode=mode, batch_rows=100)
        states.append(state(database))
    assert [count for count, *_ in states] == [2_000, 2_500]
    assert seen[states[0]] >= 5
    assert set(seen) <= set(states)


FAULTS: dict[str, tuple[dict[str, Any], type[Exception]]] = {
    "conflict": ({"conflicting_rows": True}, HyperoruContractError),
    "drop": ({"drop_rate": 1.0}, HyperoruApiError),
    "error": ({"error_rate": 1.0}, HyperoruApiError),
    "truncated": ({"truncate_rate": 1.0}, HyperoruApiError),
    "repeated page": ({"ignore_params": ["page"]}, HyperoruContractError),
}


@TWO_DATABASES
@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("fault", FAULTS)
def test_a_server_that_fails_late(
    database: Database, connected: Callable[[Sandbox], None], mode: str, fault: str
) -> None:
    """After more rows than the client holds at once, while another connection looks."""
    faults, error = FAULTS[fault]
    with Sandbox(rows=made_up(300, "1")) as one, Sandbox(rows=made_up(8_000, "2"), latency=0.02) as two:
        connected(one)
        run(mode=mode)
        before = state(database)
        connected(two)

        def spoil() -> None:
            while two.stats()["rows_served"] < 5_500:
                time.sleep(0.001)
            two.set_faults(**faults)

        thread = threading.Thread(target=spoil)
        thread.start()
        with Watch(database) as seen, pytest.raises(error):
            run(mode=mode, concurrency=1, batch_rows=100)
        thread.join()
        assert two.stats()["rows_served"] >= 5_500
    assert set(seen) == {before} == {state(database)}


@BOTH
def test_a_database_that_refuses_a_row(database: Database, connected: Callable[[Sandbox], None], mode: str) -> None:
    with Sandbox(rows=made_up(300, "1")) as one, Sandbox(rows=made_up(3_000, "2")) as two:
        connected(one)
        run(mode=mode)
        if database.kind != "sqlite":
            database.query("ALTER TABLE trades ADD CONSTRAINT no_more CHECK (trade_id <> '2900')")
        else:
            (sql,) = database.query("SELECT sql FROM sqlite_master WHERE name = 'trades'")[0]
            database.query("ALTER TABLE trades RENAME TO old")
            database.query(sql.rstrip().removesuffix(")") + ", CONSTRAINT no_more CHECK (trade_id <> '2900'))")
            database.query("INSERT INTO trades SELECT * FROM old")
        before = state(database)
        connected(two)
        with Watch(database) as seen, pytest.raises(Exception, match="no_more"):
            run(mode=mode, batch_rows=100)
    assert before[0] == 300
    assert set(seen) == {before} == {state(database)}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"create_table": False}, "The table trades does not exist"),
        ({"table": "other"}, r"other don't fit.*price is INT"),
        ({"table": "loose", "mode": "upsert"}, r"CREATE UNIQUE INDEX hyperoru_key ON loose \(trade_id\)"),
        ({"table": "a;b"}, "table 'a;b'"),
        ({"table": "None"}, "table is 'None'"),
        ({"table": None}, "table is missing"),
        ({"mode": "append"}, "mode 'append'"),
        ({"sql_conn_id": "hyperoru_default"}, "hyperoru_default is not a SQL database"),
        ({"start": "", "end": ""}, "start is missing"),
        ({"start": START, "end": START}, "CronDataIntervalTimetable"),
        ({"batch_rows": 0}, "batch_rows is 0"),
        ({"concurrency": 0}, "concurrency is 0"),
        ({"account_id": ""}, "account_id is ''"),
        ({"symbol": "None"}, "symbol is 'None'"),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_asked(
    database: Database, connected: Callable[[Sandbox], None], arguments: dict[str, Any], named: str
) -> None:
    with Sandbox(rows=made_up(10)) as sandbox:
        connected(sandbox)
        database.query("CREATE TABLE other (price INTEGER)")
        run(table="model")
        database.query("CREATE TABLE loose AS SELECT * FROM model WHERE 1 = 0")
        sandbox.reset()
        with pytest.raises(HyperoruConfigError, match=named):
            run(**arguments)
        assert sandbox.stats()["requests"] == 0
    assert database.query("SELECT * FROM loose") == []


def test_a_wrong_connection_is_an_error_before_anything_is_asked(
    connected: Callable[[Sandbox], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SQL", json.dumps({"conn_type": "sqlite", "host": str(tmp_path / "no" / "file")}))
    with Sandbox(rows=[]) as sandbox:
        connected(sandbox)
        with pytest.raises(sqlite3.OperationalError):
            run()
        assert sandbox.stats()["requests"] == 0


def test_templated_fields_are_arguments() -> None:
    operator = HyperoruTradesToSqlOperator(task_id="t", sql_conn_id="sql", table="trades")
    assert {"sql_conn_id", "table", "hyperoru_conn_id"} < set(operator.template_fields)
    for field in operator.template_fields:
        assert hasattr(operator, field)
        assert f":param {field}:" in (HyperoruTradesToSqlOperator.__doc__ or "")

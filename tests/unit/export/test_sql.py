"""Rows into tables of PostgreSQL and SQLite and back, all of them or none."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hyperoru_provider.client import calls
from hyperoru_provider.client.contract import load_contract
from hyperoru_provider.client.errors import HyperoruConfigError, HyperoruContractError
from hyperoru_provider.client.models import Trade
from hyperoru_provider.client.paging import Row
from hyperoru_provider.client.times import parse_time
from hyperoru_provider.export import sql
from hyperoru_provider.export.columns import Table
from hyperoru_provider.export.job import Subject
from hyperoru_provider.export.sql import SqlLanding, load
from hyperoru_provider.export.window import Window

POSTGRES = os.environ.get("HYPERORU_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/test")
START = datetime(2026, 1, 15, tzinfo=UTC)
DAY = timedelta(days=1)
WINDOW = Window(START, START + DAY)
CONTRACT = load_contract()
BOTH = pytest.mark.parametrize("mode", ["replace", "upsert"])


@dataclass(frozen=True)
class Database:
    """A database of one test."""

    kind: str
    connect: Callable[[], Any]

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        with closing(self.connect()) as connection:
            cursor = connection.execute(statement)
            found = cursor.fetchall() if cursor.description else []
            connection.commit()
            return found

    @property
    def types(self) -> dict[str, str]:
        if self.kind == "sqlite":
            return {"decimal": "TEXT", "timestamp": "TEXT"}
        return {"decimal": "NUMERIC", "timestamp": "TIMESTAMP WITH TIME ZONE"}

    def create(self, name: str = "trades", *more: str, **types: str) -> None:
        """Make a table of one's own, without a key; ``types`` of columns, empty to leave one out."""
        columns = {column.name: self.types.get(column.type, "TEXT") for column in Table(Trade, _trade).columns} | types
        parts = [f'"{column}" {kind}' for column, kind in columns.items() if kind]
        self.query(f"CREATE TABLE {name} ({', '.join([*parts, *more])})")

    def trades(self, table: str = "trades") -> dict[str, tuple[str, Decimal]]:
        """Give the account and price of each row, and fail if a key is there twice."""
        rows = self.query(f"SELECT trade_id, account_id, price FROM {table}")
        assert len({row[0] for row in rows}) == len(rows)
        return {trade_id: (account_id, Decimal(price)) for trade_id, account_id, price in rows}


@pytest.fixture(params=["postgres", "sqlite"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        yield Database("sqlite", lambda: sqlite3.connect(tmp_path / "test.db"))
    else:
        yield request.getfixturevalue("postgres")


@pytest.fixture
def postgres() -> Iterator[Database]:
    schema = f"hyperoru_{uuid.uuid4().hex[:12]}"
    try:
        admin = psycopg.connect(POSTGRES, autocommit=True, connect_timeout=5)
    except psycopg.OperationalError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no PostgreSQL at HYPERORU_TEST_POSTGRES: {error}")
    with admin:
        admin.execute(f"CREATE SCHEMA {schema}")
        try:
            yield Database("postgres", lambda: psycopg.connect(POSTGRES, options=f"-c search_path={schema}"))
        finally:
            admin.execute(f"DROP SCHEMA {schema} CASCADE")


def _trade(row: Row) -> Trade:
    return calls.trade(CONTRACT, row)


def trade(number: int, price: str = "1.5", at: timedelta | None = None, **more: str) -> Row:
    time = (START + (timedelta(seconds=number) if at is None else at)).isoformat()
    fields = {"account_id": "1", "symbol": '"BTC"'} | more
    text = "".join(f',"{name}":{value}' for name, value in fields.items())
    text = f'{{"trade_id":{number},"side":"BUY","price":{price},"quantity":2,"trade_time":"{time}"{text}}}'
    return Row(parse_time(time), (number,), text.encode())


def landing_of(
    database: Database, mode: str = "replace", table: str = "trades", key: tuple[str, ...] = ("trade_id",)
) -> SqlLanding:
    contract = load_contract({"trades": {"key": key}})
    return SqlLanding(database.connect, table, mode, Table(Trade, partial(calls.trade, contract)), contract.trades)


def land(
    database: Database, rows: list[Row], mode: str = "replace", table: str = "trades", window: Window = WINDOW,
    batch_rows: int = 10, create: bool = True, **filters: Any,
) -> dict[str, Any]:  # fmt: skip
    landing = landing_of(database, mode, table)
    landing.prepare(create)
    spans = (rows[first : first + 7] for first in range(0, len(rows), 7))
    return load(spans, Subject("trades", window, filters), landing, batch_rows)


@BOTH
def test_amounts_and_unknown_fields_survive(database: Database, mode: str) -> None:
    prices = ["1.00E-05", "3.28", "-0.1", "0.000000000000000001", "99999999999999999999", "12", "1E+3", "1e-30"]
    more = {"commission": "-0.25", "tx": '"0xab\\u0000"', "crossed": "false", "depth": "0.30", "order_no": '"007"'}
    land(database, [trade(n, price, **more, related_orders='[{"p":0.10}]') for n, price in enumerate(prices)], mode)
    found = database.query(
        "SELECT price, commission, order_no, realized_pnl, extra, related_orders, trade_time FROM trades "
        "ORDER BY trade_time"
    )
    assert [Decimal(row[0]) for row in found] == [Decimal(price) for price in prices]
    for number, (_, commission, order_no, realized_pnl, extra, related, time) in enumerate(found):
        assert (Decimal(commission), order_no, realized_pnl) == (Decimal("-0.25"), "007", None)
        assert json.loads(extra, parse_float=str) == {"tx": "0xab\0", "crossed": False, "depth": "0.30"}
        assert json.loads(related, parse_float=str) == [{"p": "0.10"}]
        if database.kind == "sqlite":
            assert time == f"2026-01-15T00:00:{number:02}.000000Z"
        else:
            assert time == START + timedelta(seconds=number)


@BOTH
def test_the_summary(database: Database, mode: str) -> None:
    assert land(database, [trade(n) for n in range(25)], mode) == {
        "rows": 25,
        "window": {"start": "2026-01-15T00:00:00Z", "end": "2026-01-16T00:00:00Z"},
        "table": "trades",
        "mode": mode,
        "first_time": "2026-01-15T00:00:00Z",
        "last_time": "2026-01-15T00:00:24Z",
    }


@BOTH
def test_again_and_again_gives_the_same_table(database: Database, mode: str) -> None:
    rows = [trade(n, str(n)) for n in range(25)]
    land(database, rows, mode)
    before = database.query("SELECT * FROM trades ORDER BY trade_time")
    for other in ("replace", "upsert", mode):
        land(database, rows, other)
        assert database.query("SELECT * FROM trades ORDER BY trade_time") == before


@BOTH
def test_what_the_server_changed_or_dropped(database: Database, mode: str) -> None:
    elsewhere = [trade(100, at=-timedelta.resolution), trade(101, at=DAY)]
    land(database, elsewhere, window=Window(START - DAY, START + 2 * DAY))
    land(database, [trade(n) for n in range(20)], mode)
    land(database, [trade(n, "2" if n == 3 else "1.5") for n in range(25) if n != 5], mode)
    found = database.trades()
    assert found["3"][1] == 2
    assert ("5" in found) is (mode == "upsert")
    assert set(found) - {"5"} == {str(n) for n in [*range(25), 100, 101]} - {"5"}


@BOTH
def test_no_rows(database: Database, mode: str) -> None:
    summary = land(database, [], mode)
    assert (summary["rows"], summary["first_time"], database.trades()) == (0, None, {})
    land(database, [trade(n) for n in range(20)], mode)
    land(database, [], mode)
    assert len(database.trades()) == (0 if mode == "replace" else 20)


def test_replace_keeps_to_its_filters(database: Database) -> None:
    rows = [trade(n, account_id=str(n % 3), symbol='"BTC"' if n % 2 else '"ETH"') for n in range(30)]
    land(database, rows)
    land(database, [], account_id=1, symbol="eth")  # the client takes either case for an answer to the other
    assert set(database.trades()) == {str(n) for n in range(30) if n % 3 != 1 or n % 2}


def test_replace_keeps_to_its_window_within_a_second(database: Database) -> None:
    half = timedelta(milliseconds=500)
    rows = [trade(n, at=n * half) for n in range(8)]
    land(database, rows)
    land(database, [], window=Window(START + 2 * half, START + 5 * half))
    assert set(database.trades()) == set("01567")


def failing(rows: list[Row]) -> Iterator[list[Row]]:
    yield rows
    raise HyperoruContractError("the server misbehaves")


@BOTH
@pytest.mark.parametrize("fault", ["server", "database", "row"])
def test_a_failure_leaves_the_table_as_it_was(database: Database, mode: str, fault: str) -> None:
    database.create("trades", "PRIMARY KEY (trade_id)", "CONSTRAINT cheap CHECK (quantity <> '77')")
    land(database, [trade(n) for n in range(30)], mode)
    before = database.trades()
    bad = {"server": {}, "database": {"quantity": "77"}, "row": {"quantity": '"x"'}}[fault]
    rows = [*(trade(n, "2") for n in range(5, 40)), trade(40, **bad), trade(41)]
    landing = landing_of(database, mode)
    spans = failing(rows) if fault == "server" else iter([rows])
    with pytest.raises(Exception, match={"server": "misbehaves", "database": "cheap", "row": "trade_id=40"}[fault]):
        load(spans, Subject("trades", WINDOW, {}), landing, 10)
    assert database.trades() == before


@BOTH
def test_nobody_sees_a_part(database: Database, mode: str) -> None:
    """Before each batch is written, and before the commit, another connection looks."""
    rows = {price: [trade(n, price) for n in range(50)] for price in ("1", "2")}
    land(database, rows["1"], mode)
    seen = []

    def batches() -> Iterator[list[Row]]:
        for first in range(0, 50, 10):
            yield rows["2"][first : first + 10]
            seen.append(database.trades())

    landing_of(database, mode).store(batches(), Subject("trades", WINDOW, {}), 50)
    assert seen == [{str(n): ("1", Decimal(1)) for n in range(50)}] * 5
    assert database.trades() == {str(n): ("1", Decimal(2)) for n in range(50)}


def second_load(database: Database, first: list[Row], second: list[Row], window: Window, mode: str) -> bool:
    """Begin a load in the middle of another; gives whether it ended before the other did."""
    errors: list[BaseException] = []
    ended_early = []

    def other() -> None:
        try:
            land(database, second, mode, window=window, create=False)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=other)

    def batches() -> Iterator[list[Row]]:
        yield first[:10]
        thread.start()
        thread.join(0.5 if window == WINDOW or database.kind == "sqlite" else 20)
        ended_early.append(not thread.is_alive())
        yield first[10:]

    landing_of(database, mode).store(batches(), Subject("trades", WINDOW, {}), len(first))
    thread.join(20)
    assert not errors
    return ended_early == [True]


def test_two_loads_of_a_window_at_once(database: Database) -> None:
    """The second one waits, and so deletes what the first one wrote, although nothing else forbids a key twice."""
    database.create()
    first, second = [trade(n) for n in range(20)], [trade(n, "2") for n in range(1, 21)]
    assert not second_load(database, first, second, WINDOW, "replace")
    assert database.trades() == {str(n): ("1", Decimal(2)) for n in range(1, 21)}


@BOTH
def test_loads_of_other_windows_go_on_meanwhile(database: Database, mode: str) -> None:
    landing_of(database).prepare(True)
    first, second = [trade(n) for n in range(20)], [trade(n, at=DAY) for n in range(20, 30)]
    ended_early = second_load(database, first, second, Window(START + DAY, START + 2 * DAY), mode)
    assert ended_early is (database.kind == "postgres")  # SQLite has one writer at a time
    assert set(database.trades()) == {str(n) for n in range(30)}


def test_a_table_made_by_many_at_once(database: Database) -> None:
    barrier = threading.Barrier(4)
    errors: list[BaseException] = []

    def make() -> None:
        landing = landing_of(database)
        barrier.wait()
        try:
            landing.prepare(True)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert database.trades() == {}


def test_a_missing_table(database: Database) -> None:
    for table in ("trades", "nosuch.trades"):
        with pytest.raises(HyperoruConfigError, match=rf"no table {table}.*create_table"):
            land(database, [], table=table, create=False)
    with pytest.raises(Exception, match="nosuch"):
        land(database, [], table="nosuch.trades")


def test_a_table_of_ones_own(database: Database) -> None:
    database.create("trades", "PRIMARY KEY (trade_id)", symbol="VARCHAR(40)", note="TEXT DEFAULT 'new'", unset="TEXT")
    land(database, [trade(1), trade(2)], create=False)
    database.query("UPDATE trades SET note = 'mine'")
    land(database, [trade(2, "3"), trade(3)], "upsert", create=False)
    found = database.query("SELECT trade_id, price, note, unset FROM trades ORDER BY trade_id")
    assert [(key, Decimal(price), *rest) for key, price, *rest in found] == [
        ("1", Decimal("1.5"), "mine", None),
        ("2", 3, "mine", None),
        ("3", Decimal("1.5"), "new", None),
    ]


@pytest.mark.parametrize(
    ("column", "kinds"),
    [
        ("price", {"postgres": "NUMERIC(38, 18)", "sqlite": "NUMERIC"}),
        ("price", {"postgres": "DOUBLE PRECISION", "sqlite": "REAL"}),
        ("trade_time", {"postgres": "TIMESTAMP WITHOUT TIME ZONE", "sqlite": "DATETIME"}),
        ("trade_time", {"postgres": "TIMESTAMP(0) WITH TIME ZONE", "sqlite": "INTEGER"}),
        ("symbol", {"postgres": "CHAR(4)", "sqlite": "INTEGER"}),
        ("extra", {"postgres": "JSONB", "sqlite": "BLOB"}),
        ("extra", {"postgres": "TSVECTOR", "sqlite": "NUMERIC"}),
        ("account_id", {"postgres": "", "sqlite": ""}),
    ],
)
def test_columns_that_dont_fit_are_named(database: Database, column: str, kinds: dict[str, str]) -> None:
    database.create(**{column: kinds[database.kind], "model": ""})
    with pytest.raises(HyperoruConfigError, match=rf"trades don't fit.*\b{column} (is|\(TEXT\) is missing)") as caught:
        land(database, [], create=False)
    assert "model (TEXT) is missing" in str(caught.value)
    assert str(caught.value).count(";") == 1


NOT_UNIQUE = {
    "none": "CREATE TABLE other (x TEXT)",
    "not unique": "CREATE INDEX one ON trades (trade_id)",
    "more columns": "CREATE UNIQUE INDEX one ON trades (trade_id, symbol)",
    "some rows": "CREATE UNIQUE INDEX one ON trades (trade_id) WHERE symbol = 'BTC'",
    "expression": "CREATE UNIQUE INDEX one ON trades (lower(trade_id))",
}


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection")
@pytest.mark.parametrize("kind", NOT_UNIQUE)
def test_upsert_needs_a_unique_index(database: Database, kind: str) -> None:
    database.create()
    database.query(NOT_UNIQUE[kind])
    with pytest.raises(HyperoruConfigError, match=r"CREATE UNIQUE INDEX ON trades \(trade_id\)"):
        land(database, [], "upsert")
    land(database, [trade(1)])


@pytest.mark.parametrize("unique", ["PRIMARY KEY (trade_id)", "UNIQUE (trade_id)", "index"])
def test_upsert_takes_any_unique_index(database: Database, unique: str) -> None:
    database.create("trades", *([] if unique == "index" else [unique]))
    if unique == "index":
        database.query("CREATE UNIQUE INDEX one ON trades (trade_id)")
    land(database, [trade(1), trade(2)], "upsert")
    land(database, [trade(2, "2"), trade(3)], "upsert")
    assert {key: price for key, (_, price) in database.trades().items()} == {
        "1": Decimal("1.5"),
        "2": 2,
        "3": Decimal("1.5"),
    }


def test_upsert_leaves_equal_rows_alone(postgres: Database) -> None:
    land(postgres, [trade(n) for n in range(10)], "upsert")
    versions = postgres.query("SELECT trade_id, xmin::text FROM trades")
    land(postgres, [trade(n, "2" if n == 3 else "1.50") for n in range(10)], "upsert")
    changed = set(postgres.query("SELECT trade_id, xmin::text FROM trades")) - set(versions)
    assert {key for key, _ in changed} == {"3"}


def test_a_key_that_belongs_to_another_window_is_an_error(database: Database) -> None:
    land(database, [trade(1), trade(2)], window=Window(START, START + DAY))
    before = database.trades()
    with pytest.raises(Exception, match=r"(?i)unique"):
        land(database, [trade(1, at=DAY)], window=Window(START + DAY, START + 2 * DAY))
    assert database.trades() == before


@BOTH
@pytest.mark.parametrize("table", ["order", "Select", "2026-trades$", "stage_stage_trades", "ä"])
def test_any_name_will_do(database: Database, mode: str, table: str) -> None:
    schema = database.query("SELECT current_schema()")[0][0] if database.kind == "postgres" else "main"
    for name, quoted in ((table, f'"{table}"'), (f"{schema}.{table}", f'{schema}."{table}"')):
        for price in ("1", "2"):
            land(database, [trade(n, price) for n in range(12)], mode, name)
        assert database.trades(quoted) == {str(n): ("1", Decimal(2)) for n in range(12)}


@pytest.mark.parametrize(
    "table", ["", "a.b.c", ".a", "a.", 'a"b', "a b", "a;DROP TABLE x", "a\0", "a'", "a%s", "a\n", "x" * 64]
)
def test_a_hostile_name_is_refused(table: str) -> None:
    with pytest.raises(HyperoruConfigError, match="table"):
        SqlLanding(pytest.fail, table, "replace", Table(Trade, _trade), CONTRACT.trades)


@BOTH
def test_a_key_of_several_fields(database: Database, mode: str) -> None:
    """One that the model does not know gets a column, whatever its name."""
    rows = [Row(START, (table, 1), trade(1, table=f'"{table}"', at=timedelta()).raw) for table in ("a", "b", 'c"d')]
    for _ in range(2):
        landing = landing_of(database, mode, key=("table", "trade_id"))
        landing.prepare(True)
        load([rows], Subject("trades", WINDOW, {}), landing, 2)
    assert database.query('SELECT "table", trade_id FROM trades ORDER BY 1') == [("a", "1"), ("b", "1"), ('c"d', "1")]


@BOTH
def test_rows_that_cant_be_found_again_are_an_error(database: Database, mode: str) -> None:
    land(database, [trade(n) for n in range(5)], mode)
    before = database.trades()
    with pytest.raises(HyperoruContractError, match="taken back"):
        land(database, [trade(8), trade(9, account_id="null")], mode, account_id=1)
    assert database.trades() == before


@pytest.mark.parametrize(("arguments", "named"), [({"mode": "append"}, "mode"), ({"batch_rows": 0}, "batch_rows")])
def test_a_wrong_choice_is_named(database: Database, arguments: dict[str, Any], named: str) -> None:
    land(database, [trade(1)])
    with pytest.raises(HyperoruConfigError, match=named):
        land(database, [trade(2)], **arguments)
    assert set(database.trades()) == {"1"}


def test_a_time_without_a_column() -> None:
    trades = load_contract({"trades": {"time": "closed_at"}}).trades
    with pytest.raises(HyperoruConfigError, match="closed_at"):
        SqlLanding(pytest.fail, "trades", "replace", Table(Trade, _trade), trades)


def test_another_database_is_refused() -> None:
    class Connection:
        def close(self) -> None:
            pass

    Connection.__module__ = "psycopg2.extensions"
    with pytest.raises(HyperoruConfigError, match=r"psycopg2.*PostgreSQL"):
        SqlLanding(Connection, "trades", "replace", Table(Trade, _trade), CONTRACT.trades)


def test_a_connection_for_other_uses(postgres: Database) -> None:
    """One that commits each statement, gives rows as dicts and sees only what was there at its begin."""
    from psycopg.rows import dict_row

    def connect() -> Any:
        connection = postgres.connect()
        connection.row_factory = dict_row
        connection.autocommit = True
        connection.execute("SET default_transaction_isolation TO serializable")
        return connection

    odd = Database("postgres", connect)
    land(odd, [trade(n) for n in range(20)])
    with pytest.raises(HyperoruContractError, match="trade_id=30"):
        land(odd, [*(trade(n) for n in range(30)), trade(30, quantity="null")])
    assert set(postgres.trades()) == {str(n) for n in range(20)}


def test_memory_holds_a_batch(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spans are gone when the next ones are read from the server, and batches when the next ones are written."""
    alive = 0

    class Tracked(list[Row]):
        def __init__(self, rows: Iterable[Row]) -> None:
            nonlocal alive
            super().__init__(rows)
            alive += 1
            assert alive <= 2

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    spans = (Tracked(trade(n) for n in range(first, first + 10)) for first in range(0, 100, 10))
    landing = landing_of(database)
    landing.prepare(True)
    read = sql.pickle.load
    monkeypatch.setattr(sql.pickle, "load", lambda file: Tracked(read(file)))
    load(spans, Subject("trades", WINDOW, {}), landing, 10)
    assert len(database.trades()) == 100

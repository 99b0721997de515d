"""Rows into tables of databases and back, all of them or none."""

from __future__ import annotations

import json
import logging
import pickle
import threading
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from psycopg.rows import dict_row

from hyperoru_provider.client.api.contract import load_contract
from hyperoru_provider.client.api.endpoints import WindowedEndpoint
from hyperoru_provider.client.api.models import Trade
from hyperoru_provider.client.errors import HyperoruConcurrentWriteError, HyperoruConfigError, HyperoruContractError
from hyperoru_provider.client.lists.rows import Row, Rows
from hyperoru_provider.client.times import parse_time
from hyperoru_provider.export.destinations.reconciled import ReconciledTable
from hyperoru_provider.export.destinations.sql import SqlDestination
from hyperoru_provider.export.manifest import ExportSpec
from hyperoru_provider.export.run import export_rows
from hyperoru_provider.export.sql_database import Packed
from hyperoru_provider.export.sql_engine import open_database
from hyperoru_provider.export.sql_postgres import Postgres
from hyperoru_provider.export.sql_table import SqlTable
from hyperoru_provider.params.window import Window
from tests.databases import Database, in_file
from tests.exports import batch_of

START = datetime(2026, 1, 15, tzinfo=UTC)
DAY = timedelta(days=1)
WINDOW = Window(START, START + DAY)
CONTRACT = load_contract()


@pytest.fixture(params=["postgres", "sqlite", "mariadb", "mysqlclient"])
def database(request: pytest.FixtureRequest) -> Database:
    """A database by each driver."""
    found: Database = request.getfixturevalue(request.param)
    return found


BOTH = pytest.mark.parametrize("mode", ["replace", "upsert"])
SERVERS = pytest.mark.parametrize("database", ["postgres", "mariadb", "mysqlclient"], indirect=True)


def trade(number: int, price: str = "1.5", at: timedelta | None = None, **more: str) -> Row:
    time = (START + (timedelta(seconds=number) if at is None else at)).isoformat()
    fields = {"account_id": "1", "symbol": '"BTC"'} | more
    text = "".join(f',"{name}":{value}' for name, value in fields.items())
    text = f'{{"trade_id":{number},"side":"BUY","price":{price},"quantity":2,"trade_time":"{time}"{text}}}'
    return Row(parse_time(time), number, text.encode())


def spec_of(window: Window | None = WINDOW, endpoint: WindowedEndpoint = CONTRACT.trades, **filters: Any) -> ExportSpec:
    return ExportSpec("trades", window, filters, Trade, endpoint)


def table_of(database: Database, mode: str = "replace") -> SqlTable:
    table = SqlTable(database.connect, "trades", mode, spec_of())
    table.prepare(True)
    return table


def land_batches(
    database: Database, batches: Iterable[Rows], mode: str = "replace", table: str = "trades", *,
    spec: ExportSpec | None = None, batch_rows: int = 10, create: bool = True, on_empty: str | None = None,
) -> dict[str, Any]:  # fmt: skip
    destination = SqlDestination(database.connect, table, mode, create_table=create, batch_rows=batch_rows)
    summary: dict[str, Any] = export_rows(spec or spec_of(), lambda *_: batches, destination, on_empty=on_empty)
    return summary


def land(
    database: Database, rows: list[Row], mode: str = "replace", table: str = "trades", window: Window = WINDOW,
    create: bool = True, on_empty: str | None = None, **filters: Any,
) -> dict[str, Any]:  # fmt: skip
    batches = (batch_of(rows[first : first + 7]) for first in range(0, len(rows), 7))
    return land_batches(
        database, batches, mode, table, spec=spec_of(window, **filters), create=create, on_empty=on_empty
    )


@BOTH
def test_amounts_and_unknown_fields_survive(database: Database, mode: str) -> None:
    prices = ["1.00E-05", "3.28", "-0.1", "0.000000000000000001", "99999999999999999999", "12", "1E+3", "1e-30"]
    more: dict[str, Any] = {
        "commission": "-0.25",
        "tx": '"0xab\\u0000"',
        "crossed": "false",
        "depth": "0.30",
        "order_no": '"007"',
    }
    more["related_orders"] = '[{"p":0.10}]'
    land(database, [trade(n, price, **more) for n, price in enumerate(prices)], mode)
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
        "inserted": 25,
        "updated": 0,
        "deleted": 0,
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
    land(database, [], mode, on_empty="succeed")
    assert len(database.trades()) == (0 if mode == "replace" else 20)


def test_no_rows_replace_none_unless_it_is_allowed(database: Database) -> None:
    land(database, [trade(n, account_id=str(n % 2)) for n in range(20)])
    before = database.trades()
    for on_empty in (None, "skip", "fail"):
        with pytest.raises(HyperoruContractError, match="on_empty"):
            land(database, [], account_id=1, on_empty=on_empty)
    assert database.trades() == before
    land(database, [], account_id=2)  # there are none to lose
    land(database, [], window=Window(START + DAY, START + 2 * DAY))
    assert database.trades() == before
    land(database, [], account_id=1, on_empty="succeed")
    assert {account_id for account_id, _ in database.trades().values()} == {"0"}


@BOTH
def test_no_rows_skipped(database: Database, mode: str) -> None:
    assert land(database, [], mode, on_empty="skip") is None
    assert database.trades() == {}


@BOTH
def test_a_table_without_any_row_is_warned_of(database: Database, mode: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    land(database, [], mode)
    assert "trading_mode" in caplog.text
    land(database, [trade(1)], mode)
    caplog.clear()
    land(database, [], mode, window=Window(START + DAY, START + 2 * DAY))
    assert not caplog.messages


def test_replace_keeps_to_its_filters(database: Database) -> None:
    rows = [trade(n, account_id=str(n % 3), symbol='"BTC"' if n % 2 else '"ETH"') for n in range(30)]
    land(database, rows)
    land(database, [], account_id=1, symbol="ETH", on_empty="succeed")
    assert set(database.trades()) == {str(n) for n in range(30) if n % 3 != 1 or n % 2}


@pytest.mark.parametrize("reconciled", [False, True])
def test_symbols_that_differ_in_case_take_no_rows_from_each_other(database: Database, reconciled: bool) -> None:
    """A server may tell them apart, or find neither's rows under the name of the other."""
    land(database, [trade(n, symbol='"USDe"') for n in range(3)], symbol="USDe")
    before = database.trades()
    for rows in ([trade(7, symbol='"USDE"')], []):
        with pytest.raises(HyperoruContractError, match="symbol USDe, which would be deleted"):
            if reconciled:
                reconcile(database, [batch_of(rows)] if rows else [], on_empty="succeed", symbol="USDE")
            else:
                land(database, rows, symbol="USDE", on_empty="succeed")
        assert database.trades() == before
    land(database, [trade(n, "2", symbol='"USDe"') for n in range(1, 5)], symbol="usde")  # as many servers read it
    assert database.trades() == {str(n): ("1", Decimal(2)) for n in range(1, 5)}


@pytest.mark.parametrize("newer", [range(1), range(4)])
@pytest.mark.parametrize("read", [range(3), range(0)])
@pytest.mark.parametrize("reconciled", [False, True])
def test_rows_that_were_written_while_the_server_was_read_stay(
    database: Database, reconciled: bool, read: range, newer: range
) -> None:
    """Whoever commits last may have read first."""
    land(database, [trade(n) for n in range(3)])

    def batches() -> Iterator[Rows]:
        if read:
            yield batch_of([trade(n) for n in read])
        land(database, [trade(n, "2") for n in newer])

    with pytest.raises(HyperoruConcurrentWriteError, match=f"had 3 rows .* and has {len(newer)} now"):
        if reconciled:
            reconcile(database, batches(), on_empty="succeed")
        else:
            land_batches(database, batches(), on_empty="succeed")
    assert database.trades() == {str(n): ("1", Decimal(2)) for n in newer}


def test_a_run_that_read_no_rows_takes_away_none_that_others_have_written_meanwhile(database: Database) -> None:
    def batches() -> Iterator[Rows]:
        land(database, [trade(n) for n in range(3)])
        yield from ()

    with pytest.raises(HyperoruConcurrentWriteError, match=r"had 0 rows .* and has 3 now"):
        land_batches(database, batches())
    assert len(database.trades()) == 3


def reconcile(database: Database, batches: Iterable[Rows], on_empty: str | None = None, **filters: Any) -> None:
    destination = ReconciledTable(
        database.connect, "trades", windows=[WINDOW], on_empty=on_empty, note=lambda entry: None
    )
    export_rows(spec_of(**filters), lambda *_: batches, destination, on_empty=on_empty)


def test_replace_keeps_to_its_window_within_a_second(database: Database) -> None:
    half = timedelta(milliseconds=500)
    rows = [trade(n, at=n * half) for n in range(8)]
    land(database, rows)
    land(database, [], window=Window(START + 2 * half, START + 5 * half), on_empty="succeed")
    assert set(database.trades()) == set("01567")


def failing(rows: list[Row]) -> Iterator[Rows]:
    yield batch_of(rows)
    raise HyperoruContractError("the server misbehaves")


@BOTH
@pytest.mark.parametrize("fault", ["server", "database", "row"])
def test_a_failure_leaves_the_table_as_it_was(database: Database, mode: str, fault: str) -> None:
    database.create("trades", "PRIMARY KEY (trade_id)", "CONSTRAINT cheap CHECK (quantity <> '77')")
    land(database, [trade(n) for n in range(30)], mode)
    before = database.trades()
    bad: dict[str, Any] = {"server": {}, "database": {"quantity": "77"}, "row": {"quantity": '"x"'}}[fault]
    rows = [*(trade(n, "2") for n in range(5, 40)), trade(40, **bad), trade(41)]
    batches = failing(rows) if fault == "server" else iter([batch_of(rows)])
    text = {"server": "misbehaves", "database": "cheap", "row": "trade_id=40"}[fault]
    with pytest.raises(HyperoruContractError, match=text) as caught:
        land_batches(database, batches, mode)
    assert str(caught.value).count("2026-01-15T") <= 1  # no batch of rows in the log
    if fault == "database" and database.kind == "postgres":
        assert "DETAIL: Failing row contains (40, " in str(caught.value)
    assert database.trades() == before


EXCLUSIVELY = {
    "postgres": "LOCK TABLE trades IN ACCESS EXCLUSIVE MODE NOWAIT",
    "sqlite": "BEGIN EXCLUSIVE",
    "mariadb": "LOCK TABLES trades WRITE WAIT 10",
}


@BOTH
def test_no_transaction_waits_for_the_server(database: Database, mode: str) -> None:
    """While rows are read, the table is anybody's."""

    def batches() -> Iterator[Rows]:
        for number in range(20):
            yield batch_of([trade(number)])
            database.query(EXCLUSIVELY[database.kind])

    land_batches(database, batches(), mode, batch_rows=2)
    assert len(database.trades()) == 20


@BOTH
def test_nobody_sees_a_part(database: Database, mode: str) -> None:
    """Before each batch is written, and before the commit, another connection looks."""
    table = table_of(database, mode)
    land(database, [trade(n) for n in range(50)], mode)
    seen = []

    def batches() -> Iterator[Packed]:
        for first in range(0, 50, 10):
            yield table.packed(batch_of([trade(n, "2") for n in range(first, first + 10)]))
            seen.append(database.trades())

    table.store(batches(), 50)
    assert seen == [{str(n): ("1", Decimal("1.5")) for n in range(50)}] * 5
    assert database.trades() == {str(n): ("1", Decimal(2)) for n in range(50)}


SECOND: dict[str, dict[str, Any]] = {
    "same": {},
    "overlapping": {"window": Window(START - DAY, START + DAY)},
    "of a trader": {"account_id": 1},
    "other name": {"table": "{schema}.trades"},
    "upsert": {"mode": "upsert"},
}


@pytest.mark.parametrize("second", SECOND)
def test_loads_of_a_table_wait_for_each_other(database: Database, second: str) -> None:
    """The second one replaces what the first one wrote, whether or not an index forbids a key to come twice."""
    database.create("trades", *(["UNIQUE (trade_id)"] if second == "upsert" else []))
    arguments = dict(SECOND[second])
    if "table" in arguments:
        arguments["table"] = arguments["table"].format(schema=schema_of(database))
    errors: list[BaseException] = []

    def impatient() -> Any:
        connection = database.connect()
        if database.kind == "sqlite":
            connection.execute("PRAGMA busy_timeout = 0")
        return connection

    def other() -> None:
        try:
            land(Database(database.kind, impatient, {}), [trade(n, "2") for n in range(20)], create=False, **arguments)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=other)
    table = SqlTable(database.connect, "trades", "replace", spec_of())

    def batches() -> Iterator[Packed]:
        yield table.packed(batch_of([trade(n) for n in range(10)]))
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
        yield table.packed(batch_of([trade(n) for n in range(10, 20)]))

    table.store(batches(), 20)
    thread.join(20)
    assert not errors
    assert database.trades() == {str(n): ("1", Decimal(2)) for n in range(20)}


def test_a_load_waits_for_a_lock_as_long_as_its_connection_says_or_ten_minutes(postgres: Database) -> None:
    land(postgres, [trade(1)])
    with open_database(postgres.connect).engine.connect() as connection:
        assert connection.scalar(sa.text("SHOW lock_timeout")) == "10min"

    def impatient() -> Any:
        connection = postgres.connect()
        connection.execute("SET lock_timeout = '100ms'")
        connection.commit()
        return connection

    for mode in ("ACCESS EXCLUSIVE", "ROW EXCLUSIVE"):  # some wait to read, all to write
        with postgres.connect() as other:
            other.execute(f"LOCK TABLE trades IN {mode} MODE")
            with pytest.raises(HyperoruConcurrentWriteError, match="Timed out waiting for a lock"):
                land(Database("postgres", impatient, {}), [trade(2)])
    assert postgres.trades().keys() == {"1"}


def schema_of(database: Database) -> str:
    function = {"postgres": "current_schema()", "sqlite": "'main'", "mariadb": "database()"}[database.kind]
    return str(database.query(f"SELECT {function}")[0][0])


def test_a_table_made_by_many_at_once(database: Database) -> None:
    barrier = threading.Barrier(4)
    errors: list[BaseException] = []

    def make() -> None:
        table = SqlTable(database.connect, "trades", "replace", spec_of())
        barrier.wait()
        try:
            table.prepare(True)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert database.trades() == {}


def test_a_table_is_made_with_a_key_and_an_index(database: Database) -> None:
    land(database, [])
    found = sa.inspect(open_database(database.connect).engine)
    assert found.get_pk_constraint("trades")["constrained_columns"] == ["trade_id"]
    assert [index["column_names"] for index in found.get_indexes("trades")] == [["trade_time"]]


def test_a_missing_table(database: Database) -> None:
    for table in ("trades", "nosuch.trades"):
        with pytest.raises(HyperoruConfigError, match=rf"table {table} does not exist.*create_table"):
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
        ("price", {"postgres": "NUMERIC(38, 18)", "sqlite": "NUMERIC", "mariadb": "DECIMAL(40,20) UNSIGNED"}),
        ("price", {"postgres": "DOUBLE PRECISION", "sqlite": "REAL", "mariadb": "DOUBLE"}),
        ("trade_time", {"postgres": "TIMESTAMP WITHOUT TIME ZONE", "sqlite": "DATETIME", "mariadb": "DATETIME(3)"}),
        (
            "trade_time",
            {"postgres": "TIMESTAMP(0) WITH TIME ZONE", "sqlite": "INTEGER", "mariadb": "TIMESTAMP(6) NOT NULL"},
        ),
        ("symbol", {"postgres": "CHAR(4)", "sqlite": "INTEGER", "mariadb": "CHAR(4)"}),
        ("extra", {"postgres": "JSONB", "sqlite": "BLOB", "mariadb": "JSON"}),
        ("extra", {"postgres": "TSVECTOR", "sqlite": "NUMERIC", "mariadb": "TEXT COLLATE utf8mb4_bin"}),
        ("account_id", {"postgres": "", "sqlite": "", "mariadb": ""}),
    ],
)
def test_columns_that_dont_fit_are_named(database: Database, column: str, kinds: dict[str, str]) -> None:
    database.create(**{column: kinds[database.kind], "model": ""})
    with pytest.raises(HyperoruConfigError, match=rf"trades don't fit.*\b{column} is") as caught:
        land(database, [], create=False)
    text = "LONGTEXT" if database.kind == "mariadb" else "TEXT"
    assert f"model is missing, but must be {text}" in str(caught.value)
    assert str(caught.value).count(";") == 1


NOT_UNIQUE: dict[str, str | dict[str, str]] = {
    "none": "CREATE TABLE other (x TEXT)",
    "not unique": "CREATE INDEX one ON trades (trade_id)",
    "more columns": "CREATE UNIQUE INDEX one ON trades (trade_id, symbol)",
    "some rows": {
        "postgres": "CREATE UNIQUE INDEX one ON trades (trade_id) WHERE symbol = 'BTC'",
        "sqlite": "CREATE UNIQUE INDEX one ON trades (trade_id) WHERE symbol = 'BTC'",
        "mariadb": "CREATE UNIQUE INDEX one ON trades (trade_id(10))",
    },
    "expression": {
        "postgres": "CREATE UNIQUE INDEX one ON trades (lower(trade_id))",
        "sqlite": "CREATE UNIQUE INDEX one ON trades (lower(trade_id))",
        "mariadb": "ALTER TABLE trades ADD lower_id VARCHAR(500) AS (lower(trade_id)), ADD UNIQUE (lower_id)",
    },
}


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection")
@pytest.mark.parametrize("kind", NOT_UNIQUE)
def test_upsert_needs_a_unique_index(database: Database, kind: str) -> None:
    database.create()
    index = NOT_UNIQUE[kind]
    database.query(index if isinstance(index, str) else index[database.kind])
    with pytest.raises(HyperoruConfigError, match=r"CREATE UNIQUE INDEX hyperoru_key ON trades \(trade_id\)"):
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


def test_keys_that_the_database_takes_for_one_are_an_error(tmp_path: Path) -> None:
    database = in_file(tmp_path / "nocase.db")
    database.create("trades", "UNIQUE (trade_id)", trade_id="TEXT COLLATE NOCASE")
    named = {b"ab": trade(1), b"AB": trade(1, "2")}
    rows = [Row(row.time, (key.decode(),), row.raw.replace(b":1,", b':"%s",' % key, 1)) for key, row in named.items()]
    with pytest.raises(HyperoruContractError):
        land(database, rows, "upsert", create=False)
    assert database.query("SELECT count(*) FROM trades") == [(0,)]


def test_a_key_that_the_database_takes_for_another_one_is_an_error(sqlite: Database) -> None:
    sqlite.create("trades", "UNIQUE (trade_id)", trade_id="TEXT COLLATE NOCASE")
    row = trade(1)
    small, large = (Row(row.time, key, row.raw.replace(b":1,", b':"%s",' % key.encode(), 1)) for key in ("ab", "AB"))
    land(sqlite, [small], "upsert", create=False)
    with pytest.raises(HyperoruContractError, match="1 rows were written to trades, but 0 are found"):
        land(sqlite, [large], "upsert", create=False)
    assert sqlite.trades().keys() == {"ab"}


@pytest.mark.parametrize("reconciled", [False, True])
@pytest.mark.parametrize("name", ["Alice", "alice "])
def test_a_change_that_the_database_takes_for_none_is_made(sqlite: Database, reconciled: bool, name: str) -> None:
    collation = "NOCASE" if name == "Alice" else "RTRIM"
    sqlite.create("trades", "UNIQUE (trade_id)", account_name=f"TEXT COLLATE {collation}")
    land(sqlite, [trade(1, account_name='"alice"')], create=False)
    changed = [trade(1, account_name=f'"{name}"')]
    if reconciled:
        destination = ReconciledTable(
            sqlite.connect, "trades", "replace", windows=[WINDOW], on_empty=None, note=lambda _: None
        )
        export_rows(spec_of(), lambda *_: [batch_of(changed)], destination)
    else:
        assert land(sqlite, changed, "upsert", create=False)["updated"] == 1
    assert sqlite.query("SELECT account_name FROM trades") == [(name,)]


@BOTH
def test_a_key_of_another_window_is_an_error_whatever_the_table_says_of_it(sqlite: Database, mode: str) -> None:
    sqlite.create("trades", "UNIQUE (trade_id)", order_no="TEXT UNIQUE ON CONFLICT REPLACE")
    land(sqlite, [trade(1, order_no='"7"', at=DAY)], window=Window(START + DAY, START + 2 * DAY), create=False)
    before = sqlite.trades()
    with pytest.raises(HyperoruContractError, match=r"UNIQUE constraint failed: trades\.order_no"):
        land(sqlite, [trade(2, order_no='"7"')], mode, create=False)
    assert sqlite.trades() == before


def test_upsert_leaves_equal_rows_alone(postgres: Database) -> None:
    land(postgres, [trade(n) for n in range(10)], "upsert")
    versions = postgres.query("SELECT trade_id, xmin::text FROM trades")
    land(postgres, [trade(n, "2" if n == 3 else "1.50") for n in range(10)], "upsert")
    changed = set(postgres.query("SELECT trade_id, xmin::text FROM trades")) - set(versions)
    assert {key for key, _ in changed} == {"3"}


def test_a_key_that_belongs_to_another_window_is_an_error(database: Database) -> None:
    land(database, [trade(1), trade(2)], window=Window(START, START + DAY))
    before = database.trades()
    with pytest.raises(
        HyperoruContractError,
        match=r"(?i)^The table trades rejects a change.*(unique|duplicate entry).*considers equal",
    ):
        land(database, [trade(1, at=DAY)], window=Window(START + DAY, START + 2 * DAY))
    assert database.trades() == before


@BOTH
@pytest.mark.parametrize("table", ["order", "nothing", "Select", "2026-trades$", "hyperoru_stage", "ä" * 31])
def test_any_name_will_do(database: Database, mode: str, table: str) -> None:
    schema = schema_of(database)
    for name, quoted in ((table, f'"{table}"'), (f"{schema}.{table}", f'{schema}."{table}"')):
        for price in ("1", "2"):
            land(database, [trade(n, price) for n in range(12)], mode, name)
        assert database.trades(quoted) == {str(n): ("1", Decimal(2)) for n in range(12)}


@pytest.mark.parametrize(
    "table",
    [
        "",
        "a.b.c",
        ".a",
        "a.",
        'a"b',
        "a b",
        "a;DROP TABLE x",
        "a\0",
        "a'",
        "a%s",
        "a\n",
        "x" * 64,
        "ä" * 32,
        "x" * 64 + ".a",
    ],
)
def test_a_hostile_name_is_refused(table: str) -> None:
    with pytest.raises(HyperoruConfigError, match="table"):
        land(Database("none", pytest.fail, {}), [], table=table)


@BOTH
def test_a_key_of_several_fields(database: Database, mode: str) -> None:
    """One that the model does not know gets a column, whatever its name."""
    rows = [Row(START, (name, 1), trade(1, nothing=f'"{name}"', at=timedelta()).raw) for name in ("a", "b", "c'd")]
    endpoint = load_contract({"trades": {"key": ("nothing", "trade_id")}}).trades
    for _ in range(2):
        land_batches(database, [batch_of(rows)], mode, spec=spec_of(endpoint=endpoint), batch_rows=2)
    assert database.query('SELECT "nothing", trade_id FROM trades ORDER BY 1') == [("a", "1"), ("b", "1"), ("c'd", "1")]


IGNORING = {
    "postgres": (
        "CREATE FUNCTION ignore() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
        "CREATE TRIGGER t BEFORE INSERT ON trades FOR EACH ROW WHEN (NEW.trade_id = '9') EXECUTE FUNCTION ignore()",
    ),
    "sqlite": (
        "CREATE TRIGGER t BEFORE INSERT ON trades WHEN NEW.trade_id = '9' BEGIN SELECT RAISE(IGNORE); END",
    ),
    "mariadb": (  # one can't drop a row, but move it
        "CREATE TRIGGER t BEFORE INSERT ON trades FOR EACH ROW SET NEW.trade_time = IF(NEW.trade_id = '9', "
        "'1999-01-01', NEW.trade_time), NEW.trade_id = IF(NEW.trade_id = '9', 'x', NEW.trade_id)",
    ),
}  # fmt: skip


@BOTH
def test_rows_that_a_trigger_drops_are_an_error(database: Database, mode: str) -> None:
    land(database, [trade(1)], mode)
    for statement in IGNORING[database.kind]:
        database.query(statement)
    with pytest.raises(HyperoruContractError, match="20 rows were written to trades, but 19 are found"):
        land(database, [trade(n) for n in range(20)], mode)
    assert set(database.trades()) == {"1"}
    land(database, [trade(n) for n in range(9)], mode)


UNDOING = {
    "postgres": (
        IGNORING["postgres"][0],
        "CREATE TRIGGER t BEFORE UPDATE ON trades FOR EACH ROW EXECUTE FUNCTION ignore()",
    ),
    "sqlite": ("CREATE TRIGGER t BEFORE UPDATE ON trades BEGIN SELECT RAISE(IGNORE); END",),
    "mariadb": ("CREATE TRIGGER t BEFORE UPDATE ON trades FOR EACH ROW SET NEW.price = OLD.price",),
}


def test_updates_that_a_trigger_drops_are_an_error(database: Database) -> None:
    land(database, [trade(1), trade(2)], "upsert")
    for statement in UNDOING[database.kind]:
        database.query(statement)
    land(database, [trade(1), trade(2), trade(3)], "upsert")
    with pytest.raises(HyperoruContractError, match=r"3 rows were written to trades, but 2 are found.*trigger"):
        land(database, [trade(1), trade(2, "9"), trade(4)], "upsert")
    assert database.trades() == {key: ("1", Decimal("1.5")) for key in "123"}


REFUSING = {
    "postgres": (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'too cheap'; END $$",
        "CREATE TRIGGER t BEFORE INSERT ON trades FOR EACH ROW EXECUTE FUNCTION refuse()",
    ),
    "mariadb": (
        "CREATE TRIGGER t BEFORE INSERT ON trades FOR EACH ROW SIGNAL SQLSTATE '45000' SET message_text = 'too cheap'",
    ),
}


@SERVERS
def test_what_a_trigger_of_a_user_refuses_is_told(database: Database) -> None:
    land(database, [trade(1)])
    for statement in REFUSING[database.kind]:
        database.query(statement)
    with pytest.raises(HyperoruContractError, match=r"The table trades rejects a change.*too cheap"):
        land(database, [trade(2)])
    assert set(database.trades()) == {"1"}


@SERVERS
def test_rows_to_which_another_table_refers_can_be_upserted_but_not_replaced(database: Database) -> None:
    land(database, [trade(1)])
    database.query("CREATE TABLE notes (trade_id VARCHAR(500), FOREIGN KEY (trade_id) REFERENCES trades (trade_id))")
    database.query("INSERT INTO notes VALUES ('1')")
    with pytest.raises(HyperoruContractError, match=r"rejects a change.*notes.*only upserted"):
        land(database, [trade(2)])
    land(database, [trade(1, "2"), trade(2)], "upsert")
    assert set(database.trades()) == {"1", "2"}


@BOTH
def test_a_key_as_number_and_as_text_is_an_error(database: Database, mode: str) -> None:
    """Here they are two keys; in the table they are one."""
    land(database, [trade(1)], mode)
    other = trade(2, "3")
    with pytest.raises(
        HyperoruContractError,
        match=r"(?i)^The table trades rejects a change.*(unique|duplicate entry).*considers equal",
    ):
        land(
            database,
            [trade(1, "2"), trade(2), Row(other.time, other.key, other.raw.replace(b":2,", b':"2",', 1))],
            mode,
        )
    assert database.trades() == {"1": ("1", Decimal("1.5"))}


@BOTH
@pytest.mark.parametrize("price", ["1E-16000", "1E+130000", "1E-20000", "1E+140000", f"0.{'1' * 16_384}"])
def test_an_amount_beyond_reason_is_exact_or_an_error(database: Database, mode: str, price: str) -> None:
    land(database, [trade(1)], mode)
    try:
        land(database, [trade(1, price), trade(2)], mode)
    except HyperoruContractError:
        assert database.trades() == {"1": ("1", Decimal("1.5"))}
    else:
        assert database.trades()["1"] == ("1", Decimal(price))


@BOTH
@pytest.mark.parametrize("field", ["account_name", "trade_id"])
def test_a_nul_in_a_text_is_an_error_that_names_row_and_column(database: Database, mode: str, field: str) -> None:
    """PostgreSQL has no text with one in it."""
    land(database, [trade(1)], mode)
    more: dict[str, Any] = {field: '"2\\u0000"'}
    raw = trade(2, **more).raw
    bad = Row(START, 2, raw)
    if field == "trade_id":
        bad = Row(START, "2\0", raw.replace(b'"trade_id":2,', b"", 1))
    if database.kind != "postgres":
        land(database, [trade(1, "2"), bad], mode)
        assert ("2\0",) in database.query(f"SELECT {field} FROM trades")
        return
    with pytest.raises(HyperoruContractError, match=rf"^{field} of the row 2.*NUL.*on_nul='replace'"):
        land(database, [trade(1, "2"), bad], mode)
    assert database.trades() == {"1": ("1", Decimal("1.5"))}


def test_a_nul_in_a_text_is_replaced_if_that_is_chosen(postgres: Database, caplog: pytest.LogCaptureFixture) -> None:
    destination = SqlDestination(postgres.connect, "trades", create_table=True, on_nul="replace")
    rows = batch_of([trade(1, account_name='"a\\u0000b"'), trade(2, account_name='"a\\\\u0000b"')])
    export_rows(spec_of(), lambda *_: [rows], destination)
    found = postgres.query("SELECT account_name FROM trades ORDER BY trade_id")
    assert found == [("a\ufffdb",), ("a\\u0000b",)]
    assert [each.message for each in caplog.records if each.levelname == "WARNING"] == [
        "account_name of the row 1 contains a NUL (U+0000): U+FFFD is stored instead, there and in any further row"
    ]


def test_an_empty_text_is_no_amount_but_null(database: Database) -> None:
    land(database, [trade(1, realized_pnl='""', commission='" "', related_orders='""')])
    assert database.query("SELECT realized_pnl, commission, related_orders FROM trades") == [(None, None, None)]


def test_a_wrong_on_nul_is_named(database: Database) -> None:
    with pytest.raises(HyperoruConfigError, match="on_nul 'drop'"):
        SqlDestination(database.connect, "trades", on_nul="drop").open(spec_of())


@BOTH
def test_types_that_hold_the_same_values_fit(postgres: Database, mode: str) -> None:
    """How texts sort, a stated precision that is the default one, and a domain make no other type."""
    postgres.query("CREATE DOMAIN symbols AS text CHECK (VALUE <> '')")
    postgres.create(
        "trades",
        "UNIQUE (trade_id)",
        trade_id='TEXT COLLATE "C"',
        account_name='VARCHAR COLLATE "C"',
        trade_time="TIMESTAMP(6) WITH TIME ZONE",
        symbol="symbols",
    )
    half = timedelta(microseconds=1)
    land(postgres, [trade(1, at=half)], mode, create=False)
    assert postgres.query("SELECT trade_time FROM trades") == [(START + half,)]


@pytest.fixture
def partitioned(postgres: Database) -> Database:
    """A table of one's own that is partitioned by time."""
    postgres.create("parts")
    postgres.query("CREATE TABLE trades (LIKE parts, UNIQUE (trade_id, trade_time)) PARTITION BY RANGE (trade_time)")
    postgres.query("CREATE TABLE trades_1 PARTITION OF trades FOR VALUES FROM ('2026-01-15') TO ('2026-01-17')")
    return postgres


def test_upsert_into_a_table_partitioned_by_time_names_the_key_that_works(partitioned: Database) -> None:
    with pytest.raises(HyperoruConfigError, match=r"partitioned") as caught:
        land(partitioned, [trade(1)], "upsert", create=False)
    advice = str(caught.value)
    assert """contract's key of trades to ["trade_id", "trade_time"]""" in advice
    assert "CREATE UNIQUE INDEX hyperoru_key ON trades (trade_id, trade_time)" in advice
    endpoint = load_contract({"trades": {"key": ["trade_id", "trade_time"]}}).trades
    rows = [trade(n) for n in range(20)]
    keyed = batch_of([Row(row.time, (row.key, row.time.isoformat()), row.raw) for row in rows if row.time])  # type: ignore[arg-type]
    spec = spec_of(endpoint=endpoint)
    for inserted in (20, 0):
        summary = land_batches(partitioned, [keyed], "upsert", spec=spec, create=False)
        assert summary["inserted"] == inserted
    assert len(partitioned.trades()) == 20
    assert land(partitioned, rows, "replace", create=False)["deleted"] == 20


def test_a_table_partitioned_by_a_column_of_ones_own_is_only_for_replace(postgres: Database) -> None:
    postgres.create("parts", "shard int DEFAULT 0")
    postgres.query("CREATE TABLE trades (LIKE parts INCLUDING DEFAULTS) PARTITION BY LIST (shard)")
    with pytest.raises(
        HyperoruConfigError, match=r"include shard, by which the table is partitioned\. Set mode='replace'\."
    ):
        land(postgres, [trade(1)], "upsert", create=False)


class TestUpsertOfAKeyThatIsThereAlready:
    """It may be that of another row: then nothing changes, and the error names the row."""

    def test_of_another_trader(self, database: Database) -> None:
        land(database, [trade(n) for n in range(5)], "upsert", account_id=1)
        before = database.trades()
        for account in (2, None):
            with pytest.raises(HyperoruContractError, match=r"row trade_id=3 with account_id 1, .* 2: upsert"):
                land(database, [trade(n, "9", account_id="2") for n in (3, 4, 5)], "upsert", account_id=account)
        assert database.trades() == before

    def test_of_another_symbol_and_of_one_that_neither_shows(self, database: Database) -> None:
        land(database, [trade(1), trade(2, symbol='"ETH"', account_id="null")], "upsert")
        with pytest.raises(HyperoruContractError, match=r"trade_id=2 with symbol ETH"):
            land(database, [trade(2)], "upsert")
        land(database, [trade(1, "2"), trade(2, "2", symbol='"eth"')], "upsert")
        assert {price for _, price in database.trades().values()} == {2}

    @pytest.mark.parametrize("at", [-timedelta.resolution, DAY])
    def test_of_another_window(self, database: Database, at: timedelta) -> None:
        """A trade that has moved is updated by a load of both times, in which two of its key would be seen."""
        wide = Window(START - DAY, START + 2 * DAY)
        land(database, [trade(1, at=at)], "upsert", window=wide)
        with pytest.raises(
            HyperoruContractError, match=r"trade_id=1 with trade_time .* one window that contains both times"
        ):
            land(database, [trade(1, "2")], "upsert")
        assert database.trades()["1"] == ("1", Decimal("1.5"))
        assert land(database, [trade(1, "2")], "upsert", window=wide)["updated"] == 1

    def test_a_row_at_the_bounds_is_inside(self, database: Database) -> None:
        rows = [trade(1, at=timedelta()), trade(2, at=DAY - timedelta.resolution)]
        land(database, rows, "upsert")
        assert land(database, rows, "upsert")["updated"] == 0


@pytest.mark.parametrize(("mode", "changes"), [("replace", (9, 0, 10)), ("upsert", (2, 3, 0))])
def test_the_summary_counts_what_was_inserted_updated_and_deleted(
    database: Database, mode: str, changes: tuple[int, int, int]
) -> None:
    first = land(database, [trade(n) for n in range(10)], mode)
    assert (first["inserted"], first["updated"], first["deleted"]) == (10, 0, 0)
    rows = [trade(n, "2" if n < 3 else "1.5") for n in (0, 1, 2, 3, 4, 5, 6, 20, 21)]
    summary = land(database, rows, mode)
    assert (summary["inserted"], summary["updated"], summary["deleted"]) == changes


TEXTS: dict[str, Any] = {
    "symbol": '"B\\u00e9"',
    "account_name": '"null"',
    "model": '",\'é 😀"',
    "order_no": '""',
    "order_id": "123456789012345678",
    "commission": "-1.50E-05",
    "realized_pnl": '"2.500"',
    "notional": "1E+3",
    "related_orders": '[{"p": 0.10, "s": "a\\"b"}]',
    "tx": '"0x\\n\\\\."',
    "crossed": "null",
}


@BOTH
def test_rows_that_go_there_as_text_are_the_rows_one_by_one(
    postgres: Database, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every digit, in any order with rows that can't."""
    more = {name: text for name, text in TEXTS.items() if name != "symbol"}
    rows = [trade(n, f"{n}.50", **(TEXTS if n in (8, 30) else more)) for n in range(40)]
    taken: list[bytes | None] = []
    as_text = Postgres.as_text

    def watched(*given: Any) -> bytes | None:
        taken.append(as_text(*given))
        return taken[-1]

    monkeypatch.setattr(Postgres, "as_text", watched)
    land(postgres, rows, mode, "trades")
    assert [text is None for text in taken] == [False, True, False, False, True, False]
    monkeypatch.setattr(Postgres, "as_text", lambda *_: None)
    land(postgres, rows, mode, "slow")
    columns = "trade_id, price::text, commission::text, realized_pnl::text, notional::text, model, extra, to_json(t)"
    found = postgres.query(f"SELECT {columns} FROM trades t ORDER BY trade_time")
    assert found == postgres.query(f"SELECT {columns} FROM slow t ORDER BY trade_time")
    assert found[7][1:5] == ("7.50", "-0.0000150", "2.500", "1000")


def test_a_symbol_in_other_letters_than_ascii(database: Database) -> None:
    """SQLite knows upper and lower case of no others."""
    land(database, [trade(n, symbol='"ÄÖ"') for n in range(5)])
    land(database, [trade(1, "2", symbol='"ÄÖ"')], symbol="ÄÖ")
    assert database.trades() == {"1": ("1", Decimal(2))}
    land(database, [], symbol="ÄÖ", on_empty="succeed")
    assert database.trades() == {}


def test_rows_are_checked_before_the_database_is_asked(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SqlTable, "store", pytest.fail)
    with pytest.raises(HyperoruContractError, match="trade_id=30"):
        land(database, [*(trade(n) for n in range(30)), trade(30, quantity='"x"')])


def test_rows_that_cant_be_found_again_are_an_error(database: Database) -> None:
    """They would not be replaced by the next run."""
    land(database, [trade(n) for n in range(5)])
    before = database.trades()
    with pytest.raises(HyperoruContractError, match="rolled back"):
        land(database, [trade(8), trade(9, account_id="null")], account_id=1)
    assert database.trades() == before


def test_a_wrong_mode_is_named(database: Database) -> None:
    land(database, [trade(1)])
    with pytest.raises(HyperoruConfigError, match="mode 'append'"):
        land(database, [trade(2)], "append")
    assert set(database.trades()) == {"1"}


def test_a_time_without_a_column() -> None:
    trades = load_contract({"trades": {"time": "closed_at"}}).trades
    with pytest.raises(HyperoruConfigError, match="closed_at"):
        land_batches(Database("none", pytest.fail, {}), [], spec=spec_of(endpoint=trades))


def test_another_database_is_refused() -> None:
    class Connection:
        def close(self) -> None:
            pass

    Connection.__module__ = "psycopg2.extensions"
    with pytest.raises(HyperoruConfigError, match=r"psycopg2.*PostgreSQL"):
        land(Database("none", Connection, {}), [])


def test_a_connection_for_other_uses(database: Database) -> None:
    """One that commits each statement, gives rows as dicts, sees only what was there at its begin, and lives abroad."""

    def connect() -> Any:
        connection = database.connect()
        if database.kind == "sqlite":
            connection.isolation_level = None
        elif database.kind == "mariadb":
            with closing(connection.cursor()) as cursor:
                cursor.execute(
                    "SET SESSION autocommit = 1, sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES', time_zone = '+05:45', "
                    "sql_safe_updates = 1, tx_isolation = 'READ-UNCOMMITTED', NAMES latin1"
                )
        else:
            connection.row_factory = dict_row
            connection.autocommit = True
            connection.execute("SET default_transaction_isolation TO serializable")
            connection.execute("SET TimeZone TO 'Asia/Kathmandu'")
            connection.execute("SET DateStyle TO 'SQL, DMY'")
        return connection

    odd = Database(database.kind, connect, {})
    database.create("trades", "CONSTRAINT cheap CHECK (quantity <> '77')")
    for _ in range(2):
        land(odd, [trade(n) for n in range(20)])
    with pytest.raises(Exception, match="cheap"):
        land(odd, [*(trade(n) for n in range(30)), trade(30, quantity="77")])
    assert set(database.trades()) == {str(n) for n in range(20)}
    times = [time for (time,) in database.query("SELECT trade_time FROM trades ORDER BY trade_time")]
    if database.kind != "sqlite":
        assert times == [START + timedelta(seconds=n) for n in range(20)]
    else:
        assert times == [f"2026-01-15T00:00:{n:02}.000000Z" for n in range(20)]


@pytest.mark.parametrize("database", ["postgres", "mariadb"], indirect=True)
def test_a_connection_that_a_pooler_keeps_open(database: Database) -> None:
    """What is temporary must be gone with the transaction."""
    connection = database.connect()
    close, connection.close = connection.close, lambda: None
    pooled = Database(database.kind, lambda: connection, {})
    for price in ("1", "2"):
        land(pooled, [trade(1, price)], "upsert")
    with pytest.raises(Exception, match="hyperoru_stage"):
        pooled.query("SELECT * FROM hyperoru_stage")
    connection.rollback()
    land(database, [trade(1, "3")])  # nor is a lock left
    close()
    assert database.trades() == {"1": ("1", Decimal(3))}


def test_memory_holds_a_batch(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are gone when the next ones are read from the server, and batches when the next ones are written."""
    alive = 0

    def begin() -> None:
        nonlocal alive
        alive += 1
        assert alive <= 2

    def end() -> None:
        nonlocal alive
        alive -= 1

    class TrackedRows(Rows):
        def __init__(self, rows: Rows) -> None:
            super().__init__(rows.times, rows.keys, rows.texts)
            begin()

        def __del__(self) -> None:
            end()

    class TrackedValues(list[Any]):
        def __init__(self, values: Iterable[Any]) -> None:
            super().__init__(values)
            begin()

        def __del__(self) -> None:
            end()

    batches = (TrackedRows(batch_of([trade(n) for n in range(first, first + 10)])) for first in range(0, 100, 10))
    read = pickle.loads
    monkeypatch.setattr(pickle, "loads", lambda data: TrackedValues(read(data)))
    land_batches(database, batches)
    assert len(database.trades()) == 100

"""What MySQL and MariaDB would cut, round, fold or commit in silence; by both drivers of Airflow's hook."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from mysql.connector.pooling import MySQLConnectionPool

from hyperoru_provider.client.api.contract import load_contract
from hyperoru_provider.client.errors import HyperoruConcurrentWriteError, HyperoruConfigError, HyperoruContractError
from hyperoru_provider.client.lists.rows import Row
from hyperoru_provider.export.sql_database import Packed
from hyperoru_provider.export.sql_engine import open_database
from hyperoru_provider.export.sql_table import SqlTable
from hyperoru_provider.params.window import Window
from tests.databases import Database, in_mariadb
from tests.exports import batch_of
from tests.http.export.test_sql import BOTH, DAY, START, land, land_batches, spec_of, trade


@pytest.fixture(params=["mariadb", "mysqlclient"])
def database(request: pytest.FixtureRequest) -> Database:
    found: Database = request.getfixturevalue(request.param)
    return found


def keyed(key: str, price: str = "1.5") -> Row:
    row = trade(1, price)
    return Row(row.time, key, row.raw.replace(b":1,", b':"%s",' % key.encode(), 1))


def setting(database: Database, statement: str) -> Database:
    """Return the same database, of connections that begin with a statement."""

    def connect() -> Any:
        connection = database.connect()
        with closing(connection.cursor()) as cursor:
            cursor.execute(statement)
        return connection

    return Database(database.kind, connect, {})


@BOTH
@pytest.mark.parametrize("price", ["1E-31", "1E35", f"0.{'1' * 31}", "12345.6", "1.23456"])
def test_an_amount_that_would_be_rounded_is_an_error_that_names_it(
    database: Database, mode: str, price: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if price in ("12345.6", "1.23456"):
        database.create("trades", "UNIQUE (trade_id)", price="DECIMAL(8,4)")
    land(database, [trade(1, "1234.5678"), trade(2, "-0.10000000")], mode)
    monkeypatch.setattr(SqlTable, "store", pytest.fail)
    with pytest.raises(HyperoruContractError, match=r"^price of the row 3 .* does not fit DECIMAL\(\d+,\d+\)"):
        land(database, [trade(1, "2"), trade(3, price)], mode)
    assert database.trades() == {"1": ("1", Decimal("1234.5678")), "2": ("1", Decimal("-0.1"))}


def test_the_largest_and_the_smallest_amount(database: Database) -> None:
    prices = [f"-{'9' * 35}.{'9' * 30}", "1E-30", "1E34", "0E-99", "0.0000001", "1E-7"]
    land(database, [trade(n, price) for n, price in enumerate(prices)])
    found = database.query("SELECT price FROM trades ORDER BY trade_time")
    assert [price for (price,) in found] == [Decimal(price) for price in prices]


@BOTH
def test_keys_differ_by_case_by_accent_and_by_spaces_at_their_end(database: Database, mode: str) -> None:
    keys = ["a", "A", "á", "a ", "a\u3000", "ａ", "ß", "ss", "x" * 500, "😀" * 499 + "1", "😀" * 499 + "2"]
    for price in ("1", "2"):
        land(database, [keyed(key, price) for key in keys], mode)
    assert {key: price for key, (_, price) in database.trades().items()} == dict.fromkeys(keys, Decimal(2))


def test_keys_of_several_fields_are_as_long_as_an_index_allows(database: Database) -> None:
    endpoint = load_contract({"trades": {"key": ("account_id", "trade_id", "trade_time")}}).trades
    longest = (3072 - 8) // 4 // 2
    for length, fits in ((longest, True), (longest + 1, False)):
        raw = trade(1, account_id=f'"{"é" * length}"').raw
        batch = batch_of([Row(START, ("é" * length, 1, "2026"), raw)])
        if fits:
            land_batches(database, [batch], "upsert", spec=spec_of(endpoint=endpoint))
        else:
            with pytest.raises(HyperoruContractError, match=r"^account_id of the row .* VARCHAR\(383\)"):
                land_batches(database, [batch], "upsert", spec=spec_of(endpoint=endpoint))


@BOTH
def test_every_text_is_kept_whole(database: Database, mode: str) -> None:
    names = ["x" * 70_000, "😀 \\' \" % %s", "Ünï ", "'); DROP TABLE trades; --", "a\\nb\\u0000c"]
    rows = [trade(n, account_name=f'"{name}"') for n, name in enumerate(names) if '"' not in name]
    land(database, rows, mode)
    kept = dict(database.query("SELECT trade_id, account_name FROM trades"))
    assert kept == {
        str(n): name.replace("\\n", "\n").replace("\\u0000", "\0") for n, name in enumerate(names) if '"' not in name
    }


@pytest.mark.parametrize("by_driver", [False, True])
def test_every_character_is_kept_whatever_the_charset_of_the_connection(database: Database, by_driver: bool) -> None:
    def connect() -> Any:
        connection = database.connect()
        change = getattr(connection, "set_character_set", None) or connection.set_charset_collation
        change("latin1")
        return connection

    odd = Database(database.kind, connect, {}) if by_driver else setting(database, "SET NAMES latin1")
    for mode in ("replace", "upsert"):
        land(odd, [trade(1, account_name='"é 😀"'), keyed("Ä😀")], mode)
    assert dict(database.query("SELECT trade_id, account_name FROM trades")) == {"1": "é 😀", "Ä😀": None}


def test_a_table_of_a_database_with_another_charset() -> None:
    with in_mariadb("mysql-connector-python", "latin1_swedish_ci") as database:
        land(database, [keyed("a"), keyed("Ä😀")], "upsert")
        assert database.trades().keys() == {"a", "Ä😀"}
        assert land(database, [keyed("a"), keyed("Ä😀", "2")], "upsert")["updated"] == 1


def test_a_text_that_is_too_long_for_its_column_or_for_a_packet_is_named(database: Database) -> None:
    database.create(symbol="VARCHAR(5)", account_name="LONGTEXT")
    packet = database.query("SELECT @@max_allowed_packet")[0][0]
    land(database, [trade(1, account_name=f'"{"x" * (packet - 100_000)}"')])
    with pytest.raises(HyperoruContractError, match=r"^symbol of the row 2 has 6 characters.*VARCHAR\(5\)"):
        land(database, [trade(2, symbol='"KSHIB2"')])
    with pytest.raises(HyperoruContractError, match=r"^account_name of the row 2 takes \d+ bytes.*max_allowed_packet"):
        land(database, [trade(2, account_name=f'"{"é" * (packet // 2)}"')])
    assert database.trades().keys() == {"1"}


@BOTH
@pytest.mark.parametrize(("kind", "most"), [("TEXT", 65_535), ("MEDIUMTEXT", 16_777_215)])
@pytest.mark.parametrize("character", [" ", "é"])
def test_spaces_beyond_a_column_s_length_are_an_error_and_not_cut_off(
    mariadb: Database, mode: str, kind: str, most: int, character: str
) -> None:
    mariadb.create("trades", "UNIQUE (trade_id)", account_name=kind)
    longest = "x" * (most - 4) + "é "
    if kind == "TEXT":  # the other one is more than a packet has room for, by default
        land(mariadb, [trade(1, account_name=f'"{longest} "')], mode, create=False)
    for length in (1, 5):
        with pytest.raises(HyperoruContractError, match=rf"^account_name of the row 1 takes \d+ bytes.* fit {kind}"):
            land(mariadb, [trade(1, account_name=f'"{longest} {character * length}"')], mode, create=False)
    assert mariadb.query("SELECT account_name FROM trades") == ([(f"{longest} ",)] if kind == "TEXT" else [])


def test_times_are_in_utc_whatever_the_zone_of_the_session(database: Database) -> None:
    database.create(trade_time="TIMESTAMP(6) NULL")
    abroad = setting(database, "SET SESSION time_zone = '+05:45'")
    half = timedelta(microseconds=500_001)
    for _ in range(2):
        land(abroad, [trade(n, at=n * half) for n in range(5)])
    found = setting(database, "SET SESSION time_zone = '+00:00'").query("SELECT trade_time FROM trades ORDER BY 1")
    assert found == [(START + n * half,) for n in range(5)]


@pytest.mark.parametrize("engine", ["MyISAM", "Aria", "view"])
def test_what_cant_be_rolled_back_is_refused(database: Database, engine: str) -> None:
    if engine == "view":
        database.create("mine")
        database.query("CREATE VIEW trades AS SELECT * FROM mine")
    else:
        database.create()
        database.query(f"ALTER TABLE trades ENGINE = {engine}")
    with pytest.raises(HyperoruConfigError, match=rf"The table trades is .*{engine}.*InnoDB"):
        land(database, [trade(1)])


def test_a_text_that_is_too_long_for_a_packet_by_what_is_escaped_in_it(mariadb: Database) -> None:
    packet = mariadb.query("SELECT @@max_allowed_packet")[0][0]
    text = r"\"" * (packet * 2 // 3)
    with pytest.raises(HyperoruContractError, match=r"^account_name of the row 2 takes \d+ bytes.*max_allowed_packet"):
        land(mariadb, [trade(2, account_name=f'"{text}"')])


@pytest.mark.parametrize("cursor", ["DictCursor", "SSCursor", "SSDictCursor"])
def test_a_connection_with_other_cursors(mysqlclient: Database, cursor: str) -> None:
    """As Airflow's hook makes it where the connection's extra has ``cursor``."""
    cursors = importlib.import_module("MySQLdb.cursors")

    def connect() -> Any:
        connection = mysqlclient.connect()
        connection.cursorclass = getattr(cursors, cursor)
        return connection

    for mode in ("replace", "upsert"):
        land(Database("mariadb", connect, {}), [trade(1), trade(2)], mode)
    assert mysqlclient.trades().keys() == {"1", "2"}


def test_tables_of_the_same_name_in_other_databases_do_not_wait(mariadb: Database) -> None:
    land(mariadb, [])
    with in_mariadb("mysql-connector-python") as other:
        impatient = setting(other, "SET SESSION innodb_lock_wait_timeout = 1")
        storing(mariadb, lambda: land(impatient, [trade(7)]), [trade(n) for n in range(20)])
        assert other.trades().keys() == {"7"}
    assert len(mariadb.trades()) == 20


def test_rows_that_are_longer_than_a_packet_together(mariadb: Database) -> None:
    packet = mariadb.query("SELECT @@max_allowed_packet")[0][0]
    names = [str(n) * (packet // 4) for n in range(7)]
    land(mariadb, [trade(n, account_name=f'"{name}"') for n, name in enumerate(names)])
    assert mariadb.query("SELECT account_name FROM trades ORDER BY trade_time") == [(name,) for name in names]


def test_a_connection_of_a_pool_that_commits_each_statement(mariadb: Database) -> None:
    with closing(mariadb.connect()) as connection:
        place = {"host": connection.server_host, "port": connection.server_port, "user": connection.user}
    pool = MySQLConnectionPool(pool_size=3, autocommit=True, database=mariadb.connection["schema"], **place)
    pooled = Database("mariadb", pool.get_connection, {})
    land(pooled, [trade(1), trade(2)])
    with pytest.raises(HyperoruContractError, match="rejects a change"):
        land(pooled, [trade(1, "7"), trade(2), Row(START, 3, trade(3).raw.replace(b":3,", b':"1",', 1))])
    assert mariadb.trades() == {key: ("1", Decimal("1.5")) for key in "12"}
    pool._remove_connections()


def test_tables_are_made_of_innodb(database: Database) -> None:
    land(setting(database, "SET SESSION default_storage_engine = MyISAM"), [])
    assert database.query("SELECT engine FROM information_schema.tables WHERE table_name = 'trades' "
                          "AND table_schema = database()") == [("InnoDB",)]  # fmt: skip


@pytest.mark.parametrize("kind", ["AS (symbol) VIRTUAL", "AS (symbol) STORED"])
def test_a_column_that_the_database_computes_is_refused(database: Database, kind: str) -> None:
    database.create(account_name=f"VARCHAR(40) {kind}")
    with pytest.raises(HyperoruConfigError, match="account_name is GENERATED"):
        land(database, [trade(1)])


@BOTH
def test_texts_that_would_be_compared_inexactly_are_refused(database: Database, mode: str) -> None:
    database.create("trades", "UNIQUE (trade_id)", trade_id="VARCHAR(500) COLLATE utf8mb4_general_ci")
    with pytest.raises(HyperoruConfigError, match=r"trade_id is VARCHAR\(500\) COLLATE utf8mb4_general_ci, but must"):
        land(database, [keyed("a"), keyed("A")], mode)


def test_upsert_updates_no_row_of_another_unique_index(database: Database) -> None:
    """As ``ON DUPLICATE KEY UPDATE`` would."""
    database.create("trades", "UNIQUE (trade_id)", "UNIQUE (order_no)", order_no="VARCHAR(50)")
    land(database, [trade(1, order_no='"x"')], "upsert")
    with pytest.raises(HyperoruContractError, match="rejects a change"):
        land(database, [trade(2, "9", order_no='"x"')], "upsert")
    assert database.trades() == {"1": ("1", Decimal("1.5"))}


def test_upsert_leaves_equal_rows_alone(database: Database) -> None:
    """No trigger of a row fires."""
    land(database, [trade(1), trade(2)], "upsert")
    database.query("CREATE TRIGGER t BEFORE UPDATE ON trades FOR EACH ROW SIGNAL SQLSTATE '45000'")
    assert land(database, [trade(1), trade(2), trade(3)], "upsert")["inserted"] == 1
    with pytest.raises(HyperoruContractError, match="rejects a change"):
        land(database, [trade(1, "2")], "upsert")


def test_a_column_without_a_default_is_named(database: Database) -> None:
    database.create("trades", "mine INT NOT NULL")
    with pytest.raises(HyperoruContractError, match=r"rejects a change.*mine"):
        land(database, [trade(1)])


@BOTH
def test_a_load_waits_for_others_as_long_as_its_connection_says(database: Database, mode: str) -> None:
    land(database, [trade(1), trade(2)], mode)
    assert open_database(database.connect).engine.connect().exec_driver_sql(
        "SELECT @@innodb_lock_wait_timeout, @@lock_wait_timeout"
    ).one() == (600, 600)
    impatient = setting(database, "SET SESSION innodb_lock_wait_timeout = 1, lock_wait_timeout = 1")
    with closing(database.connect()) as other, closing(other.cursor()) as cursor:
        cursor.execute("UPDATE trades SET price = 7 WHERE trade_id = '2'")
        with pytest.raises(HyperoruConcurrentWriteError, match="Timed out waiting for a lock in the database"):
            land(impatient, [trade(1, "2"), trade(2, "2")], mode)
        other.rollback()
    with closing(database.connect()) as other, closing(other.cursor()) as cursor:
        cursor.execute("LOCK TABLES trades WRITE")
        with pytest.raises(HyperoruConcurrentWriteError, match="Timed out waiting for a lock in the database"):
            land(impatient, [trade(1, "2"), trade(2, "2")], mode)
    assert {price for _, price in database.trades().values()} == {Decimal("1.5")}


def storing(database: Database, begin: Callable[[], object], rows: list[Row]) -> None:
    """Store rows in two batches, and do something between them."""
    table = SqlTable(database.connect, "trades", "replace", spec_of())
    table.prepare(True)

    def batches() -> Iterator[Packed]:
        yield table.packed(batch_of(rows[:10]))
        begin()
        yield table.packed(batch_of(rows[10:]))

    table.store(batches(), len(rows))


def test_nobody_else_writes_into_the_window_meanwhile(database: Database) -> None:
    land(database, [trade(n) for n in range(20)])
    write = "INSERT INTO trades (trade_id, account_id, price, trade_time) VALUES ('mine', '1', 1, '2026-01-15 05:00')"
    impatient = setting(database, "SET SESSION innodb_lock_wait_timeout = 1")

    def try_to_write() -> None:
        with pytest.raises(Exception, match="1205"):
            impatient.query(write)

    storing(database, try_to_write, [trade(n) for n in range(20)])
    assert len(database.trades()) == 20


def test_two_loads_that_wait_for_each_other(database: Database) -> None:
    """A row of another key, which others hold; and they wait for the window."""
    many = [trade(n, at=20 * DAY + timedelta(seconds=n)) for n in range(5_000, 8_000)]
    land(database, many, window=Window(START + 20 * DAY, START + 21 * DAY))  # so that the index of the time is used
    database.query("ANALYZE TABLE trades")
    far = f"'{START + 40 * DAY:%Y-%m-%d}'"
    with closing(database.connect()) as other, closing(other.cursor()) as cursor:
        columns = "INSERT INTO trades (trade_id, price, trade_time) VALUES"
        cursor.execute(f"{columns} " + ", ".join(f"('{n}', 1, {far})" for n in [15, *range(1000, 2000)]))

        def wait() -> None:
            with closing(other.cursor()) as cursor:
                cursor.execute(f"{columns} ('mine', 1, '2026-01-15 05:00')")

        thread = threading.Thread(target=wait)

        def begin() -> None:
            thread.start()
            thread.join(0.5)
            assert thread.is_alive()

        with pytest.raises(HyperoruConcurrentWriteError, match="Another transaction wrote to the same rows"):
            storing(database, begin, [trade(n) for n in range(20)])
        thread.join(10)
    assert len(database.trades()) == 3_000


def test_a_failed_load_leaves_an_empty_table(database: Database) -> None:
    """One that it has made: that commits by itself."""
    with pytest.raises(HyperoruContractError, match="rejects a change"):
        land(database, [trade(1), Row(START, 2, trade(2).raw.replace(b":2,", b':"1",', 1))])
    assert database.trades() == {}


def test_upsert_into_a_table_partitioned_by_time_names_the_key_that_works(database: Database) -> None:
    database.create("trades", "UNIQUE (trade_id, trade_time)")
    database.query("ALTER TABLE trades PARTITION BY KEY (trade_time) PARTITIONS 3")
    with pytest.raises(HyperoruConfigError, match=r"trades \(trade_id, trade_time\)"):
        land(database, [trade(1)], "upsert", create=False)
    assert land(database, [trade(1)], create=False)["inserted"] == 1


@pytest.mark.parametrize("version", ["5.7.44-log", "8.0.30", "10.3.39-MariaDB"])
def test_versions_that_cant_compare_texts_exactly_are_refused(version: str) -> None:
    class Cursor:
        def execute(self, statement: str) -> None:
            pass

        def fetchall(self) -> list[Any]:
            return [(version, 1 << 24)]

        def close(self) -> None:
            pass

    class Connection:
        cursor = Cursor

        def close(self) -> None:
            pass

    Connection.__module__ = "MySQLdb.connections"
    with pytest.raises(HyperoruConfigError, match=r"MySQL 8\.0\.31, MariaDB 10\.6"):
        open_database(partial(Connection))

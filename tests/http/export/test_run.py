"""Exports of any list over HTTP: which lists and filters there are, and what an export without rows is."""

from __future__ import annotations

import csv
import json
import logging
import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from upath import UPath

from hyperoru_provider.client import HyperoruClient
from hyperoru_provider.client.errors import HyperoruConfigError, HyperoruContractError
from hyperoru_provider.export.destinations import Destination
from hyperoru_provider.export.destinations.sql import SqlDestination
from hyperoru_provider.export.destinations.storage import StorageDestination
from hyperoru_provider.export.destinations.xcom import XComDestination
from hyperoru_provider.export.run import export_list
from hyperoru_provider.params.window import Window
from hyperoru_provider.sandbox import Sandbox
from tests.databases import Database
from tests.exports import committed, files_of, rows

START = datetime(2026, 1, 15, tzinfo=UTC)
DAY = Window(START, START + timedelta(days=1))
NEXT_DAY = Window(START + timedelta(days=1), START + timedelta(days=2))
TRADES: list[dict[str, Any]] = [
    {
        "trade_id": number,
        "account_id": 1 + number % 2,
        "symbol": "BTC",
        "side": "BUY",
        "price": 1.5,
        "quantity": 2,
        "trade_time": f"2026-01-15T00:00:{number:02}Z",
    }
    for number in range(20)
]
ORDERS: list[dict[str, Any]] = [
    {
        "id": number,
        "account_id": 1 + number % 2,
        "symbol": "BTC",
        "side": "buy",
        "price": number,
        "created_at": f"2026-01-15T00:00:{number:02}Z",
        "note": "new",
    }
    for number in range(20)
]
Make = Callable[..., HyperoruClient]


def to_files(where: Path, file_format: str = "jsonl", compression: str | None = "none") -> StorageDestination:
    return StorageDestination(UPath(where), file_format, compression)


def to_table(database: Database, table: str = "orders", mode: str = "replace") -> SqlDestination:
    return SqlDestination(database.connect, table, mode, create_table=True)


def without(order: dict[str, Any], field: str) -> dict[str, Any]:
    return {name: value for name, value in order.items() if name != field}


class TestOrders:
    """A list without a window, of which the path names the account."""

    def test_as_json_lines(self, tmp_path: Path, client_of: Make) -> None:
        with Sandbox(orders=ORDERS) as sandbox:
            summary = export_list(client_of(sandbox), "orders", None, {"account_id": 1}, to_files(tmp_path))
        where = tmp_path / "orders/latest,account_id-1"
        assert rows(committed(where)) == [order for order in ORDERS if order["account_id"] == 1]
        assert summary == {
            "rows": 10,
            "bytes": (where / "part-00000.jsonl").stat().st_size,
            "window": None,
            "first_time": None,
            "last_time": None,
            "manifest": str(where / "_manifest.json"),
            "prefix": f"file://{where}/part-",
            "keys": [str(where / "part-00000.jsonl")],
            "files": [str(where / "part-00000.jsonl")],
        }
        manifest = json.loads((where / "_manifest.json").read_text())
        assert (manifest["window"], manifest["filters"]) == (None, {"account_id": "1"})

    def test_it_replaces_itself(self, tmp_path: Path, client_of: Make) -> None:
        for orders in (ORDERS, ORDERS[:7]):
            with Sandbox(orders=orders) as sandbox:
                export_list(client_of(sandbox), "orders", None, {"account_id": 1}, to_files(tmp_path))
        assert [row["id"] for row in rows(committed(tmp_path / "orders/latest,account_id-1"))] == [0, 2, 4, 6]

    def test_again_gives_the_same_bytes(self, tmp_path: Path, client_of: Make) -> None:
        with Sandbox(orders=ORDERS) as sandbox:
            for where in ("a", "a", "b"):
                export_list(client_of(sandbox), "orders", None, {"account_id": 1}, to_files(tmp_path / where))
        assert files_of(tmp_path / "a") == files_of(tmp_path / "b")

    def test_the_table_has_those_of_the_account(self, database: Database, client_of: Make) -> None:
        for orders in (ORDERS, ORDERS[:7]):
            with Sandbox(orders=orders) as sandbox:
                for account_id in (1, 2) if orders is ORDERS else (1,):
                    export_list(client_of(sandbox), "orders", None, {"account_id": account_id}, to_table(database))
        found = database.query("SELECT id, account_id FROM orders")
        assert {int(key) for key, account_id in found if account_id == "1"} == {0, 2, 4, 6}
        assert {int(key) for key, account_id in found if account_id == "2"} == {*range(1, 20, 2)}

    def test_upsert_keeps_what_is_gone_at_the_server(self, database: Database, client_of: Make) -> None:
        for orders in (ORDERS, [{**order, "note": "old"} for order in ORDERS[:7]]):
            with Sandbox(orders=orders) as sandbox:
                destination = to_table(database, mode="upsert")
                export_list(client_of(sandbox), "orders", None, {"account_id": 1}, destination)
        found = {key: json.loads(extra)["note"] for key, extra in database.query("SELECT id, extra FROM orders")}
        assert found == {str(n): "old" if n < 7 else "new" for n in range(0, 20, 2)}


class OrdersWithoutAccounts(BaseHTTPRequestHandler):
    """Serves orders of which only the path says whose they are; under account 1 some say null."""

    def do_GET(self) -> None:
        mixed = self.path.endswith("/1")
        orders = [
            order | {"account_id": None} if mixed and order["id"] % 3 else without(order, "account_id")
            for order in ORDERS
        ]
        body = json.dumps(orders).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Write nothing."""


class TestAnAccountThatOnlyThePathNames:
    """Rows that lack it get it in columns, as the path asked for just these; JSON lines stay as they were sent."""

    @pytest.fixture
    def client(self) -> Iterator[HyperoruClient]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), OrdersWithoutAccounts)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with HyperoruClient(f"http://127.0.0.1:{server.server_port}", session_token="token") as client:
            yield client
        server.shutdown()
        thread.join()
        server.server_close()

    @pytest.mark.parametrize("account_id", [1, 2])
    @pytest.mark.parametrize("file_format", ["csv", "parquet"])
    def test_in_columns(self, tmp_path: Path, client: HyperoruClient, file_format: str, account_id: int) -> None:
        destination = to_files(tmp_path, file_format, None)
        (file,) = export_list(client, "orders", None, {"account_id": account_id}, destination)["files"]
        if file_format == "csv":
            found = list(csv.DictReader(Path(file).read_text().splitlines()))
        else:
            found = pq.read_table(file).to_pylist()
        assert [row["account_id"] for row in found] == [str(account_id)] * 20

    def test_in_json_lines(self, tmp_path: Path, client: HyperoruClient) -> None:
        (file,) = export_list(client, "orders", None, {"account_id": 1}, to_files(tmp_path))["files"]
        lines = [json.loads(line) for line in Path(file).read_text().splitlines()]
        assert lines[:2] == [without(ORDERS[0], "account_id"), ORDERS[1] | {"account_id": None}]

    def test_in_xcom(self, client: HyperoruClient) -> None:
        found = export_list(client, "orders", None, {"account_id": 1}, XComDestination(100_000))
        assert {row["account_id"] for row in found} == {"1"}

    def test_in_a_table(self, database: Database, client: HyperoruClient) -> None:
        for _ in range(2):
            export_list(client, "orders", None, {"account_id": 1}, to_table(database))
        assert database.query("SELECT account_id, count(*) FROM orders GROUP BY account_id") == [("1", 20)]


@pytest.mark.parametrize(
    ("resource", "window", "filters", "named"),
    [
        ("ordres", None, {}, "resource 'ordres'.*trades, klines, traders, orders"),
        ("orders", None, {}, "without account_id: add the filter"),
        ("orders", None, {"account_id": None}, "without account_id: add the filter"),
        ("orders", None, {"account_id": 1, "symbol": "BTC"}, r"orders.*symbol.*account_id"),
        ("orders", DAY, {"account_id": 1}, "orders is not read by time.*leave out start and end"),
        ("trades", None, {}, "trades is read by time.*give start and end"),
        ("trades", DAY, {"side": "BUY"}, "trades.*side.*account_id, symbol"),
        ("klines", DAY, {"symbol": "BTC"}, "klines can't be listed without interval: add the filter"),
        ("traders", None, {"symbol": "BTC"}, "traders can't be filtered by symbol.*include_hidden"),
        ("coverage", DAY, {}, "coverage is not read by time.*leave out start and end"),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_asked(
    tmp_path: Path, client_of: Make, sandbox: Sandbox, resource: str, window: Window | None, filters: Any, named: str
) -> None:
    with pytest.raises(HyperoruConfigError, match=named):
        export_list(client_of(sandbox), resource, window, filters, to_files(tmp_path))
    assert not list(tmp_path.iterdir())
    assert sandbox.stats()["requests"] == 0


#: what an export without rows is, where the earlier one has some, and where there is none
ON_EMPTY = [
    (None, "error", "commits"),
    ("succeed", "commits", "commits"),
    ("skip", "error", "skips"),
    ("fail", "error", "error"),
]


class TestNoRows:
    """A list that is empty: by a switch with a wrong default, or because nothing was there."""

    @pytest.fixture(params=["files", "table"])
    def destination(self, request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Destination]:
        if request.param == "files":
            return lambda: to_files(tmp_path)
        database: Database = request.getfixturevalue("sqlite")
        return lambda: to_table(database, "trades")

    @pytest.fixture
    def export(self, client_of: Make, destination: Callable[[], Destination]) -> Callable[..., Any]:
        def run(sent: list[dict[str, Any]], window: Window = DAY, on_empty: str | None = None, **filters: Any) -> Any:
            with Sandbox(rows=sent) as sandbox:
                return export_list(client_of(sandbox), "trades", window, filters, destination(), on_empty=on_empty)

        return run

    @pytest.fixture
    def contents(self, tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[], Any]:
        def look() -> Any:
            database: Database = request.getfixturevalue("sqlite")
            if not (tmp_path / "test.db").exists():
                return files_of(tmp_path)
            return database.query("SELECT * FROM trades ORDER BY trade_id")

        return look

    @pytest.mark.parametrize(("on_empty", "outcome", "_"), ON_EMPTY)
    def test_where_rows_were(
        self, export: Callable[..., Any], contents: Callable[[], Any], on_empty: str | None, outcome: str, _: str
    ) -> None:
        export(TRADES)
        before = contents()
        if outcome == "commits":
            assert export([], on_empty=on_empty)["rows"] == 0
            assert contents() != before
        else:
            with pytest.raises(HyperoruContractError, match="on_empty"):
                export([], on_empty=on_empty)
            assert contents() == before

    @pytest.mark.parametrize(("on_empty", "_", "outcome"), ON_EMPTY)
    def test_where_no_rows_were(self, export: Callable[..., Any], on_empty: str | None, _: str, outcome: str) -> None:
        if outcome == "error":
            with pytest.raises(HyperoruContractError, match="on_empty"):
                export([], on_empty=on_empty)
        else:
            summary = export([], on_empty=on_empty)
            assert summary is None if outcome == "skips" else summary["rows"] == 0

    @pytest.mark.parametrize("on_empty", [None, "succeed", "skip", "fail"])
    def test_with_rows_it_is_no_matter(self, export: Callable[..., Any], on_empty: str | None) -> None:
        assert export(TRADES, on_empty=on_empty)["rows"] == export(TRADES, on_empty=on_empty)["rows"] == 20

    def test_rows_of_another_window_or_account_are_not_lost(self, export: Callable[..., Any]) -> None:
        export(TRADES)
        assert export(TRADES, NEXT_DAY)["rows"] == 0
        assert export(TRADES, symbol="ETH")["rows"] == 0

    def test_a_list_that_never_had_a_row_is_warned_of(
        self, export: Callable[..., Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.WARNING)
        export([], account_id=None)
        (message,) = caplog.messages
        assert all(word in message for word in ("0 trades, 2026-01-15 to 2026-01-16", "window", "trading_mode"))
        caplog.clear()
        export(TRADES)
        export([], NEXT_DAY)
        assert not caplog.messages


def test_an_empty_list_to_xcom_is_warned_of(client_of: Make, caplog: pytest.LogCaptureFixture) -> None:
    with Sandbox(rows=[]) as sandbox:
        client = client_of(sandbox)
        assert export_list(client, "trades", DAY, {}, XComDestination(1000)) == []
        assert export_list(client, "trades", DAY, {}, XComDestination(1000), on_empty="skip") is None
        with pytest.raises(HyperoruContractError, match="on_empty"):
            export_list(client, "trades", DAY, {}, XComDestination(1000), on_empty="fail")
    assert "trading_mode" in caplog.text


def test_the_log_tells_what_happened_at_a_glance(
    tmp_path: Path, client_of: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "hyperoru_provider.export")
    with Sandbox(rows=TRADES) as sandbox:
        export_list(client_of(sandbox), "trades", DAY, {"account_id": 2}, to_files(tmp_path))
        asked = sandbox.stats()["requests"] - 1  # the login
    where = tmp_path / "trades/20260115T000000Z_20260116T000000Z,account_id-2"
    size = (where / "part-00000.jsonl").stat().st_size
    (message,) = caplog.messages
    assert message.startswith(
        f"Exported 10 trades of account 2, 2026-01-15 to 2026-01-16, in 1 file of {size / 1000:.1f} kB to {where}; "
        f"{asked} request"
    )


def test_a_long_export_tells_how_far_it_is(
    client_of: Make, tmp_path: Path, sqlite: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("hyperoru_provider.export.progress._LOG_SECONDS", 0.0)
    window = Window(START - timedelta(days=50), START)
    with Sandbox(latency=0.01) as sandbox:
        for destination in (to_files(tmp_path), SqlDestination(sqlite.connect, "t", create_table=True, batch_rows=500)):
            caplog.clear()
            export_list(client_of(sandbox), "trades", window, {}, destination)
            told = [re.search(r"(\d+)% of the window, about", line) for line in caplog.messages]
            shares = [int(share[1]) for share in told if share]
            assert len({*shares}) > 3
            assert sorted(shares) == shares
    written = [line for line in caplog.messages if " rows written, " in line]
    assert written[0].startswith("500 of ")
    assert re.search(r"(\d+) of \1 rows written, \d+ rows/s so far$", written[-1])

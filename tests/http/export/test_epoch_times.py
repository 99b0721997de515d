"""A server that writes and reads times as seconds or milliseconds since 1970, and the contract's ``time_format``."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow.parquet as pq
import pytest
from upath import UPath

from hyperoru_provider.client import HyperoruClient
from hyperoru_provider.client.errors import HyperoruConfigError, HyperoruContractError
from hyperoru_provider.export.destinations.sql import SqlDestination
from hyperoru_provider.export.destinations.storage import StorageDestination
from hyperoru_provider.export.destinations.xcom import XComDestination
from hyperoru_provider.export.run import export_list
from hyperoru_provider.params.window import Window
from tests.databases import Database

START = datetime(2026, 1, 15, tzinfo=UTC)
DAY = Window(START, START + timedelta(days=1))
UNITS = {"seconds": 1, "milliseconds": 1000}
FORMATS = pytest.mark.parametrize("time_format", UNITS)


class Server(ThreadingHTTPServer):
    """Lists a trade for each hour around the day; one time has a fraction of a second."""

    unit: int
    asked: list[dict[str, list[str]]]

    @property
    def trades(self) -> list[dict[str, Any]]:
        first = int(START.timestamp())
        fields: dict[str, Any] = {"account_id": 1, "symbol": "BTC", "side": "BUY", "price": 1.5, "quantity": 2}
        hours = [first + 3600 * hour for hour in range(-5, 30)]
        rows: list[dict[str, Any]] = [
            {"trade_id": n, "trade_time": time * self.unit, **fields} for n, time in enumerate(hours)
        ]
        rows[7]["trade_time"] += self.unit // 2 if self.unit > 1 else 0.5
        return rows


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        self.server.asked.append(query)
        defaults = {"start": ["0"], "end": [str(10**15)], "page": ["1"]}
        start, end, page = (int((defaults | query)[name][0]) for name in defaults)
        found = [row for row in self.server.trades if start <= row["trade_time"] < end]
        rows = found[10 * (page - 1) : 10 * page]
        body = json.dumps({"trades": rows, "total": len(found), "has_more": 10 * page < len(found)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Write nothing."""


@pytest.fixture
def client_of() -> Iterator[Callable[..., HyperoruClient]]:
    server = Server(("127.0.0.1", 0), Handler)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    clients = []

    def make(unit: str, **trades: Any) -> HyperoruClient:
        server.unit = UNITS[unit]
        contract = {"trades": {"first_page": 1, "page_size": 10, **trades}}
        url = f"http://127.0.0.1:{server.server_port}"
        clients.append(HyperoruClient(url, session_token="token", contract=contract))
        return clients[-1]

    make.server = server  # type: ignore[attr-defined]
    yield make
    for client in clients:
        client.close()
    server.shutdown()
    thread.join()
    server.server_close()


def times_of(rows: list[dict[str, Any]]) -> list[datetime]:
    return [datetime.fromisoformat(row["trade_time"]) for row in rows]


EXPECTED = [START + timedelta(hours=hour, milliseconds=500 if hour == 2 else 0) for hour in range(24)]


@FORMATS
def test_an_export_to_each_destination(
    tmp_path: Path, database: Database, client_of: Callable[..., HyperoruClient], time_format: str
) -> None:
    client = client_of(time_format, time_format=time_format)

    def export(destination: Any) -> Any:
        return export_list(client, "trades", DAY, {}, destination)

    assert times_of(export(XComDestination(100_000))) == EXPECTED
    (file,) = export(StorageDestination(UPath(tmp_path / "csv"), "csv"))["files"]
    assert times_of(list(csv.DictReader(Path(file).read_text().splitlines()))) == EXPECTED
    (file,) = export(StorageDestination(UPath(tmp_path / "parquet"), "parquet"))["files"]
    assert pq.read_table(file)["trade_time"].to_pylist() == EXPECTED
    (file,) = export(StorageDestination(UPath(tmp_path / "jsonl"), "jsonl", "none"))["files"]
    assert json.loads(Path(file).read_text().splitlines()[0])["trade_time"] == START.timestamp() * UNITS[time_format]
    summary = export(SqlDestination(database.connect, "trades", create_table=True))
    assert (summary["rows"], summary["first_time"], summary["last_time"]) == (
        24,
        "2026-01-15T00:00:00Z",
        "2026-01-15T23:00:00Z",
    )
    assert [trade.trade_time for trade in client.iter_trades(start=DAY.start, end=DAY.end)] == EXPECTED


@FORMATS
def test_the_window_is_asked_for_in_the_same_unit(
    tmp_path: Path, client_of: Callable[..., HyperoruClient], time_format: str
) -> None:
    client = client_of(time_format, time_format=time_format)
    export_list(client, "trades", DAY, {}, XComDestination(100_000))
    asked = client_of.server.asked[0]  # type: ignore[attr-defined]
    second = timedelta(seconds=1)
    bounds = [int(moment.timestamp()) * UNITS[time_format] for moment in (START - second, DAY.end + second)]
    assert [int(asked[name][0]) for name in ("start", "end")] == bounds


def test_a_number_that_is_read_as_iso_names_the_override(client_of: Callable[..., HyperoruClient]) -> None:
    client = client_of("seconds", params={"start": None, "end": None})
    with pytest.raises(HyperoruContractError, match="time_format"):
        list(client.iter_trades(start=DAY.start, end=DAY.end))


def test_a_wrong_time_format_is_named(client_of: Callable[..., HyperoruClient]) -> None:
    with pytest.raises(HyperoruConfigError, match=r"contract\.trades\.time_format: .*seconds"):
        client_of("seconds", time_format="epoch")

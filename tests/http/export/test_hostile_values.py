"""Any value in any field of a row, to every kind of destination: it lands whole, or the error names the row."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from upath import UPath

from hyperoru_provider.client import HyperoruClient, HyperoruError
from hyperoru_provider.client.api.models import Model, Order, Trade
from hyperoru_provider.export.destinations.sql import SqlDestination
from hyperoru_provider.export.destinations.storage import StorageDestination
from hyperoru_provider.export.destinations.xcom import XComDestination
from hyperoru_provider.export.run import export_list
from hyperoru_provider.params.window import Window
from tests.databases import Database
from tests.hostile import VALUES, WORST
from tests.raw_server import Wire, raw_server

START = datetime(2026, 1, 15, tzinfo=UTC)
DAY = Window(START, START + timedelta(days=1))
TRADE = {
    "trade_id": b"2",
    "account_id": b"1",
    "symbol": b'"BTC"',
    "side": b'"BUY"',
    "price": b"1.50",
    "quantity": b"2",
    "trade_time": b'"2026-01-15T00:00:02Z"',
}
ORDER = {"id": b"2", "account_id": b"1", "symbol": b'"BTC"', "side": b'"BUY"'}
NO_JSON = {"nan", "infinity", "too_deep"}  # which row it is in can't be told

KINDS = ("jsonl", "csv", "parquet", "xcom")


def text_of(fields: dict[str, bytes]) -> bytes:
    return b"{%b}" % b",".join(b'"%b":%b' % (name.encode(), value) for name, value in fields.items())


def rows_with(row: dict[str, bytes], key: str, field: str, value: bytes) -> list[bytes]:
    """Return three rows, of which the second has a value in a field."""
    others = [text_of({**row, key: number}) for number in (b"1", b"3")]
    return [others[0], text_of({**row, field: value}), others[1]]


class Server:
    """Answers with the rows that are set, and nothing past them."""

    def __init__(self) -> None:
        self.rows: list[bytes] = []

    def __call__(self, wire: Wire, request: str) -> None:
        if request.startswith("POST"):
            wire.answer({"session_token": "raw-token-1"})
        elif re.search(r"[?&]page=([2-9])", request):
            wire.answer(b"[]")
        else:
            wire.answer(b"[%b]" % b",".join(self.rows))


@pytest.fixture(scope="module")
def server() -> Server:
    return Server()


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[HyperoruClient]:
    with raw_server(server) as running, HyperoruClient(running.url, "demo", "password") as client:
        yield client


def fields_of(model: type[Model], key: str) -> list[str]:
    """Return a field of each kind that is read in a way of its own, or all with HYPERORU_HOSTILE=all."""
    if os.environ.get("HYPERORU_HOSTILE") == "all":
        return [*model.model_fields, "unknown"]
    few = (key, "account_id", "account_name", "name", "price", "trade_time", "related_orders")
    return [*(name for name in few if name in model.model_fields), "unknown"]


def cases() -> Iterator[Any]:
    resources: list[Any] = [("trades", Trade, TRADE, "trade_id"), ("orders", Order, ORDER, "id")]
    for resource, model, row, key in resources:
        for name, value in VALUES.items():
            yield pytest.param(resource, row, key, fields_of(model, key), value, id=f"{resource}-{name}")


@pytest.mark.parametrize(("resource", "row", "key", "fields", "value"), [*cases()])
def test_files_and_xcom(
    server: Server,
    client: HyperoruClient,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    resource: str,
    row: dict[str, bytes],
    key: str,
    fields: list[str],
    value: bytes,
) -> None:
    named = request.node.callspec.id.partition("-")[2] not in NO_JSON
    for field in fields:
        texts = rows_with(row, key, field, value)
        server.rows = texts
        for kind in KINDS:
            where = tmp_path / field / kind
            found = landed(lambda to: export(client, resource, to), kind, where)
            if isinstance(found, HyperoruError):
                assert_refused(found, field, key, named=named)
                assert not [path for path in where.rglob("*") if path.is_file()]
            else:
                assert len(found) == 3, (field, kind)
                if kind == "jsonl":
                    assert sorted(found) == sorted(texts)


@pytest.mark.parametrize("resource", ["trades", "orders"])
@pytest.mark.parametrize(
    ("name", "on_nul"),
    [*((name, "fail") for name in WORST if name not in NO_JSON), ("nul", "replace"), ("object", "replace")],
)
def test_a_table_in_postgres(
    server: Server, client: HyperoruClient, postgres: Database, resource: str, name: str, on_nul: str
) -> None:
    model, row, key = (Trade, TRADE, "trade_id") if resource == "trades" else (Order, ORDER, "id")
    for number, field in enumerate(fields_of(model, key)):
        server.rows = rows_with(row, key, field, VALUES[name])
        table = f"t{number}"
        destination = SqlDestination(
            postgres.connect, table, "upsert" if resource == "orders" else "replace", create_table=True, on_nul=on_nul
        )
        try:
            export(client, resource, destination)
        except HyperoruError as error:
            assert_refused(error, field, key, named=True)
            assert postgres.query(f"SELECT to_regclass('{table}')") == [(None,)] or not postgres.query(
                f"SELECT 1 FROM {table}"
            )
        else:
            assert len(postgres.query(f"SELECT 1 FROM {table}")) == 3


def export(client: HyperoruClient, resource: str, destination: Any) -> Any:
    window, filters = (DAY, {}) if resource == "trades" else (None, {"account_id": 1})
    return export_list(client, resource, window, filters, destination, on_empty="succeed")


def landed(export: Callable[[Any], Any], kind: str, where: Path) -> list[Any] | HyperoruError:
    """Return what a reader finds, or why it was refused."""
    try:
        if kind == "xcom":
            rows: list[Any] = export(XComDestination(10_000_000))
            json.dumps(rows, allow_nan=False)
            return rows
        export(StorageDestination(UPath(where), kind, "none"))
    except HyperoruError as error:
        return error
    (part,) = where.rglob("part-*")
    match kind:
        case "jsonl":
            return part.read_bytes().splitlines()
        case "csv":
            csv.field_size_limit(10_000_000)
            with part.open(newline="") as file:
                return list(csv.DictReader(file))
        case _:
            return list(pq.read_table(part).to_pylist())


def assert_refused(error: HyperoruError, field: str, key: str, *, named: bool) -> None:
    text = str(error)
    assert text.isprintable() and len(text) < 1_500
    names = (f"{key}=", f'begins with {{"{key}":', f"no {field}", f"no usable {field}", "of the row ")
    assert not named or any(name in text for name in names), text

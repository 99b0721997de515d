"""Where a cell takes place: a server, a directory, what the server really has, and what a task leaves behind."""

from __future__ import annotations

import csv
import gzip
import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq

from hyperoru_provider.client.times import parse_time
from hyperoru_provider.sandbox import Sandbox
from tests.airflow.matrix.outcomes import AS_SENT, EXACT, PART
from tests.lakes import local_lake

PASSWORD = "pw-Zq7Xk9Lm2Vt5Rb"
DAY: dict[str, Any] = {"start": "2026-01-15", "end": "2026-01-16"}
ACCOUNT = 1
_MANIFEST = "_manifest.json"

#: a row as it is compared, whatever it was written as
Fact = tuple[Any, ...]


@dataclass
class Server:
    """A sandbox in another process.

    :param url: its address.
    """

    url: str

    def __post_init__(self) -> None:
        self._http = httpx.Client(base_url=self.url, trust_env=False, verify=False)

    def reset(self) -> None:
        """Set counters to zero, faults off, and remove jobs."""
        self._http.post("/__sandbox__/reset").raise_for_status()

    def set_faults(self, faults: Mapping[str, Any]) -> None:
        """Misbehave from now on."""
        self._http.put("/__sandbox__/faults", json=dict(faults)).raise_for_status()

    def stats(self) -> dict[str, Any]:
        """Return what was asked."""
        found: dict[str, Any] = self._http.get("/__sandbox__/stats").json()
        return found

    def trade(self, count: int) -> list[dict[str, Any]]:
        """Make trades, and return them."""
        found: list[dict[str, Any]] = self._http.post("/__sandbox__/trade", json={"count": count}).json()
        return found

    def start_job(self, body: Mapping[str, Any]) -> int:
        """Start a backfill job, and return its id."""
        login = {"email": Sandbox().email, "password": PASSWORD}
        token = self._http.post("/api/users/login", json=login).json()["session_token"]
        headers = {"Authorization": f"Bearer {token}"}
        return int(self._http.post("/api/klines/backfill", json=dict(body), headers=headers).json()["id"])


@dataclass
class Place:
    """Where a cell takes place.

    :param server: the sandbox.
    :param directory: what is written goes here.
    :param patience: seconds that a wait or a task has.
    :param switches: the faults of the sandbox.
    :param is_crowded: whether events come beside those of the trades that are made, or come twice.
    :param kept: what Airflow would keep: results, payloads, arguments of triggers.
    """

    server: Server
    directory: Path
    patience: float
    switches: Mapping[str, Any]
    is_crowded: bool = False
    kept: list[str] = field(default_factory=list)

    def keep(self, value: Any) -> Any:
        """Return a value as Airflow gives it back from its database."""
        self.kept.append(json.dumps(value, allow_nan=False))
        return json.loads(self.kept[-1])

    @property
    def truth(self) -> Truth:
        """What the server has, whatever its faults."""
        return truth(self.switches.get("merge_after_limit", 0))


@dataclass(frozen=True)
class Truth:
    """The rows that a server has."""

    trades: list[Fact]
    orders: list[Fact]


@cache
def truth(merged: float) -> Truth:
    """Return what a server has that merges a share of its rows; it takes a while for the first time."""
    server = Sandbox(merge_after_limit=merged)
    trades = server.trades(DAY["start"], DAY["end"], account_id=ACCOUNT)
    return Truth(list(map(trade_fact, trades)), list(map(order_fact, server.orders(ACCOUNT))))


def trade_fact(row: Mapping[str, Any]) -> Fact:
    """Return a trade as it is compared."""
    amounts = [Decimal(str(row[name])) for name in ("price", "quantity", "notional")]
    return (
        str(row["trade_id"]),
        str(row["account_id"]),
        row["symbol"],
        row["side"],
        *amounts,
        _time(row["trade_time"]),
    )


def order_fact(row: Mapping[str, Any]) -> Fact:
    """Return an order as it is compared."""
    price = row["price"]
    amounts = (None if price in (None, "") else Decimal(str(price)), Decimal(str(row["quantity"])))
    return (str(row["id"]), str(row["account_id"]), row["symbol"], row["side"], *amounts, row["status"])


def _time(value: Any) -> datetime:
    return value.astimezone(UTC) if isinstance(value, datetime) else parse_time(value)


def compared(found: Iterable[Fact], wanted: Sequence[Fact]) -> str:
    """Return how a success ended: exactly what there is, a part of it, or a lie."""
    counted, there = Counter(found), Counter(wanted)
    if counted == there:
        return EXACT
    doubled = sum((counted - Counter(set(counted))).values())
    if not doubled and Counter(map(_without_amounts, counted)) == Counter(map(_without_amounts, there)):
        return AS_SENT
    strange = [row for row in counted if row not in there]
    if doubled or strange:
        return f"lie: {doubled} rows doubled, {len(strange)} that aren't there, such as {strange[:1]}"
    return PART


def _without_amounts(row: Fact) -> Fact:
    return tuple(value for value in row if not isinstance(value, Decimal))


def files(root: Path) -> list[dict[str, Any]]:
    """Return the rows of the export below a directory, by its manifest."""
    (manifest,) = root.rglob(_MANIFEST)
    rows: list[dict[str, Any]] = []
    for file in json.loads(manifest.read_bytes())["files"]:
        rows += _rows(manifest.parent / file["name"])
    return rows


def _rows(path: Path) -> list[dict[str, Any]]:
    if path.name.endswith(".parquet"):
        found: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        return found
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.name.endswith(".gz") else data).decode()
    if ".csv" in path.name:
        return list(csv.DictReader(text.splitlines()))
    return [json.loads(line, parse_float=Decimal) for line in text.splitlines()]


def table(path: Path, name: str) -> list[dict[str, Any]]:
    """Return the rows of a table of SQLite; none if it is not there."""
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in connection.execute(f"SELECT * FROM {name}")]
        except sqlite3.OperationalError:
            return []


def committed(directory: Path) -> dict[str, Any]:
    """Return all that a reader sees: the files of each manifest, whole, and tables."""
    found: dict[str, Any] = {}
    for manifest in sorted(directory.rglob(_MANIFEST)):
        found[str(manifest)] = files(manifest.parent)
    if (directory / "catalog.db").exists():
        found["table of Iceberg"] = local_lake(directory).trades()
    for database in sorted(directory.rglob("*.db")):
        found |= {f"{database} {name}": rows for name in ("trades", "orders") if (rows := table(database, name))}
    return found

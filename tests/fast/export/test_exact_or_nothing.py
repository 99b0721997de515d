"""Whatever a server does that can be told at all: exactly the window's rows are committed, or nothing is."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from hyperoru_provider.client.api.contract import load_contract
from hyperoru_provider.client.api.endpoints import WindowedEndpoint
from hyperoru_provider.client.errors import HyperoruError, HyperoruNotFoundError
from hyperoru_provider.client.lists.page import parse_page
from hyperoru_provider.client.lists.rows import Rows
from hyperoru_provider.client.lists.window_reader import WindowReader
from hyperoru_provider.client.times import format_time, parse_time
from hyperoru_provider.export.destinations import Destination
from hyperoru_provider.export.destinations.iceberg import IcebergDestination
from hyperoru_provider.export.destinations.sql import SqlDestination
from hyperoru_provider.params.window import Window
from tests import exports
from tests.databases import Database
from tests.lakes import TABLE, local_lake
from tests.model_server import Server, at, inside, trade

CASES = int(os.environ.get("HYPERORU_CASES", "4000"))
PAGINGS = ["page", "offset", "cursor", "none"]
ERRORS: list[dict[str, Any]] = [
    {"error": {"code": "X", "message": "down"}},
    {"error": "down"},
    {"errors": ["down"]},
    {"ok": False},
    {"status": "error"},
    {"success": "false"},
    {"success": 0},
    {"code": "UPSTREAM_DOWN", "message": "down"},
]
NONE: st.SearchStrategy[frozenset[Any]] = st.just(frozenset())


class Client:
    """What the export needs of a client."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def read_page(self, reader: WindowReader, values: Mapping[str, Any], *more: object, sleep: object) -> Rows:
        _, query = reader.endpoint.target(values)
        try:
            body = self._server.answer(query)
        except HyperoruNotFoundError as error:
            return reader.accept_refusal(error)
        return reader.accept(parse_page(body, reader.endpoint))


def fill(number: int | str, seconds: float, **more: Any) -> dict[str, Any]:
    """A trade with all that a column of a table needs."""
    return trade(number, seconds, **{"symbol": "BTC", "side": "BUY", "price": 1, "quantity": 1} | more)


OLD = [fill(f"old{number}", number, table=0) for number in range(10)]


class Landing(Protocol):
    """Where an export lands, and what a reader finds there."""

    #: whether exports of other windows are there, too
    shared: bool

    def begin(self, earlier: Path | None) -> list[dict[str, Any]]:
        """Let an earlier export be there, or none, and return its rows."""

    def destination(self) -> Destination | None:
        """Return where the export goes; ``None`` for its directory."""

    def seen(self) -> Any:
        """Return all that a reader sees."""

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows."""

    def check_remains(self) -> None:
        """Fail if anything else is there than a reader sees."""


class LandingInFiles:
    shared = False

    def __init__(self, where: Path) -> None:
        self._where = where

    def begin(self, earlier: Path | None) -> list[dict[str, Any]]:
        if earlier is None:
            return []
        shutil.copytree(earlier, self._where)
        return OLD

    def destination(self) -> None:
        return None

    def seen(self) -> dict[str, bytes]:
        return exports.committed(self._where)

    def rows(self) -> list[dict[str, Any]]:
        return exports.rows(self.seen())

    def check_remains(self) -> None:
        assert {path.name for path in self._where.iterdir()} == set(self.seen())


class LandingInTable:
    shared = True

    def __init__(self, where: Path, how: Mapping[str, Any]) -> None:
        where.mkdir()
        self._where, self._how, self._lake = where, how, local_lake(where)

    def begin(self, earlier: Path | None) -> list[dict[str, Any]]:
        if earlier is None:
            return []
        endpoint = load_contract().trades
        window, to = Window(at(0), at(60)), self.destination()
        exports.commit(Client(Server(OLD[:])), endpoint, window, self._where, {}, destination=to, **self._how)
        return OLD

    def destination(self) -> IcebergDestination:
        rows_per_file = self._how["rows_per_part"]
        return IcebergDestination(
            self._lake.catalog, TABLE, create_table=True, partition_by_day=True, rows_per_file=rows_per_file
        )

    def seen(self) -> list[dict[str, Any]]:
        return self._lake.trades()

    def rows(self) -> list[dict[str, Any]]:
        return self.seen()

    def check_remains(self) -> None:
        assert self._lake.orphans() == set()


class LandingInDatabase:
    """A table of a database, which is there already.

    :param key: of its rows.
    """

    shared = True

    def __init__(self, database: Database, key: Sequence[str]) -> None:
        self._database, self._endpoint = database, load_contract({"trades": {"key": [*key]}}).trades

    def begin(self, earlier: Path | None) -> list[dict[str, Any]]:
        self._database.query("DROP TABLE IF EXISTS trades")
        how: dict[str, Any] = {"concurrency": 1, "slice_rows": 100, "rows_per_part": 3}
        client, window, to = Client(Server(OLD[:])), Window(at(0), at(60)), self.destination()
        exports.commit(client, self._endpoint, window, Path("none"), {}, destination=to, **how)
        if earlier is None:
            self._database.query("DELETE FROM trades")
            return []
        return OLD

    def destination(self) -> SqlDestination:
        return SqlDestination(self._database.connect, "trades", create_table=True, batch_rows=7)

    def seen(self) -> list[dict[str, Any]]:
        columns = ("trade_id", "account_id", "symbol", "side", "price", "quantity", "trade_time", "extra")
        found = []
        for values in self._database.query(f"SELECT {', '.join(columns)} FROM trades"):
            row = dict(zip(columns, values, strict=True))
            moment = row["trade_time"]
            row["trade_time"] = format_time(parse_time(moment) if isinstance(moment, str) else moment)
            found.append(row | json.loads(row.pop("extra")))
        return sorted(found, key=lambda row: (parse_time(row["trade_time"]), row["trade_id"]))

    def rows(self) -> list[dict[str, Any]]:
        return self.seen()

    def check_remains(self) -> None:
        pass


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("earlier")
    client, endpoint = Client(Server(OLD[:])), load_contract().trades
    how: dict[str, Any] = {"concurrency": 1, "slice_rows": 100, "rows_per_part": 3}
    exports.commit(client, endpoint, Window(at(0), at(60)), where, {}, **how)
    return where


@st.composite
def listings(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows with ties in time, text and number keys, two tables, and some that come twice, the same or changed."""
    least = draw(st.sampled_from([0, 5, 30, 30]))
    places = draw(
        st.lists(
            st.tuples(st.integers(0, 40), st.sampled_from([0, 1, 1, 1, 2, 5, 59.5, 60, 86_400]), st.integers(1, 2)),
            min_size=least,
            max_size=least + 15,
        )
    )
    text, tables = draw(st.booleans()), draw(st.sampled_from([1, 1, 2]))
    rows = [
        fill(f"t{number // tables}" if text else number // tables, position * step, account_id=account, price=number)
        | {"table": number % tables}
        for number, (position, step, account) in enumerate(places)
    ]
    if bool(rows) and draw(st.booleans()):
        kinds: list[dict[str, Any]] = [{}, {}, {"price": -1}, {"trade_time": rows[0]["trade_time"]}]
        changes = draw(st.sampled_from(kinds))
        rows += [{**row, **changes} for row in draw(st.lists(st.sampled_from(rows), min_size=1, max_size=2))]
    return rows


servers = st.builds(
    Server,
    rows=listings(),
    paging=st.sampled_from([*PAGINGS, "none"]),
    order=st.sampled_from(["newest", "oldest", "any"]),
    page_size=st.sampled_from([12, 500]),
    cap=st.sampled_from([None, None, 3, 10, 10, 13]),
    cap_skips=st.booleans(),
    first_page=st.sampled_from([1, 0]),
    ignored=NONE
    | NONE
    | st.frozensets(
        st.sampled_from(["start", "end", "page", "per_page", "offset", "limit", "cursor", "account_id"]), max_size=3
    ),
    total=st.sampled_from(["right", "right", "none", "none", "before_filter", "page", "changing", "limited"]),
    has_more=st.booleans(),
    guesses_more=st.sampled_from([False, False, True]),
    filters_pages=st.sampled_from([False] * 4 + [True]),
    stops=st.sampled_from([False] * 4 + [True]),
    absent=st.sampled_from([False] * 4 + [True]),
    keeps_last=st.booleans(),
    limits=st.booleans(),
    filters_late=st.sampled_from([False] * 4 + [True]),
    limits_each=st.sampled_from([False] * 4 + [True]),
    drops=st.sampled_from([0, 0, 0, 2, 3, 5]),
    error_at=st.sampled_from([None] * 14 + [1, 2, 3, 4]),
    error=st.sampled_from(ERRORS),
    null_when_empty=st.booleans(),
    inclusive=st.booleans(),
    by_day=st.sampled_from([False, False, False, True]),
    naive=st.booleans(),
    arrivals=st.lists(st.integers(0, 2500), max_size=3).map(
        lambda times: [fill(f"late{number}", seconds, table=0) for number, seconds in enumerate(times)]
    ),
    flips_at=st.sampled_from([None] * 4 + [2, 3, 4]),
    removed_at=st.sampled_from([None] * 5 + [2, 3, 4]),
    failing=NONE | NONE | NONE | NONE | NONE | st.frozensets(st.integers(1, 30), max_size=1),
)


@st.composite
def contracts(draw: st.DrawFn, server: Server) -> WindowedEndpoint:
    """A contract that fits the server, or not; but what it says of its own accord is true."""
    return load_contract(
        {
            "trades": {
                "paging": draw(st.sampled_from([server.paging] * 4 + PAGINGS)),
                "page_size": draw(st.sampled_from([1, 2, 5, 20, 500])),
                "first_page": draw(st.sampled_from([None, server.first_page])),
                "cap": 3 if server.cap == 3 else draw(st.sampled_from([None, None, server.cap])),
                "key": ["table", "trade_id"] if draw(st.booleans()) else ["trade_id"],
                "time_filter": draw(st.sampled_from([*["day" if server.by_day else "instant"] * 6, "instant", "none"])),
                "total": draw(st.just([]))
                if (server.total in ("before_filter", "changing", "limited") or server.drops) and draw(st.booleans())
                else ["total"],
            }
        }
    ).trades


def provable(server: Server, endpoint: WindowedEndpoint) -> bool:
    """Leave out what nobody could tell from the outside; see docs/promises.md."""
    believed = server.total == "page" and bool(endpoint.total)  # a total that is always met
    counted = server.total == "right" and bool(endpoint.total)
    told = server.paging == "cursor" or (server.paging != "none" and server.has_more and not server.guesses_more)
    guess = server.has_more and server.guesses_more and server.cap is not None
    skips = server.cap_skips and server.paging in ("page", "offset") and server.cap is not None
    few = server.cap or (endpoint.page_size or 500) < 20 or server.ignored & {"per_page", "limit"}
    unlimited = endpoint.paging == "none" and not server.limits
    return not (
        (server.filters_late and (few or unlimited))
        or (believed and (skips or guess))
        or (guess and server.cap == 3)
        or (skips and server.ignored & {"per_page", "limit"})
        or (server.filters_pages and not counted and (skips or not told))
        or (server.removed_at and (not counted or server.arrivals))
        or (endpoint.time_filter == "none" and server.paging == "none" and server.keeps_last)
        or (endpoint.time_filter == "none" and endpoint.paging == "none" and endpoint.cap and server.drops)
    )


Landed = Callable[[WindowedEndpoint, Mapping[str, Any]], Landing]


@pytest.mark.slow
@pytest.mark.timeout(300)
@settings(max_examples=CASES // 10, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data(), server=servers)
def test_the_exact_rows_of_a_table_or_nothing(sqlite: Database, data: st.DataObject, server: Server) -> None:
    check_table(sqlite, data, server)


@pytest.mark.slow
@pytest.mark.timeout(900 if CASES < 10_000 else 0)
@settings(max_examples=CASES, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(in_table=st.sampled_from([False] * 11 + [True]), data=st.data(), server=servers)
def test_the_exact_rows_or_nothing(
    earlier: Path, tmp_path_factory: pytest.TempPathFactory, in_table: bool, data: st.DataObject, server: Server
) -> None:
    where = tmp_path_factory.getbasetemp() / "landing"
    shutil.rmtree(where, ignore_errors=True)
    check(
        lambda _, how: LandingInTable(where, how) if in_table else LandingInFiles(where), earlier, where, data, server
    )


def check_table(database: Database, data: st.DataObject, server: Server) -> None:
    nowhere = Path("none")
    check(lambda endpoint, _: LandingInDatabase(database, endpoint.key), nowhere, nowhere, data, server)


def check(land: Landed, earlier: Path, where: Path, data: st.DataObject, server: Server) -> None:
    """Export a window, perhaps over an earlier one, and check that exactly its rows are there, or nothing new is."""
    endpoint = data.draw(contracts(server))
    assume(provable(server, endpoint))
    start = data.draw(st.integers(-5, 60))
    end = start + data.draw(st.sampled_from([1, 60, 600, 600, 3000, 90_000]))
    account_id = data.draw(st.none() | st.just(1))
    how: dict[str, Any] = {
        "slice_rows": data.draw(st.sampled_from([2, 10, 20_000])),
        "concurrency": data.draw(st.sampled_from([1, 3, None])),
        "rows_per_part": data.draw(st.sampled_from([2, 1000])),
    }
    landing = land(endpoint, how)
    old = landing.begin(data.draw(st.sampled_from([None, earlier])))
    before = landing.seen()
    late = {row["trade_id"] for row in server.arrivals}
    wanted = [
        row
        for row in inside(server.rows, start, end)
        if account_id in (None, row["account_id"]) and not server.hides(row)
    ]
    try:
        filters = {"account_id": account_id}
        window = Window(at(start), at(end))
        exports.commit(Client(server), endpoint, window, where, filters, destination=landing.destination(), **how)
    except HyperoruError as error:
        event(f"error: {type(error).__name__}")
        assert landing.seen() == before
        return
    assume(not server.blind)
    event(f"{type(landing).__name__}: {'rows' if wanted else 'nothing'}")
    landing.check_remains()
    stay = [row for row in old if row not in inside(old, start, end)] if landing.shared else []
    lines = landing.rows()
    for row in stay:
        lines.remove(next(line for line in lines if _content(line) == _content(row)))
    gone = Counter({_content(row) for row in server.removed})
    found = Counter(_content(row) for row in lines if row["trade_id"] not in late)
    assert found - gone == Counter({_content(row) for row in wanted}) - gone
    assert found <= Counter({_content(row) for row in wanted})
    arrived = Counter(row["trade_id"] for row in inside(lines, start, end) if row["trade_id"] in late)
    assert all(count == 1 for count in arrived.values())
    assert len(lines) == found.total() + arrived.total()
    times = [row["trade_time"].removesuffix("Z") for row in lines]
    assert times == sorted(times)


def _content(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return a row as it is compared: a table has ids as text, and amounts with more zeros."""
    return tuple(sorted((name, _text(value)) for name, value in row.items()))


def _text(value: Any) -> str:
    return value.removesuffix("Z") if isinstance(value, str) else format(Decimal(str(value)).normalize(), "f")

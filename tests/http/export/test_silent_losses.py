"""Servers whose rows an earlier reader lost without a sign: each one through a whole export, to files and to a table.

Each export ends with exactly the rows, or with an error that commits nothing and leaves the earlier rows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from hyperoru_provider.client import HyperoruClient, HyperoruContractError
from hyperoru_provider.client.times import format_time
from hyperoru_provider.export.destinations.sql import SqlDestination
from hyperoru_provider.export.destinations.storage import StorageDestination
from hyperoru_provider.export.run import export_list
from hyperoru_provider.params.window import Window
from hyperoru_provider.sandbox import Sandbox
from tests.databases import Database
from tests.exports import committed, rows
from tests.http.export.server_faults import ERRORS_BESIDE, NO_PAGES, UNSIGNED

START = datetime(2026, 1, 15, tzinfo=UTC)
DAY = Window(START, START + timedelta(days=1))

Make = Callable[..., HyperoruClient]


def trades(count: int, price: float = 100.25) -> list[dict[str, Any]]:
    """Trades spread over the day, two at a time."""
    return [
        {
            "trade_id": number,
            "account_id": 1,
            "symbol": "BTC",
            "side": "BUY",
            "price": price,
            "quantity": 2,
            "trade_time": format_time(START + timedelta(seconds=number // 2 * 86_400 * 2 // (count + 2))),
        }
        for number in range(count)
    ]


class Both:
    """An export to files and a load into a table."""

    def __init__(self, make: Make, where: Path, database: Database) -> None:
        self._make = make
        self._where = where
        self._database = database

    def run(self, sandbox: Sandbox, on_empty: str | None = None, **trades: Any) -> None:
        """Export, and fail if the table takes what the files don't."""
        client = self._make(sandbox, contract={"trades": trades})
        outcomes = []
        for destination in (
            StorageDestination(UPath(self._where), "jsonl", "none"),
            SqlDestination(self._database.connect, "trades", create_table=True),
        ):
            try:
                outcomes.append(export_list(client, "trades", DAY, {}, destination, on_empty=on_empty)["rows"])
            except HyperoruContractError as error:
                outcomes.append(error)
        files, table = outcomes
        assert type(files) is type(table)
        if isinstance(files, HyperoruContractError):
            raise files
        assert files == table

    def prices(self) -> Mapping[int, float]:
        """Return what is committed: each row's price, by its id."""
        (where,) = (path.parent for path in self._where.rglob("_manifest.json"))
        found = {row["trade_id"]: row["price"] for row in rows(committed(where))}
        assert len(found) == len(rows(committed(where)))
        assert {int(key): float(price) for key, (_, price) in self._database.trades().items()} == found
        return found


@pytest.fixture
def both(client_of: Make, tmp_path: Path, sqlite: Database) -> Both:
    return Both(client_of, tmp_path / "files", sqlite)


class TestTheFirstPage:
    """Pages from 0, no total, and the newest row twice: without a number comes page 0, and page 1 is the second."""

    @pytest.mark.parametrize("faults", [{"total": "none"}, UNSIGNED])
    def test_six_thousand_rows(self, both: Both, faults: dict[str, Any]) -> None:
        with Sandbox(rows=trades(6_000), first_page=0, repeat_newest=True, **faults) as sandbox:
            both.run(sandbox)
        assert set(both.prices()) == set(range(6_000))

    def test_thirty_rows_in_pages_of_five(self, client_of: Make) -> None:
        """As the property test found it: the newest time is that of two rows, one of which is listed twice."""
        rows = [{**row, "trade_time": format_time(START)} for row in trades(30)]
        rows[0]["trade_time"] = format_time(START + timedelta(seconds=1))
        with Sandbox(rows=rows, first_page=0, repeat_newest=True, **UNSIGNED) as sandbox:
            client = client_of(sandbox, contract={"trades": {"page_size": 5}})
            found = [trade.trade_id for trade in client.iter_trades(START, START + timedelta(minutes=1))]
        assert sorted(found) == list(range(30))

    def test_it_is_found_out_once(self, client_of: Make, tmp_path: Path) -> None:
        with Sandbox(rows=trades(30), first_page=0) as sandbox:
            client = client_of(sandbox)
            asked = []
            for name in ("first", "second"):
                before = sandbox.stats()["requests"]
                export_list(client, "trades", DAY, {}, StorageDestination(UPath(tmp_path / name), "jsonl", "none"))
                asked.append(sandbox.stats()["requests"] - before)
        assert asked[0] > asked[1]


class TestAnErrorBesideAnEmptyList:
    """A success that is none, on the first page or on a further one: an earlier export of 700 rows stays."""

    @pytest.mark.parametrize("page", ["first", "further"])
    @pytest.mark.parametrize("kind", ERRORS_BESIDE)
    def test_the_earlier_rows_stay(self, both: Both, kind: str, page: str) -> None:
        with Sandbox(rows=trades(700, price=7)) as sandbox:
            both.run(sandbox)
            sandbox.set_faults(error_beside=kind, error_beside_page=page)
            with pytest.raises(HyperoruContractError, match="answered with success, but"):
                both.run(sandbox)
        assert both.prices() == dict.fromkeys(range(700), 7)

    @pytest.mark.parametrize("kind", ERRORS_BESIDE)
    def test_no_list_is_empty_for_it(self, client_of: Make, kind: str) -> None:
        with Sandbox(error_beside=kind) as sandbox:
            client = client_of(sandbox)
            with pytest.raises(HyperoruContractError, match="answered with success, but"):
                client.list_traders()
            with pytest.raises(HyperoruContractError, match="answered with success, but"):
                client.klines("BTC", "1h", START, DAY.end)
            with pytest.raises(HyperoruContractError, match="answered with success, but"):
                client.orders(1)


class TestTheLimitFirstAndMergesAfterwards:
    """A list without pages: of so many rows as the server takes, it sends about half."""

    @pytest.mark.parametrize("order", ["newest", "oldest"])
    @pytest.mark.parametrize("known", [True, False])
    @pytest.mark.parametrize("cap", [500, 200])
    def test_a_list_without_pages(self, both: Both, cap: int, known: bool, order: str) -> None:
        faults = {"paging": "none", "cap": cap, "merge_after_limit": 0.5, "order": order, **UNSIGNED}
        with Sandbox(rows=trades(1_200), **faults) as sandbox:
            contract = {**NO_PAGES, "cap": cap} if known else NO_PAGES
            both.run(sandbox, None, **contract)
            wanted = {row["trade_id"] for row in sandbox.trades(format_time(DAY.start), format_time(DAY.end))}
        assert 500 < len(wanted) < 700
        assert set(both.prices()) == wanted

    @pytest.mark.parametrize("faults", [{}, {"total": "none"}, UNSIGNED])
    def test_pages(self, both: Both, faults: dict[str, Any]) -> None:
        """Nobody knows what a short page has skipped, even where the server counts what is left."""
        with Sandbox(rows=trades(700, price=7)) as before:
            both.run(before)
        with Sandbox(rows=trades(1_200), merge_after_limit=0.5, **faults) as sandbox:
            wanted = {row["trade_id"] for row in sandbox.trades(format_time(DAY.start), format_time(DAY.end))}
            with pytest.raises(HyperoruContractError, match="paging to none"):
                both.run(sandbox)
            assert both.prices() == dict.fromkeys(range(700), 7)
            both.run(sandbox, **NO_PAGES)
        assert set(both.prices()) == wanted


class TestASwitchWhoseDefaultHidesEverything:
    """An honest empty list, as the server is not asked with ``trading_mode=mainnet``."""

    def test_the_earlier_rows_stay(self, both: Both) -> None:
        with Sandbox(rows=trades(700, price=7)) as sandbox:
            both.run(sandbox)
            sandbox.set_faults(hidden_by_default="trading_mode=mainnet")
            for on_empty in (None, "skip", "fail"):
                with pytest.raises(HyperoruContractError, match=r"0 trades.*Nothing was committed"):
                    both.run(sandbox, on_empty)
            assert both.prices() == dict.fromkeys(range(700), 7)
            sandbox.set_faults(hidden_by_default=None)
            both.run(sandbox, "skip")
            assert set(both.prices()) == set(range(700))

    def test_rows_that_are_really_gone(self, both: Both) -> None:
        with Sandbox(rows=trades(700)) as sandbox:
            both.run(sandbox)
            sandbox.set_faults(hidden_by_default="trading_mode=mainnet")
            both.run(sandbox, on_empty="succeed")
        assert both.prices() == {}

    def test_a_list_that_never_had_a_row_is_a_warning(self, both: Both, caplog: pytest.LogCaptureFixture) -> None:
        with Sandbox(rows=trades(700), hidden_by_default="trading_mode=mainnet") as sandbox:
            both.run(sandbox)
        assert both.prices() == {}
        warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert len([text for text in warnings if "trading_mode or environment" in text]) == 2  # files and table


class TestEnvelopes:
    """What is honest must not be refused."""

    def test_null_is_an_empty_list(self, both: Both) -> None:
        with Sandbox(rows=[], null_when_empty=True) as sandbox:
            both.run(sandbox)
        assert both.prices() == {}

    def test_trades_beside_accounts(self, both: Both) -> None:
        with Sandbox(rows=trades(700), beside_accounts=True) as sandbox:
            both.run(sandbox)
        assert set(both.prices()) == set(range(700))

"""Answers of a shape of their own, over sockets: an export has just their rows, or it fails and says what to do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from upath import UPath

from hyperoru_provider.client import HyperoruClient, HyperoruConfigError, HyperoruContractError
from hyperoru_provider.export.destinations.storage import StorageDestination
from hyperoru_provider.export.run import export_list
from hyperoru_provider.params.window import Window
from tests.raw_server import Wire, raw_server

#: answers a request for rows: its query, and what comes back
Answer = Callable[[dict[str, str]], Any]
#: exports a list from a server that answers so, and returns its rows
Export = Callable[..., list[dict[str, Any]]]


@contextmanager
def client_of(answer: Answer, contract: Mapping[str, Any] | None = None) -> Iterator[HyperoruClient]:
    """Run a server that answers so wherever it is asked, and yield a client of it."""

    def script(wire: Wire, request: str) -> None:
        query = dict(parse_qsl(urlsplit(request.split()[1]).query))
        wire.answer(json.dumps(answer(query)).encode())

    with (
        raw_server(script) as server,
        HyperoruClient(server.url, session_token="a-token-of-tests", contract=contract) as client,
    ):
        yield client


@pytest.fixture
def export(tmp_path: Path) -> Export:
    def run(
        resource: str,
        answer: Answer | Any,
        filters: Mapping[str, Any] | None = None,
        window: Window | None = None,
        **contract: Any,
    ) -> list[dict[str, Any]]:
        answering = answer if callable(answer) else lambda query: answer
        with client_of(answering, {resource: contract}) as client:
            destination = StorageDestination(UPath(tmp_path), "jsonl", "none")
            summary = export_list(client, resource, window, filters or {}, destination, on_empty="succeed")
        return [json.loads(line) for file in summary["files"] for line in Path(file).read_bytes().splitlines()]

    return run


DAY = Window.parse("2026-01-15", "2026-01-16")
ONE = {"account_id": 1}
BALANCE = {"account_id": 1, "available": 10.5, "total_equity": 99.25}


class TestAnObject:
    @pytest.mark.parametrize(
        "body",
        [
            BALANCE,
            {"success": True, "data": BALANCE},
            {"code": 0, "message": "ok", "result": BALANCE},
            {"balance": BALANCE},
            {"items": [BALANCE]},
            {"account_id": 1, "data": {"available": 10.5, "total_equity": 99.25}},
            {"data": {"balance": BALANCE, "generated_at": "x"}},
            {"exchange": "hyperliquid", "data": BALANCE},
        ],
    )
    def test_it_is_found_in_its_envelope(self, export: Export, body: Any) -> None:
        (row,) = export("balances", body, ONE)
        assert {name: row[name] for name in BALANCE} == BALANCE
        assert set(row) <= {*BALANCE, "as_of", "exchange"}

    def test_in_one_of_another_name_by_the_contract(self, export: Export) -> None:
        with pytest.raises(HyperoruContractError, match=r"has only the keys success, payload\. .* contract's rows"):
            export("balances", {"success": True, "payload": BALANCE}, ONE)
        (row,) = export("balances", {"success": True, "payload": BALANCE}, ONE, rows="payload")
        assert row["available"] == 10.5

    def test_its_own_field_of_the_name_of_an_envelope_is_none(self, export: Export) -> None:
        (row,) = export("balances", {**BALANCE, "data": {"note": 1}, "items": []}, ONE)
        assert (row["data"], row["items"]) == ({"note": 1}, [])

    @pytest.mark.parametrize("body", [{"items": []}, {"success": True, "data": None}, None])
    def test_none_in_an_envelope_is_no_row(self, export: Export, body: Any) -> None:
        assert export("balances", body, ONE) == []

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            ({"account_id": 1}, "none of the fields available"),
            ({"success": True, "data": {"message": "soon"}}, "none of the fields available"),
            ({"items": [BALANCE, BALANCE]}, "has 2 objects, and one was expected"),
            ({"account_id": 2, "data": {"available": 1}}, "account_id 2, but 1 was asked"),
        ],
    )
    def test_what_is_no_such_object_is_an_error(self, export: Export, body: Any, said: str) -> None:
        with pytest.raises(HyperoruContractError, match=said):
            export("balances", body, ONE)

    def test_the_summary_and_a_strategy_of_unknown_fields(self, export: Export) -> None:
        (summary,) = export("analytics_summary", {"days": 30, "data": {"total_pnl": 1.50}}, {})
        assert (summary["total_pnl"], summary["days"]) == (1.5, 30)
        (wrapped,) = export("account_strategy", {"success": True, "data": {"kind": "grid"}}, ONE)
        (plain,) = export("account_strategy", {"kind": "grid", "data": {"step": 1}}, ONE)
        assert (wrapped["kind"], plain["data"]) == ("grid", {"step": 1})


class TestAFilterThatTheServerIgnores:
    POSITIONS = "/api/arena/positions"

    def test_it_labels_no_rows_that_don_t_show_whose_they_are(self, export: Export) -> None:
        body = {"positions": [{"symbol": "BTC", "trader": 1}, {"symbol": "BTC", "trader": 2}]}
        rows = export("positions", body, ONE, path=self.POSITIONS)
        assert [row.get("account_id") for row in rows] == [None, None]
        with client_of(lambda query: body, {"positions": {"path": self.POSITIONS}}) as client:
            assert [row.account_id for row in client.positions(1)] == [None, None]
        with client_of(lambda query: body) as client:  # the path names it
            assert [row.account_id for row in client.positions(1)] == [1, 1]

    def test_it_is_no_part_of_a_key(self, export: Export) -> None:
        """The points of all accounts together are not the second one's."""
        points = [{"timestamp": int(DAY.start.timestamp()) + 3600, "total_assets": 777}]
        with pytest.raises(HyperoruContractError, match="A row has no account_id"):
            export("asset_curve", points, {"account_id": 2, "timeframe": "1h"}, DAY)

    def test_timeframes_are_told_apart(self, export: Export) -> None:
        with pytest.raises(HyperoruConfigError, match="asset_curve can't be asked for without timeframe"):
            export("asset_curve", [], ONE, DAY)

        def points(query: dict[str, str]) -> list[dict[str, Any]]:
            return [{"account_id": 1, "timestamp": int(DAY.start.timestamp()) + 3600, "total_assets": 777}]

        (row,) = export("asset_curve", points, {**ONE, "timeframe": "1h"}, DAY, cap=1000)
        assert row["timeframe"] == "1h"

    def test_another_value_is_an_error_that_counts_rows_from_one(self, export: Export) -> None:
        body = [{"symbol": "BTC", "account_id": account} for account in (1, 1, 2)]
        said = r"The row number 3 has account_id 2, but 1 .* contract's params account_id, or leave the filter out\."
        with pytest.raises(HyperoruContractError, match=said):
            export("positions", body, ONE, path=self.POSITIONS)
        with pytest.raises(HyperoruContractError, match=r"ignore this filter. Correct the contract's path\."):
            export("positions", body, ONE)

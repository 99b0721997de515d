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
            ({"items": [BALANCE, BALANCE]}, "has 2 objects, but one was expected"),
            ({"account_id": 2, "data": {"available": 1}}, "account_id 2, but 1 was requested"),
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
        with pytest.raises(HyperoruConfigError, match="asset_curve can't be listed without timeframe"):
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


ORDERS = [{"id": number, "account_id": 1, "symbol": "BTC", "side": "BUY"} for number in range(20)]


class TestAListOfOneAnswer:
    """Orders: 20 of 87 are shown, and something says so, or they are all."""

    @pytest.mark.parametrize(
        "beside",
        [
            {"count": 87},
            {"totalCount": 87},
            {"total_items": 87},
            {"pagination": {"totalItems": 87}},
            {"page": 1, "pages": 5, "size": 20},
            {"page": 1, "total_pages": 5},
            {"pagination": {"page": 1, "pages": 5}},
            {"links": {"next": "/api/orders?page=2"}},
            {"truncated": True},
            {"is_last": False},
            {"nextCursor": "abc"},
            {"next_page_token": "abc"},
            {"limit": 20, "offset": 0},
        ],
    )
    def test_a_sign_of_more_is_an_error_until_the_contract_passes_over_it(self, export: Export, beside: Any) -> None:
        with pytest.raises(HyperoruContractError, match=r"may have cut it off|total of 87 rows"):
            export("orders", {"orders": ORDERS, **beside}, ONE)
        found = export("orders", {"orders": ORDERS, **beside}, ONE, has_more=[], total=[], next_page=[])
        assert found == ORDERS

    @pytest.mark.parametrize(
        "beside",
        [
            {"count": 20},
            {"count": 1},
            {"totalCount": 20, "page": 1, "pages": 1},
            {"page": 0, "total_pages": 1, "truncated": False, "is_last": True},
            {"links": {"next": None, "prev": None}, "nextCursor": None, "next_page_token": ""},
            {"limit": 50, "offset": 0},
            {"count": "many", "pages": None},
        ],
    )
    def test_what_says_that_it_is_all_is_harmless(self, export: Export, beside: Any) -> None:
        assert export("orders", {"orders": ORDERS, **beside}, ONE) == ORDERS

    @pytest.mark.parametrize("body", [{"data": [], "fills": ORDERS}, {"data": None, "fills": ORDERS}])
    def test_an_empty_general_list_hides_no_other_one(self, export: Export, body: Any) -> None:
        with pytest.raises(
            HyperoruContractError, match=r"lists under data, fills\. Name its key in the contract's rows"
        ):
            export("orders", body, ONE)
        assert export("orders", body, ONE, rows="fills") == ORDERS
        assert export("orders", body, ONE, rows="data") == []
        assert export("orders", {"orders": [], "fills": ORDERS}, ONE) == []
        assert export("orders", {"data": [], "columns": ["id"]}, ONE) == []

    def test_in_an_object_by_a_dot(self, export: Export) -> None:
        body = {"code": 0, "data": {"list": ORDERS, "total": 20}}
        with pytest.raises(HyperoruContractError, match=r"lists under data\.list"):
            export("orders", body, ONE)
        assert export("orders", body, ONE, rows="data.list") == ORDERS


def test_pages_of_a_list_without_a_key_are_refused(export: Export) -> None:
    body = {"positions": [{"symbol": "BTC"}]}
    with pytest.raises(HyperoruContractError, match="reads positions in pages but gives it no key"):
        export("positions", body, ONE, paging="page", page_size=50)


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("repeats", [True, False])
def test_a_finished_job_is_read_to_the_last_chunk(export: Export, last: bool, repeats: bool) -> None:
    """``done`` says that the job is over; the chunks are, where no more come, or no new cursor."""
    chunks = [{"index": number, "content": str(number)} for number in range(250)]

    def answer(query: dict[str, str]) -> Any:
        since = int(query.get("since", 0))
        end = min(since + 100, 250)
        cursor = None if last and end == 250 else end
        return {"task_id": "t", "done": True, "chunks": chunks[since - (repeats and since == 250) : end],
                "next_cursor": cursor}  # fmt: skip

    found = export("ai_stream_chunks", answer, {"task_id": "t"})
    assert [row["index"] for row in found] == list(range(250))

"""An answer of success that carries an error is an error, wherever and however it says so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import pytest

from hyperoru_provider.client import AsyncHyperoruClient, HyperoruClient, HyperoruContractError
from hyperoru_provider.client.api.contract import DEFAULT_CONTRACT
from hyperoru_provider.client.decoding import parse_object
from hyperoru_provider.client.errors import from_status
from hyperoru_provider.client.http.library import httpx
from hyperoru_provider.client.lists.page import parse_page

START, END = datetime(2026, 1, 15), datetime(2026, 1, 16)
PAGE_SIZE = 3

TRADES = [
    {
        "trade_id": number,
        "symbol": "BTC",
        "side": "BUY",
        "price": 1,
        "quantity": 1,
        "trade_time": f"2026-01-15T00:00:{30 - number}Z",
    }
    for number in range(PAGE_SIZE)
]

FAILURES: dict[str, dict[str, Any]] = {
    "error_text": {"error": "server down"},
    "error_object": {"error": {"code": "X", "message": "server down"}},
    "error_list": {"error": ["server down"]},
    "error_of_fastapi": {"errors": [{"loc": ["query", "page"], "msg": "server down"}]},
    "errors_text": {"errors": "server down"},
    "errors_list": {"errors": ["server down"]},
    "errors_objects": {"errors": [{"code": "X", "message": "server down"}]},
    "errors_by_field": {"errors": {"page": ["server down"]}},
    "error_true": {"error": True, "message": "server down"},
    "error_number": {"error": 17, "message": "server down"},
    "error_message": {"error_message": "server down"},
    **{
        f"{name}_{value!r}": {name: value, "message": "server down"}
        for name in ("success", "ok")
        for value in (False, 0, 0.0, "false", "False", "FALSE", "no", "No", "0", "failed", " false ")
    },
    **{
        f"status_{value!r}": {"status": value, "message": "server down"}
        for value in ("error", "Error", "ERROR", "failed", "failure", "fail", "exception", False, 500, "503", 404)
    },
    **{
        f"code_{value!r}": {"code": value, "message": "server down"}
        for value in ("X", "ERR_TIMEOUT", 1, -1, 500, "500", 40001)
    },
    "code_beside_msg": {"code": 40001, "msg": "server down"},
    "code_beside_detail": {"code": "E", "detail": "server down"},
}  # fmt: skip

SUCCESSES: list[dict[str, Any]] = [
    *({name: value} for name in ("error", "errors") for value in (None, "", [], {}, False, 0, [None], {"code": None})),
    *({name: value} for name in ("success", "ok") for value in (True, 1, "true", "True", "yes", "1", "OK", None, "")),
    *({"status": value} for value in ("ok", "OK", "success", "Succeeded", "completed", 200, "200", 201, True, None)),
    *({"code": value, "message": "fine"} for value in (0, "0", 200, "200", "OK", "SUCCESS", "success", None)),
    {"code": "X"},
    {"code": "X", "message": ""},
    *({name: value} for name in ("result", "state") for value in ("ok", "partial", 500, 0, "", None, True)),
    {"message": "no trades in this window"},
]

ODD: list[tuple[str, dict[str, Any]]] = [
    ("status", {"status": "partial"}),
    ("success", {"success": "mostly"}),
    ("ok", {"ok": "mostly"}),
    ("code", {"code": 1000, "message": "all went well"}),
    *(
        (name, {name: value})
        for name in ("status", "success", "ok", "result", "state")
        for value in ("failed", "Error", "FAILURE", "fail", "exception")
    ),
    *((name, {name: value}) for name in ("status", "result", "state") for value in (False, "no")),
    ("status", {"status": 500}),
    ("status", {"status": "404"}),
]

LISTS: dict[str, Callable[[HyperoruClient], Any]] = {
    "first_page": lambda client: list(client.iter_trades(START, END)),
    "second_page": lambda client: list(client.iter_trades(START, END)),
    "traders": lambda client: client.list_traders(),
    "klines": lambda client: client.klines("BTC", "1h", START, END),
    "coverage": lambda client: client.kline_coverage(),
    "backfill_jobs": lambda client: client.backfill_jobs(),
    "orders": lambda client: client.orders(1),
}
CALLS: dict[str, Callable[[HyperoruClient], Any]] = {
    **LISTS,
    "price": lambda client: client.price("BTC"),
    "profile": lambda client: client.profile(),
}


def answers(call: str, beside: Mapping[str, Any], rows: list[Any] | None = None) -> httpx.MockTransport:
    """A server whose answer of one call holds something beside its rows, or its object."""

    def answer(request: httpx.Request) -> httpx.Response:
        asked = request.url.params
        if call == "second_page" and asked.get("page", "1") == "1":
            found = [row for row in TRADES if asked["start"] <= str(row["trade_time"]) < asked["end"]]
            return httpx.Response(200, json={"items": found})
        objects: dict[str, Any] = {"price": {"symbol": "BTC", "price": 1}, "profile": {"id": 1}}
        return httpx.Response(200, json={**objects.get(call, {"items": rows or []}), **beside})

    return httpx.MockTransport(answer)


Make = Callable[..., HyperoruClient]


@pytest.fixture
def ask() -> Iterator[Make]:
    """Make clients of such a server."""
    clients = []

    def make(transport: httpx.MockTransport, words: Mapping[str, Any] | None = None) -> HyperoruClient:
        names = ("traders", "klines", "coverage", "backfill_jobs", "orders", "price", "profile")
        contract: dict[str, Any] = {name: dict(words or {}) for name in names}
        contract["trades"] = {"page_size": PAGE_SIZE, "first_page": 1, **(words or {})}
        clients.append(
            HyperoruClient("https://x.example", session_token="tok-1", contract=contract, transport=transport)
        )
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_is_an_error(ask: Make, call: str, failure: str) -> None:
    with pytest.raises(HyperoruContractError) as caught:
        CALLS[call](ask(answers(call, FAILURES[failure])))
    assert "server down" in str(caught.value)
    assert caught.value.path


@pytest.mark.parametrize("failure", ["error_object", "success_False", "code_'X'"])
def test_so_it_is_beside_rows_and_for_asyncio(failure: str) -> None:
    async def run() -> None:
        transport = answers("traders", FAILURES[failure], [{"id": 1}])
        async with AsyncHyperoruClient("https://x.example", session_token="tok-1", transport=transport) as client:
            with pytest.raises(HyperoruContractError, match="server down"):
                await client.list_traders()

    asyncio.run(run())


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("beside", SUCCESSES, ids=json.dumps)
def test_a_success_is_none(ask: Make, call: str, beside: dict[str, Any]) -> None:
    found = CALLS[call](ask(answers(call, beside)))
    assert len(found) == (PAGE_SIZE if call == "second_page" else 0) if call in LISTS else found


@pytest.mark.parametrize("call", LISTS)
@pytest.mark.parametrize(("name", "beside"), ODD, ids=str)
def test_a_word_beside_a_list_is_an_error_until_the_contract_accepts_it(
    ask: Make, call: str, name: str, beside: dict[str, Any]
) -> None:
    transport = answers(call, beside)
    with pytest.raises(HyperoruContractError, match=f"its {name} is .*contract's success_words"):
        LISTS[call](ask(transport))
    LISTS[call](ask(transport, {"success_words": str(beside[name]).upper()}))


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("value", [False, 0, "false", "No", "0"])
@pytest.mark.parametrize("name", ["success", "ok"])
def test_no_override_makes_a_success_of_what_is_none(ask: Make, call: str, name: str, value: object) -> None:
    transport = answers(call, {name: value})
    with pytest.raises(HyperoruContractError, match="says that the request failed") as caught:
        CALLS[call](ask(transport, {"success_words": str(value)}))
    assert "success_words" not in str(caught.value)


@pytest.mark.parametrize("word", ["failed", "ERROR"])
def test_a_failure_of_an_object_names_its_override_too(ask: Make, word: str) -> None:
    transport = answers("price", {"status": word})
    with pytest.raises(HyperoruContractError, match=r"its status is .*contract's success_words"):
        ask(transport).price("BTC")
    assert ask(transport, {"success_words": word}).price("BTC").symbol == "BTC"


@pytest.mark.parametrize("name", ["result", "state"])
def test_the_result_and_state_of_an_object_are_its_own(ask: Make, name: str) -> None:
    assert ask(answers("price", {name: "failed"})).price("BTC").symbol == "BTC"


def test_an_object_proves_itself_so_its_status_may_be_anything_but_a_failure(ask: Make) -> None:
    assert ask(answers("price", {"status": "trading"})).price("BTC").symbol == "BTC"


@pytest.mark.parametrize("status", ["failed", "ERROR", "cancelled"])
@pytest.mark.parametrize(
    "why", [{"error": "exchange down"}, {"error_message": "exchange down"}, {"message": "exchange down", "code": "X"}]
)
def test_the_status_of_a_job_is_its_own(ask: Make, status: str, why: dict[str, Any]) -> None:
    client = ask(answers("job", {"task_id": 7, "status": status, **why}))
    job = client.backfill_job(7)
    assert (job.meaning, job.error) == ("failed", "exchange down")


def test_so_is_that_of_the_service(ask: Make) -> None:
    health = ask(answers("health", {"status": "error", "error": "database down"})).health()
    assert not health.healthy


@pytest.mark.parametrize("answer", [{"success": False, "status": "running"}, {"error": "server down"}])
def test_a_job_is_no_excuse_for_a_call_that_failed(ask: Make, answer: dict[str, Any]) -> None:
    with pytest.raises(HyperoruContractError, match="server down"):
        ask(answers("job", {"task_id": 7, "message": "server down", **answer})).backfill_job(7)


@pytest.mark.parametrize("call", LISTS)
def test_a_list_that_is_null_is_empty(ask: Make, call: str) -> None:
    rows = LISTS[call](ask(answers(call, {"items": None, "total": 3 if call == "second_page" else 0})))
    assert len(rows) == (PAGE_SIZE if call == "second_page" else 0)


@pytest.mark.parametrize("call", LISTS)
def test_but_not_if_there_are_rows(ask: Make, call: str) -> None:
    with pytest.raises(HyperoruContractError):
        LISTS[call](ask(answers(call, {"items": None, "total": 700})))


@pytest.mark.parametrize("name", ["error", "details", "code"])
@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"a":', "}")])
def test_no_depth_of_an_error_does_more_than_fail_by_class(name: str, begin: str, end: str) -> None:
    for depth in (*range(900, 1050), 50_000):
        body = f'{{"success": false, "{name}": {begin * depth}1{end * depth}}}'.encode()
        with pytest.raises(HyperoruContractError):
            parse_object(body, DEFAULT_CONTRACT.price)
        with pytest.raises(HyperoruContractError):
            parse_page(body, DEFAULT_CONTRACT.trades)
        assert from_status(400, {}, body, method="GET", path="/").status == 400


@pytest.mark.parametrize("secret", ["tok-1", "two  blanks"])
@pytest.mark.parametrize("length", [0, 480, 498, 980, 996])
def test_a_secret_that_is_repeated_does_not_show(secret: str, length: int) -> None:
    transport = answers("traders", {"error": {"message": f"{'x' * length} {secret} {'y' * 5000}", "code": secret}})
    with (
        HyperoruClient("https://x.example", "me", secret, session_token="tok-1", transport=transport) as client,
        pytest.raises(HyperoruContractError) as caught,
    ):
        client.list_traders()
    assert secret[:3] not in str(caught.value)
    assert len(str(caught.value)) < 1500


@pytest.mark.parametrize("name", ["status", "success", "code"])
def test_nor_does_one_in_a_word_that_is_not_known(name: str) -> None:
    secret = "Tok-" + "1" * 80
    transport = answers("traders", {name: secret, "message": "x"})
    with (
        HyperoruClient("https://x.example", session_token=secret, transport=transport) as client,
        pytest.raises(HyperoruContractError) as caught,
    ):
        client.list_traders()
    assert "tok-" not in str(caught.value).lower()

"""Which value of a switch is meant is asked, sent to every list that takes it, and never guessed."""

from __future__ import annotations

from typing import Any

import pytest

from hyperoru_provider.client.errors import HyperoruConfigError
from hyperoru_provider.doctor.report import Verdict
from tests.http.doctor.served import doctor, finding, paged, served, trade, within
from tests.json_server import Answer, Asked, RefusedError

REAL = [trade(number) for number in range(60)]
OTHER = [trade(-number - 1, price=777, trade_time=REAL[number]["trade_time"]) for number in range(20)]


def mode(asked: Asked) -> str:
    return asked.query.get("trading_mode", "testnet")


def chosen_trades(asked: Asked) -> object:
    return paged(within(REAL if mode(asked) == "mainnet" else OTHER, asked.query), asked.query)


def decisions(asked: Asked) -> object:
    rows = REAL if mode(asked) == "mainnet" else OTHER
    return paged([{"id": row["trade_id"], "decision_time": row["trade_time"]} for row in reversed(rows)], asked.query)


LISTS: dict[str, Answer] = {
    "/api/arena/trades": chosen_trades,
    "/api/arena/model-chat": decisions,
    "/api/hyperliquid/accounts/1/positions": lambda asked: [
        {"symbol": "BTC", "size": 2 if mode(asked) == "mainnet" else 1}
    ],
    "/api/programs/": lambda asked: [{"id": 1, "name": "one"}],
}


def test_a_chosen_value_is_sent_to_every_list_that_takes_it() -> None:
    with served(LISTS) as (url, _):
        (question,) = doctor(url).questions
        assert (question.switch, question.rows["mainnet"], question.rows["(default)"]) == ("trading_mode", 60, 20)
        report = doctor(url, chosen={"trading_mode": "mainnet"})
    sent = {name for name, override in report.contract.items() if override.get("query") == {"trading_mode": "mainnet"}}
    assert sent == {"trades", "decisions", "positions"}
    assert report.questions == []


@pytest.mark.parametrize("chosen", [{"trading_mood": "mainnet"}, {"trading_mode": "mainet"}])
def test_an_answer_that_is_used_nowhere_is_an_error(chosen: dict[str, str]) -> None:
    with served(LISTS) as (url, _), pytest.raises(HyperoruConfigError, match=r"trading_mode\.|mainnet, testnet"):
        doctor(url, chosen=chosen)


def test_lists_without_rows_get_what_was_chosen_and_are_believed() -> None:
    with served({"/api/arena/trades": lambda asked: {"trades": [], "total": 0}}) as (url, _):
        report = doctor(url, chosen={"trading_mode": "mainnet"})
    assert report.contract["trades"] == {"query": {"trading_mode": "mainnet"}}
    assert "trading_mode=mainnet" in finding(report, "trades").believed[0]


@pytest.mark.parametrize("told", ["trading_mode must be paper or live", "Input should be 'paper' or 'live'"])
def test_values_are_learnt_from_a_refusal(told: str) -> None:
    def answer(asked: Asked) -> object:
        value = asked.query.get("trading_mode", "paper")
        if value not in ("paper", "live"):
            raise RefusedError(422, {"detail": told})
        return paged(within(REAL if value == "live" else OTHER, asked.query), asked.query)

    with served({"/api/arena/trades": answer}) as (url, _):
        (question,) = doctor(url).questions
        assert question.rows == {"(default)": 20, "paper": 20, "live": 60}
        report = doctor(url, chosen={"trading_mode": "live"})
        assert report.contract["trades"]["query"] == {"trading_mode": "live"}
        with pytest.raises(HyperoruConfigError, match="paper, live"):
            doctor(url, chosen={"trading_mode": "mainnet"})


def test_a_server_that_refuses_what_it_does_not_know_has_no_switch() -> None:
    def answer(asked: Asked) -> object:
        for name in asked.query:
            if name not in ("page", "per_page", "start", "end"):
                detail = [{"loc": ["query", name], "msg": "Extra inputs are not permitted", "type": "extra_forbidden"}]
                raise RefusedError(422, {"detail": detail})
        return paged(within(REAL, asked.query), asked.query)

    with served({"/api/arena/trades": answer}) as (url, _):
        report = doctor(url)
    assert (report.questions, finding(report, "trades").verdict) == ([], Verdict.WORKS)


def test_a_switch_of_any_name_is_taken_from_the_document() -> None:
    parameters = [
        {"name": name, "in": "query", "schema": {"type": "string"}} for name in ("start", "end", "page", "per_page")
    ]
    network = {"name": "network", "in": "query", "schema": {"enum": ["mainnet", "testnet"], "default": "testnet"}}
    document: dict[str, Any] = {"paths": {"/api/arena/trades": {"get": {"parameters": [*parameters, network]}}}}

    def answer(asked: Asked) -> object:
        rows = REAL if asked.query.get("network") == "mainnet" else OTHER
        return paged(within(rows, asked.query), asked.query)

    with served({"/api/arena/trades": answer, "/openapi.json": lambda asked: document}) as (url, _):
        assert [each.switch for each in doctor(url).questions] == ["network"]
        report = doctor(url, chosen={"network": "mainnet"})
        assert report.contract == {"trades": {"query": {"network": "mainnet"}}}
        with pytest.raises(HyperoruConfigError, match="mainnet, testnet"):
            doctor(url, chosen={"network": "main"})


def test_a_list_that_changes_all_the_time_is_no_sign_of_a_switch() -> None:
    numbers = iter(range(1, 100_000))

    def prices(asked: Asked) -> object:
        return [{"symbol": "BTC", "size": next(numbers)}]

    with served({**LISTS, "/api/hyperliquid/accounts/1/positions": prices}) as (url, _):
        report = doctor(url, chosen={"trading_mode": "mainnet"})
    assert "positions" not in report.contract

"""The doctor's verdicts on servers that are right, wrong, or none: what is to be found is what was done to them."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from hyperoru_provider.client.api.contract import load_contract
from hyperoru_provider.doctor.basics import examine_login, read_document
from hyperoru_provider.doctor.examination import examine
from hyperoru_provider.doctor.lists import ListExam
from hyperoru_provider.doctor.report import Finding, Report, Verdict
from hyperoru_provider.doctor.server import Server
from hyperoru_provider.doctor.state import State
from hyperoru_provider.sandbox import Sandbox

WORKS, DIFFERS, REFUSED, ABSENT, UNKNOWN = Verdict
#: nothing of them is there to look at, or to ask with
UNSEEN = {"backfill_jobs", "ai_stream_chunks"}


def examined(sandbox: Sandbox, **options: Any) -> Report:
    report = examine({"base_url": sandbox.url, "email": sandbox.email, "password": sandbox.password}, **options)
    load_contract(report.contract)  # it can be pasted
    return report


def finding(report: Report, resource: str) -> Finding:
    return next(each for each in report.resources if each.resource == resource)


def test_of_the_plain_sandbox_nothing_is_to_be_changed() -> None:
    with Sandbox() as sandbox:
        report = examined(sandbox)
    asked = [each for each in report.resources if "not asked" not in " ".join(each.notes)]
    assert {each.resource for each in asked if each.verdict is not WORKS} == UNSEEN
    assert (report.contract, report.questions, report.exit_status) == ({}, [], 0)
    assert report.requests <= 75


def trades_of(sandbox: Sandbox) -> Finding:
    """Return what is found of the trades alone, which is most of the work."""
    with Server({"base_url": sandbox.url, "email": sandbox.email, "password": sandbox.password}) as server:
        state = State(server, {})
        read_document(state)
        examine_login(state)
        state.add(ListExam(state, "traders").run())
        return ListExam(state, "trades").run()


#: faults of the sandbox, and what the doctor has to say of the trades
TRADES: list[tuple[dict[str, Any], Verdict, dict[str, Any]]] = [
    ({"latency": 0.01}, WORKS, {}),
    ({"drop_rate": 0.05}, WORKS, {}),
    ({"ignore_unknown": True}, WORKS, {}),
    ({"ignore_params": ["start", "end"]}, DIFFERS, {"time_filter": "none"}),
    ({"ignore_params": ["page"]}, DIFFERS, {"paging": "none", "page_size": None}),
    ({"ignore_params": ["per_page"]}, WORKS, {}),
    ({"cap": 10}, WORKS, {}),
    ({"max_per_page": 10}, DIFFERS, {"page_size": 10}),
    ({"first_page": 0}, WORKS, {}),
    ({"first_page": 0, "total": "none", "has_more": False}, WORKS, {}),
    ({"past_the_end": "last"}, WORKS, {}),
    ({"past_the_end": "absent"}, WORKS, {}),
    ({"merge_after_limit": 0.5}, DIFFERS, {"paging": "none", "page_size": None}),
    ({"order": "oldest"}, WORKS, {}),
    ({"order": "mixed"}, WORKS, {}),
    ({"day_granular": True}, DIFFERS, {"time_filter": "day"}),
    ({"inclusive_end": True}, WORKS, {}),
    ({"total": "none"}, WORKS, {}),
    ({"total": "page"}, WORKS, {}),
    ({"total": "before_filter"}, DIFFERS, {"total": []}),
    ({"envelope": "bare"}, WORKS, {}),
    ({"envelope": "data"}, WORKS, {}),
    ({"beside_accounts": True}, WORKS, {}),
    ({"paging": "offset"}, DIFFERS, {"paging": "offset"}),
    ({"paging": "cursor"}, DIFFERS, {"paging": "cursor"}),
    ({"paging": "none"}, DIFFERS, {"paging": "none", "page_size": None}),
    ({"colliding_ids": True}, DIFFERS, {"key": ["source", "trade_id"]}),
    ({"naive_times": True}, WORKS, {}),
    ({"duplicate_rows": True}, WORKS, {}),
    ({"false_success": True}, REFUSED, {}),
    ({"error_beside": "status"}, REFUSED, {}),
    ({"fail_next": 100_000, "error_status": 403}, REFUSED, {}),
    ({"fail_next": 100_000, "error_status": 404}, ABSENT, {}),
    ({"fail_next": 100_000, "error_status": 500}, REFUSED, {}),
    ({"fail_next": 100_000, "error_status": 503}, UNKNOWN, {}),
]


@pytest.mark.parametrize(("faults", "verdict", "override"), TRADES, ids=lambda value: str(value))
def test_trades_under_a_fault(faults: dict[str, Any], verdict: Verdict, override: dict[str, Any]) -> None:
    with Sandbox(**faults) as sandbox:
        trades = trades_of(sandbox)
    assert (trades.verdict, trades.override) == (verdict, override), trades
    assert not trades.impossible or override == {"time_filter": "none"}


@pytest.mark.parametrize(
    "faults",
    [{"conflicting_rows": True}, {"recurring_ids": 20}, {"bad_rows": "no_key"}, {"bad_rows": "no_time"}],
    ids=str,
)
def test_rows_that_no_override_can_mend(faults: dict[str, Any]) -> None:
    with Sandbox(**faults) as sandbox:
        trades = trades_of(sandbox)
    assert trades.verdict is DIFFERS
    assert trades.impossible
    assert not trades.override


def test_a_switch_is_asked_about_and_never_guessed() -> None:
    with Sandbox(hidden_by_default="trading_mode=mainnet") as sandbox:
        report = examined(sandbox)
        trades = finding(report, "trades")
        assert (trades.verdict, trades.override, report.exit_status) == (UNKNOWN, {}, 1)
        (question,) = report.questions
        assert question.switch == "trading_mode"
        assert question.rows["(default)"] == 0 < question.rows["mainnet"]

        answered = examined(sandbox, chosen={"trading_mode": "mainnet"})
    assert answered.questions == []
    assert finding(answered, "trades").verdict is DIFFERS
    assert answered.contract["trades"] == {"query": {"trading_mode": "mainnet"}}


def test_what_the_contract_says_already_is_kept_and_not_found_again() -> None:
    with Sandbox(paging="offset") as sandbox:
        contract = {"trades": {"paging": "offset", "page_size": 100}, "klines": {"cap": 400}}
        report = examined(sandbox, contract=contract)
    assert finding(report, "trades").verdict is WORKS
    assert report.contract == contract
    assert report.exit_status == 0


def test_a_wrong_password() -> None:
    with Sandbox() as sandbox:
        report = examine({"base_url": sandbox.url, "email": sandbox.email, "password": "Zq7-not-it"})
        assert sandbox.stats()["logins"] == 0
    assert finding(report, "health").verdict is WORKS
    assert finding(report, "login").verdict is REFUSED
    assert {each.verdict for each in report.resources if each.resource not in ("health", "login")} == {UNKNOWN}
    assert report.exit_status == 2
    assert "Zq7" not in json.dumps(report.as_dict())


def test_a_dead_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    report = examine({"base_url": f"http://127.0.0.1:{port}", "email": "me", "password": "x"})
    assert {each.verdict for each in report.resources} == {UNKNOWN}
    assert report.exit_status == 2


class _Answers(BaseHTTPRequestHandler):
    """Answers with what a function of the path returns, and ignores every query parameter."""

    answer: Any

    def do_GET(self) -> None:
        body = type(self).answer(self.path.partition("?")[0])
        self.send_response(200 if body is not None else 404)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@contextmanager
def serving(answer: Any) -> Iterator[str]:
    handler = type("Handler", (_Answers,), {"answer": staticmethod(answer)})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_host_that_answers_with_pages() -> None:
    with serving(lambda path: b"<html>Welcome</html>") as url:
        report = examine({"base_url": url, "email": "me", "password": "x"})
    assert finding(report, "health").verdict is REFUSED
    assert "a page came" in finding(report, "health").notes[0]
    assert report.exit_status == 2


def _trade(number: int) -> Mapping[str, Any]:
    minute, second = divmod(number, 60)
    return {
        "trade_id": number, "symbol": "BTC", "side": "BUY", "price": 1.5, "quantity": 2,
        "trade_time": f"2026-01-15T08:{minute:02}:{second:02}Z",
    }  # fmt: skip


def test_an_application_that_ignores_every_parameter() -> None:
    answers: dict[str, Any] = {
        "/api/health": {"status": "healthy"},
        "/api/users/login": {"session_token": "tok-" + "a" * 40},
        "/api/users/profile": {"id": 1},
        "/api/account/list": [{"id": 1, "name": "one"}],
        "/api/arena/trades": {"trades": [_trade(number) for number in range(200, 0, -1)]},
    }
    with serving(lambda path: json.dumps(answers[path]).encode() if path in answers else None) as url:
        report = examine({"base_url": url, "email": "me", "password": "x"})
    trades = finding(report, "trades")
    assert trades.verdict is DIFFERS
    assert trades.override == {"time_filter": "none"}  # which needs no second page
    assert "A wrong token lists the traders" in finding(report, "login").warnings[0]
    assert finding(report, "decisions").verdict is ABSENT
    assert report.exit_status == 1

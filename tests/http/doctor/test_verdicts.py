"""The doctor's verdicts on servers that are right, wrong, or none: what is to be found is what was done to them."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from upath import UPath

from hyperoru_provider.client import Backfill, HyperoruClient
from hyperoru_provider.client.api.contract import load_contract
from hyperoru_provider.client.errors import HyperoruApiError, HyperoruError
from hyperoru_provider.doctor.basics import examine_login, examine_profile, read_document
from hyperoru_provider.doctor.examination import examine
from hyperoru_provider.doctor.lists import ListExam
from hyperoru_provider.doctor.report import Finding, Report, Verdict
from hyperoru_provider.doctor.server import Server
from hyperoru_provider.doctor.state import State
from hyperoru_provider.doctor.stream import examine_stream
from hyperoru_provider.export.destinations.storage import StorageDestination
from hyperoru_provider.export.run import export_list
from hyperoru_provider.params.window import Window
from hyperoru_provider.sandbox import Sandbox
from hyperoru_provider.sandbox.faults import Faults

WORKS, DIFFERS, REFUSED, ABSENT, UNKNOWN = Verdict
#: nothing of them is there to look at, or to ask with
UNSEEN = {"backfill_jobs", "ai_stream_chunks"}


def examined(sandbox: Sandbox, **options: Any) -> Report:
    report = examine({"base_url": sandbox.url, "email": sandbox.email, "password": sandbox.password}, **options)
    load_contract(report.contract)  # it can be pasted
    return report


def finding(report: Report, resource: str) -> Finding:
    return next(each for each in report.resources if each.resource == resource)


@pytest.mark.parametrize("hours", [0, 5, 12])
def test_of_the_plain_sandbox_nothing_is_to_be_changed(hours: int) -> None:
    """At any time, as the rows of its windows are others then."""
    with Sandbox(clock=lambda: NOW + 3_700 * hours) as sandbox:
        report = examined(sandbox)
    asked = [each for each in report.resources if "not asked" not in " ".join(each.notes)]
    assert {each.resource for each in asked if each.verdict is not WORKS} == UNSEEN
    assert (report.contract, report.questions, report.exit_status) == ({}, [], 0)
    assert report.requests <= 80


@contextmanager
def logged_in(sandbox: Sandbox) -> Iterator[State]:
    with Server({"base_url": sandbox.url, "email": sandbox.email, "password": sandbox.password}) as server:
        state = State(server, {})
        read_document(state)
        examine_login(state)
        yield state


def trades_of(sandbox: Sandbox) -> Finding:
    """Return what is found of the trades alone, which is most of the work."""
    with logged_in(sandbox) as state:
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
    ({"fail_next": 100_000, "error_status": 403, "error_body": "html"}, REFUSED, {}),
    ({"error_rate": 0.1}, WORKS, {}),
    ({"rate_limit_rate": 0.1, "retry_after": 0.1}, WORKS, {}),
    ({"rate_limit_rate": 0.1, "retry_after": 0.1, "retry_after_as_date": True}, WORKS, {}),
    ({"truncate_rate": 0.1}, WORKS, {}),
    ({"token_lifetime": 0.5}, WORKS, {}),
    ({"single_session": True}, WORKS, {}),
    ({"cap": 10, "cap_skips": True}, DIFFERS, {"page_size": 10}),
    ({"cap": 10, "total": "none", "has_more": False}, WORKS, {}),
    ({"cap": 50, "paging": "none", "total": "none"}, DIFFERS, {"paging": "none", "page_size": None}),
    ({"max_per_page": 10, "total": "none"}, DIFFERS, {"page_size": 10}),
    (
        {"past_the_end": "last", "total": "none", "has_more": False},
        DIFFERS,
        {"paging": "none", "page_size": None},  # its last page is a full one
    ),
    ({"merge_after_limit": 0.5, "total": "none"}, DIFFERS, {"paging": "none", "page_size": None}),
    ({"order": "changing"}, DIFFERS, {"paging": "none", "page_size": None}),
    ({"unstable": 1}, DIFFERS, {"paging": "none", "page_size": None}),
    ({"total": "changing"}, DIFFERS, {"paging": "none", "page_size": None}),
    ({"day_granular": True, "inclusive_end": True}, DIFFERS, {"time_filter": "day"}),
    ({"ignore_params": ["start", "end", "page"]}, DIFFERS, {"time_filter": "none"}),
    ({"ignore_params": ["start", "end"], "total": "none", "has_more": False}, DIFFERS, {"time_filter": "none"}),
    ({"null_when_empty": True}, WORKS, {}),
    ({"error_beside": "ok", "error_beside_page": "further"}, DIFFERS, {"paging": "none", "page_size": None}),
    ({"error_beside": "status", "error_beside_rows": True}, REFUSED, {}),
    ({"pace": 20}, WORKS, {}),
]
#: of what no override can do
UNMENDED: list[dict[str, Any]] = [
    {"conflicting_rows": True},
    {"recurring_ids": 20},
    {"bad_rows": "no_key"},
    {"bad_rows": "no_time"},
    {"repeat_newest": True},
]
#: of the stream
STREAM: list[tuple[dict[str, Any], Verdict]] = [
    ({"socket_latency": 0.1}, WORKS),
    ({"socket_refuse": 100}, REFUSED),
    ({"socket_refuse": 1}, WORKS),
    ({"socket_silent": True}, UNKNOWN),
    ({"socket_queue": 50}, WORKS),  # one that reads in time does not notice
    ({"pace": 20, "socket_drop_rate": 0.5}, WORKS),
    ({"pace": 20, "socket_malformed_rate": 1}, UNKNOWN),
    ({"pace": 20, "socket_duplicate_rate": 0.5}, WORKS),
    ({"pace": 20, "socket_lose_rate": 0.5}, WORKS),
    ({"pace": 20, "socket_shuffle": True}, WORKS),
    ({"pace": 20, "socket_batch": 3}, WORKS),
    ({"asset_curve_seconds": 0.1}, WORKS),
]
#: of the list of jobs, with one in it
JOBS: list[tuple[dict[str, Any], Verdict]] = [
    ({"backfill_seconds": 60}, WORKS),
    ({"backfill_fail": True}, WORKS),
    ({"backfill_lose_answer": True}, WORKS),
    ({"backfill_window": True}, WORKS),
    ({"backfill_old": True}, UNKNOWN),  # none begins, as its names are others
    ({"backfill_gone": True}, UNKNOWN),
]
#: of other tests here, or of nothing that is asked for
ELSEWHERE = {"health", "hidden_by_default"}


def test_every_fault_of_the_sandbox_is_in_a_table() -> None:
    tables = [faults for faults, *_ in (*TRADES, *STREAM, *JOBS)] + UNMENDED
    assert {name for faults in tables for name in faults} | ELSEWHERE == {field.name for field in fields(Faults)}


@pytest.mark.parametrize(("faults", "verdict"), STREAM, ids=str)
def test_the_stream_under_a_fault(faults: dict[str, Any], verdict: Verdict) -> None:
    with Sandbox(seed=7, **faults) as sandbox, logged_in(sandbox) as state:
        examine_profile(state)
        examine_stream(state)
        assert (state.findings[-1].verdict, state.findings[-1].override) == (verdict, {}), state.findings[-1]


@pytest.mark.parametrize(("faults", "verdict"), JOBS, ids=str)
def test_jobs_under_a_fault(faults: dict[str, Any], verdict: Verdict) -> None:
    with Sandbox(**faults) as sandbox, logged_in(sandbox) as state:
        with suppress(HyperoruApiError):
            state.client().backfill_klines(Backfill("BTC", "1h", SOUND.start, SOUND.end))
        jobs = ListExam(state, "backfill_jobs").run()
    assert (jobs.verdict, jobs.override) == (verdict, {}), jobs


def test_a_service_that_is_not_well_is_told_of() -> None:
    with Sandbox(health="degraded") as sandbox:
        health = finding(examined(sandbox), "health")
    assert (health.verdict, "degraded" in health.notes[0]) == (WORKS, True)


#: when the sandbox is, and a window of it
NOW = 1_769_083_200.25
SOUND = Window.parse("2026-01-22T02:00:00Z", "2026-01-22T11:00:00Z")


def is_exact(sandbox: Sandbox, override: Mapping[str, Any], directory: Path) -> bool | None:
    """Return whether an export with an override has the true trades; ``None`` if it is an error."""
    contract = {"trades": override} if override else {}
    with HyperoruClient(sandbox.url, sandbox.email, sandbox.password, contract=contract, token_stores=()) as client:
        try:
            export_list(client, "trades", SOUND, {}, StorageDestination(UPath(directory), "jsonl", "none"))
        except HyperoruError:
            return None
    lines = [line for file in directory.rglob("part-*") for line in file.read_text().splitlines()]
    true = sandbox.rows("trades", SOUND.start.isoformat(), SOUND.end.isoformat())
    return contents(lines) == contents(true)


def contents(lines: Iterable[str]) -> Counter[tuple[Any, ...]]:
    """Return what tells trades apart, whatever their ids and times are written like."""
    rows = (json.loads(line, parse_float=Decimal) for line in lines)
    return Counter((row["symbol"], row["price"], row["quantity"]) for row in rows)


@pytest.mark.parametrize(("faults", "verdict", "override"), TRADES, ids=lambda value: str(value))
def test_trades_under_a_fault(
    faults: dict[str, Any], verdict: Verdict, override: dict[str, Any], tmp_path: Path
) -> None:
    with Sandbox(clock=lambda: NOW, **faults) as sandbox:
        trades = trades_of(sandbox)
        exact = None if "fail_next" in faults else is_exact(sandbox, trades.override, tmp_path)
    assert (trades.verdict, trades.override) == (verdict, override), trades
    assert not trades.impossible
    assert not trades.limits or override == {"time_filter": "none"}
    assert exact is not False
    assert exact or trades.impossible or verdict not in (WORKS, DIFFERS)


@pytest.mark.parametrize("faults", UNMENDED, ids=str)
def test_rows_that_no_override_can_mend(faults: dict[str, Any], tmp_path: Path) -> None:
    with Sandbox(clock=lambda: NOW, **faults) as sandbox:
        trades = trades_of(sandbox)
        exact = is_exact(sandbox, trades.override, tmp_path)
    assert trades.verdict is DIFFERS
    assert trades.impossible
    assert not trades.override
    assert exact is not False


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
    assert "an HTML page was received" in finding(report, "health").notes[0]
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

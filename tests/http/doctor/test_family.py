"""A new user's first minute with a server of the family: the doctor, its override pasted, and right exports."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from hyperoru_provider.client import HyperoruClient
from hyperoru_provider.doctor.examination import examine
from hyperoru_provider.doctor.report import Report, Verdict
from hyperoru_provider.export.destinations.storage import StorageDestination
from hyperoru_provider.export.run import export_list
from hyperoru_provider.params.window import Window
from hyperoru_provider.sandbox import Sandbox

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
RECENT = Window(NOW - timedelta(days=1), NOW)
MEANT = {"trading_mode": "mainnet", "environment": "mainnet"}


@pytest.fixture(scope="module")
def family() -> Iterator[Sandbox]:
    with Sandbox(dialect="family") as running:
        yield running


def ask(family: Sandbox, **options: Any) -> Report:
    return examine({"base_url": family.url, "email": family.username, "password": family.password}, **options)


@pytest.fixture(scope="module")
def report(family: Sandbox) -> Report:
    return ask(family, chosen=MEANT)


@pytest.fixture
def client(family: Sandbox, report: Report) -> Iterator[HyperoruClient]:
    pasted = json.loads(json.dumps(report.contract))
    with HyperoruClient(
        family.url, email=family.username, password=family.password, contract=pasted, token_stores=()
    ) as client:
        yield client


def test_the_verdicts(report: Report) -> None:
    verdicts = {each.resource: each.verdict for each in report.resources}
    for works in ("health", "login", "traders", "program_runs", "account_snapshots", "signals", "signal_pools"):
        assert verdicts[works] is Verdict.WORKS, works
    for differs in ("profile", "price", "trades", "closed_trades", "decisions", "coverage", "positions", "stream"):
        assert verdicts[differs] is Verdict.DIFFERS, differs
    assert verdicts["klines"] is Verdict.REFUSED
    assert verdicts["user_orders"] is Verdict.REFUSED
    assert verdicts["orders"] is Verdict.ABSENT
    assert report.questions == []
    assert "klines" in report.unreadable and "trades" not in report.unreadable
    assert report.requests <= 100
    assert any(
        text.startswith("trades: windows that begin before") for each in report.resources for text in each.limits
    )


def test_without_an_answer_the_switch_is_a_question(family: Sandbox) -> None:
    asked = ask(family)
    assert {each.switch for each in asked.questions} == set(MEANT)
    assert "trades" not in asked.contract  # nothing is said of a list that is empty
    trades = next(each for each in asked.questions if each.switch == "trading_mode")
    assert trades.rows["(default)"] == 0 < trades.rows["testnet"] < trades.rows["mainnet"]


def test_nothing_more_is_found_with_the_override(family: Sandbox, report: Report) -> None:
    again = ask(family, contract=report.contract)
    assert {each.resource: each.override for each in again.resources if each.override} == {}
    assert again.contract == report.contract
    assert (again.questions, again.exit_status) == ([], 3)  # klines are refused


@pytest.mark.parametrize("resource", ["trades", "closed_trades", "decisions", "program_runs"])
@pytest.mark.parametrize("account_id", [None, 2])
def test_exports_are_the_servers_rows_to_the_last_digit(
    family: Sandbox, client: HyperoruClient, tmp_path: Path, resource: str, account_id: int | None
) -> None:
    true = family.rows(resource, RECENT.start.isoformat(), RECENT.end.isoformat(), account_id=account_id)
    assert true
    destination = StorageDestination(UPath(tmp_path), "jsonl", "none")
    export_list(client, resource, RECENT, {"account_id": account_id}, destination)
    lines = [line for file in sorted(tmp_path.rglob("part-*")) for line in file.read_text().splitlines()]
    assert sorted(lines) == sorted(true)


def test_what_is_no_window_works_with_the_override(family: Sandbox, client: HyperoruClient) -> None:
    assert client.health().healthy
    assert client.profile().username == family.username
    assert [trader.id for trader in client.list_traders()] == [1, 2, 3, 4, 5]
    assert client.price("BTC").price > 0
    hourly = next(each for each in client.kline_coverage() if (each.symbol, each.interval) == ("BTC", "1h"))
    assert hourly.earliest and hourly.latest
    assert {position.account_id for position in client.list_rows("positions")} <= {1, 2, 3, 4, 5}  # type: ignore[attr-defined]

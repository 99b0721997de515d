"""The DAG ``hyperoru_market_snapshot`` in real Airflow, against the sandbox."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from hyperoru_provider.sandbox import Sandbox
from tests.airflow.dag import landed
from tests.airflow.dag.dag_runs import Outcome, RunDag

pytestmark = pytest.mark.slow

START, END = "2026-01-05T07:00:00Z", "2026-01-05T08:00:00Z"
SYMBOLS = ("BTC", "ETH", "kPEPE")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def outcome(run_dag: RunDag, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    destination = tmp_path_factory.mktemp("snapshot").as_uri()
    return run_dag(sandbox, "hyperoru_market_snapshot", END, destination=destination, symbols=", ".join(SYMBOLS))


def ask(sandbox: Sandbox, path: str, **query: str) -> Any:
    """Ask the sandbox without the provider."""
    login = {"email": sandbox.email, "password": sandbox.password}
    token = httpx.post(f"{sandbox.url}/api/users/login", json=login).json()["session_token"]
    answer = httpx.get(sandbox.url + path, params=query, headers={"Authorization": f"Bearer {token}"})
    return json.loads(answer.raise_for_status().content, parse_float=Decimal, parse_int=Decimal)


def test_candles_of_the_hour_before(outcome: Outcome, sandbox: Sandbox) -> None:
    assert outcome.succeeded_at_once()
    summary = outcome.result("candles")
    assert summary["window"] == {"start": START, "end": END}
    found = landed.rows(summary)
    amounts = ("open", "high", "low", "close", "volume")
    served = [
        (symbol, candle["timestamp"], *(candle[name] for name in amounts))
        for symbol in SYMBOLS
        for candle in ask(sandbox, "/api/klines/data", symbol=symbol, interval="5m", start=START, end=END)
    ]
    assert len(served) == 12 * len(SYMBOLS)
    assert [(row["symbol"], row["timestamp"], *(Decimal(row[name]) for name in amounts)) for row in found] == served
    assert {row["interval"] for row in found} == {"5m"}


def test_prices_of_now(outcome: Outcome, sandbox: Sandbox) -> None:
    summary = outcome.result("prices")
    assert summary["window"] == {"start": START, "end": END}
    found = [json.loads(line, parse_float=Decimal, parse_int=Decimal) for line in landed.lines(summary)]
    assert [row["symbol"] for row in found] == list(SYMBOLS)
    for row in found:
        served = ask(sandbox, "/api/crypto/price", symbol=row["symbol"])["price"]
        assert abs(row["price"] / served - 1) < Decimal("0.01")  # a minute changes it by less
        age = datetime.now(UTC) - datetime.fromisoformat(row["asked_at"])
        assert timedelta(0) <= age < timedelta(minutes=2)


def test_candles_are_csv_with_a_header(outcome: Outcome) -> None:
    (address,) = outcome.result("candles")["files"]
    with landed.path_of(address).open(newline="") as text:
        header = next(csv.reader(text))
    assert header[:4] == ["symbol", "interval", "timestamp", "open"]

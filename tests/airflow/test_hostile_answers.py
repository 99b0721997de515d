"""Any value in any field of an answer, to operators and sensors that are no exports: what they make of it can be kept.

What a task hands to Airflow (results, payloads of triggers, errors) is kept in a database; PostgreSQL refuses more than
others, so it is asked.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.models.trigger import Trigger
from airflow.sdk.bases.operator import BaseOperator
from airflow.sdk.exceptions import AirflowException

from hyperoru_provider.client.errors import HyperoruError
from hyperoru_provider.hooks.compat import TaskDeferred
from hyperoru_provider.operators.klines import HyperoruBackfillKlinesOperator
from hyperoru_provider.operators.market import HyperoruFetchMarketOperator
from hyperoru_provider.operators.traders import HyperoruListTradersOperator
from hyperoru_provider.sensors.health import HyperoruHealthSensor
from hyperoru_provider.sensors.klines import HyperoruKlineCoverageSensor
from hyperoru_provider.sensors.price import HyperoruPriceSensor
from hyperoru_provider.sensors.trades import HyperoruTradesSensor
from hyperoru_provider.triggers.poll import HyperoruPollTrigger
from tests.databases import Database
from tests.hostile import VALUES, WORST
from tests.raw_server import Wire, raw_server
from tests.task_states import TaskStates

HOUR = {"start": "2026-01-15T00:00:00Z", "end": "2026-01-15T01:00:00Z"}
HASTY = {"poke_interval": 0.1, "timeout": 0.2}
HONEST: dict[str, dict[str, bytes]] = {
    "/api/health": {"status": b'"degraded"'},
    "/api/account/list": {"id": b"1", "name": b'"a"', "model": b'"m"', "current_cash": b"1.5", "is_active": b"true"},
    "/api/crypto/price": {"symbol": b'"BTC"', "price": b"1", "market": b'"m"'},
    "/api/klines": {
        "timestamp": b'"2026-01-15T00:00:00Z"',
        **dict.fromkeys(("open", "high", "low", "close", "volume"), b"1"),
    },
    "/api/klines/coverage": {
        "symbol": b'"BTC"',
        "interval": b'"1h"',
        "earliest": b'"2026-01-15T00:00:00Z"',
        "latest": b'"2026-01-15T00:30:00Z"',
    },
    "/api/klines/backfill": {"task_id": b'"j"', "status": b'"completed"', "symbol": b'"BTC"', "interval": b'"1h"'},
    "/api/arena/trades": {
        "trade_id": b"1",
        "symbol": b'"BTC"',
        "side": b'"BUY"',
        "price": b"1",
        "quantity": b"1",
        "trade_time": b'"2026-01-15T00:00:02Z"',
    },
}
LISTS = {"/api/account/list", "/api/klines", "/api/klines/coverage", "/api/arena/trades"}
TASKS: dict[str, tuple[Callable[..., BaseOperator], dict[str, Any]]] = {
    "/api/health": (HyperoruHealthSensor, HASTY),
    "/api/account/list": (HyperoruListTradersOperator, {}),
    "/api/crypto/price": (HyperoruPriceSensor, {**HASTY, "symbol": "BTC", "above": 2}),
    "/api/crypto/price#": (HyperoruFetchMarketOperator, {"symbols": ["BTC"]}),
    "/api/klines": (HyperoruFetchMarketOperator, {"symbols": ["BTC"], "data": "klines", **HOUR}),
    "/api/klines/coverage": (HyperoruKlineCoverageSensor, {**HASTY, **HOUR, "symbol": "BTC"}),
    "/api/klines/backfill": (HyperoruBackfillKlinesOperator, {**HOUR, "symbol": "BTC", "interval": "1h"}),
    "/api/arena/trades": (HyperoruTradesSensor, {**HASTY, **HOUR, "at_least": 5}),
}


class Server:
    """Answers as it is told, and everything else as an honest server does.

    :ivar path: whose answer has a value in a field.
    """

    def __init__(self) -> None:
        self.path = self.field = ""
        self.value = b""
        self.honest = True

    def __call__(self, wire: Wire, request: str) -> None:
        _, target, _ = request.split()
        path = target.partition("?")[0]
        if path == "/api/users/login":
            return wire.answer({"session_token": "raw-token-1"})
        if path.startswith("/api/klines/backfill/status/"):
            path = "/api/klines/backfill"
        if path not in HONEST or "page=2" in target:
            return wire.answer(b"[]")
        fields = dict(HONEST[path])
        if path == self.path and not self.honest:
            fields[self.field] = self.value
        body = b"{%b}" % b",".join(b'"%b":%b' % (name.encode(), value) for name, value in fields.items())
        return wire.answer(b"[%b]" % body if path in LISTS else body)


@pytest.fixture(scope="module")
def server() -> Server:
    return Server()


@pytest.fixture(autouse=True)
def connection(server: Server, connect: Callable[..., None]) -> Iterator[None]:
    with raw_server(server) as running:
        connect(
            SimpleNamespace(url=running.url, email="demo", password="demo-password"),
            token_cache="memory",
            max_retries=0,
        )
        yield


def context() -> Any:
    ti = SimpleNamespace(max_tries=0, try_number=1, get_first_reschedule_date=lambda _: None, task_id="t")
    return {"ti": ti, "task_state_store": TaskStates(), "ts": "2026-01-15", "run_id": "r", "dag_run": None}


async def payload(trigger: HyperoruPollTrigger) -> Any:
    async for event in trigger.run():
        return event.payload


def outcome(task: BaseOperator, server: Server) -> Any:
    """Return what a task ends with, on its worker and in the triggerer: a result, a payload or an error's text."""
    try:
        return task.execute(context())
    except TaskDeferred as deferred:
        path, kwargs = deferred.trigger.serialize()
        if path != "hyperoru_provider.triggers.poll.HyperoruPollTrigger":
            return kwargs
        server.honest = False
        again = HyperoruPollTrigger(**{**Trigger(path, kwargs).kwargs, "deadline": time.time() + 0.3})
        return [kwargs, asyncio.run(payload(again))]
    except (HyperoruError, AirflowException) as error:
        assert str(error).isprintable() and len(str(error)) < 10_000
        return str(error)


@pytest.mark.parametrize("name", WORST)
@pytest.mark.parametrize("what", TASKS)
def test_what_is_made_of_it_can_be_kept(server: Server, postgres: Database, what: str, name: str) -> None:
    make, arguments = TASKS[what]
    modes: list[dict[str, Any]] = [{}, {"deferrable": True}] if arguments.get("timeout") else [{}]
    server.path, server.value = what.rstrip("#"), VALUES[name]
    found = []
    for field in (*HONEST[server.path], "unknown"):
        for mode in modes:
            server.field = field
            server.honest = bool(mode)  # the first question is the worker's, and only then is one the triggerer's
            found.append(outcome(make(task_id="t", **arguments, **mode), server))
    with postgres.connect() as connection:
        for each in found:
            text = json.dumps(each, default=str, allow_nan=False)
            assert connection.execute("SELECT %s::jsonb::text", [text]).fetchone()

"""The event stream as a trigger and as a sensor, over the stream manager of Airflow's triggerer."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib import import_module
from itertools import product
from typing import Any

import pytest
from airflow.triggers.base import BaseEventTrigger

from hyperoru_provider.client.errors import HyperoruAuthenticationError, HyperoruConfigError
from hyperoru_provider.client.stream.messages import Event, Gap
from hyperoru_provider.hooks import hyperoru as hook_module
from hyperoru_provider.hooks.compat import AirflowSensorTimeout, AirflowSkipException, TaskDeferred
from hyperoru_provider.sandbox import Sandbox
from hyperoru_provider.sensors.events import HyperoruEventSensor
from hyperoru_provider.triggers import shared_stream as module
from hyperoru_provider.triggers.events import HyperoruEventTrigger
from hyperoru_provider.waiting.event_summary import EventBatch

Connect = Callable[..., None]


class Triggerer:
    """Runs triggers as Airflow's triggerer does, and notes what they fire."""

    def __init__(self) -> None:
        self.fired: dict[int, list[dict[str, Any]]] = {}
        self.tasks: dict[int, asyncio.Task[None]] = {}

    def start(self, trigger: BaseEventTrigger) -> int:
        number = len(self.fired)
        self.fired[number] = []
        self.tasks[number] = asyncio.create_task(self._run(number, reborn(trigger)))
        return number

    async def _run(self, number: int, trigger: BaseEventTrigger) -> None:
        async for event in trigger.run():
            self.fired[number].append(json.loads(json.dumps(event.payload)))

    async def until(self, what: Callable[[], Any], seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < deadline, self.fired
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(*triggers: BaseEventTrigger) -> AsyncIterator[Triggerer]:
    triggerer = Triggerer()
    for trigger in triggers:
        triggerer.start(trigger)
    try:
        await triggerer.until(lambda: all(triggerer.fired.values()))
        yield triggerer
    finally:
        for task in triggerer.tasks.values():
            task.cancel()
        await asyncio.gather(*triggerer.tasks.values(), return_exceptions=True)


def reborn(trigger: BaseEventTrigger) -> BaseEventTrigger:
    """Store a trigger and make it anew, as Airflow does."""
    path, kwargs = trigger.serialize()
    module_name, _, name = path.rpartition(".")
    stored = json.loads(json.dumps(kwargs))
    assert stored == kwargs
    found: BaseEventTrigger = getattr(import_module(module_name), name)(**stored)
    assert found.serialize() == trigger.serialize()
    return found


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEARTBEAT", 0.2)


def test_fifty_filters_share_a_socket_and_each_gets_only_its_own(connect: Connect, sandbox: Sandbox) -> None:
    connect(sandbox, token_cache="memory")
    filters: list[dict[str, Any]] = [
        {"account_id": account, "symbol": symbol, "side": side, "min_notional": least}
        for account, symbol, side, least in product(
            [1, 2, [1, 3], None], ["BTC", ["ETH", "SOL"], None], ["BUY", "SELL", None], [None, 10_000]
        )
    ][:50]

    def concerns(wanted: dict[str, Any], row: dict[str, Any]) -> bool:
        return all(
            wanted[name] in (None, row[name]) or (isinstance(wanted[name], list) and row[name] in wanted[name])
            for name in ("account_id", "symbol", "side")
        ) and row["notional"] >= (wanted["min_notional"] or 0)

    async def test() -> None:
        async with running(*(HyperoruEventTrigger(**each, min_interval=0) for each in filters)) as triggerer:
            assert [fired[0]["kind"] for fired in triggerer.fired.values()] == ["gap"] * 50
            rows = []
            for account, symbol, side, worth in product(
                [1, 2, 3, 4], ["BTC", "ETH", "SOL"], ["BUY", "SELL"], [99, 20_000]
            ):
                rows += sandbox.trade(account_id=account, symbol=symbol, side=side, notional=worth)

            def counts() -> list[int]:
                return [sum(summary["count"] for summary in fired) for fired in triggerer.fired.values()]

            expected = [sum(concerns(wanted, row) for row in rows) for wanted in filters]
            await triggerer.until(lambda: counts() >= expected)
            await asyncio.sleep(0.3)
            assert counts() == expected
            assert len(set(expected)) > 5
            for wanted, fired in zip(filters, triggerer.fired.values(), strict=True):
                mine = [row for row in rows if concerns(wanted, row)]
                assert {symbol for summary in fired[1:] for symbol in summary["symbols"]} == {
                    row["symbol"] for row in mine
                }
                assert {each for summary in fired[1:] for each in summary["account_ids"]} == {
                    row["account_id"] for row in mine
                }
        assert sandbox.stats()["sockets"]["opened"] == 1
        assert sandbox.stats()["logins"] == 1

    run(test)


def test_channels_share_the_socket_too(connect: Connect, sandbox: Sandbox) -> None:
    connect(sandbox, token_cache="memory")
    sandbox.set_faults(asset_curve_seconds=1)
    channels = ("trades", "positions", "model_chat", "asset_curve")

    async def test() -> None:
        async with running(*(HyperoruEventTrigger(channel=name, min_interval=0) for name in channels)) as triggerer:
            sandbox.trade(20)
            await triggerer.until(lambda: all(len(fired) > 1 for fired in triggerer.fired.values()))
            for channel, fired in zip(channels, triggerer.fired.values(), strict=True):
                assert {summary["channel"] for summary in fired} == {channel}
        assert sandbox.stats()["sockets"]["opened"] == 1

    run(test)


@pytest.mark.slow
def test_events_within_the_interval_become_one_and_the_last_is_sent(connect: Connect, sandbox: Sandbox) -> None:
    connect(sandbox, token_cache="memory")

    async def test() -> None:
        async with running(HyperoruEventTrigger(min_interval=1.0)) as triggerer:
            await asyncio.sleep(1.0)
            rows, begun = [], time.monotonic()
            while time.monotonic() < begun + 1.5:
                rows += sandbox.trade()
                await asyncio.sleep(0.05)
            await triggerer.until(lambda: sum(summary["count"] for summary in triggerer.fired[0]) == len(rows))
            summaries = triggerer.fired[0][1:]
            assert 2 <= len(summaries) <= time.monotonic() - begun + 1
            for row in rows:
                moment = datetime.fromisoformat(row["trade_time"])
                assert any(
                    datetime.fromisoformat(summary["from"]) <= moment < datetime.fromisoformat(summary["to"])
                    for summary in summaries
                )

    run(test)


def test_a_gap_after_a_reconnect_reaches_all_whatever_their_filter(connect: Connect, sandbox: Sandbox) -> None:
    connect(sandbox, token_cache="memory")
    filters = ({"account_id": 1}, {"symbol": "nothing"}, {"channel": "asset_curve"})

    async def test() -> None:
        async with running(*(HyperoruEventTrigger(**each, min_interval=0) for each in filters)) as triggerer:
            lost_at = datetime.now(UTC)
            sandbox.revoke_tokens()
            await triggerer.until(lambda: all(len(fired) == 2 for fired in triggerer.fired.values()))
            for first, second in triggerer.fired.values():
                assert (first["kind"], first["from"]) == ("gap", None)
                assert second["kind"] == "gap"
                assert datetime.fromisoformat(second["from"]) < lost_at < datetime.fromisoformat(second["to"])
            assert triggerer.fired[0][1]["account_ids"] == [1]

    run(test)


def test_a_trigger_that_joins_later_is_told_that_it_missed_something(connect: Connect, sandbox: Sandbox) -> None:
    connect(sandbox, token_cache="memory")

    async def test() -> None:
        async with running(HyperoruEventTrigger()) as triggerer:
            joined_at = datetime.now(UTC)
            late = triggerer.start(HyperoruEventTrigger(symbol="BTC"))
            await triggerer.until(lambda: triggerer.fired[late])
            (gap,) = triggerer.fired[late]
            assert (gap["kind"], gap["from"]) == ("gap", None)
            assert datetime.fromisoformat(gap["to"]) >= joined_at
            assert len(triggerer.fired[0]) == 1
        assert sandbox.stats()["sockets"]["opened"] == 1

    run(test)


@pytest.mark.slow
def test_a_flood_fails_no_trigger(connect: Connect, sandbox: Sandbox) -> None:
    connect(sandbox, token_cache="memory")

    async def test() -> None:
        async with running(
            *(HyperoruEventTrigger(symbol=name, min_interval=0) for name in ("BTC", "ETH"))
        ) as triggerer:
            sandbox.trade(6000)
            await triggerer.until(lambda: sandbox.stats()["sockets"]["events"].get("trades") == 6000)
            await triggerer.until(lambda: all(len(fired) > 1 for fired in triggerer.fired.values()))
            await asyncio.sleep(0.5)
            assert not any(task.done() for task in triggerer.tasks.values())

    run(test)


def test_the_last_event_is_sent_although_nothing_follows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    channels = frozenset({"trades"})

    async def stream(hyperoru_conn_id: str) -> AsyncGenerator[EventBatch, None]:
        yield EventBatch(channels)
        await asyncio.sleep(0.1)
        yield EventBatch(channels, events=[Event("trades", {}, 1, "BTC", "BUY", None, datetime.now(UTC))])
        await asyncio.sleep(600)

    async def test() -> None:
        kinds = []
        monkeypatch.setattr(module, "open_stream", stream)
        async with asyncio.timeout(60), aclosing(HyperoruEventTrigger(min_interval=0.2).run()) as events:
            async for event in events:
                kinds.append(event.payload["kind"])
                if len(kinds) == 2:
                    break
        assert kinds == ["gap", "events"]

    run(test)


def test_what_comes_within_a_moment_is_told_at_once() -> None:
    async def stream() -> AsyncGenerator[Event | Gap, None]:
        for number in range(5000):
            await asyncio.sleep(0)
            yield Event("trades", {"number": number}, 1, "BTC", "BUY", None, datetime.now(UTC))
        await asyncio.sleep(60)

    async def test() -> None:
        told, batches, begun = 0, 0, time.monotonic()
        async with aclosing(module.batch_events(stream(), frozenset({"trades"}))) as found:
            async for batch in found:
                batches += 1
                told += len(batch.events) if batch.gap is None else 5000
                if told >= 5000:
                    break
        assert batches <= (time.monotonic() - begun) / 0.1 + 1

    run(test)


@pytest.mark.slow
def test_a_connection_that_was_corrected_is_read_anew(
    connect: Connect, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GIVE_UP_AFTER", 0.2)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        wrong = {"conn_type": "hyperoru", "host": f"http://127.0.0.1:{closed.getsockname()[1]}"}
        extra = {"session_token": "none", "token_cache": "memory", "max_retries": 0}
        monkeypatch.setenv("AIRFLOW_CONN_HYPERORU_DEFAULT", json.dumps(wrong | {"extra": extra}))

        async def test() -> None:
            triggerer = Triggerer()
            number = triggerer.start(HyperoruEventTrigger())
            await asyncio.sleep(0.5)
            connect(sandbox, token_cache="memory")
            await triggerer.until(lambda: triggerer.fired[number])
            triggerer.tasks[number].cancel()
            await asyncio.gather(*triggerer.tasks.values(), return_exceptions=True)

        run(test)


def test_the_socket_is_closed_with_the_last_trigger(connect: Connect, sandbox: Sandbox) -> None:
    connect(sandbox, token_cache="memory")

    async def test() -> None:
        async with running(HyperoruEventTrigger()):
            assert sandbox.stats()["sockets"]["open"] == 1
        await Triggerer().until(lambda: sandbox.stats()["sockets"]["open"] == 0)
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []

    run(test)


@pytest.mark.slow
def test_a_wrong_password_is_tried_once_and_then_only_after_a_while(
    connect: Connect, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.password, right = "wrong", sandbox.password
    connect(sandbox, token_cache="memory")
    sandbox.password = right
    assert module.ERROR_DELAY == 60
    monkeypatch.setattr(module, "ERROR_DELAY", 1.0)

    async def test() -> None:
        triggerer = Triggerer()
        begun = time.monotonic()
        for symbol in ("BTC", "ETH"):
            triggerer.start(HyperoruEventTrigger(symbol=symbol))
        await asyncio.wait(triggerer.tasks.values(), timeout=60)
        assert time.monotonic() - begun >= 1.0
        for task in triggerer.tasks.values():
            assert isinstance(task.exception(), HyperoruAuthenticationError)
        assert not any(triggerer.fired.values())

    run(test)
    assert sandbox.stats()["login_attempts"] == 1
    assert "Can't listen to the events of the connection hyperoru_default: The login was refused." in caplog.text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"channel": "fills"}, "known are trades"),
        ({"channel": "asset_curve", "symbol": "BTC"}, "no symbol"),
        ({"min_notional": "much"}, "min_notional 'much' is not an amount"),
    ],
)
def test_a_filter_that_can_t_work_fails_the_dag_when_it_is_parsed(arguments: dict[str, Any], words: str) -> None:
    """A watcher has no templates; in the triggerer it would fail each minute, where nobody looks."""
    with pytest.raises(HyperoruConfigError, match=words):
        HyperoruEventTrigger(**arguments)


def test_without_gaps_only_what_happened_is_told(connect: Connect, sandbox: Sandbox) -> None:
    """Else a DAG runs once without any event, and again after each loss of the socket, with no time to begin at."""
    connect(sandbox, token_cache="memory")

    async def test() -> None:
        async with running(HyperoruEventTrigger()) as triggerer:
            number = triggerer.start(HyperoruEventTrigger(gaps=False, min_interval=0))
            await asyncio.sleep(1)
            assert triggerer.fired[number] == []
            sandbox.revoke_tokens()
            await triggerer.until(lambda: len(triggerer.fired[0]) > 1)  # the gap, to one who hears of it
            sandbox.trade()
            await triggerer.until(lambda: bool(triggerer.fired[number]))
            (told,) = triggerer.fired[number]
            assert told["kind"] == "events"
            assert told["count"] == 1
            assert told["from"] is not None

    run(test)


def test_gaps_are_part_of_what_is_stored_only_where_they_are_left_out() -> None:
    assert "gaps" not in HyperoruEventTrigger().serialize()[1]
    assert reborn(HyperoruEventTrigger(gaps=False)).serialize()[1]["gaps"] is False


def test_a_channel_that_the_service_lacks_is_an_error_after_a_while(
    connect: Connect, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(sandbox, token_cache="memory", contract={"stream": {"channels": {"positions": None}}})
    monkeypatch.setattr(module, "ERROR_DELAY", 0.5)

    async def test() -> None:
        async with running(HyperoruEventTrigger()) as triggerer:
            task = triggerer.tasks[triggerer.start(HyperoruEventTrigger(channel="positions"))]
            begun = time.monotonic()
            await asyncio.wait([task], timeout=60)
            assert time.monotonic() - begun >= 0.5
            with pytest.raises(HyperoruConfigError, match="there is no positions"):
                task.result()
            assert not triggerer.tasks[0].done()

    run(test)


def test_without_a_triggerer_it_listens_too(connect: Connect, sandbox: Sandbox) -> None:
    connect(sandbox, token_cache="memory")

    async def test() -> None:
        async with aclosing(HyperoruEventTrigger(min_interval=0).run()) as stream:
            assert (await anext(stream)).payload["kind"] == "gap"
            sandbox.trade(account_id=2)
            assert (await anext(stream)).payload["account_ids"] == [2]
        await Triggerer().until(lambda: sandbox.stats()["sockets"]["open"] == 0)

    run(test)


def test_equal_filters_are_one_trigger() -> None:
    one = HyperoruEventTrigger(account_id=(3, 1), symbol=["ETH", "BTC"], side="BUY", min_notional=Decimal(1000))
    other = HyperoruEventTrigger(account_id=[1, 3, 1], symbol=("BTC", "ETH"), side=["BUY"], min_notional=1000)
    assert one.serialize() == other.serialize()
    assert BaseEventTrigger.hash(*one.serialize()) == BaseEventTrigger.hash(*reborn(other).serialize())
    assert one.serialize() != HyperoruEventTrigger().serialize()


def test_what_is_stored_keeps_its_names() -> None:
    assert HyperoruEventTrigger(account_id=1, min_notional=5, since="2026-01-15T00:00:00Z").serialize() == (
        "hyperoru_provider.triggers.events.HyperoruEventTrigger",
        {
            "channel": "trades",
            "account_id": [1],
            "symbol": None,
            "side": None,
            "min_notional": "5",
            "min_interval": 5.0,
            "hyperoru_conn_id": "hyperoru_default",
            "since": "2026-01-15T00:00:00Z",
        },
    )


def test_no_token_in_a_trigger_an_event_or_a_log(
    connect: Connect, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens: set[str] = set()
    monkeypatch.setattr(hook_module, "mask_secret", tokens.add)
    connect(sandbox, token_cache="memory")
    for name in (
        "",
        "websockets",
        "httpx",
        "httpx2",
        "httpcore",
        "httpcore2",
        "asyncio",
        "hyperoru_provider",
        "airflow",
    ):
        caplog.set_level(logging.DEBUG, logger=name)
    trigger, told = HyperoruEventTrigger(min_interval=0), []

    async def test() -> None:
        async with running(trigger) as triggerer:
            sandbox.trade()
            await triggerer.until(lambda: len(triggerer.fired[0]) == 2)
            sandbox.revoke_tokens()
            await triggerer.until(lambda: len(triggerer.fired[0]) == 3)
            told.append(str(triggerer.fired))

    run(test)
    text = caplog.text + "".join(told) + repr(trigger) + json.dumps(trigger.serialize())
    assert len(tokens) == 2
    assert not [token for token in (*tokens, sandbox.password) if token in text]


def deferred(sensor: HyperoruEventSensor) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as caught:
        sensor.execute({})
    return caught.value


def fired_by(deferral: TaskDeferred, between: Callable[[], None], others: int = 0) -> list[dict[str, Any]]:
    """Let a sensor's trigger wait; do something in between; return what it fired in the end."""
    found: list[dict[str, Any]] = []

    async def test() -> None:
        async with running(*(HyperoruEventTrigger() for _ in range(others))) as triggerer:
            number = triggerer.start(deferral.trigger)
            probe = triggerer.start(HyperoruEventTrigger())
            await triggerer.until(lambda: triggerer.fired[probe])  # by now the stream is heard
            await asyncio.sleep(0.2)
            if not triggerer.tasks[number].done():
                assert not triggerer.fired[number]
                between()
            await asyncio.wait([triggerer.tasks[number]], timeout=60)
            triggerer.tasks[number].result()
            found.extend(triggerer.fired[number])

    run(test)
    return found


@pytest.mark.parametrize("others", [0, 2])
def test_a_sensor_waits_for_one_event(connect: Connect, sandbox: Sandbox, others: int) -> None:
    connect(sandbox, token_cache="memory")
    sensor = HyperoruEventSensor(task_id="sell", account_id=2, side="sell", min_notional=1000, timeout=90)
    deferral = deferred(sensor)
    assert deferral.timeout == timedelta(seconds=90)

    def between() -> None:
        sandbox.trade(account_id=1, side="SELL", notional=5000)
        sandbox.trade(account_id=2, side="SELL", notional=500)
        sandbox.trade(account_id=2, side="SELL", notional=5000, symbol="ETH")

    (summary,) = fired_by(deferral, between, others)
    result = getattr(sensor, deferral.method_name)({}, event=summary)
    assert (result["kind"], result["account_ids"], result["symbols"], result["count"]) == ("events", [2], ["ETH"], 1)
    assert sandbox.stats()["sockets"]["opened"] == 1


@pytest.mark.slow
def test_a_sensor_whose_event_may_have_been_missed_says_so(connect: Connect, sandbox: Sandbox) -> None:
    connect(sandbox, token_cache="memory")
    deferral = deferred(HyperoruEventSensor(task_id="any"))
    (summary,) = fired_by(deferral, sandbox.revoke_tokens)
    assert summary["kind"] == "gap" and summary["from"] is not None
    # another triggerer took over, an hour later
    deferral.trigger.since = "2026-01-15T00:00:00Z"
    (summary,) = fired_by(deferral, lambda: None)
    assert (summary["kind"], summary["from"]) == ("gap", "2026-01-14T23:59:00Z")


@pytest.mark.slow
def test_a_sensor_says_what_it_waits_for_and_now_and_then_since_when(
    connect: Connect,
    sandbox: Sandbox,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("hyperoru_provider.triggers.events.LOG_EVERY", 0.5)
    connect(sandbox, token_cache="memory")
    deferral = deferred(HyperoruEventSensor(task_id="any", symbol="BTC", account_id=[1, 2], timeout=90))
    said = "Waiting for an event, for up to 0:01:30: channel trades, account_id [1, 2], symbol BTC"
    assert said in caplog.messages

    def pass_by() -> None:
        sandbox.trade(account_id=3, symbol="BTC")
        sandbox.trade(account_id=1, symbol="ETH")
        threading.Timer(2, lambda: sandbox.trade(account_id=1, symbol="BTC")).start()

    fired_by(deferral, pass_by)
    lines = [line for line in caplog.messages if line.startswith("Waiting since")]
    assert f"Waiting since {deferral.trigger.since}; 2 events of trades did not match" in lines
    assert len(lines) < 12


def test_a_sensor_refuses_a_filter_that_can_pass_nothing() -> None:
    with pytest.raises(HyperoruConfigError, match="no symbol to filter by"):
        HyperoruEventSensor(task_id="any", channel="asset_curve", symbol="BTC").execute({})


@pytest.mark.parametrize(("soft_fail", "error"), [(False, AirflowSensorTimeout), (True, AirflowSkipException)])
def test_a_sensor_times_out_as_others_do(soft_fail: bool, error: type[Exception]) -> None:
    sensor = HyperoruEventSensor(task_id="any", soft_fail=soft_fail)
    timed_out = {"error": "Trigger timeout", "traceback": None}
    with pytest.raises(error):
        sensor.resume_execution("__fail__", timed_out, {})

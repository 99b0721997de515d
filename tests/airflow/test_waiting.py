"""Triggers that wait together: what they ask, and what they leave behind."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.models.trigger import Trigger
from airflow.triggers.base import BaseEventTrigger

from hyperoru_provider.client import AsyncHyperoruClient
from hyperoru_provider.client.errors import HyperoruAuthenticationError, HyperoruConfigError
from hyperoru_provider.client.http.tokens import MemoryTokenStore
from hyperoru_provider.client.times import format_time
from hyperoru_provider.hooks.hyperoru import HyperoruHook
from hyperoru_provider.sandbox import Sandbox
from hyperoru_provider.triggers import shared_poller as hub
from hyperoru_provider.triggers.poll import HyperoruPollTrigger
from hyperoru_provider.triggers.shared_poller import shared_client
from hyperoru_provider.waiting.conditions import Condition, Healthy, KlinesCover, PriceReached, TradesThere

HEALTHY = Healthy()
FIFTY = [
    {"account_id": 1, "symbol": f"S{number}", "trade_id": number, "trade_time": "2026-01-15T00:00:00Z", "price": 1}
    for number in range(50)
]


@pytest.fixture(autouse=True)
def connection(connect: Callable[..., None], sandbox: Sandbox) -> None:
    connect(sandbox, token_cache="memory", max_retries=0)


def trigger(
    condition: Condition = HEALTHY, seconds: float = 1.0, interval: float = 0.2, **more: Any
) -> HyperoruPollTrigger:
    now = time.time()
    arguments = {"hyperoru_conn_id": "hyperoru_default", "interval": interval, "since": now, "deadline": now + seconds}
    return HyperoruPollTrigger(condition=condition.as_dict(), **(arguments | more))


async def event(of: HyperoruPollTrigger) -> dict[str, Any]:
    """Run a trigger as a triggerer does; it fires once."""
    fired = [each.payload async for each in of.run()]
    assert len(fired) == 1
    return fired[0]  # type: ignore[no-any-return]


async def events(triggers: Iterable[HyperoruPollTrigger]) -> list[dict[str, Any]]:
    tasks = []
    for each in triggers:
        tasks.append(asyncio.create_task(event(each)))
        await asyncio.sleep(0)  # as a triggerer does
    return await asyncio.gather(*tasks)


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """See that what ran here left no task, no group and no client."""
    before = asyncio.all_tasks()
    yield
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
    assert not hub._hub().groups
    assert not hub._hub().leases


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> list[AsyncHyperoruClient]:
    """The clients that were made."""
    made = []
    real = HyperoruHook.get_async_conn

    def noted(hook: HyperoruHook) -> AsyncHyperoruClient:
        made.append(real(hook))
        return made[-1]

    monkeypatch.setattr(HyperoruHook, "get_async_conn", noted)
    return made


def test_a_trigger_survives_the_database() -> None:
    first = trigger(PriceReached("BTC", "crosses", "1.5"), state="above", doubling=True, longest=60.0)
    path, kwargs = first.serialize()
    assert json.loads(json.dumps(kwargs)) == kwargs
    again = Trigger._decrypt_kwargs(Trigger.encrypt_kwargs(kwargs))
    assert again == kwargs
    assert HyperoruPollTrigger(**again).serialize() == (path, kwargs)
    assert path == "hyperoru_provider.triggers.poll.HyperoruPollTrigger"
    assert BaseEventTrigger.hash(path, again) == BaseEventTrigger.hash(path, kwargs)


@pytest.mark.slow
def test_a_thousand_health_triggers_ask_once_an_interval(
    sandbox: Sandbox, clients: list[AsyncHyperoruClient], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "hyperoru_provider")  # a thousand lines take pytest a while
    sandbox.set_faults(health="degraded")

    async def main() -> list[float]:
        lags = []

        async def watch() -> None:
            while True:
                before = time.monotonic()
                await asyncio.sleep(0.01)
                lags.append(time.monotonic() - before - 0.01)

        async with nothing_left():
            watcher = asyncio.create_task(watch())
            fired = await events(trigger(seconds=2) for _ in range(1_000))
            watcher.cancel()
            await asyncio.wait([watcher])
        assert {each["status"] for each in fired} == {"timeout"}
        assert {each["says"] for each in fired} == {"The service is degraded, not healthy."}
        return sorted(lags)

    lags = asyncio.run(main())
    assert 5 <= sandbox.stats()["by_path"]["/api/health"] <= 11
    assert len(clients) == 1
    assert (
        lags[-4] < 0.1
    )  # Airflow calls 0.2 s a blocked loop; the machine may have its own pauses, but not at each tick


@pytest.mark.slow
def test_a_thousand_price_triggers_ask_once_for_each_symbol(
    connect: Callable[..., None], clients: list[AsyncHyperoruClient]
) -> None:
    with Sandbox(rows=FIFTY) as sandbox:
        connect(sandbox, token_cache="memory")
        conditions = [PriceReached(f"S{number % 50}", "below", str(-number)) for number in range(1_000)]

        async def main() -> list[dict[str, Any]]:
            async with nothing_left():
                return await events(trigger(each, seconds=2.4, interval=1) for each in conditions)

        fired = asyncio.run(main())
        assert {each["status"] for each in fired} == {"timeout"}
        assert 100 <= sandbox.stats()["by_path"]["/api/crypto/price"] <= 200  # a busy machine starts them one by one
        assert sandbox.stats()["logins"] == 1
        assert sandbox.stats()["max_in_flight"] <= 20
        assert len(clients) == 1


def test_all_are_woken_when_it_is_there(sandbox: Sandbox) -> None:
    sandbox.set_faults(health="degraded")

    async def main() -> None:
        async with nothing_left():
            waiting = [asyncio.create_task(event(trigger(seconds=20))) for _ in range(500)]
            await asyncio.sleep(0.5)
            assert not any(task.done() for task in waiting)
            sandbox.reset()
            fired = await asyncio.wait_for(asyncio.gather(*waiting), 2)
            assert {each["status"] for each in fired} == {"done"}

    asyncio.run(main())


def test_no_more_than_some_are_woken_in_a_turn_of_the_loop(sandbox: Sandbox) -> None:
    """Each of them has more to do."""

    async def main() -> None:
        turn, ends = 0, Counter[int]()

        async def run(of: HyperoruPollTrigger) -> None:
            await event(of)
            ends[turn] += 1

        tasks = [asyncio.create_task(run(trigger(seconds=20))) for _ in range(500)]
        while not all(task.done() for task in tasks):
            turn += 1
            await asyncio.sleep(0)
        assert ends.total() == 500
        assert max(ends.values()) <= 100

    asyncio.run(main())


def test_those_who_begin_later_ask_with_the_others(sandbox: Sandbox) -> None:
    sandbox.set_faults(health="degraded")

    async def main() -> None:
        async with nothing_left():
            waiting = []
            for _ in range(6):
                waiting.append(asyncio.create_task(event(trigger(seconds=0.9, interval=0.3))))
                await asyncio.sleep(0.07)
            await asyncio.gather(*waiting)

    asyncio.run(main())
    assert sandbox.stats()["by_path"]["/api/health"] <= 5


@pytest.mark.slow
def test_a_trigger_that_is_cancelled_leaves_nothing_behind(
    sandbox: Sandbox, clients: list[AsyncHyperoruClient]
) -> None:
    sandbox.set_faults(health="degraded")

    async def main() -> None:
        async with nothing_left():
            tasks = [asyncio.create_task(event(trigger(seconds=20))) for _ in range(20)]
            await asyncio.sleep(0.5)
            for task in tasks[1:]:
                task.cancel()
            await asyncio.sleep(0.3)
            asked = sandbox.stats()["requests"]
            assert len(next(iter(hub._hub().groups.values())).waiters) == 1
            await asyncio.sleep(0.5)
            assert sandbox.stats()["requests"] > asked  # the last one is still served
            sandbox.set_faults(latency=5)
            await asyncio.sleep(0.3)
            tasks[0].cancel()  # with a request under way
            await asyncio.wait(tasks)

    asyncio.run(main())
    assert [client._transport._client.is_closed for client in clients] == [True]


def test_waiters_survive_a_server_that_is_gone_for_a_while(sandbox: Sandbox) -> None:
    async def main() -> None:
        async with nothing_left():
            sandbox.stop()
            conditions = [HEALTHY, PriceReached("BTC", "above", "1")]
            waiting = asyncio.create_task(events([trigger(each, 20) for each in conditions]))
            await asyncio.sleep(0.6)
            assert not waiting.done()
            await asyncio.to_thread(sandbox.start)
            assert {each["status"] for each in await asyncio.wait_for(waiting, 5)} == {"done"}

    asyncio.run(main())


def test_a_connection_that_was_corrected_is_read_anew(sandbox: Sandbox, connect: Callable[..., None]) -> None:
    """Although others, who need no login, still use the old client."""
    sandbox.set_faults(health="degraded")
    connect(sandbox, session_token="wrong", max_retries=0)

    async def main() -> None:
        async with nothing_left():
            other = asyncio.create_task(event(trigger(seconds=20)))
            failed = await event(trigger(PriceReached("BTC", "above", "1")))
            assert failed["error"]["class"] == "HyperoruAuthenticationError"
            assert "wrong" not in json.dumps(failed)
            connect(sandbox, token_cache="memory")
            assert (await event(trigger(PriceReached("BTC", "above", "1"))))["status"] == "done"
            assert not other.done()
            other.cancel()
            await asyncio.wait([other])

    asyncio.run(main())


@pytest.mark.slow
def test_a_clock_that_is_put_back_does_not_stop_the_questions(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.set_faults(health="degraded")
    ahead = [3_600.0]
    clock = SimpleNamespace(time=lambda: time.time() + ahead[0], monotonic=time.monotonic)
    monkeypatch.setattr(hub, "time", clock)

    async def main() -> None:
        now = clock.time()
        waiting = asyncio.create_task(event(trigger(since=now, deadline=now + 20)))
        await asyncio.sleep(0.7)
        ahead[0], asked = 0.0, sandbox.stats()["requests"]
        await asyncio.sleep(1)
        assert sandbox.stats()["requests"] >= asked + 2
        waiting.cancel()
        await asyncio.wait([waiting])

    asyncio.run(main())


def test_a_token_that_was_changed_is_read_by_those_who_wait(
    sandbox: Sandbox, connect: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "_REREAD_AFTER", 0.3)
    HyperoruHook().get_conn().login()
    (token,) = MemoryTokenStore._tokens.values()
    connect(sandbox, session_token=token.value, max_retries=0)

    async def main() -> None:
        async with nothing_left():
            waiting = asyncio.create_task(events([trigger(PriceReached("BTC", "above", "1e9"), 3.5)]))
            await asyncio.sleep(2)
            connect(sandbox, token_cache="memory", max_retries=0)
            sandbox.revoke_tokens()
            assert {each["status"] for each in await waiting} == {"timeout"}
            connect(sandbox, session_token="wrong", max_retries=0)  # for good: it is told
            failed = await event(trigger(PriceReached("BTC", "above", "1e9"), 5))
            assert failed["error"]["class"] == "HyperoruAuthenticationError"

    asyncio.run(main())


def test_a_wrong_connection_is_read_no_more_often_than_is_asked(connect: Callable[..., None], sandbox: Sandbox) -> None:
    """A sensor with ``silent_fail`` would else fail and defer itself as fast as Airflow can start tasks."""
    connect(sandbox, token_cache="nowhere")

    async def main() -> int:
        ends, begin = 0, time.monotonic()
        while time.monotonic() < begin + 1:
            await event(trigger(seconds=5, interval=0.4))
            ends += 1
        return ends

    assert asyncio.run(main()) <= 4


def test_a_wrong_connection_is_told(connect: Callable[..., None], sandbox: Sandbox) -> None:
    connect(sandbox, token_cache="nowhere")

    async def main() -> list[dict[str, Any]]:
        async with nothing_left():
            return await events([trigger(), trigger(PriceReached("BTC", "above", "1"))])

    assert {each["error"]["class"] for each in asyncio.run(main())} == {HyperoruConfigError.__name__}


def test_a_host_that_was_corrected_is_found_by_those_who_wait(
    connect: Callable[..., None], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, clients: list[AsyncHyperoruClient]
) -> None:
    monkeypatch.setattr(hub, "_REREAD_AFTER", 0.5)
    with Sandbox() as gone:
        connect(gone, token_cache="memory", max_retries=0)

    async def main() -> None:
        async with nothing_left():
            conditions = [HEALTHY, PriceReached("BTC", "above", "1")]
            waiting = asyncio.create_task(events(trigger(each, 20) for each in conditions))
            await asyncio.sleep(0.3)
            connect(sandbox, token_cache="memory")
            assert {each["status"] for each in await asyncio.wait_for(waiting, 5)} == {"done"}

    asyncio.run(main())
    assert 2 <= len(clients) <= 3  # the second one may be done and gone before the other asks
    assert all(client._transport._client.is_closed for client in clients)


def test_a_deadline_comes_in_time_although_an_answer_does_not(sandbox: Sandbox) -> None:
    sandbox.set_faults(latency=3)

    async def main() -> None:
        async with nothing_left():
            begin = time.monotonic()
            fired = await event(trigger(seconds=0.5))
            assert fired == {"status": "timeout", "says": "Nothing was asked in time."}
            assert 0.4 < time.monotonic() - begin < 0.9

    asyncio.run(main())


def test_a_deadline_is_absolute(sandbox: Sandbox) -> None:
    """A triggerer that restarts does not begin to count anew."""
    sandbox.set_faults(health="degraded")
    first = trigger(seconds=0.6)

    async def main() -> None:
        interrupted = asyncio.create_task(event(first))
        await asyncio.sleep(0.4)
        interrupted.cancel()
        again = HyperoruPollTrigger(**first.serialize()[1])
        begin = time.monotonic()
        assert (await event(again))["status"] == "timeout"
        assert time.monotonic() - begin < 0.4

    asyncio.run(main())
    assert asyncio.run(event(trigger(seconds=-5)))["status"] == "timeout"


@pytest.mark.slow
def test_pauses_that_double_ask_less(sandbox: Sandbox) -> None:
    sandbox.set_faults(health="degraded")
    asyncio.run(event(trigger(seconds=2.1, interval=0.1, doubling=True)))
    assert 4 <= sandbox.stats()["requests"] <= 7  # at 0.1, 0.2, 0.4, 0.8, 1.6 and 2.0
    sandbox.reset()
    sandbox.set_faults(health="degraded")
    asyncio.run(event(trigger(seconds=1.5, interval=0.1, doubling=True, longest=0.3)))
    assert 5 <= sandbox.stats()["requests"] <= 8


def test_429_holds_all_back(sandbox: Sandbox) -> None:
    """Not only the request that was refused, and although a health check is not repeated."""
    sandbox.set_faults(rate_limit_rate=1.0, retry_after=1)
    asyncio.run(events([trigger(seconds=0.9), trigger(PriceReached("BTC", "above", "1"), seconds=0.9)]))
    assert sandbox.stats()["requests"] <= 3


TASK: ContextVar[str] = ContextVar("TASK", default="nobody's")


@pytest.fixture
def lines() -> Iterator[list[tuple[str, str]]]:
    """Log lines, with the task whose context they came from, as a triggerer tells them apart."""
    said: list[tuple[str, str]] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append((TASK.get(), record.getMessage()))

    handler, logger = Handler(), logging.getLogger("hyperoru_provider")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield said
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.mark.slow
def test_each_task_log_says_why_once(
    sandbox: Sandbox, lines: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.set_faults(health="degraded")

    async def run(name: str) -> None:
        TASK.set(name)
        await event(trigger(seconds=1.2))

    async def main() -> None:
        waiting = [asyncio.create_task(run(name)) for name in ("a", "b")]
        await asyncio.sleep(0.6)
        sandbox.set_faults(error_rate=1.0)
        await asyncio.gather(*waiting)

    asyncio.run(main())
    assert sorted(lines) == [(name, "The service is degraded, not healthy.") for name in ("a", "b")]
    lines.clear()
    monkeypatch.setattr(hub, "_LOG_EVERY", 0.0)
    sandbox.reset()
    sandbox.set_faults(health="degraded")
    asyncio.run(main())
    assert [name for name, _ in lines].count("a") == 2 + sum(
        "request id" in line for name, line in lines[3:] if name == "a"
    )


def test_the_client_is_shared_and_closed_with_its_last_user(clients: list[AsyncHyperoruClient]) -> None:
    async def main() -> None:
        async with nothing_left(), shared_client("hyperoru_default") as one:
            async with shared_client("hyperoru_default") as other:
                assert one is other
            assert (await one.health()).healthy
        with pytest.raises(HyperoruAuthenticationError):
            async with shared_client("hyperoru_default") as one, shared_client("hyperoru_default") as other:
                raise HyperoruAuthenticationError("refused")
        assert len(clients) == 2

    asyncio.run(main())


def test_what_is_no_error_of_ours_fails_the_trigger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_CONN_HYPERORU_DEFAULT")
    with pytest.raises(Exception, match="hyperoru_default"):
        asyncio.run(event(trigger()))


def test_what_fails_all_is_no_longer_for_each_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow writes out the traceback of each trigger that failed, and keeps it in the database."""
    monkeypatch.delenv("AIRFLOW_CONN_HYPERORU_DEFAULT")

    async def main(number: int) -> int:
        ends = await asyncio.gather(*(event(trigger()) for _ in range(number)), return_exceptions=True)
        return max(len("".join(traceback.format_exception(end))) for end in ends if isinstance(end, BaseException))

    assert asyncio.run(main(100)) < asyncio.run(main(1)) + 1_000


@pytest.mark.parametrize(
    "condition",
    [
        TradesThere("2026-01-15T00:00:00Z", "2026-01-16T00:00:00Z", None, None, 3),
        TradesThere(format_time(datetime.now(UTC) - timedelta(days=5)), None, "2", None, 100),
        PriceReached("BTC", "above", "1"),
    ],
)
def test_each_condition_is_asked(condition: Condition) -> None:
    assert asyncio.run(event(trigger(condition, 5)))["status"] == "done"


def test_coverage_is_one_question_for_all_symbols(sandbox: Sandbox) -> None:
    conditions = [
        KlinesCover(symbol, "1h", "2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z") for symbol in ("BTC", "ETH")
    ]

    async def main() -> list[dict[str, Any]]:
        return await events([trigger(each, 0.9, 0.3) for each in conditions])

    assert [each["says"].split()[4] for each in asyncio.run(main())] == ["BTC", "ETH"]
    assert sandbox.stats()["by_path"]["/api/klines/coverage"] <= 3

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import logging
import ssl
import time
import traceback
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as server

from hyperoru_provider.client import AsyncHyperoruClient
from hyperoru_provider.client.errors import (
    HyperoruAuthenticationError,
    HyperoruBadRequestError,
    HyperoruConfigError,
    HyperoruConnectError,
    HyperoruContractError,
    HyperoruNetworkError,
    HyperoruNotFoundError,
)
from hyperoru_provider.client.http.retry import RetryPolicy
from hyperoru_provider.client.stream.messages import Event, Gap
from hyperoru_provider.sandbox import Sandbox
from tests.canaries import TOKEN, seen_in
from tests.certificates import self_signed
from tests.listed import held

FAST = RetryPolicy(initial_delay=0.02, max_delay=0.1)


class Listener:
    """A client that listens in the background; its items as they come."""

    task: asyncio.Task[None]

    def __init__(self, client: AsyncHyperoruClient, channels: tuple[str, ...]) -> None:
        self.items: list[Event | Gap] = []
        self._client = client
        self._channels = channels

    @property
    def gaps(self) -> list[Gap]:
        return [item for item in self.items if isinstance(item, Gap)]

    @property
    def ids(self) -> list[int]:
        return [item.data["trade_id"] for item in self.items if isinstance(item, Event) and item.channel == "trades"]

    async def run(self) -> None:
        async with aclosing(self._client.events(self._channels)) as events:
            async for item in events:
                self.items.append(item)

    async def until(self, what: Callable[[], Any], seconds: float = 10.0) -> None:
        deadline = time.monotonic() + seconds
        while not what():
            if self.task.done():
                self.task.result()
            assert time.monotonic() < deadline, f"not within {seconds} s; {self.items[-5:]}"
            await asyncio.sleep(0.01)

    async def until_gaps(self, number: int) -> None:
        await self.until(lambda: len(self.gaps) == number)

    async def until_id(self, trade_id: int) -> None:
        await self.until(lambda: trade_id in self.ids)


def options_of(sandbox: Sandbox, **options: Any) -> dict[str, Any]:
    return {
        "base_url": sandbox.url,
        "email": sandbox.email,
        "password": sandbox.password,
        "retry_policy": FAST,
        "timeout": 5.0,
    } | options


@asynccontextmanager
async def listening(
    sandbox: Sandbox, *channels: str, connected: bool = True, **options: Any
) -> AsyncGenerator[Listener, None]:
    async with AsyncHyperoruClient(**options_of(sandbox, **options)) as client:
        listener = Listener(client, channels or ("trades",))
        listener.task = asyncio.create_task(listener.run())
        try:
            if connected:
                await listener.until(lambda: listener.items)
            yield listener
        finally:
            listener.task.cancel()
            await asyncio.gather(listener.task, return_exceptions=True)


async def fails(sandbox: Sandbox, *channels: str, **options: Any) -> BaseException:
    async with listening(sandbox, *channels, connected=False, **options) as listener:
        await asyncio.wait([listener.task], timeout=10)
        assert listener.task.done(), "it goes on"
        error = listener.task.exception()
        assert error is not None
        return error


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


@pytest.mark.parametrize("auth", ["query", "message"])
def test_trades_come_with_all_their_digits_after_a_first_gap(sandbox: Sandbox, auth: str) -> None:
    async def test() -> None:
        before = datetime.now(UTC)
        async with listening(sandbox, contract={"stream": {"auth": auth}}) as listener:
            (row,) = sandbox.trade(account_id=2, symbol="BTC", side="SELL", notional="12345.67")
            await listener.until(lambda: listener.ids)
        gap, event = listener.items
        assert isinstance(gap, Gap) and isinstance(event, Event)
        assert gap.since is None and before <= gap.until <= event.time
        assert event.data.keys() == row.keys()
        assert not any(isinstance(value, float) for value in event.data.values())
        assert event.data["price"] == Decimal(str(row["price"]))
        assert (event.account_id, event.symbol, event.side) == (2, "BTC", "SELL")
        assert event.notional == Decimal(str(row["notional"]))
        assert sandbox.stats()["sockets"]["tokens_in_url"] == (1 if auth == "query" else 0)
        assert sandbox.stats()["logins"] == 1

    run(test)


def test_each_channel_tells_whose_what_and_when(sandbox: Sandbox) -> None:
    async def test() -> None:
        sandbox.set_faults(asset_curve_seconds=1)
        async with listening(sandbox, "trades", "positions", "model_chat", "asset_curve") as listener:
            for _ in range(20):
                sandbox.trade(account_id=1, symbol="ETH")
            seen: dict[str, Event] = {}

            def all_seen() -> bool:
                own = [item for item in listener.items if isinstance(item, Event) and item.symbol in ("ETH", None)]
                seen.update({item.channel: item for item in own})  # the market trades by itself, too
                return len(seen) == 4

            await listener.until(all_seen)
        for event in seen.values():
            assert event.account_id is not None
            assert abs(event.time - datetime.now(UTC)) < timedelta(seconds=20)
        for channel in ("trades", "positions", "model_chat"):
            assert seen[channel].symbol == "ETH"
        assert seen["positions"].side in ("long", "short")
        assert seen["positions"].notional == seen["positions"].data["size"] * seen["positions"].data["entry_price"]
        assert seen["model_chat"].side in ("buy", "sell", "close")

    run(test)


@pytest.mark.parametrize("fault", [{"socket_batch": 7}, {"socket_duplicate_rate": 0.5}, {"socket_shuffle": True}])
def test_no_trade_of_a_message_is_lost(sandbox: Sandbox, fault: dict[str, Any]) -> None:
    async def test() -> None:
        sandbox.set_faults(**fault)
        async with listening(sandbox) as listener:
            made = {row["trade_id"] for row in sandbox.trade(50)}
            await listener.until(lambda: set(listener.ids) >= made)
        there_are = {json.loads(row)["trade_id"] for row in held(sandbox)}  # the market trades by itself, too
        assert set(listener.ids) <= there_are
        assert len(listener.gaps) == 1

    run(test)


def test_what_cant_be_read_is_a_gap_and_the_socket_stays(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        sandbox.set_faults(socket_malformed_rate=1)
        async with listening(sandbox) as listener:
            made = {row["trade_id"] for row in sandbox.trade(5)}
            await listener.until(lambda: set(listener.ids) == made)
            await listener.until(lambda: len(listener.gaps) == 6)
        for gap in listener.gaps[1:]:
            assert gap.since is not None and gap.since <= gap.until
        assert sandbox.stats()["sockets"]["opened"] == 1

    run(test)
    assert caplog.text.count("skipped and counts as a gap") == 1


def test_after_a_lost_socket_a_gap_says_from_when_on_to_look(sandbox: Sandbox) -> None:
    async def test() -> None:
        async with listening(sandbox) as listener:
            (seen,) = sandbox.trade()
            await listener.until(lambda: listener.ids)
            sandbox.set_faults(socket_drop_rate=1)
            (lost,) = sandbox.trade()
            await listener.until(lambda: len(listener.gaps) > 1)
            sandbox.set_faults(socket_drop_rate=0)
            (later,) = sandbox.trade()
            await listener.until(lambda: later["trade_id"] in listener.ids)
        gap = listener.gaps[1]
        assert listener.ids == [seen["trade_id"], later["trade_id"]]
        assert gap.since is not None
        assert gap.since <= datetime.fromisoformat(lost["trade_time"]) < gap.until
        assert gap.since >= datetime.fromisoformat(seen["trade_time"])

    run(test)


@pytest.mark.slow
def test_a_silent_socket_is_noticed(sandbox: Sandbox) -> None:
    async def test() -> None:
        async with listening(sandbox, timeout=0.5) as listener:
            await asyncio.sleep(1.7)  # three pings
            assert len(listener.gaps) == 1
            before = datetime.now(UTC)
            sandbox.set_faults(socket_silent=True)
            after = datetime.now(UTC)
            await listener.until(lambda: sandbox.stats()["sockets"]["opened"] > 1)
            sandbox.set_faults(socket_silent=False)
            await listener.until(lambda: len(listener.gaps) > 1)
            (row,) = sandbox.trade()
            await listener.until(lambda: row["trade_id"] in listener.ids)
        gap = listener.gaps[1]
        assert gap.since is not None
        assert before - timedelta(seconds=1.5) <= gap.since <= after

    run(test)


def test_an_unanswered_subscribe_is_a_failed_connection(sandbox: Sandbox) -> None:
    async def test() -> None:
        sandbox.set_faults(socket_silent=True)
        async with listening(sandbox, connected=False, timeout=0.2) as listener:
            await listener.until(lambda: sandbox.stats()["sockets"]["opened"] >= 2)
            assert not listener.items
            sandbox.set_faults(socket_silent=False)
            await listener.until(lambda: listener.items)

    run(test)


@pytest.mark.slow
def test_a_slow_consumer_is_not_taken_for_a_dead_server_and_piles_nothing_up(sandbox: Sandbox) -> None:
    async def test() -> None:
        async with (
            AsyncHyperoruClient(**options_of(sandbox, timeout=0.5)) as client,
            aclosing(client.events(("trades",))) as events,
        ):
            await anext(events)
            made = [row["trade_id"] for row in sandbox.trade(3000)]
            deadline = time.monotonic() + 1.5
            while time.monotonic() < deadline:
                await asyncio.sleep(0.05)
                assert queued() < 500  # 16, and what one read of the socket may hold
            assert queued() > 0
            seen: list[int] = []
            while len(seen) < len(made):
                item = await anext(events)
                assert isinstance(item, Event)
                seen.append(item.data["trade_id"])
            assert seen == made
        assert sandbox.stats()["sockets"]["opened"] == 1

    run(test)


def queued() -> int:
    from websockets.asyncio.client import ClientConnection

    return max(len(each.recv_messages.frames) for each in gc.get_objects() if type(each) is ClientConnection)


def test_a_server_that_restarts_is_found_again() -> None:
    async def test() -> None:
        with Sandbox() as first:
            async with listening(first) as listener:
                port = int(first.url.rpartition(":")[2])
                await asyncio.to_thread(first.stop)
                await asyncio.sleep(0.3)
                with Sandbox(port=port) as second:  # it knows no token of the first
                    await listener.until(lambda: len(listener.gaps) > 1)
                    (row,) = second.trade()
                    await listener.until(lambda: row["trade_id"] in listener.ids)
                    assert second.stats()["logins"] == 1

    run(test)


@pytest.mark.slow
@pytest.mark.parametrize("auth", ["query", "message"])
def test_a_revoked_token_costs_one_login_and_a_gap(sandbox: Sandbox, auth: str) -> None:
    async def test() -> None:
        async with listening(sandbox, contract={"stream": {"auth": auth}}) as listener:
            for logins in (2, 3):
                sandbox.revoke_tokens()
                await listener.until_gaps(logins)
                await listener.until_id(sandbox.trade()[0]["trade_id"])
                assert sandbox.stats()["logins"] == logins
                await asyncio.sleep(0.3)  # else it counts as one more refusal of the same try
        assert sandbox.stats()["sockets"]["opened"] == 3

    run(test)


@pytest.mark.parametrize("auth", ["query", "message"])
def test_a_refused_token_costs_one_login_and_a_refused_fresh_one_is_an_error(sandbox: Sandbox, auth: str) -> None:
    async def test() -> None:
        contract = {"stream": {"auth": auth}}
        sandbox.set_faults(socket_refuse=1)
        async with listening(sandbox, contract=contract):
            assert sandbox.stats()["logins"] == 2
        sandbox.set_faults(socket_refuse=2)
        error = await fails(sandbox, contract=contract)
        assert isinstance(error, HyperoruAuthenticationError)
        assert "/ws" in str(error) and "password" in str(error)
        assert sandbox.stats()["logins"] == 3
        assert sandbox.stats()["sockets"]["refused"] == 3

    run(test)


def test_a_refused_token_of_the_connection_is_an_error_at_once(sandbox: Sandbox) -> None:
    async def test() -> None:
        error = await fails(sandbox, email=None, password=None, session_token="of-somebody-else")
        assert isinstance(error, HyperoruAuthenticationError)
        assert "of-somebody-else" not in str(error)
        assert sandbox.stats()["sockets"]["refused"] == 1
        assert sandbox.stats()["login_attempts"] == 0

    run(test)


def test_one_login_serves_calls_and_streams(sandbox: Sandbox) -> None:
    async def test() -> None:
        async with listening(sandbox), listening(sandbox), AsyncHyperoruClient(**options_of(sandbox)) as client:
            await client.profile()
        assert sandbox.stats()["logins"] == 1
        assert sandbox.stats()["sockets"]["most_open"] == 2

    run(test)


def test_a_wrong_password_is_an_error_at_once(sandbox: Sandbox) -> None:
    async def test() -> None:
        assert isinstance(await fails(sandbox, password="wrong"), HyperoruAuthenticationError)
        assert sandbox.stats()["login_attempts"] == 1

    run(test)


def test_what_the_contract_has_wrong_is_an_error_that_says_so(sandbox: Sandbox) -> None:
    async def test() -> None:
        error = await fails(sandbox, contract={"stream": {"path": "/wss"}})
        assert isinstance(error, HyperoruNotFoundError) and "/wss" in str(error)
        error = await fails(sandbox, contract={"stream": {"channels": {"trades": "fills"}}})
        assert isinstance(error, HyperoruContractError) and "stream.channels" in str(error)
        with pytest.raises(HyperoruConfigError, match="fills"):
            AsyncHyperoruClient(**options_of(sandbox)).events(("fills",))
        with pytest.raises(HyperoruConfigError, match="there is none"):
            client = AsyncHyperoruClient(**options_of(sandbox, contract={"stream": {"channels": {"trades": None}}}))
            client.events(("trades",))

    run(test)


@asynccontextmanager
async def answering(
    answer: bytes, context: ssl.SSLContext | None = None
) -> AsyncGenerator[tuple[str, list[bytes]], None]:
    """A server that answers every request alike and hangs up; its address, and what it was asked."""
    asked = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"http{'s' if context else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


@pytest.mark.parametrize(
    ("head", "error", "words"),
    [
        (
            "302 Found\r\nLocation: http://elsewhere.example/ws?session_token=secret-token",
            HyperoruContractError,
            "redir",
        ),
        ("200 OK", HyperoruContractError, "stream.path"),
        ("400 Bad Request", HyperoruBadRequestError, "400"),
        ("403 Forbidden", HyperoruAuthenticationError, "403"),
    ],
)
def test_an_answer_that_opens_no_socket_is_an_error(head: str, error: type[Exception], words: str) -> None:
    async def test() -> None:
        body = b"x" * 490 + b" secret-token?"  # the text of an error is cut after 500 letters
        answer = f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        async with (
            answering(answer) as (url, asked),
            AsyncHyperoruClient(url, session_token="secret-token", retry_policy=FAST) as client,
        ):
            with pytest.raises(error, match=words) as caught:
                await anext(client.events())
        assert len(asked) == 1
        assert "secret-token" not in "".join(traceback.format_exception(caught.value))

    run(test)


def test_certificates_are_verified_as_for_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)

    async def test() -> None:
        async with answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", context) as (url, asked):
            async with AsyncHyperoruClient(url, session_token="secret-token") as client:
                with pytest.raises(HyperoruBadRequestError, match=r"certificate can't be verified.*SSL_CERT_FILE"):
                    await anext(client.events())
                assert not asked
            monkeypatch.setenv("SSL_CERT_FILE", str(file))
            async with AsyncHyperoruClient(url, session_token="secret-token") as client:
                with pytest.raises(HyperoruNotFoundError):
                    await anext(client.events())
            assert b"GET /ws?session_token=secret-token HTTP/1.1" in asked[0]

    run(test)


@pytest.mark.slow
@pytest.mark.parametrize("answer", [b"HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n", b"", b"what?\r\n\r\n"])
def test_a_server_in_trouble_is_asked_again_without_haste(answer: bytes) -> None:
    async def test() -> None:
        policy = RetryPolicy(initial_delay=0.05, max_delay=0.2)
        async with (
            answering(answer) as (url, asked),
            AsyncHyperoruClient(url, session_token="secret-token", retry_policy=policy) as client,
        ):
            begun = time.monotonic()
            waiting = asyncio.ensure_future(anext(client.events()))
            while len(asked) < 6 and not waiting.done():
                await asyncio.sleep(0.005)
            took = time.monotonic() - begun
            waiting.cancel()
            assert not waiting.done()
            await asyncio.gather(waiting, return_exceptions=True)
        assert took >= 0.025 + 0.05 + 0.1 + 0.1 + 0.1  # half of each delay at least

    run(test)


def test_it_gives_up_only_if_it_is_told_to(sandbox: Sandbox) -> None:
    async def test() -> None:
        async with AsyncHyperoruClient(**options_of(sandbox)) as client:
            events = client.events(("trades",), give_up_after=0.3)
            await anext(events)
            await asyncio.sleep(0.5)  # not lost: it does not count
            begun = time.monotonic()
            await asyncio.to_thread(sandbox.stop)
            with pytest.raises(HyperoruConnectError):
                await anext(events)
            assert 0.3 <= time.monotonic() - begun < 10

    run(test)


@pytest.mark.slow
def test_a_socket_that_is_lost_again_and_again_is_opened_without_haste() -> None:
    opened = []

    async def script(socket: ServerConnection) -> None:
        opened.append(socket)
        await answer_request(socket)
        await socket.send(json.dumps({"type": "trades", "data": trade(1, datetime.now(UTC))}))

    async def test() -> None:
        policy = RetryPolicy(initial_delay=0.2, max_delay=0.6)
        begun = time.monotonic()
        async with (
            scripted(script) as url,
            AsyncHyperoruClient(url, session_token="x", retry_policy=policy) as client,
            aclosing(client.events(("trades",))) as events,
        ):
            while len(opened) < 5:
                await anext(events)
        assert time.monotonic() - begun >= 0.1 + 0.2 + 0.3 + 0.3  # half of each delay at least

    run(test)


@pytest.mark.parametrize("answers", ["nothing", "the subscription", "an error"])
def test_a_socket_that_dies_right_after_each_subscribe_is_an_error_that_names_the_contract(
    answers: str, caplog: pytest.LogCaptureFixture
) -> None:
    opened = []

    async def script(socket: ServerConnection) -> None:
        opened.append(socket)
        if answers == "nothing":
            await socket.recv()
            return
        await answer_request(socket)
        if answers == "an error":
            await socket.send(json.dumps({"type": "error", "message": "no such\0 channel"}))

    async def test() -> None:
        policy = RetryPolicy(initial_delay=5, max_delay=0.01)
        async with (
            scripted(script) as url,
            AsyncHyperoruClient(url, session_token="x", retry_policy=policy) as client,
            aclosing(client.events(("trades",))) as events,
        ):
            with pytest.raises(HyperoruContractError, match=r"3 times in a row, .*correct the contract's stream"):
                while True:
                    await anext(events)
        assert len(opened) == 3

    run(test)
    if answers == "an error":
        assert "The stream says: no such\\x00 channel" in caplog.text
        assert "no reason given" not in caplog.text and "type 'error'" not in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("auth", ["query", "message"])
def test_no_token_in_a_log_or_an_error(sandbox: Sandbox, caplog: pytest.LogCaptureFixture, auth: str) -> None:
    for name in (
        "",
        "websockets",
        "websockets.client",
        "httpx",
        "httpx2",
        "httpcore",
        "httpcore2",
        "asyncio",
        "hyperoru_provider",
    ):
        caplog.set_level(logging.DEBUG, logger=name)
    tokens: set[str] = set()
    errors: list[BaseException] = []

    async def test() -> None:
        asyncio.get_running_loop().set_debug(True)
        contract = {"stream": {"auth": auth}}
        async with listening(sandbox, contract=contract, timeout=0.3, on_token=tokens.add) as listener:
            sandbox.revoke_tokens()
            await listener.until(lambda: len(listener.gaps) > 1)
            sandbox.set_faults(socket_drop_rate=1)
            sandbox.trade()
            await listener.until(lambda: len(listener.gaps) > 2)
            sandbox.set_faults(socket_drop_rate=0, socket_silent=True)
            await asyncio.sleep(1)
            sandbox.set_faults(socket_silent=False)
            await listener.until(lambda: len(listener.gaps) > 3)
        sandbox.set_faults(socket_refuse=9)
        errors.append(await fails(sandbox, contract=contract, on_token=tokens.add))
        sandbox.set_faults(socket_refuse=0)
        errors.append(await fails(sandbox, contract={"stream": {"auth": auth, "path": "/no"}}, on_token=tokens.add))

    run(test)
    told = caplog.text + "".join("".join(traceback.format_exception(error)) + repr(error) for error in errors)
    assert "Listening to" in told and "interrupted" in told
    assert len(tokens) >= 3
    assert not [token for token in tokens if token in told]


@asynccontextmanager
async def scripted(script: Callable[[ServerConnection], Coroutine[Any, Any, None]]) -> AsyncGenerator[str, None]:
    """A server that does with each socket what a script says; its address."""
    async with server(script, "127.0.0.1", 0) as running:
        yield f"http://127.0.0.1:{running.sockets[0].getsockname()[1]}"


async def answer_request(socket: ServerConnection, *before: Any) -> None:
    """Grant the next request, after other messages."""
    request = json.loads(await socket.recv())
    for message in before:
        await socket.send(json.dumps(message))
    await socket.send(json.dumps({**request, "type": "subscribed"}))


def trade(trade_id: int, at: datetime) -> dict[str, Any]:
    return {"trade_id": trade_id, "trade_time": at.isoformat()}


def test_the_newest_events_that_come_before_the_answer_follow_the_gap() -> None:
    async def script(socket: ServerConnection) -> None:
        rows = [trade(number, datetime.now(UTC)) for number in range(1200)]
        parts = [{"type": "trades", "data": part} for part in (rows[:700], rows[700:])]
        await answer_request(socket, "no message", *parts)
        await socket.wait_closed()

    async def test() -> None:
        async with (
            scripted(script) as url,
            AsyncHyperoruClient(url, session_token="x") as client,
            aclosing(client.events(("trades",))) as events,
        ):
            assert isinstance(await anext(events), Gap)
            early = [await anext(events) for _ in range(1000)]
        assert [item.data["trade_id"] for item in early if isinstance(item, Event)] == list(range(200, 1200))

    run(test)


@pytest.mark.parametrize(
    ("rows", "events", "reason"),
    [([{}] * 300_000, 0, "more than 100,000 values"), ([trade(1, datetime.now(UTC))] * 1500, 1000, "more than 1,000")],
)
def test_a_message_of_too_many_events_is_a_gap_beyond_some(rows: list[Any], events: int, reason: str) -> None:
    async def script(socket: ServerConnection) -> None:
        await answer_request(socket)
        await socket.send(json.dumps({"type": "trades", "data": rows}, separators=(",", ":")))
        await socket.send(json.dumps({"type": "trades", "data": trade(7, datetime.now(UTC))}))
        await socket.wait_closed()

    async def test() -> None:
        async with (
            scripted(script) as url,
            AsyncHyperoruClient(url, session_token="x") as client,
            aclosing(client.events(("trades",))) as stream,
        ):
            first = await anext(stream)
            *read, gap, last = [await anext(stream) for _ in range(events + 2)]
        assert all(isinstance(item, Event) for item in read)
        assert isinstance(first, Gap) and isinstance(gap, Gap) and isinstance(last, Event)
        assert (gap.since, gap.until > first.until) == (first.until, True)
        assert reason in gap.reason

    run(test)


def test_others_in_the_loop_have_their_turn_between_messages_however_many_wait() -> None:
    async def script(socket: ServerConnection) -> None:
        await answer_request(socket)
        for number in range(200):
            await socket.send(json.dumps({"type": "trades", "data": [trade(number, datetime.now(UTC))] * 50}))
        await socket.wait_closed()

    async def test() -> None:
        turns = 0

        async def take_turns() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async with (
            scripted(script) as url,
            AsyncHyperoruClient(url, session_token="x") as client,
            aclosing(client.events(("trades",))) as stream,
        ):
            await anext(stream)
            other = asyncio.create_task(take_turns())
            turn_of: dict[int, set[int]] = {}
            for _ in range(10_000):
                item = await anext(stream)
                assert isinstance(item, Event)
                turn_of.setdefault(turns, set()).add(item.data["trade_id"])
            other.cancel()
        assert max(map(len, turn_of.values())) == 1

    run(test)


def test_a_gap_begins_at_the_latest_event_and_says_why_it_is_there() -> None:
    sockets = itertools.count()
    first_gap: asyncio.Queue[Gap] = asyncio.Queue()
    latest = timedelta(microseconds=2)

    async def script(socket: ServerConnection) -> None:
        await answer_request(socket)
        if next(sockets):
            return await socket.wait_closed()
        begun = (await first_gap.get()).until
        for *times, last in ([latest / 2, latest, latest / 2], [timedelta(hours=-1)]):
            rows = [trade(1, begun + offset) for offset in (*times, last)]
            await socket.send(json.dumps({"type": "trades", "data": rows}))
        await socket.close(1011, "restart")

    async def test() -> None:
        async with (
            scripted(script) as url,
            AsyncHyperoruClient(url, session_token="x", retry_policy=FAST) as client,
            aclosing(client.events(("trades",))) as events,
        ):
            first = await anext(events)
            assert isinstance(first, Gap) and first.since is None and "begins here" in first.reason
            first_gap.put_nowait(first)
            *_, second = [await anext(events) for _ in range(5)]
        assert isinstance(second, Gap)
        assert second.since == first.until + latest
        assert "closed" in second.reason and "restart" in second.reason

    run(test)


@pytest.mark.parametrize(("code", "error"), [(4401, HyperoruAuthenticationError), (1011, HyperoruNetworkError)])
def test_a_socket_that_is_closed_with_the_token_brings_it_into_no_log_or_error(
    code: int, error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    async def script(socket: ServerConnection) -> None:
        await socket.close(code, f"what about {TOKEN} and {quote_plus(TOKEN)}?")

    async def test() -> None:
        async with scripted(script) as url, AsyncHyperoruClient(url, session_token=TOKEN, retry_policy=FAST) as client:
            with pytest.raises(error) as caught:
                await anext(client.events(("trades",), give_up_after=0.0))
        described = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        told = "".join(described.format()) + caplog.text
        assert "what about *** and ***?" in str(caught.value) and "/ws" in str(caught.value)
        assert not seen_in(told)

    run(test)


def test_a_wrong_proxy_is_an_error_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://user:hidden@proxy.example:3128/path")

    async def test() -> None:
        async with AsyncHyperoruClient("http://service.example", session_token="a-token", retry_policy=FAST) as client:
            with pytest.raises(HyperoruConfigError, match="environment's proxy: correct its address") as caught:
                await anext(client.events(("trades",), give_up_after=0.0))
        assert "hidden" not in "".join(traceback.format_exception(caught.value))

    run(test)


@pytest.mark.parametrize("answers", ["a request", "none"])
def test_a_message_that_repeats_the_token_brings_it_into_no_log_or_error(
    answers: str, caplog: pytest.LogCaptureFixture
) -> None:
    token = "secret-token-abcdefghijklmnop"

    async def script(socket: ServerConnection) -> None:
        request = json.loads(await socket.recv())
        data = {"code": token, "message": "." * 280 + token}
        if answers == "none":
            data["message"] = token
            await socket.send(json.dumps({**request, "type": "subscribed"}))
        await socket.send(
            json.dumps(
                {"type": "error", "request_id": request["request_id"] if answers == "a request" else None, "data": data}
            )
        )
        await socket.send(json.dumps({"type": "trades", "data": trade(1, datetime.now(UTC))}))
        await socket.wait_closed()

    async def test() -> None:
        async with (
            scripted(script) as url,
            AsyncHyperoruClient(url, session_token=token) as client,
            aclosing(client.events(("trades",))) as events,
        ):
            if answers == "a request":
                with pytest.raises(HyperoruContractError) as caught:
                    await anext(events)
                told.append(str(caught.value))
            else:
                await anext(events)
                assert isinstance(await anext(events), Event)  # after the message
                told.append(caplog.text)

    told: list[str] = []
    run(test)
    assert "***" in told[0]
    assert "secret-token" not in told[0]

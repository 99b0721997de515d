"""What a connection does in silence, by a socket that a test holds in its hands and a clock that jumps."""

from __future__ import annotations

import asyncio
import selectors
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar, cast

import pytest
import time_machine
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosedError

from hyperoru_provider.client.errors import HyperoruNetworkError
from hyperoru_provider.client.stream.connection import Connection, Pong

T = TypeVar("T")


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(JumpingSelector(self))

    def time(self) -> float:
        return self.now


class JumpingSelector(selectors.SelectSelector):
    def __init__(self, loop: JumpingLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._loop.now += timeout or 0.0
        return super().select(0)


class Socket:
    """A WebSocket as the library has it: messages that wait to be read, and pings that are answered or not."""

    def __init__(self, *, answers_pings: bool = True) -> None:
        self.pings: list[float] = []
        self._answers_pings = answers_pings
        self._messages: deque[str] = deque()
        self._pongs: list[asyncio.Future[float]] = []
        self._closed = False
        self._changed = asyncio.Event()

    def tell(self, *messages: str) -> None:
        self._messages.extend(messages)
        self._changed.set()

    def pong(self) -> None:
        self._pongs.pop().set_result(0.0)

    def fail_pings(self) -> None:
        while self._pongs:
            self._pongs.pop().set_exception(ConnectionClosedError(None, None))

    def close(self) -> None:
        self.fail_pings()
        self._closed = True
        self._changed.set()

    async def recv(self) -> str:
        while not self._messages:
            if self._closed:
                raise ConnectionClosedError(None, None)
            self._changed.clear()
            await self._changed.wait()
        return self._messages.popleft()

    async def ping(self) -> asyncio.Future[float]:
        loop = asyncio.get_running_loop()
        pong: asyncio.Future[float] = loop.create_future()
        self.pings.append(loop.time())
        self._pongs.append(pong)
        if self._answers_pings:
            self.pong()
        return pong


def run(test: Callable[[], Awaitable[T]]) -> tuple[T, float]:
    """Run a test by the jumping clock; return its result and the seconds that it took."""
    loop = JumpingLoop()

    async def bounded() -> T:
        async with asyncio.timeout(3600):
            return await test()

    try:
        return loop.run_until_complete(bounded()), loop.now
    finally:
        loop.close()


def connect(socket: Socket, timeout: float = 60.0) -> Connection:
    return Connection(cast("ClientConnection", socket), timeout, secrets=())


def later(seconds: float, action: Callable[..., Any], *arguments: Any) -> None:
    asyncio.get_running_loop().call_later(seconds, action, *arguments)


def test_a_server_that_talks_is_not_pinged() -> None:
    async def test() -> list[float]:
        socket = Socket()
        connection = connect(socket)
        for number in range(10):
            later(19.0, socket.tell, str(number))
            assert await connection.receive_or_ping() == str(number)
        return socket.pings

    assert run(test) == ([], 190)


def test_a_silent_server_that_answers_pings_is_alive() -> None:
    async def test() -> list[float]:
        socket = Socket()
        connection = connect(socket)
        before = datetime.now(UTC)
        for _ in range(3):
            pong = await connection.receive_or_ping()
            assert isinstance(pong, Pong) and before <= pong.asked_at <= datetime.now(UTC)
        return socket.pings

    assert run(test)[0] == [20, 40, 60]


@pytest.mark.parametrize(("timeout", "silence"), [(60.0, 30.0), (15.0, 25.0), (0.5, 1.0)])
def test_a_server_that_answers_no_ping_is_dead(timeout: float, silence: float) -> None:
    async def test() -> None:
        connection = connect(Socket(answers_pings=False), timeout)
        with pytest.raises(HyperoruNetworkError, match=f"Nothing was received for {silence:g} s, not even a pong"):
            await connection.receive_or_ping()

    assert run(test)[1] == silence


def test_a_message_is_a_sign_of_life_too_and_none_is_lost() -> None:
    async def test() -> list[Any]:
        socket = Socket(answers_pings=False)
        connection = connect(socket)
        later(25.0, socket.tell, "one", "two")
        return [await connection.receive_or_ping() for _ in range(2)]

    assert run(test) == (["one", "two"], 25)


@pytest.mark.parametrize("pong_first", [True, False])
def test_a_message_that_comes_with_the_pong_is_not_lost(pong_first: bool) -> None:
    async def test() -> list[Any]:
        socket = Socket(answers_pings=False)
        connection = connect(socket)
        together: list[Callable[[], None]] = [socket.pong, partial(socket.tell, "one", "two")]
        for action in together if pong_first else reversed(together):
            later(25.0, action)
        messages: list[Any] = []
        while len(messages) < 2:
            received = await connection.receive_or_ping()
            messages += [] if isinstance(received, Pong) else [received]
        return messages

    assert run(test) == (["one", "two"], 25)


@pytest.mark.parametrize("closed_first", [True, False])
def test_a_socket_that_closes_during_a_ping_gives_what_it_still_holds_first(closed_first: bool) -> None:
    async def test() -> list[Any]:
        socket = Socket(answers_pings=False)
        connection = connect(socket)
        together: list[Callable[[], None]] = [socket.close, partial(socket.tell, "one", "two")]
        for action in together if closed_first else reversed(together):
            later(25.0, action)
        received = [await connection.receive_or_ping() for _ in range(2)]
        with pytest.raises(ConnectionClosedError):
            await connection.receive_or_ping()
        return received

    assert run(test) == (["one", "two"], 25)


def test_a_ping_that_fails_is_no_sign_of_life() -> None:
    async def test() -> str | bytes | Pong:
        socket = Socket(answers_pings=False)
        connection = connect(socket)
        later(25.0, socket.fail_pings)
        later(26.0, socket.tell, "last")
        return await connection.receive_or_ping()

    assert run(test) == ("last", 26)


def test_a_pong_proves_what_came_before_the_ping() -> None:
    async def test() -> str | bytes | Pong:
        socket = Socket(answers_pings=False)
        connection = connect(socket)

        def answer() -> None:
            clock.shift(5)
            socket.pong()

        later(25.0, answer)
        return await connection.receive_or_ping()

    with time_machine.travel(datetime(2026, 1, 15, tzinfo=UTC), tick=False) as clock:
        assert run(test)[0] == Pong(datetime(2026, 1, 15, tzinfo=UTC))


def test_a_consumer_that_takes_its_time_is_not_taken_for_a_dead_server() -> None:
    async def test() -> list[float]:
        socket = Socket(answers_pings=False)
        connection = connect(socket)
        for number in range(5):
            socket.tell(str(number))
            await asyncio.sleep(300)
            assert await connection.receive_or_ping() == str(number)
        return socket.pings

    assert run(test) == ([], 1500)

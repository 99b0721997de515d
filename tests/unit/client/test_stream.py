from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from hyperoru_provider.client import AsyncHyperoruClient
from hyperoru_provider.client.auth import MemoryTokenStore
from hyperoru_provider.client.errors import (
    HyperoruAuthenticationError,
    HyperoruConfigError,
    HyperoruContractError,
    HyperoruNotFoundError,
)
from hyperoru_provider.client.frames import Event, Gap
from hyperoru_provider.client.retry import RetryPolicy
from hyperoru_provider.sandbox import Sandbox

FAST = RetryPolicy(base=0.02, longest=0.1)


class Listener:
    """A client that listens in the background; its items as they come."""

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
        error = listener.task.exception()
        assert error is not None
        return error


def run(test: Callable[[], Awaitable[None]]) -> None:
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

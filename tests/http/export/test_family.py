"""The client and exports against the sandbox's family dialect, by a contract that was written by hand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from hyperoru_provider.client import AsyncHyperoruClient, Event, Gap, HyperoruClient
from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.http.retry import RetryPolicy
from hyperoru_provider.export.destinations.storage import StorageDestination
from hyperoru_provider.export.run import export_list
from hyperoru_provider.params.window import Window
from hyperoru_provider.sandbox import Sandbox
from tests.family import CONTRACT, family_client

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
RECENT = Window(NOW - timedelta(days=1), NOW)
OLD = Window(NOW - timedelta(days=40), NOW - timedelta(days=39))


@pytest.fixture(scope="module")
def family() -> Iterator[Sandbox]:
    with Sandbox(dialect="family") as running:
        yield running


@pytest.fixture
def client(family: Sandbox) -> Iterator[HyperoruClient]:
    with family_client(family) as client:
        yield client


def export(client: HyperoruClient, window: Window, where: Path, **filters: Any) -> list[str]:
    destination = StorageDestination(UPath(where), "jsonl", "none")
    summary = export_list(client, "trades", window, filters, destination)
    lines = [line for file in sorted(where.rglob("part-*")) for line in file.read_text().splitlines()]
    assert summary["rows"] == len(lines)
    return lines


def test_calls_that_are_no_lists(family: Sandbox, client: HyperoruClient) -> None:
    assert client.health().healthy
    assert client.profile().username == family.username
    assert [trader.id for trader in client.list_traders()] == [1, 2, 3, 4, 5]
    assert client.price("BTC").price > 0
    hourly = next(each for each in client.kline_coverage() if (each.symbol, each.interval) == ("BTC", "1h"))
    assert hourly.earliest and hourly.latest and hourly.total_candles
    assert (hourly.latest - hourly.earliest) / timedelta(hours=1) == hourly.total_candles - 1
    assert client.backfill_jobs() == []


@pytest.mark.parametrize("account_id", [None, 2])
def test_trades_of_a_recent_window_are_those_of_the_server_to_the_last_digit(
    family: Sandbox, client: HyperoruClient, tmp_path: Path, account_id: int | None
) -> None:
    window = (RECENT.start.isoformat(), RECENT.end.isoformat())
    true = family.rows("trades", *window, account_id=account_id)
    assert true
    assert sorted(export(client, RECENT, tmp_path, account_id=account_id)) == sorted(true)


def test_an_old_window_can_not_be_proved(client: HyperoruClient, tmp_path: Path) -> None:
    with pytest.raises(HyperoruContractError, match="reaches back to before the window"):
        export(client, OLD, tmp_path)
    assert not list(tmp_path.rglob("_manifest.json"))


def test_a_cap_does_not_make_an_old_window_believed(family: Sandbox, tmp_path: Path) -> None:
    """The server merges rows after its limit, so an answer of fewer rows than that is not the whole list."""
    trades = {**CONTRACT["trades"], "cap": 500}
    with family_client(family, trades=trades) as client:
        with pytest.raises(HyperoruContractError, match="drops or merges rows after applying it"):
            export(client, OLD, tmp_path)
        assert export(client, OLD, tmp_path, account_id=5) == []  # who has never traded


def test_the_default_of_the_switch_hides_everything(family: Sandbox, tmp_path: Path) -> None:
    trades = {name: value for name, value in CONTRACT["trades"].items() if name != "query"}
    with family_client(family, trades=trades) as client, pytest.raises(HyperoruContractError):
        export(client, RECENT, tmp_path)


async def events(client: AsyncHyperoruClient, *channels: str) -> AsyncIterator[Event]:
    """Yield the events, without the first gap; a further gap is a failure."""
    async with aclosing(client.events(channels)) as items:
        assert isinstance(await anext(items), Gap)
        yield Event("begin", {}, None, None, None, None, NOW)
        async for item in items:
            assert isinstance(item, Event), item
            yield item


def stream_client(sandbox: Sandbox, contract: Any = CONTRACT) -> AsyncHyperoruClient:
    return AsyncHyperoruClient(
        sandbox.url,
        email=sandbox.username,
        password=sandbox.password,
        contract=contract,
        retry_policy=RetryPolicy(initial_delay=0.05, max_delay=0.1),
    )


@pytest.mark.timeout(30)
def test_the_trades_of_the_stream_are_those_of_the_list(caplog: pytest.LogCaptureFixture) -> None:
    async def listen(sandbox: Sandbox) -> list[Event]:
        found: list[Event] = []
        async with stream_client(sandbox) as client, aclosing(events(client, "trades")) as items:  # type: ignore[type-var]
            async for item in items:
                if item.channel == "begin":
                    while not sandbox.stats()["sockets"]["messages"]:
                        await asyncio.sleep(0.01)  # the server confirms nothing
                    made.extend(sandbox.trade(20))
                    continue
                found.append(item)
                if len(found) == len(made):
                    return found
        raise AssertionError("the stream ended")

    made: list[dict[str, Any]] = []
    with Sandbox(dialect="family") as sandbox:
        found = asyncio.run(listen(sandbox))
        window = (NOW.isoformat(), (NOW + timedelta(days=1)).isoformat())
        listed = {row["trade_id"]: row for row in sandbox.trades(*window)}
    for event in found:
        row = listed[event.data["trade_id"]]
        sent = {
            name: float(value) if type(value).__name__ == "Decimal" else value for name, value in event.data.items()
        }
        assert sent == row
        assert (event.channel, event.account_id, event.symbol) == ("trades", row["account_id"], row["symbol"])
        assert event.time == datetime.fromisoformat(row["trade_time"]).replace(tzinfo=UTC)
    assert [event.data["trade_id"] for event in found] == [row["trade_id"] for row in made]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING], (
        "events of other channels are no surprise"
    )


@pytest.mark.timeout(30)
def test_the_other_channels_of_the_stream() -> None:
    wanted = {"positions", "model_chat", "asset_curve"}

    async def listen(sandbox: Sandbox) -> dict[str, Event]:
        found: dict[str, Event] = {}
        async with stream_client(sandbox) as client, aclosing(events(client, *wanted)) as items:  # type: ignore[type-var]
            async for item in items:
                found[item.channel] = item
                if wanted <= set(found):
                    return found
        raise AssertionError("the stream ended")

    with Sandbox(dialect="family", asset_curve_seconds=0.2, pace=50) as sandbox:
        found = asyncio.run(listen(sandbox))
    assert "total_assets" in found["asset_curve"].data and found["asset_curve"].account_id
    assert "size" in found["positions"].data and found["positions"].notional is not None
    assert found["model_chat"].side in ("buy", "sell", "close")


@pytest.mark.timeout(30)
def test_a_subscription_without_a_user_ends_in_an_error_that_names_the_override() -> None:
    async def listen(sandbox: Sandbox) -> None:
        async with stream_client(sandbox, {"login": {"identity": "username"}}) as client:
            async for item in client.events(["trades"]):
                raise AssertionError(item)

    with Sandbox(dialect="family") as sandbox, pytest.raises(HyperoruContractError, match="user_id"):
        asyncio.run(listen(sandbox))

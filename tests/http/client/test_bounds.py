"""What a server may cost: bytes, unpacked bytes, and time. None of it is without an end."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
import zstandard

from hyperoru_provider.client import (
    AsyncHyperoruClient,
    HyperoruAuthenticationError,
    HyperoruClient,
    HyperoruContractError,
    HyperoruNetworkError,
    HyperoruServerError,
)
from hyperoru_provider.client.http.library import httpx
from hyperoru_provider.client.http.retry import RetryPolicy
from hyperoru_provider.client.lists.page import Page
from hyperoru_provider.client.lists.rows import Rows
from hyperoru_provider.client.lists.window_reader import WindowReader
from tests.raw_server import Wire, raw_server

ONCE = RetryPolicy(max_retries=0)
LIMIT = 100_000
HEALTHY = json.dumps({"status": "healthy"}).encode()

Ask = Callable[..., Any]


def sync_ask(url: str, method: str = "profile", **options: Any) -> Any:
    with HyperoruClient(url, **defaults(options)) as client:
        return getattr(client, method)()


def async_ask(url: str, method: str = "profile", **options: Any) -> Any:
    async def run() -> Any:
        async with AsyncHyperoruClient(url, **defaults(options)) as client:
            return await getattr(client, method)()

    return asyncio.run(run())


def defaults(options: dict[str, Any]) -> dict[str, Any]:
    token = {} if "password" in options else {"session_token": "a-token"}
    return {"retry_policy": ONCE, "max_answer_bytes": LIMIT, "timeout": 5.0} | token | options


both = pytest.mark.parametrize("ask", [sync_ask, async_ask])


def endless(wire: Wire, request: str) -> None:
    wire.head(Transfer_Encoding="chunked")
    while True:
        wire.chunk(b" " * 10_000)


@both
def test_a_body_without_an_end_is_left_after_so_many_bytes(ask: Ask) -> None:
    with raw_server(endless) as server:
        with pytest.raises(HyperoruContractError, match=r"more than 100,000 bytes.*max_answer_bytes"):
            ask(server.url)
        assert server.wires[0].done.wait(10)
        assert server.wires[0].sent < 20_000_000  # what the sockets' buffers took
    assert len(server.requests) == 1


@both
def test_a_body_that_is_announced_as_too_long_is_not_read(ask: Ask) -> None:
    with (
        raw_server(lambda wire, _: wire.head(Content_Length="4000000000")) as server,
        pytest.raises(HyperoruContractError, match="more than 100,000 bytes"),
    ):
        ask(server.url)


def packed(name: str) -> bytes:
    plain = b" " * 100_000_000
    if name == "gzip":
        return gzip.compress(plain)
    if name == "zstd":
        return zstandard.compress(plain)
    if name == "gzip, gzip":
        return gzip.compress(gzip.compress(plain))
    packer = zlib.compressobj(wbits=-15 if name == "raw" else 15)
    return packer.compress(plain) + packer.flush()


@both
@pytest.mark.parametrize("name", ["gzip", "deflate", "raw", "gzip, gzip", "zstd"])
def test_a_body_that_unpacks_to_too_much_is_an_error(ask: Ask, name: str) -> None:
    body = packed(name)
    encoding = "deflate" if name == "raw" else name
    with (
        raw_server(lambda wire, _: wire.answer(body, Content_Encoding=encoding)) as server,
        pytest.raises(HyperoruContractError, match=r"more than 200,000 bytes when decompressed|is compressed with"),
    ):
        ask(server.url, max_answer_bytes=200_000)


@pytest.mark.parametrize("name", ["gzip", "raw"])
def test_a_body_that_unpacks_to_too_much_takes_no_more_memory_than_its_bound(name: str) -> None:
    body, bound = packed(name), 30_000_000
    encoding = "deflate" if name == "raw" else name
    with raw_server(lambda wire, _: wire.answer(body, Content_Encoding=encoding)) as server:
        tracemalloc.start()
        try:
            with pytest.raises(HyperoruContractError, match="when decompressed"):
                sync_ask(server.url, max_answer_bytes=bound)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert bound < peak < 1.3 * bound


@both
@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate", "raw", "identity", "GZIP", ""])
def test_a_body_may_be_packed(ask: Ask, encoding: str) -> None:
    raw = zlib.compressobj(wbits=-15)
    body = {
        "deflate": zlib.compress(HEALTHY),
        "raw": raw.compress(HEALTHY) + raw.flush(),
        "identity": HEALTHY,
        "": HEALTHY,
    }.get(encoding, gzip.compress(HEALTHY))
    headers = {"Content_Encoding": encoding.replace("raw", "deflate")} if encoding else {}
    with raw_server(lambda wire, _: wire.answer(body, **headers)) as server:
        assert ask(server.url, "health").healthy


@both
@pytest.mark.parametrize("encoding", ["", "utf-8", "none", "aws-chunked", "identity, identity"])
def test_a_word_that_is_no_packing_is_passed_over(ask: Ask, encoding: str) -> None:
    with raw_server(lambda wire, _: wire.answer(HEALTHY, Content_Encoding=encoding)) as server:
        assert ask(server.url, "health").healthy
    body = gzip.compress(HEALTHY)
    with raw_server(lambda wire, _: wire.answer(body, Content_Encoding=f"gzip, {encoding}")) as server:
        assert ask(server.url, "health").healthy


@both
@pytest.mark.parametrize("body", [gzip.compress(HEALTHY)[:-12], b"no gzip at all"])
def test_a_packed_body_that_is_damaged_is_a_failure_of_the_network(ask: Ask, body: bytes) -> None:
    with (
        raw_server(lambda wire, _: wire.answer(body, Content_Encoding="gzip")) as server,
        pytest.raises(HyperoruNetworkError, match="compress"),
    ):
        ask(server.url, "health")


@both
@pytest.mark.parametrize(
    "headers", [{"Transfer_Encoding": "chunked"}, {"Content_Length": "9" * 15}, {"Content_Encoding": "gzip"}]
)
def test_the_body_of_an_error_changes_nothing_of_what_its_status_means(ask: Ask, headers: dict[str, str]) -> None:
    def script(wire: Wire, request: str) -> None:
        wire.head("503 Service Unavailable", **headers)
        while True:
            wire.chunk(b"busy " * 10_000) if "Transfer_Encoding" in headers else wire.write(b"busy " * 10_000)

    with raw_server(script) as server, pytest.raises(HyperoruServerError):
        ask(server.url)


@both
def test_the_answer_to_a_login_has_bounds_too(ask: Ask) -> None:
    with raw_server(endless) as server, pytest.raises(HyperoruContractError, match="more than 100,000 bytes"):
        ask(server.url, email="me", password="pw-12345", token_stores=())
    assert [line.split()[1] for line in server.requests] == ["/api/users/login"]


@both
def test_a_refusal_without_an_end_still_costs_one_login(ask: Ask) -> None:
    tokens = count(1)

    def script(wire: Wire, request: str) -> None:
        if "login" in request:
            wire.answer({"session_token": f"tok-{next(tokens)}"})
        else:
            wire.head("401 Unauthorized", Transfer_Encoding="chunked")
            while True:
                wire.chunk(b"no " * 10_000)

    with raw_server(script) as server, pytest.raises(HyperoruAuthenticationError):
        ask(server.url, email="me", password="pw-12345", token_stores=())
    assert sum("login" in line for line in server.requests) == 2


def drips(where: str) -> Callable[[Wire, str], None]:
    def script(wire: Wire, request: str) -> None:
        if where == "body":
            wire.head(Content_Length="1000000")
        else:
            wire.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        for _ in range(200):  # for twenty seconds
            wire.write(b" ")
            time.sleep(0.1)

    return script


@both
@pytest.mark.parametrize("where", ["head", "body"])
def test_an_answer_that_drips_has_to_end(ask: Ask, where: str) -> None:
    with raw_server(drips(where)) as server:
        with pytest.raises(
            HyperoruNetworkError, match=r"No complete answer .* after .* s, .* raise max_answer_seconds"
        ):
            ask(server.url, max_answer_bytes=10**7, max_answer_seconds=0.5)
        assert server.wires[0].sent < 150


def test_the_body_that_drips_has_to_end_through_an_http_client_of_another() -> None:
    with raw_server(drips("body")) as server, httpx.Client() as http:
        with pytest.raises(HyperoruNetworkError, match="max_answer_seconds"):
            sync_ask(server.url, http_client=http, max_answer_bytes=10**7, max_answer_seconds=0.5)
        assert server.wires[0].sent < 150


@both
def test_a_body_packed_in_several_pieces_is_not_read_in_part(ask: Ask) -> None:
    body = gzip.compress(b"{}") + gzip.compress(b'{"id": 1}')
    with (
        raw_server(lambda wire, _: wire.answer(body, Content_Encoding="gzip")) as server,
        pytest.raises(HyperoruContractError, match="several compressed pieces"),
    ):
        ask(server.url)


class Noting(WindowReader):
    """Notes which threads read pages."""

    threads: set[threading.Thread]

    def accept(self, page: Page) -> Rows:
        self.threads.add(threading.current_thread())
        return super().accept(page)


@pytest.mark.parametrize(("padding", "off_the_loop"), [(0, False), (2_000_000, True)])
def test_a_large_answer_is_read_off_the_loop(padding: int, off_the_loop: bool) -> None:
    row = {"trade_id": 1, "account_id": 1, "trade_time": "2026-03-01T00:00:00Z", "note": "x" * padding}

    async def run(url: str) -> set[threading.Thread]:
        async with AsyncHyperoruClient(url, session_token="a-token", retry_policy=ONCE) as client:
            reader = client.list_reader("trades", "2026-03-01", "2026-03-02")
            reader.__class__ = Noting
            assert isinstance(reader, Noting)
            reader.threads = set()
            await client.read_page(reader, reader.query() or {})
            return reader.threads

    with raw_server(lambda wire, _: wire.answer({"trades": [row], "total": 1, "has_more": False})) as server:
        threads = asyncio.run(run(server.url))
    assert (threads != {threading.main_thread()}) is off_the_loop

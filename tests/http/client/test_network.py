"""The way to the server: proxies and certificates of the environment, the same for requests and for the stream."""

from __future__ import annotations

import asyncio
import socketserver
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hyperoru_provider.client import (
    AsyncHyperoruClient,
    Backfill,
    HyperoruBadRequestError,
    HyperoruClient,
    HyperoruConfigError,
    HyperoruConnectError,
)
from tests.conftest import FAST
from tests.raw_server import serving

WANTED = Backfill("BTC", "1h", datetime(2026, 1, 15, tzinfo=UTC), datetime(2026, 1, 16, tzinfo=UTC))
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")

Ask = Callable[[str], Any]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class Proxy:
    """Answers each request with the same status, and remembers the first line of each."""

    def __init__(self, status: str) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                asked.append(self.rfile.readline().decode().strip())
                while self.rfile.readline().strip():
                    pass
                self.wfile.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://user:hidden@127.0.0.1:{self.server.server_address[1]}"


@contextmanager
def proxy_that_answers(status: str) -> Iterator[Proxy]:
    proxy = Proxy(status)
    with serving(proxy.server):
        yield proxy


def request(url: str) -> Any:
    with HyperoruClient(url, session_token="a-token", retry_policy=FAST) as client:
        return client.profile()


def async_request(url: str) -> Any:
    async def run() -> Any:
        async with AsyncHyperoruClient(url, session_token="a-token", retry_policy=FAST) as client:
            return await client.profile()

    return asyncio.run(run())


def stream(url: str) -> Any:
    async def run() -> Any:
        async with AsyncHyperoruClient(url, session_token="a-token", retry_policy=FAST) as client:
            return await anext(client.events(("trades",), give_up_after=0.0))

    return asyncio.run(run())


def backfill(url: str) -> Any:
    with HyperoruClient(url, session_token="a-token", retry_policy=FAST) as client:
        return client.backfill_klines(WANTED)


@pytest.mark.parametrize("ask", [request, async_request, stream, backfill])
@pytest.mark.parametrize("status", ["407 Proxy Authentication Required", "403 Forbidden"])
def test_a_tunnel_that_a_proxy_refuses_is_asked_for_once(
    ask: Ask, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy_that_answers(status) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        with pytest.raises(HyperoruBadRequestError, match=f"The proxy refused .* {status}.*HTTPS_PROXY") as caught:
            ask("https://service.example")
    assert [line.split()[0] for line in proxy.asked] == ["CONNECT"]
    assert "hidden" not in str(caught.value)


def test_a_407_of_a_proxy_without_a_tunnel_names_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy_that_answers("407 Proxy Authentication Required") as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        with pytest.raises(HyperoruBadRequestError, match=r"The proxy refused .* 407.*HTTP_PROXY"):
            backfill("http://service.example")
    assert len(proxy.asked) == 1


def test_a_write_that_a_proxy_could_not_pass_on_for_now_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy_that_answers("503 Unavailable") as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        with pytest.raises(HyperoruConnectError, match=r"The proxy refused .* 503"):
            backfill("https://service.example")
    assert len(proxy.asked) == 1 + FAST.max_retries


@pytest.mark.parametrize("ask", [request, async_request, stream])
@pytest.mark.parametrize(
    ("environment", "url", "used"),
    [
        ({"https_proxy": "proxy"}, "http://127.0.0.1:9", False),
        ({"http_proxy": "proxy"}, "http://127.0.0.1:9", True),
        ({"http_proxy": "proxy"}, "https://127.0.0.1:9", False),
        ({"https_proxy": "proxy"}, "https://127.0.0.1:9", True),
        ({"all_proxy": "proxy"}, "http://127.0.0.1:9", True),
        ({"all_proxy": "proxy"}, "https://[::1]:9", True),
        ({"http_proxy": "proxy", "no_proxy": "localhost,127.0.0.1"}, "http://127.0.0.1:9", False),
        ({"http_proxy": "proxy", "no_proxy": "127.0.0.1:9"}, "http://127.0.0.1:9", False),
        ({"http_proxy": "proxy", "no_proxy": "127.0.0.1:8"}, "http://127.0.0.1:9", True),
        ({"https_proxy": "proxy", "no_proxy": "::1"}, "https://[::1]:9", False),
        ({"all_proxy": "proxy", "no_proxy": "*"}, "http://127.0.0.1:9", False),
        ({"ws_proxy": "proxy", "socks_proxy": "proxy"}, "http://127.0.0.1:9", False),
    ],
)
def test_requests_and_stream_take_the_same_way(
    ask: Ask, environment: dict[str, str], url: str, used: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy_that_answers("407 No") as proxy:
        for name, value in environment.items():
            monkeypatch.setenv(name, proxy.url if value == "proxy" else value)
        with pytest.raises(HyperoruBadRequestError if used else HyperoruConnectError):
            ask(url)
    assert bool(proxy.asked) is used


@pytest.mark.parametrize("address", ["ftp://user:hidden@proxy:1", "http://user:hidden@proxy:port", "socks5://hidden:1"])
def test_a_proxy_that_can_t_be_used_is_named_without_its_password(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", address)
    with pytest.raises(HyperoruConfigError, match=r"proxy .*can't be used") as caught:
        HyperoruClient("https://service.example")
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "can't be read: No such file"), ("", "holds no certificates in PEM"), ("no PEM", "holds no certificates")],
)
@pytest.mark.parametrize("cls", [HyperoruClient, AsyncHyperoruClient])
def test_a_certificate_file_that_can_t_be_used_is_named(
    cls: type, content: str | None, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "authorities.pem"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    with pytest.raises(HyperoruConfigError, match=f"SSL_CERT_FILE names '{file}', which {problem}"):
        cls("https://service.example")


@pytest.mark.parametrize("ask", [request, async_request, stream])
def test_no_answer_names_the_host(ask: Ask) -> None:
    with pytest.raises(HyperoruConnectError, match=r"http://127\.0\.0\.1:9: "):
        ask("http://127.0.0.1:9")

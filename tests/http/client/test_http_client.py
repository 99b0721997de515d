"""An HTTP client or transport of one's own: it stays its owner's, and what is ours still holds."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from hyperoru_provider.client import (
    AsyncHyperoruClient,
    HyperoruClient,
    HyperoruConfigError,
    HyperoruContractError,
    HyperoruNetworkError,
    HyperoruServerError,
)
from hyperoru_provider.client.http.library import httpx
from hyperoru_provider.sandbox import Sandbox
from tests.conftest import FAST

URL = "https://x.example/api-root"


class Server:
    """Gives some answers first, then those of the service, and remembers what it was asked."""

    def __init__(self, *first: httpx.Response) -> None:
        self.requests: list[httpx.Request] = []
        self._first = list(first)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self._first:
            return self._first.pop(0)
        if request.url.path.endswith("/login"):
            return httpx.Response(200, json={"session_token": "tok-1"})
        return httpx.Response(200, json={"id": 1, "username": "demo"})


def ask(server: Server, **options: Any) -> HyperoruClient:
    http = httpx.Client(transport=httpx.MockTransport(server), **options)
    return HyperoruClient(URL, "me", "pw-12345", http_client=http, retry_policy=FAST)


def test_both_clients_work_through_another_s_client_and_leave_it_open(sandbox: Sandbox) -> None:
    with httpx.Client() as http:
        with HyperoruClient(sandbox.url, sandbox.email, sandbox.password, http_client=http) as client:
            assert client.profile().email == sandbox.email
        assert client.closed
        assert not http.is_closed
        assert http.get(f"{sandbox.url}/api/health").status_code == 200

    async def run() -> None:
        async with httpx.AsyncClient() as http:
            async with AsyncHyperoruClient(sandbox.url, sandbox.email, sandbox.password, http_client=http) as client:
                assert (await client.profile()).email == sandbox.email
            assert not http.is_closed
            assert (await http.get(f"{sandbox.url}/api/health")).status_code == 200

    asyncio.run(run())


def test_its_timeout_holds_and_not_ours(sandbox: Sandbox) -> None:
    sandbox.set_faults(latency=1)
    with (
        httpx.Client(timeout=0.05) as http,
        HyperoruClient(sandbox.url, timeout=30, http_client=http) as client,
        pytest.raises(HyperoruNetworkError, match="ReadTimeout"),
    ):
        client.health()


def test_its_headers_are_sent_with_the_login_and_with_every_call() -> None:
    server = Server()
    ask(server, headers={"X-Gateway": "key-1", "User-Agent": "mine"}, params={"tenant": "a"}).profile()
    assert [request.url.path for request in server.requests] == [
        "/api-root/api/users/login",
        "/api-root/api/users/profile",
    ]
    for request in server.requests:
        assert (request.headers["X-Gateway"], request.headers["User-Agent"]) == ("key-1", "mine")
        assert request.url.params["tenant"] == "a"
    assert json.loads(server.requests[0].content) == {"username": "me", "password": "pw-12345"}


def test_the_session_is_ours_and_not_its() -> None:
    server = Server()
    ask(server, auth=("somebody", "else"), base_url="https://elsewhere.example").profile()
    login, profile = server.requests
    assert "Authorization" not in login.headers
    assert profile.headers["Authorization"] == "Bearer tok-1"
    assert {request.url.host for request in server.requests} == {"x.example"}


def test_failures_are_repeated() -> None:
    server = Server(httpx.Response(503), httpx.Response(429, headers={"Retry-After": "0"}))
    ask(server).profile()
    assert len(server.requests) == 4


def test_a_token_is_refused_and_replaced() -> None:
    server = Server(httpx.Response(200, json={"session_token": "old"}), httpx.Response(401))
    ask(server).profile()
    assert [request.url.path.rpartition("/")[2] for request in server.requests] == ["login", "profile"] * 2
    assert server.requests[-1].headers["Authorization"] == "Bearer tok-1"


def test_secrets_that_are_echoed_do_not_show() -> None:
    client = ask(Server(httpx.Response(200, json={"session_token": "tok-1"}), *[httpx.Response(503, text="tok-1")] * 9))
    with pytest.raises(HyperoruServerError) as caught:
        client.profile()
    assert "tok-1" not in f"{caught.value} {client!r}"
    assert "***" in str(caught.value)


@pytest.mark.parametrize("at", ["login", "profile"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_leads_a_token_or_a_password_away(at: str, status: int) -> None:
    away = httpx.Response(status, headers={"Location": "https://evil.example/"})
    server = Server(*([] if at == "login" else [httpx.Response(200, json={"session_token": "tok-1"})]), away)
    with pytest.raises(HyperoruContractError, match=r"redirects \(to https://evil.example/\)"):
        ask(server, follow_redirects=True).profile()
    assert {request.url.host for request in server.requests} == {"x.example"}


def test_nor_for_asyncio() -> None:
    server = Server(*[httpx.Response(307, headers={"Location": "https://evil.example/"}) for _ in range(2)])

    async def run() -> None:
        http = httpx.AsyncClient(transport=httpx.MockTransport(server), follow_redirects=True)
        async with http, AsyncHyperoruClient(URL, "me", "pw-12345", http_client=http) as client:
            for call in (client.login, client.health):
                with pytest.raises(HyperoruContractError, match="redirects"):
                    await call()

    asyncio.run(run())
    assert [request.url.host for request in server.requests] == ["x.example"] * 2


class Closing(httpx.MockTransport):
    closed = False

    def close(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True


def test_a_transport_is_closed_with_the_client_that_it_was_given_to() -> None:
    server = Server()
    transport = Closing(server)
    with HyperoruClient(URL, session_token="tok-1", transport=transport) as client:
        assert client.profile().username == "demo"
        assert not transport.closed
    assert transport.closed
    assert server.requests[0].headers["User-Agent"].startswith("airflow-provider-hyperoru/")


def test_so_it_is_for_asyncio() -> None:
    transport = Closing(Server())

    async def run() -> None:
        async with AsyncHyperoruClient(URL, session_token="tok-1", transport=transport) as client:
            assert (await client.profile()).username == "demo"

    asyncio.run(run())
    assert transport.closed


def test_only_one_of_them_can_be_given() -> None:
    transport = httpx.MockTransport(Server())
    with httpx.Client() as http, pytest.raises(HyperoruConfigError, match="Pass either http_client, or transport"):
        HyperoruClient(URL, http_client=http, transport=transport)

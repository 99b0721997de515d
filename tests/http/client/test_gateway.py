"""What a gateway, or a server of another build, wants to see in each request: headers, constants, a token's place."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hyperoru_provider.client import (
    AsyncHyperoruClient,
    HyperoruBadRequestError,
    HyperoruClient,
    HyperoruConfigError,
    HyperoruError,
    HyperoruServerError,
)
from hyperoru_provider.client.http.library import httpcore, httpx
from hyperoru_provider.sandbox import Sandbox
from tests.certificates import self_signed
from tests.conftest import FAST
from tests.raw_server import raw_server, serving

TOKEN = "a-token-of-some-length"
SECRET = "gateway-secret-5f3a"
START = datetime(2026, 1, 15, tzinfo=UTC)

Ask = Callable[..., Any]


def sync_ask(url: str, **options: Any) -> Any:
    with HyperoruClient(url, **{"session_token": TOKEN, "retry_policy": FAST, **options}) as client:
        return client.profile()


def async_ask(url: str, **options: Any) -> Any:
    async def run() -> Any:
        async with AsyncHyperoruClient(url, **{"session_token": TOKEN, "retry_policy": FAST, **options}) as client:
            return await client.profile()

    return asyncio.run(run())


both = pytest.mark.parametrize("ask", [sync_ask, async_ask])


class Seen:
    """A server that answers a profile, or an error that repeats all that it was asked.

    :param status: of each answer.
    """

    def __init__(self, status: int = 200) -> None:
        self.lines: list[str] = []
        self.headers: list[dict[str, str]] = []
        seen = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                seen.lines.append(self.requestline)
                seen.headers.append({name.lower(): value for name, value in self.headers.items()})
                told = f"{self.requestline} {self.headers}"
                body = json.dumps({"id": 1} if status == 200 else {"message": told}).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@contextmanager
def gateway(status: int = 200) -> Iterator[Seen]:
    seen = Seen(status)
    with serving(seen.server):
        yield seen


@both
def test_headers_are_sent_with_every_request_the_login_too(ask: Ask) -> None:
    with gateway() as seen:
        ask(seen.url, headers={"X-Api-Key": SECRET})
        with pytest.raises(HyperoruError):  # its login answers no token
            ask(seen.url, headers={"X-Api-Key": SECRET}, session_token=None, email="me", password="pw-of-mine")
    assert [line.split()[1] for line in seen.lines] == ["/api/users/profile", "/api/users/login"]
    assert [headers["x-api-key"] for headers in seen.headers] == [SECRET, SECRET]
    assert seen.headers[0]["authorization"] == f"Bearer {TOKEN}"


def test_headers_are_sent_with_the_handshake_of_the_stream() -> None:
    async def run(url: str) -> None:
        async with AsyncHyperoruClient(url, session_token=TOKEN, headers={"X-Api-Key": SECRET}) as client:
            await anext(client.events(("trades",), give_up_after=0.0))

    with gateway(status=403) as seen, pytest.raises(HyperoruError) as caught:
        asyncio.run(run(seen.url))
    assert {headers["x-api-key"] for headers in seen.headers} == {SECRET}
    assert all(headers["user-agent"].startswith("airflow-provider-hyperoru/") for headers in seen.headers)
    assert SECRET not in str(caught.value)


@both
def test_no_header_of_a_gateway_is_shown(ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with gateway(status=500) as seen, pytest.raises(HyperoruServerError) as caught:
        ask(seen.url, headers={"X-Api-Key": SECRET})
    assert "***" in str(caught.value)
    assert SECRET not in str(caught.value) + caplog.text
    assert SECRET not in repr(HyperoruClient(seen.url, headers={"X-Api-Key": SECRET}))


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({"Authorization": "Basic abc"}, "'Authorization' can't be set"),
        ({"X Key": "abc"}, "'X Key' can't be set"),
        ({"X-Key": "a\r\nb: c"}, "value of X-Key"),
        ({"X-Key": ""}, "value of X-Key"),
        ({"X-Key": "\u20ac"}, "value of X-Key"),
    ],
)
def test_a_header_that_can_t_be_sent_is_refused_before_anything_is(headers: dict[str, str], named: str) -> None:
    with pytest.raises(HyperoruConfigError, match=named) as caught:
        HyperoruClient("http://127.0.0.1:9", headers=headers)
    assert not any(value and value in str(caught.value) for value in headers.values())


@pytest.mark.parametrize("options", [{"headers": {"X-Key": "x"}}, {"verify": "/a/file"}])
def test_a_client_of_one_s_own_has_its_own_headers_and_authorities(options: dict[str, Any]) -> None:
    with httpx.Client() as http, pytest.raises(HyperoruConfigError, match="Pass either http_client, or"):
        HyperoruClient(http_client=http, **options)


@both
def test_a_token_goes_where_a_server_insists(ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, httpx.__name__)
    contract = {"profile": {"token_param": "session_token", "query": {"fields": "all of it"}}}
    with gateway() as seen:
        ask(seen.url, contract=contract)
    assert seen.lines == [f"GET /api/users/profile?fields=all+of+it&session_token={TOKEN} HTTP/1.1"] or seen.lines == [
        f"GET /api/users/profile?fields=all%20of%20it&session_token={TOKEN} HTTP/1.1"
    ]
    assert "/api/users/profile" in caplog.text  # httpx logs each address
    assert TOKEN not in caplog.text


@both
@pytest.mark.parametrize("head", ["HTTP/1.1 200 OK\r\nBad Header {}\r\n\r\n", "HTTQ/1.1 {}\r\n\r\n"])
def test_a_head_that_can_t_be_read_is_in_no_log(ask: Ask, head: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with (
        raw_server(lambda wire, _: wire.write(head.format(f"Bearer {TOKEN}").encode())) as server,
        pytest.raises(HyperoruError),
    ):
        ask(server.url)
    assert httpcore.__name__ in {record.name.partition(".")[0] for record in caplog.records}
    assert TOKEN not in caplog.text


def test_lines_of_others_in_the_log_of_httpx_are_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "httpx")

    def tell(_: Any) -> None:
        logging.getLogger("httpx").info("a line of my own")
        logging.getLogger("httpx").info("another, about %s", "me")

    with gateway() as seen, httpx.Client(event_hooks={"request": [tell]}) as http:
        sync_ask(seen.url, http_client=http)
    assert {"a line of my own", "another, about me"} <= {record.getMessage() for record in caplog.records}


@both
def test_a_token_in_an_address_is_in_no_error(ask: Ask) -> None:
    with gateway(status=422) as seen, pytest.raises(HyperoruError) as caught:
        ask(seen.url, contract={"profile": {"token_param": "session_token"}})
    assert TOKEN not in str(caught.value) + repr(caught.value)


def test_a_switch_of_the_contract_shows_the_rows_that_its_default_hides(
    client_of: Callable[..., HyperoruClient],
) -> None:
    with Sandbox(hidden_by_default="trading_mode=mainnet") as sandbox:
        window = (START, START + timedelta(days=1))
        assert not list(client_of(sandbox).iter_trades(*window))
        chosen = client_of(sandbox, contract={"trades": {"query": {"trading_mode": "mainnet"}}})
        shown = list(chosen.iter_trades(*window))
        sandbox.set_faults(hidden_by_default=None)
        assert shown
        assert shown == list(client_of(sandbox).iter_trades(*window))


@both
def test_authorities_of_a_file(ask: Ask, tmp_path: Path) -> None:
    seen, authority = Seen(), self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority)
    seen.server.socket = context.wrap_socket(seen.server.socket, server_side=True)
    url = seen.url.replace("http:", "https:")
    with serving(seen.server):
        ask(url, verify=str(authority))
        with pytest.raises(HyperoruBadRequestError, match="certificate"):
            ask(url)
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate")
    with pytest.raises(HyperoruConfigError, match=r"verify names .*empty\.pem', which holds no certificates"):
        ask(url, verify=str(empty))

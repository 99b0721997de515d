"""Asks a server, within a number of requests, with one contract after another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hyperoru_provider.client import HyperoruClient
from hyperoru_provider.client.http.deadline import LimitedTransport
from hyperoru_provider.client.http.library import httpx
from hyperoru_provider.client.http.network import Network
from hyperoru_provider.client.http.retry import RetryPolicy
from hyperoru_provider.client.http.tokens import Credentials, MemoryTokenStore

#: requests of an examination at most, and further ones for each value that the user has chosen
MOST_REQUESTS, MORE_FOR_A_CHOICE = 120, 60
_TIMEOUT = 10.0


class OutOfRequestsError(Exception):
    """No further request is allowed."""


class Server:
    """A server under examination. Use it as a context manager.

    :param options: the arguments of a client, but for its contract.
    :param most_requests: how many may be sent.
    """

    def __init__(self, options: Mapping[str, Any], most_requests: int = MOST_REQUESTS) -> None:
        probe = HyperoruClient(**options)  # checks the options
        self.base_url = probe.base_url
        probe.close()
        self._transport = _CountingTransport(
            LimitedTransport(**Network(self.base_url, options.get("verify")).options()), most_requests
        )
        self._in_session: HyperoruClient | None = None
        secret = {name: options.get(name) for name in ("password", "session_token")}
        self._credentials = Credentials(
            self.base_url, options.get("email"), **secret, headers=options.get("headers") or {}
        )
        #: who logs in
        self.login = options.get("email") or ""
        self._tokens: list[str] = []
        self._on_token = options.get("on_token")
        self._options = {
            "timeout": _TIMEOUT,
            **options,
            "on_token": self._take_token,
            "token_stores": (MemoryTokenStore(),),
            "retry_policy": RetryPolicy(max_retries=2, initial_delay=0.2, max_delay=2.0),
        }

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be seen in a report: what was given, and the tokens of all logins."""
        return (*self._credentials.secrets, *self._tokens)

    def _take_token(self, token: str) -> None:
        self._tokens.append(token)
        if self._on_token:
            self._on_token(token)

    @property
    def requests(self) -> int:
        """How many were sent."""
        return self._transport.count

    @property
    def left(self) -> int:
        """How many may still be sent."""
        return self._transport.most - self._transport.count

    def client(self, contract: Mapping[str, Any], **options: Any) -> HyperoruClient:
        """Return a client with a contract, on the connections of all of them, and in the session once there is one.

        :param options: in place of those of the server, for a session of its own.
        """
        if self._in_session is not None and not options:
            return self._in_session.with_contract(contract)
        return HyperoruClient(**{**self.options(contract), **options, "transport": self._transport})

    def stay_logged_in(self, client: HyperoruClient) -> None:
        """Let further clients use the session of one that has logged in."""
        self._in_session = client

    def options(self, contract: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a client with a contract, in the session of all of them."""
        return {**self._options, "contract": contract}

    @contextmanager
    def at_most(self, requests: int) -> Iterator[None]:
        """Let no more than so many requests be sent meanwhile.

        :raises OutOfRequestsError: one more is needed.
        """
        before, self._transport.most = self._transport.most, min(self._transport.most, self.requests + requests)
        try:
            yield
        finally:
            self._transport.most = before

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._transport.close()


class _CountingTransport(httpx.BaseTransport):
    def __init__(self, transport: httpx.BaseTransport, most: int) -> None:
        self.count = 0
        self.most = most
        self._inner = transport

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.count >= self.most:
            raise OutOfRequestsError
        self.count += 1
        return self._inner.handle_request(request)

    def close(self) -> None:
        self._inner.close()

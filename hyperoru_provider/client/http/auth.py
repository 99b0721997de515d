"""The session of a client: find a token, log in only if there is none, and replace a token that is refused.

This is apart from the transport because its rules are the same for threads, for asyncio and for the event stream:
they are generators that say what is to be done, and two drivers do it. One login serves a process, and with a
shared store a fleet, so every token goes through here. It must import neither a transport nor Airflow: the
transports import it, and the hook only gives it a store.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeAlias, TypeVar

import msgspec

from hyperoru_provider.client.api.endpoints import LoginEndpoint
from hyperoru_provider.client.decoding import parse_object
from hyperoru_provider.client.errors import HyperoruAuthenticationError, HyperoruContractError, from_status
from hyperoru_provider.client.http.body import Reply
from hyperoru_provider.client.http.deadline import seconds_left
from hyperoru_provider.client.http.library import httpx
from hyperoru_provider.client.http.login_lock import LoginLock
from hyperoru_provider.client.http.retry import parse_retry_after
from hyperoru_provider.client.http.tokens import Credentials, Token, TokenStore, can_be_token
from hyperoru_provider.client.redaction import redact_body
from hyperoru_provider.client.times import parse_time

_TOKEN_LIFETIME = timedelta(days=180)
_MAX_LOGIN_WAIT = 60.0
_LOCK_POLL = 0.05
#: seconds after which who waits for the lock looks for the token without it, and again after twice as many
_FIRST_LOOK = 0.5
_REFUSALS = (400, 401, 403, 422)
_IDENTITY_ADVICE = {
    "email": (
        "The login was sent as an email. If this server expects a user name, set the login to one; to send a user "
        "name that contains an @, set the contract's login.identity to 'username'."
    ),
    "username": "The login was sent as a user name. If this server expects an email, set the login to one.",
}

_T = TypeVar("_T")
#: a request to send, seconds to sleep, or a blocking call to make; each is answered with its result
_Steps: TypeAlias = Generator[httpx.Request | float | Callable[[], Any], Any, _T]


@dataclass
class Session:
    """A token in use, and the tokens that were tried before it.

    :param refused: the tokens that the server refused.
    :param token: the present one.
    :param final: whether a refusal of this one is an error.
    """

    refused: set[str] = field(default_factory=set, repr=False)
    token: str = field(default="", repr=False)
    final: bool = False

    def show(self, request: httpx.Request, param: str | None) -> None:
        """Let a request show the session to the server: in a header, and in a query parameter where it has one."""
        request.headers["Authorization"] = f"Bearer {self.token}"
        if param:
            request.url = _UrlWithToken(request.url.copy_set_param(param, self.token))


class _UrlWithToken(httpx.URL):
    """An address whose query holds a token, so that its text, which httpx logs, has none of it."""

    def __str__(self) -> str:
        return str(self.copy_with(query=None))

    __repr__ = __str__


class SessionAuth:
    """Sends the bearer token, logs in if there is none, and once more if the token is refused.

    :param credentials: who logs in where.
    :param endpoint: the contract's login.
    :param build_request: makes a request as the HTTP client does, with its own headers.
    :param stores: where to look for a token before a login, in this order; a new one is written to all.
    :param on_token: called with each token before its first use, for example to mask it in logs.
    """

    def __init__(
        self,
        credentials: Credentials,
        endpoint: LoginEndpoint,
        build_request: Callable[..., httpx.Request],
        stores: Sequence[TokenStore] = (),
        on_token: Callable[[str], None] | None = None,
    ) -> None:
        self._credentials = credentials
        self._endpoint = endpoint
        self._build_request = build_request
        self._stores = stores
        self._on_token = on_token
        self._token: Token | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be seen in a message."""
        return (*self._credentials.secrets, *((self._token.value,) if self._token else ()))

    def sync_auth_flow(self, request: httpx.Request, param: str | None) -> Generator[httpx.Request, Reply, None]:
        """Send a request of a sync client within a session.

        :param param: query parameter that holds the token, too; ``None`` for none.
        """
        return _drive(self._send_with_token(request, param))

    def async_auth_flow(self, request: httpx.Request, param: str | None) -> AsyncGenerator[httpx.Request, Reply]:
        """Send a request of an async client within a session; store calls run in a thread."""
        return _drive_async(self._send_with_token(request, param))

    def sync_login_flow(self) -> Generator[httpx.Request, Reply, None]:
        """Log in, unless a usable token is known; yields a login request if one is needed."""
        return _drive(self._get_token(Session()))

    def async_login_flow(self, session: Session) -> AsyncGenerator[httpx.Request, Reply]:
        """Put the next token into a session; yields a login request if one is needed."""
        return _drive_async(self._get_token(session))

    def _send_with_token(self, request: httpx.Request, param: str | None) -> _Steps[None]:
        session = Session()
        while True:
            yield from self._get_token(session)
            session.show(request, param)
            reply = yield request
            if reply.status != 401 or session.final:
                return
            session.refused.add(session.token)

    def _get_token(self, session: Session) -> _Steps[None]:
        """Put the next token into a session."""
        if self._credentials.session_token:
            session.token, session.final = self._credentials.session_token, True
            return
        is_new = False
        if self._token is None or not self._token.is_usable(session.refused):
            self._token, is_new = yield from self._find_or_log_in(session.refused)
        session.token, session.final = self._token.value, is_new and bool(session.refused)

    def _find_or_log_in(self, refused: set[str]) -> _Steps[tuple[Token, bool]]:
        """Return a token that was not refused, and whether it comes from a login, which is the last resort."""
        if not (self._credentials.login and self._credentials.password):
            raise HyperoruAuthenticationError(
                "There are no credentials to log in with. Set a login and a password, or a session_token."
            )
        binding = yield lambda: self._credentials.binding
        token = yield from self._read_stores(binding, refused)
        if token is not None:
            return token, False
        lock = LoginLock(self._credentials)
        begun, wait, look = time.monotonic(), min(_MAX_LOGIN_WAIT, seconds_left()), _FIRST_LOOK
        try:
            alone = not self._stores
            while token is None and not alone:
                alone = lock.acquire() or time.monotonic() > begun + wait
                # somebody else may have logged in meanwhile, whose token all get at once, and not one after the other
                if alone or time.monotonic() > begun + look:
                    token = yield from self._read_stores(binding, refused)
                    look *= 2
                else:
                    yield _LOCK_POLL
            return (token, False) if token is not None else ((yield from self._log_in(binding)), True)
        finally:
            lock.release()

    def _read_stores(self, binding: str, refused: set[str]) -> _Steps[Token | None]:
        """Return the first usable token of the stores, or ``None``; it is written to the stores before its own."""
        for position, store in enumerate(self._stores):
            token: Token | None = yield partial(store.read, binding)
            if token is not None and token.is_usable(refused):
                yield from self._announce(token)
                for nearer in self._stores[:position]:
                    yield partial(nearer.write, token)
                return token
        return None

    def _log_in(self, binding: str) -> _Steps[Token]:
        """Return the token of a new login, written to all stores."""
        token = self._parse_login((yield self._build_login()), binding)
        yield from self._announce(token)
        for store in self._stores:
            yield partial(store.write, token)
        return token

    def _announce(self, token: Token) -> _Steps[None]:
        if self._on_token:
            yield partial(self._on_token, token.value)

    @property
    def _identity(self) -> str:
        """What the login is sent as."""
        if self._endpoint.identity != "auto":
            return self._endpoint.identity
        return "email" if "@" in (self._credentials.login or "") else "username"

    def _build_login(self) -> httpx.Request:
        body = self._endpoint.sent({self._identity: self._credentials.login, "password": self._credentials.password})
        return self._build_request(
            "POST",
            self._credentials.base_url + self._endpoint.path,
            content=msgspec.json.encode(body),
            headers={"Content-Type": "application/json"},
        )

    def _parse_login(self, reply: Reply, binding: str) -> Token:
        now = datetime.now(UTC)
        request = {"method": "POST", "path": self._endpoint.path}
        if not reply.is_success:
            pause = parse_retry_after(reply.headers.get("retry-after"), now)
            body = redact_body(reply.body, self.secrets)
            error = from_status(reply.status, reply.headers, body, retry_after=pause, **request)
            if reply.status in _REFUSALS:
                advice = f". {_IDENTITY_ADVICE[self._identity]}" if reply.status in (400, 422) else ""
                told = f"The login was refused. {error.message}{advice}"
                error = error.as_type(HyperoruAuthenticationError, told)
            raise error
        try:
            answer = parse_object(reply.body, self._endpoint)
            value = answer.get("session_token")
            if not isinstance(value, str) or not can_be_token(value):
                found = "a session_token that is not a valid token" if value else "no session_token"
                raise HyperoruContractError(
                    f"The answer to the login has {found}. Name its field in the contract's login.fields."
                )
        except HyperoruContractError as error:
            raise error.with_context(status=reply.status, **request) from None
        try:
            expires_at = parse_time(answer.get("expires_at"))
        except ValueError:
            expires_at = now
        if expires_at <= now:  # none given, or one that can't be: the server will tell
            expires_at = now + _TOKEN_LIFETIME
        return Token(value, expires_at, binding)


def _drive(steps: _Steps[None]) -> Generator[httpx.Request, Reply, None]:
    """Carry steps out, but for requests, which are yielded and answered with their replies."""
    with closing(steps):
        answer: Any = None
        while True:
            try:
                step, answer = steps.send(answer), None
            except StopIteration:
                return
            match step:
                case httpx.Request():
                    answer = yield step
                case float():
                    time.sleep(step)
                case _:
                    answer = step()


async def _drive_async(steps: _Steps[None]) -> AsyncGenerator[httpx.Request, Reply]:
    """See :func:`_drive`."""
    with closing(steps):
        answer: Any = None
        while True:
            try:
                step, answer = steps.send(answer), None
            except StopIteration:
                return
            match step:
                case httpx.Request():
                    answer = yield step
                case float():
                    await asyncio.sleep(step)
                case _:
                    answer = await asyncio.to_thread(step)

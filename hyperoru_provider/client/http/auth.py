"""Login and token reuse: one login serves a process, and with a shared store a fleet."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeAlias, TypeGuard, TypeVar

import httpx
import msgspec

from hyperoru_provider.client.api.endpoints import LoginEndpoint
from hyperoru_provider.client.decoding import parse_object, rename
from hyperoru_provider.client.errors import HyperoruAuthenticationError, HyperoruContractError, from_status
from hyperoru_provider.client.http.retry import parse_retry_after
from hyperoru_provider.client.redaction import redact_body
from hyperoru_provider.client.times import parse_time

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)

_LIFETIME = timedelta(days=180)
_LONGEST_LOGIN = 60.0
_REFUSALS = (400, 401, 403, 422)

_T = TypeVar("_T")
#: a request to send, seconds to sleep, or a blocking call to make; each is answered with its result
_Steps: TypeAlias = Generator[httpx.Request | float | Callable[[], Any], Any, _T]


@dataclass(frozen=True)
class Token:
    """A session token.

    :param value: the token itself; in no ``repr``.
    :param expires_at: when it ends, in UTC.
    :param binding: digest of what it was issued for; see :attr:`Credentials.binding`.
    """

    value: str = field(repr=False)
    expires_at: datetime
    binding: str = field(repr=False)


@dataclass(frozen=True)
class Credentials:
    """Who logs in where.

    :param base_url: the server.
    :param login: email or user name.
    :param password: in no ``repr``.
    :param session_token: a token that was issued elsewhere; with it there is no login at all.
    """

    base_url: str
    login: str | None = None
    password: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be seen in a message."""
        return tuple(filter(None, (self.password, self.session_token)))

    @cached_property
    def binding(self) -> str:
        """Digest that ties a stored token to URL, login and password: change one, and a new login follows.

        It is slow on purpose, as it is stored beside the token.
        """
        salt = f"{self.base_url}\n{self.login}".encode()
        return hashlib.pbkdf2_hmac("sha256", (self.password or "").encode(), salt, 60_000).hex()


@dataclass
class Session:
    """A token in use, and the way to it.

    :param refused: the tokens that the server refused on that way.
    :param token: the present one.
    :param final: whether a refusal of this one is an error.
    """

    refused: set[str] = field(default_factory=set, repr=False)
    token: str = field(default="", repr=False)
    final: bool = False


class TokenStore(Protocol):
    """Where tokens are kept between clients. A failure inside is a warning and no token, never an exception."""

    def read(self, binding: str) -> Token | None:
        """Give the token that was stored for this binding."""

    def write(self, token: Token) -> None:
        """Keep a token."""


class MemoryTokenStore:
    """Tokens of this process, shared by all its clients."""

    _tokens: ClassVar[dict[str, Token]] = {}

    def read(self, binding: str) -> Token | None:
        """Give the token that was stored for this binding."""
        return self._tokens.get(binding)

    def write(self, token: Token) -> None:
        """Keep a token until the process ends."""
        self._tokens[token.binding] = token


class LoginLock:
    """Lets one at a time log in, among all threads and processes of this user on this host.

    Best effort: where no lock can be had, two may log in, which the service allows.

    :param credentials: whose login; the password has no part in the file's name.
    """

    def __init__(self, credentials: Credentials) -> None:
        user = os.getuid() if hasattr(os, "getuid") else 0
        name = hashlib.sha256(f"{credentials.base_url}\n{credentials.login}".encode()).hexdigest()[:16]
        self._path = Path(tempfile.gettempdir()) / f"hyperoru-login-{user}-{name}.lock"
        self._file: int | None = None

    def acquire(self) -> bool:
        """Try once, without waiting; gives whether to go on."""
        if fcntl is None:
            return True
        try:
            self._file = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            return False
        except OSError as error:
            log.debug("No lock for the login: %s", error)
        return True

    def release(self) -> None:
        """Let the next one log in."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class SessionAuth(httpx.Auth):
    """Sends the bearer token, logs in if there is none, and once more if the token is refused.

    Its rules are one generator, which yields the requests to send and the blocking store calls to make; httpx
    drives it with a sync or an async client.

    :param credentials: who logs in where.
    :param endpoint: the contract's login.
    :param stores: where to look for a token before a login, in this order; a new one is written to all.
    :param on_token: told each token before its first use, to mask it in logs.
    """

    def __init__(
        self,
        credentials: Credentials,
        endpoint: LoginEndpoint,
        stores: Sequence[TokenStore] = (),
        on_token: Callable[[str], None] | None = None,
    ) -> None:
        self._credentials = credentials
        self._endpoint = endpoint
        self._stores = stores
        self._on_token = on_token
        self._token: Token | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be seen in a message."""
        return (*self._credentials.secrets, *((self._token.value,) if self._token else ()))

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Drive the rules for a request of a sync client."""
        return _drive(self._flow(request))

    def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Drive the rules for a request of an async client; store calls run in a thread."""
        return _adrive(self._flow(request))

    def sync_login_flow(self) -> Generator[httpx.Request, httpx.Response, None]:
        """Drive the rules up to where there is a session; yields a login request if one is needed."""
        return _drive(self._find(Session()))

    def async_login_flow(self, session: Session) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Drive the rules up to where the session has a token; yields a login request if one is needed."""
        return _adrive(self._find(session))

    def _find(self, session: Session) -> _Steps[None]:
        """Give a session its next token."""
        if self._credentials.session_token:
            session.token, session.final = self._credentials.session_token, True
            return
        token, fresh = yield from self._obtain(session.refused)
        session.token, session.final = token.value, fresh and bool(session.refused)

    def _flow(self, request: httpx.Request) -> _Steps[None]:
        session = Session()
        while True:
            yield from self._find(session)
            request.headers["Authorization"] = f"Bearer {session.token}"
            response = yield request
            if response.status_code != 401 or session.final:
                return
            session.refused.add(session.token)

    def _obtain(self, refused: set[str]) -> _Steps[tuple[Token, bool]]:
        """Find a token that was not refused, and log in only if there is none; gives whether it is a new one."""
        if _usable(self._token, refused):
            return self._token, False
        if not (self._credentials.login and self._credentials.password):
            raise HyperoruAuthenticationError(
                "There is nothing to log in with. Give the connection a login and a password, or a session_token."
            )
        binding = yield lambda: self._credentials.binding
        token, fresh = (yield from self._search(binding, refused)), False
        if token is None:
            lock = LoginLock(self._credentials)
            until = time.monotonic() + _LONGEST_LOGIN
            try:
                while self._stores and not lock.acquire() and time.monotonic() < until:
                    yield 0.05
                # Somebody else may have logged in meanwhile.
                token = yield from self._search(binding, refused)
                if token is None:
                    token, fresh = self._read_login((yield self._login_request()), binding), True
                    yield from self._tell(token)
                    for store in self._stores:
                        yield partial(store.write, token)
            finally:
                lock.release()
        self._token = token
        return token, fresh

    def _search(self, binding: str, refused: set[str]) -> _Steps[Token | None]:
        for position, store in enumerate(self._stores):
            token = yield partial(store.read, binding)
            if _usable(token, refused):
                yield from self._tell(token)
                for nearer in self._stores[:position]:
                    yield partial(nearer.write, token)
                return token
        return None

    def _tell(self, token: Token) -> _Steps[None]:
        if self._on_token:
            yield partial(self._on_token, token.value)

    def _login_request(self) -> httpx.Request:
        identity = self._endpoint.identity
        if identity == "auto":
            identity = "email" if "@" in (self._credentials.login or "") else "username"
        body = self._endpoint.query({identity: self._credentials.login, "password": self._credentials.password})
        return httpx.Request(
            "POST",
            self._credentials.base_url + self._endpoint.path,
            content=msgspec.json.encode(body),
            headers={"Content-Type": "application/json", "Accept": "application/json"},
        )

    def _read_login(self, response: httpx.Response, binding: str) -> Token:
        now = datetime.now(UTC)
        request = {"method": "POST", "path": self._endpoint.path}
        if not response.is_success:
            pause = parse_retry_after(response.headers.get("retry-after"), now)
            body = redact_body(response.content, self.secrets)
            error = from_status(response.status_code, response.headers, body, retry_after=pause, **request)
            if response.status_code in _REFUSALS:
                error = error.as_type(HyperoruAuthenticationError, f"The login was refused. {error.message}")
            raise error
        try:
            answer = rename(parse_object(response.content), self._endpoint)
            value = answer.get("session_token")
            if not isinstance(value, str) or not value:
                raise HyperoruContractError(
                    "The login's answer holds no session_token. Name its field in the contract's login.fields."
                )
        except HyperoruContractError as error:
            raise error.with_context(status=response.status_code, **request) from None
        try:
            expires_at = parse_time(answer.get("expires_at"))
        except ValueError:
            expires_at = now
        if expires_at <= now:  # none given, or one that can't be: the server will tell
            expires_at = now + _LIFETIME
        return Token(value, expires_at, binding)


def _usable(token: Token | None, refused: set[str]) -> TypeGuard[Token]:
    return token is not None and token.value not in refused and token.expires_at > datetime.now(UTC)


def _drive(steps: _Steps[None]) -> Generator[httpx.Request, httpx.Response, None]:
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
                    answer.read()
                case float():
                    time.sleep(step)
                case _:
                    answer = step()


async def _adrive(steps: _Steps[None]) -> AsyncGenerator[httpx.Request, httpx.Response]:
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
                    await answer.aread()
                case float():
                    await asyncio.sleep(step)
                case _:
                    answer = await asyncio.to_thread(step)

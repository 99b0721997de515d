"""The base of both clients: their options, and how a transport is configured by them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Generic, Self, TypeVar

from hyperoru_provider.client.api.contract import Contract, load_contract
from hyperoru_provider.client.api.endpoints import Endpoint
from hyperoru_provider.client.api.models import BackfillJob
from hyperoru_provider.client.api.resources import Lists
from hyperoru_provider.client.errors import HyperoruConfigError
from hyperoru_provider.client.http.auth import SessionAuth
from hyperoru_provider.client.http.body import ACCEPT_ENCODING
from hyperoru_provider.client.http.library import httpx
from hyperoru_provider.client.http.network import Network
from hyperoru_provider.client.http.rate_limit import RateLimiter
from hyperoru_provider.client.http.request import Request, Settings
from hyperoru_provider.client.http.retry import RetryPolicy
from hyperoru_provider.client.http.tokens import Credentials, MemoryTokenStore, TokenStore, can_be_token
from hyperoru_provider.client.lists.readers import list_reader, list_readers
from hyperoru_provider.client.lists.window_reader import Learned, WindowReader
from hyperoru_provider.client.redaction import redact_text
from hyperoru_provider.client.times import Moment, parse_moment
from hyperoru_provider.version import __version__

DEFAULT_BASE_URL = "https://api.production.hyperoru.com"
_USER_AGENT = f"airflow-provider-hyperoru/{__version__}"
_MAX_CONNECT_SECONDS = 5.0
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[!-~]([ -~]*[!-~])?")
_OUR_HEADERS = (
    "accept", "accept-encoding", "authorization", "connection", "content-length", "content-type", "host",
    "transfer-encoding", "upgrade", "user-agent",
)  # fmt: skip

HttpT = TypeVar("HttpT", httpx.Client, httpx.AsyncClient)
TransportT = TypeVar("TransportT")


class BaseClient(Lists, Generic[HttpT, TransportT]):
    """The options of both clients.

    :param base_url: scheme, host, and where needed port and path prefix.
    :param email: email or user name to log in with.
    :param password: its password.
    :param session_token: a token issued elsewhere; with it there is no login at all.
    :param headers: sent with every request, as a gateway before the server may want them; they are kept as secret as
        the password.
    :param verify: file with the certificate authorities to trust, in PEM; ``None``: those of ``SSL_CERT_FILE`` or
        ``SSL_CERT_DIR``, else certifi's.
    :param contract: overrides of the API's contract, per resource, or a whole contract.
    :param timeout: seconds to wait for each part of an answer.
    :param max_answer_seconds: seconds to wait for all of an answer.
    :param max_answer_bytes: bytes of an answer at most, both as it comes and unpacked.
    :param retry_policy: when and how often a failed request is repeated.
    :param requests_per_second: upper bound for this client; ``None`` for none.
    :param token_stores: where to look for a session token before logging in, and to keep it; by default this
        process's memory.
    :param on_token: called with each token before its first use, for example to mask it in logs.
    :param http_client: an httpx client of one's own, whose timeouts, headers, proxies and certificates hold in place
        of ours, and which stays open when this client is closed.
    :param transport: an httpx transport of one's own for our HTTP client, closed with it.
    :raises HyperoruConfigError: the URL, the contract, or the environment's proxy or certificates are wrong.
    """

    base_url = ""  # until it is checked

    def __init__(
        self,
        base_url: str = DEFAULT_BASE_URL,
        email: str | None = None,
        password: str | None = None,
        session_token: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        verify: str | None = None,
        contract: Contract | Mapping[str, Any] | None = None,
        timeout: float = 30.0,
        max_answer_seconds: float = 300.0,
        max_answer_bytes: int = 64_000_000,
        retry_policy: RetryPolicy | None = None,
        requests_per_second: float | None = None,
        token_stores: Sequence[TokenStore] | None = None,
        on_token: Callable[[str], None] | None = None,
        http_client: HttpT | None = None,
        transport: TransportT | None = None,
    ) -> None:
        given = Credentials(base_url, email, password, session_token, headers or {})
        del email, password, session_token, headers  # some tracebacks show variables, and what follows may raise
        self.base_url = _checked_url(base_url)
        credentials = replace(given, base_url=self.base_url)
        self.contract = contract if isinstance(contract, Contract) else load_contract(contract)
        _check_secrets(credentials)
        if http_client is not None and (transport is not None or credentials.headers or verify):
            raise HyperoruConfigError("Pass either http_client, or transport, headers and verify, but not both.")
        _check_library(http_client or transport)
        network = Network(self.base_url, verify)
        http = http_client or self._new_http(timeout, credentials, transport, network)
        stores = (MemoryTokenStore(),) if token_stores is None else token_stores
        #: a digest that tells a user of a service from another, without naming either
        self.user = _digest(credentials)
        self._learned = Learned()
        self._settings = Settings(
            base_url=self.base_url,
            auth=SessionAuth(credentials, self.contract.login, http.build_request, stores, on_token),
            timeout=timeout,
            max_answer_seconds=max_answer_seconds,
            max_answer_bytes=max_answer_bytes,
            policy=retry_policy or RetryPolicy(),
            rate_limiter=RateLimiter(requests_per_second),
            headers={**credentials.headers, "User-Agent": _USER_AGENT},
            network=network,
        )
        self._open(http, owned=http_client is None)

    def _new_http(
        self, timeout: float, credentials: Credentials, transport: TransportT | None, network: Network
    ) -> HttpT:
        """Return an HTTP client of our own.

        :raises HyperoruConfigError: the environment's proxy needs a package that is not there.
        """
        try:
            return self._create_http(
                transport=transport or self._create_transport(**network.options()),
                timeout=httpx.Timeout(timeout, connect=min(_MAX_CONNECT_SECONDS, timeout)),
                headers={
                    **credentials.headers,
                    "User-Agent": _USER_AGENT,
                    "Accept": "application/json",
                    "Accept-Encoding": ACCEPT_ENCODING,
                },
            )
        except ImportError as error:  # SOCKS does
            raise HyperoruConfigError(f"The environment's proxy can't be used: {error}") from None

    def _create_transport(self, **options: Any) -> TransportT:
        """Return a new transport of an HTTP client."""
        raise NotImplementedError

    def _create_http(self, **options: Any) -> HttpT:
        """Return a new HTTP client."""
        raise NotImplementedError

    def _open(self, http: HttpT, *, owned: bool) -> None:
        """Create the transport that uses an HTTP client.

        :param owned: whether it is closed with this client.
        """
        raise NotImplementedError

    def list_reader(
        self, resource: str, start: Moment | None = None, end: Moment | None = None, **filters: Any
    ) -> WindowReader:
        """Return a reader of a list; see :func:`hyperoru_provider.client.lists.readers.list_reader`."""
        first = None if start is None else parse_moment("start", start)
        last = None if end is None else parse_moment("end", end)
        return list_reader(self.contract, resource, first, last, filters, **self._reading())

    def list_readers(
        self,
        resource: str,
        start: Moment | None,
        end: Moment | None,
        filters: Mapping[str, Any],
        *,
        mask: bool = False,
        as_of: datetime | None = None,
    ) -> Iterator[WindowReader]:
        """Return readers that together are one of a list; see :func:`.readers.list_readers`."""
        first = None if start is None else parse_moment("start", start)
        last = None if end is None else parse_moment("end", end)
        return list_readers(self.contract, resource, first, last, filters, mask=mask, **self._reading(as_of))

    def _reading(self, as_of: datetime | None = None) -> dict[str, Any]:
        """Return what readers know beside the list: what was found out of all lists, and the present."""
        return {"learned": self._learned, "as_of": as_of or datetime.now(UTC).replace(microsecond=0)}

    def with_contract(self, contract: Contract | Mapping[str, Any]) -> Self:
        """Return a client with another contract, on the connections and in the session of this one.

        Closing either closes both. How to log in stays as it is.

        :param contract: overrides of the API's contract, per resource, or a whole contract.
        :raises HyperoruConfigError: the contract is wrong.
        """
        client = copy(self)
        client.contract = contract if isinstance(contract, Contract) else load_contract(contract)
        client._learned = Learned()
        return client

    def explaining(self, endpoint: Endpoint) -> AbstractContextManager[None]:
        """Return a context in which errors about rows of an endpoint name its path, and hold no secret."""
        return self._settings.map_errors(Request("GET", endpoint.path))

    def redacted(self, job: BackfillJob) -> BackfillJob:
        """Return a job with ``***`` in place of each token or password that its error repeats."""
        return job.model_copy(update={"error": job.error and redact_text(job.error, self._settings.auth.secrets)})

    def __repr__(self) -> str:
        return f"{type(self).__name__}(base_url={self.base_url!r})"


def _check_secrets(credentials: Credentials) -> None:
    if credentials.session_token is not None and not can_be_token(credentials.session_token):
        raise HyperoruConfigError(
            "The session_token contains characters that are not allowed in a token, such as a line break."
        )
    for name in ("login", "password"):
        try:
            (getattr(credentials, name) or "").encode()
        except UnicodeEncodeError:  # which repeats the text
            raise HyperoruConfigError(
                f"The {name} contains a lone surrogate (half a character), which can't be sent."
            ) from None
    _check_headers(credentials.headers)


def _digest(credentials: Credentials) -> str:
    user = f"{credentials.base_url}\n{credentials.session_token or credentials.login}"
    return hashlib.sha256(user.encode()).hexdigest()


def _check_library(given: object) -> None:
    """Check that a client or transport is of the HTTP library that is in use, whose errors are understood.

    :raises HyperoruConfigError: it is of the other one.
    """
    libraries = {cls.__module__.partition(".")[0] for cls in type(given).__mro__} & {"httpx", "httpx2"}
    if libraries and httpx.__name__ not in libraries:
        raise HyperoruConfigError(
            f"The http_client or transport is from {libraries.pop()}, but this process uses {httpx.__name__}: create "
            f"it with {httpx.__name__}. See hyperoru_provider.client.http.library."
        )


def _checked_url(base_url: str) -> str:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise HyperoruConfigError(
            f"The base URL is not valid: {error}. It must be like https://host[:port][/prefix], with an IPv6 address "
            "in brackets."
        ) from None
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query or url.fragment:
        raise HyperoruConfigError(
            "The base URL must be like https://host[:port][/prefix], with the login and password in their own fields."
        )
    return str(url).rstrip("/")


def _check_headers(headers: Mapping[str, str]) -> None:
    """Raise an error if HTTP knows no such headers, or they are ours; its text does not show their values.

    :raises HyperoruConfigError: one is not to be sent.
    """
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _OUR_HEADERS:
            raise HyperoruConfigError(
                f"headers: {name!r} can't be set; {', '.join(_OUR_HEADERS)} are set by the client."
            )
        if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
            raise HyperoruConfigError(f"headers: the value of {name} must be a text of printable ASCII characters.")

"""What to ask of a server and how, and what goes wrong with it. Pure: no I/O."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec

from hyperoru_provider.client.errors import (
    HyperoruApiError,
    HyperoruBadRequestError,
    HyperoruConnectError,
    HyperoruNetworkError,
    certificate_message,
    from_proxy,
    from_status,
)
from hyperoru_provider.client.http.auth import SessionAuth
from hyperoru_provider.client.http.body import Reply
from hyperoru_provider.client.http.library import httpx
from hyperoru_provider.client.http.network import Network
from hyperoru_provider.client.http.rate_limit import RateLimiter
from hyperoru_provider.client.http.retry import RetryPolicy, parse_retry_after
from hyperoru_provider.client.redaction import redact_body, redact_error

#: before a connection to the server came about; a proxy's error is one of its tunnel
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)


@dataclass(frozen=True)
class Request:
    """What to ask.

    :param method: HTTP method.
    :param path: path with its values filled in.
    :param query: parameters as the server names them.
    :param body: JSON object to send.
    :param auth: whether it needs a session.
    :param retries: whether a transient failure is worth a repeat here; a health check wants to know it at once.
    :param idempotent: whether sending it twice does no more than sending it once.
    :param named: what it names, such as ``account_id``, which may be wrong.
    :param token_param: query parameter that holds the session token, beside the header; ``None`` for none.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    auth: bool = True
    retries: bool = True
    idempotent: bool = True
    named: Sequence[str] = ()
    token_param: str | None = None


class Answer(NamedTuple):
    """A successful answer: its body, status and request id."""

    body: bytes
    status: int
    request_id: str | None

    def __repr__(self) -> str:
        """Leave out what a server may repeat a secret in: variables show in some tracebacks."""
        return f"Answer({self.status}, {len(self.body)} bytes)"


@dataclass(frozen=True)
class Settings:
    """How to ask.

    :param base_url: scheme, host, port and perhaps a path, without a slash at its end.
    :param auth: the session.
    :param timeout: seconds for each wait for the server within a request.
    :param max_answer_seconds: seconds for all of an answer.
    :param max_answer_bytes: bytes of an answer's body at most.
    :param policy: when to repeat.
    :param rate_limiter: when to begin; shared by all requests of a client.
    :param headers: those of what does not go through an HTTP client.
    :param network: the way to the server, for what does not go through an HTTP client.
    """

    base_url: str
    auth: SessionAuth
    timeout: float
    max_answer_seconds: float
    max_answer_bytes: int
    policy: RetryPolicy
    rate_limiter: RateLimiter
    headers: Mapping[str, str] = field(repr=False)
    network: Network

    def arguments(self, request: Request) -> dict[str, Any]:
        """Return the arguments of either httpx client's ``build_request``."""
        body = None if request.body is None else msgspec.json.encode(request.body)
        return {
            "method": request.method,
            "url": self.base_url + request.path + (f"?{urlencode(request.query)}" if request.query else ""),
            "content": body,
            "headers": {} if body is None else {"Content-Type": "application/json"},
        }

    @contextmanager
    def map_errors(self, request: Request, answer: Answer | None = None) -> Iterator[None]:
        """Turn what goes wrong with a request, or with its answer, into this package's errors, without secrets.

        :param request: the request, for the errors' facts.
        :param answer: its answer; ``None`` before there is one.
        :raises HyperoruApiError: a new one in place of any error of httpx, or of this package: its traceback begins
            here, as some show the variables of each step, and those below hold tokens and answers.
        """
        facts: dict[str, Any] = {"method": request.method, "path": request.path}
        if answer:
            facts.update(status=answer.status, request_id=answer.request_id)
        try:
            yield
        except (httpx.RequestError, httpx.InvalidURL, HyperoruApiError) as error:
            explained = error if isinstance(error, HyperoruApiError) else _explain(error, self.base_url)
            told = redact_error(explained.with_context(**facts), self.auth.secrets).shortened()
            raise told.as_type(type(told), told.message) from None

    def check(self, request: Request, reply: Reply) -> Answer:
        """Return the answer if its status is one of success.

        :raises HyperoruApiError: it is not.
        """
        if reply.is_success:
            return Answer(reply.body, reply.status, reply.headers.get("x-request-id"))
        pause = parse_retry_after(reply.headers.get("retry-after"), datetime.now(UTC))
        raise from_status(
            reply.status,
            reply.headers,
            redact_body(reply.body, self.auth.secrets),
            method=request.method,
            path=request.path,
            retry_after=pause,
            named=request.named,
        )

    def overdue(self, began: float) -> HyperoruNetworkError:
        """Return the error of an answer that takes longer than all of it may.

        :param began: when it was asked for, in seconds of the monotonic clock.
        """
        return HyperoruNetworkError(
            f"No complete answer from {self.base_url} after {time.monotonic() - began:.1f} s, although no single "
            "wait timed out. If answers really take that long, raise max_answer_seconds (now "
            f"{self.max_answer_seconds:g})"
        )


def _explain(error: httpx.RequestError | httpx.InvalidURL, base_url: str) -> HyperoruApiError:
    """Return what an error of httpx means."""
    if isinstance(error, (httpx.LocalProtocolError, httpx.UnsupportedProtocol)):
        # its text may hold the header that is not allowed
        return HyperoruBadRequestError("The request can't be sent as HTTP: check the base URL and the headers.")
    if isinstance(error, httpx.InvalidURL):
        return HyperoruConnectError(f"The address is not valid: {error}")
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return HyperoruBadRequestError(certificate_message(error))
    if isinstance(error, httpx.ProxyError) and (refusal := re.match(r"([45]\d\d)\b\s*(.*)", str(error), re.DOTALL)):
        return from_proxy(int(refusal[1]), refusal[2])
    cls = HyperoruConnectError if isinstance(error, _UNSENT) else HyperoruNetworkError
    return cls(f"No complete answer from {base_url}: {type(error).__name__}: {error}")

"""One exception class for each decision that a caller can take, and how an answer becomes one.

* HyperoruError
    - HyperoruConfigError (also a ValueError)
    - HyperoruConcurrentWriteError
    - HyperoruJobFailedError
    - HyperoruApiError
        + HyperoruBadRequestError
        + HyperoruAuthenticationError
        + HyperoruPermissionError
        + HyperoruNotFoundError
        + HyperoruConflictError
        + HyperoruValidationError
        + HyperoruRateLimitError
        + HyperoruServerError
        + HyperoruNetworkError
            * HyperoruConnectError
        + HyperoruAmbiguousWriteError
        + HyperoruContractError
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

import msgspec

from hyperoru_provider.client.escaping import printable, shorten
from hyperoru_provider.client.surrogates import replace_halves

_MESSAGE_LIMIT = 1_000
_TEXT_LIMIT = 4_000


class HyperoruError(Exception):
    """Base of everything this provider raises on purpose. Its text can be printed and stored, whoever wrote parts."""

    def __str__(self) -> str:
        return _shown(super().__str__())


class HyperoruConfigError(HyperoruError, ValueError):
    """An argument, a setting or the contract is wrong: correct it, nothing was asked."""


class HyperoruConcurrentWriteError(HyperoruError):
    """Another run wrote to the same place at the same time: run this one again."""


_FACTS = ("method", "path", "status", "code", "request_id", "retry_after")


class HyperoruApiError(HyperoruError):
    """A request that did not end in a usable answer.

    :param message: what happened and, where known, what to do. Holds no secret.
    :param method: HTTP method of the request.
    :param path: path of the request, without its query.
    :param status: HTTP status of the answer; ``None`` if there was no answer.
    :param code: the server's machine code, e.g. ``ACCOUNT_NOT_FOUND``.
    :param request_id: the server's id of the request, to quote to its support.
    :param retry_after: seconds that the server asked to wait.
    """

    #: whether the same request may succeed if it is sent again a little later
    transient = False

    def __init__(
        self,
        message: str,
        *,
        method: str = "",
        path: str = "",
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.method = method
        self.path = path
        self.status = status
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after

    def __str__(self) -> str:
        facts = [
            f"{self.method} {self.path}".strip(),
            f"status {self.status}" if self.status is not None else "",
            self.code or "",
            f"request id {self.request_id}" if self.request_id else "",
        ]
        where = ", ".join(fact for fact in facts if fact)
        return _shown(f"{self.message} [{where}]" if where else self.message)

    def with_context(self, **facts: Any) -> Self:
        """Fill in facts of the request that are not known yet, and return this error."""
        for name, value in facts.items():
            setattr(self, name, getattr(self, name) or value)
        return self

    def as_type(self, cls: type[HyperoruApiError], message: str) -> HyperoruApiError:
        """Return an error of another class and text with the same facts."""
        error = cls(message, **{name: getattr(self, name) for name in _FACTS})
        for note in getattr(self, "__notes__", ()):
            error.add_note(note)
        return error

    def shortened(self) -> Self:
        """Cut what is repeated of an answer to a length that can be read, and return this error."""
        self.message = shorten(self.message, _MESSAGE_LIMIT)
        self.code = self.code and shorten(self.code)
        self.request_id = self.request_id and shorten(self.request_id)
        self.args = (self.message,)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, {name: getattr(self, name) for name in _FACTS}))


def _shown(text: str) -> str:
    """Return the text of an error as each log and database takes it, whatever a server put into it."""
    return printable(text if len(text) <= _TEXT_LIMIT else f"{text[:_TEXT_LIMIT]}...")


def _rebuild(cls: type[HyperoruApiError], message: str, facts: dict[str, Any]) -> HyperoruApiError:
    return cls(message, **facts)


class HyperoruBadRequestError(HyperoruApiError):
    """400, or a 4xx that has no class of its own: the request is wrong."""


class HyperoruAuthenticationError(HyperoruApiError):
    """401 after a fresh login, or a login that was refused: check login, password or session token."""


class HyperoruPermissionError(HyperoruApiError):
    """403: the resource belongs to somebody else. Check the id."""


class HyperoruNotFoundError(HyperoruApiError):
    """404: a wrong id, or something deleted."""


class HyperoruConflictError(HyperoruApiError):
    """409: a duplicate, or changed meanwhile."""


class HyperoruValidationError(HyperoruApiError):
    """422: a rule of the service forbids it."""


#: what a server answers that does not have what it was asked for, or not in this way
REFUSALS = (HyperoruBadRequestError, HyperoruNotFoundError, HyperoruValidationError)


class HyperoruRateLimitError(HyperoruApiError):
    """429: too many requests, still so after the retries."""

    transient = True


class HyperoruServerError(HyperoruApiError):
    """5xx, 408 (the request came too slowly) or 425 (too early), still so after the retries."""

    transient = True


class HyperoruNetworkError(HyperoruApiError):
    """No complete answer: refused, timed out, cut off."""

    transient = True


class HyperoruConnectError(HyperoruNetworkError):
    """No connection came about: nothing was sent."""


class HyperoruAmbiguousWriteError(HyperoruApiError):
    """A write may or may not have reached the server. It was not sent twice: look before you repeat it."""


class HyperoruContractError(HyperoruApiError):
    """An answer that can't be what it claims to be, so its rows can't be trusted to be right and complete."""


class HyperoruJobFailedError(HyperoruError):
    """A job that the server was given did not end well; the text names it and says why."""


_BY_STATUS: Mapping[int, type[HyperoruApiError]] = {
    401: HyperoruAuthenticationError,
    403: HyperoruPermissionError,
    404: HyperoruNotFoundError,
    408: HyperoruServerError,
    409: HyperoruConflictError,
    422: HyperoruValidationError,
    425: HyperoruServerError,
    429: HyperoruRateLimitError,
}

#: what to do about a session token, or a login, that is refused
AUTHENTICATION_ADVICE = "Check the login and the password, or the session_token."
_ADVICE: Mapping[type[HyperoruApiError], str] = {
    HyperoruAuthenticationError: AUTHENTICATION_ADVICE,
    HyperoruPermissionError: "The session is valid but does not own this resource: check the id.",
}


def from_status(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    method: str,
    path: str,
    retry_after: float | None = None,
    named: Sequence[str] = (),
) -> HyperoruApiError:
    """Return the error that the status of an answer means.

    Understands ``{"error", "code", "request_id"}``, ``{"code", "details", "message"}``, ``{"detail": text}``,
    ``{"detail": [{"loc", "msg", "type"}]}``, a proxy's HTML page, and an empty body.

    :param status: HTTP status of the answer, not one of success.
    :param headers: of the answer, by lower-case names.
    :param body: of the answer, without secrets.
    :param method: HTTP method of the request.
    :param path: path of the request, without its query.
    :param retry_after: seconds that the server asked to wait.
    :param named: what the request names, such as ``account_id``.
    """
    facts = dict[str, Any](method=method, path=path, status=status, retry_after=retry_after)
    failure = _read_body(body).shortened()
    facts.update(code=failure.code, request_id=failure.request_id or headers.get("x-request-id"))
    if status < 400:
        where = headers.get("location", "").split("?")[0]
        target = f" (to {shorten(where)})" if where else ""
        differs = "the contract's path so" if _differs_by_slash(where, path) else "the base URL to the final address"
        return HyperoruContractError(f"The server redirects{target} instead of answering; set {differs}.", **facts)
    if status == 407:
        return from_proxy(status, failure.message).with_context(**facts)
    cls = _class_of(status)
    message = f"The server answered {status}" + (f": {failure.message}" if failure.message else " without saying why")
    advice = _ADVICE.get(cls)
    if cls is HyperoruNotFoundError:
        advice = (
            f"Check the {' and the '.join(named or ['host'])}; if the server has another path, set it in the contract."
        )
    return cls(f"{message}. {advice}" if advice else message, **facts)


def _differs_by_slash(location: str, path: str) -> bool:
    """Return whether a redirect leads to the same path with a slash more or less at its end."""
    slashes = location.endswith("/"), path.endswith("/")
    return slashes[0] != slashes[1] and location.rstrip("/").endswith(path.rstrip("/"))


def _class_of(status: int) -> type[HyperoruApiError]:
    return _BY_STATUS.get(status, HyperoruServerError if status >= 500 else HyperoruBadRequestError)


def from_proxy(status: int, reason: str) -> HyperoruApiError:
    """Return the error that a proxy's refusal means: nothing reached the server.

    :param status: HTTP status of the proxy's answer.
    :param reason: what it says beside it.
    """
    message = f"The proxy refused to connect to the server: {status} {reason}".rstrip()
    if _class_of(status).transient:
        return HyperoruConnectError(message)
    return HyperoruBadRequestError(
        f"{message}. Check the proxy's login and rules, and the environment variables HTTPS_PROXY, HTTP_PROXY, "
        "ALL_PROXY and NO_PROXY."
    )


class Failure(NamedTuple):
    """What an answer says of its failure, at full length: redact it before it is shortened.

    :param message: why it failed; empty if the answer does not say.
    :param code: the server's machine code.
    :param request_id: the server's id of the request.
    """

    message: str
    code: str | None = None
    request_id: str | None = None

    def shortened(self) -> Failure:
        """Return the same in a length that fits in a message."""
        return Failure(
            shorten(self.message), self.code and shorten(self.code), self.request_id and shorten(self.request_id)
        )


def read_failure(fields: Mapping[str, Any]) -> Failure:
    """Return what the fields of an answer say of its failure."""
    inner: dict[str, Any] = next(
        (fields[name] for name in ("error", "errors") if isinstance(fields.get(name), dict)), {}
    )
    fields = {**fields, **inner}  # {"error": {"message", "code"}}
    try:
        return Failure(_failure_message(fields, inner), _text(fields.get("code")), _text(fields.get("request_id")))
    except RecursionError:
        return Failure("something that is nested too deeply to be repeated")


def _failure_message(fields: Mapping[str, Any], inner: dict[str, Any]) -> str:
    found = (fields.get(name) for name in ("error", "errors", "error_message", "message", "detail", "msg"))
    reason = next((value for value in found if value and isinstance(value, (str, list))), "")
    message = "; ".join(map(_describe_problem, reason)) if isinstance(reason, list) else reason
    details = fields.get("details") or (None if message else inner or fields.get("error"))
    return f"{message} {msgspec.json.encode(details).decode()}".strip() if details else message


def _read_body(body: bytes) -> Failure:
    """Return what the body of an answer without success says of its failure."""
    try:
        data = msgspec.json.decode(replace_halves(body))
        return read_failure(data) if isinstance(data, dict) else Failure(str(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = body[:2000].decode("utf-8", "replace").strip()
        return Failure("a page that is not JSON (from a proxy?)" if text.startswith("<") else text)


def _describe_problem(item: Any) -> str:
    """Return an entry of a list of errors as text; its echoed input is left out, as it may be a password."""
    if not isinstance(item, dict):
        return str(item)
    loc = item.get("loc") or ()
    place = ".".join(map(str, loc)) if isinstance(loc, list) else str(loc or "")
    reason = next((str(item[name]) for name in ("msg", "message", "error", "code") if item.get(name)), "")
    return f"{place}: {reason}" if place else reason


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def certificate_message(error: Exception) -> str:
    """Return a text which says that the server's certificate can't be verified, and what to do."""
    return (
        f"The server's certificate can't be verified: {error}. Check the host, or name the authority that "
        "issued it in the environment variable SSL_CERT_FILE."
    )

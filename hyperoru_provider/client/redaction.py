"""Keeps secrets out of messages and results. Nothing else knows in which forms a secret may be repeated."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus

from hyperoru_provider.client.errors import HyperoruApiError

_MASK = "***"
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRETS = (
    "apikey",
    "credential",
    "mnemonic",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "secret",
    "seedphrase",
)
_OPEN_KEYS = ("cache", "foreign", "idempotency", "partition", "primary", "public", "row", "sort", "unique")
#: what a token is called that lets somebody in, and is no coin or part of a text
_TOKENS = (
    "access", "api", "app", "auth", "bearer", "bot", "client", "csrf", "device", "id", "jwt", "login", "oauth", "push",
    "refresh", "security", "session", "user", "webhook", "xsrf",
)  # fmt: skip
_COIN = re.compile(r"[A-Z0-9]{1,10}")

ErrorT = TypeVar("ErrorT", bound=HyperoruApiError)


def redact_text(text: str, secrets: Iterable[str]) -> str:
    """Return a text with every secret replaced by ``***``, also where it is escaped for JSON or for an address.

    Redact before a text is shortened, or a part of a secret may stay.

    :param secrets: passwords and tokens; empty ones are passed over.
    """
    for form in _written_forms(secrets):
        text = text.replace(form, _MASK)
    return text


def redact_body(body: bytes, secrets: Iterable[str]) -> bytes:
    """Return an answer's body with every secret replaced, as :func:`redact_text` does; it need not be UTF-8."""
    for form in _written_forms(secrets):
        body = body.replace(_encode(form), _MASK.encode())
    return body


def redact_error(error: ErrorT, secrets: Iterable[str]) -> ErrorT:
    """Replace every secret in what an error repeats of an answer, and return the same error."""
    secrets = tuple(secrets)
    error.message = redact_text(error.message, secrets)
    error.code = error.code and redact_text(error.code, secrets)
    error.request_id = error.request_id and redact_text(error.request_id, secrets)
    error.args = (error.message,)
    return error


def mask_secret_fields(value: Any, known: Mapping[str, bool] = MappingProxyType({})) -> Any:
    """Return JSON data with each text and number replaced that a field holds whose name speaks of a secret.

    What stands below such a field is replaced, too, at any depth.

    :param value: the data; it is not changed.
    :param known: names of fields of which it is known whether they hold a secret.
    """
    if isinstance(value, dict):
        return {
            name: _mask(inner) if known.get(name, _speaks_of_secret(name, inner)) else mask_secret_fields(inner, known)
            for name, inner in value.items()
        }
    return [mask_secret_fields(inner, known) for inner in value] if isinstance(value, list) else value


def _mask(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _mask(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_mask(inner) for inner in value]
    return value if value in ("", None) or isinstance(value, bool) else _MASK


def _speaks_of_secret(name: str, value: Any) -> bool:
    """Return whether a field's name speaks of a secret: a ``bot_token`` does, a ``quote_token`` is a coin."""
    words = [word.lower() for word in _WORD.findall(name)]
    whole = "".join(words)
    if any(secret in whole for secret in _SECRETS):
        return True
    *before, last = words or [""]
    if last in ("key", "keys"):
        return bool(before) and before[-1] not in _OPEN_KEYS
    if last in ("token", "tokens"):
        return before[-1] in _TOKENS if before else not (isinstance(value, str) and _COIN.fullmatch(value))
    return whole.endswith("token") and whole.removesuffix("token") in _TOKENS


def _written_forms(secrets: Iterable[str]) -> list[str]:
    """Return each secret as it may be written, longest first, as one may be a part of another."""
    forms = {
        form
        for secret in secrets
        for form in (
            secret,
            json.dumps(secret)[1:-1],
            json.dumps(secret, ensure_ascii=False)[1:-1],
            quote(_encode(secret)),
            quote(_encode(secret), safe=""),
            quote_plus(_encode(secret)),
        )
        if form
    }
    return sorted(forms, key=len, reverse=True)


def _encode(text: str) -> bytes:
    """Return a text in UTF-8; a lone surrogate, as a broken password may have, is no error."""
    return text.encode("utf-8", "surrogatepass")

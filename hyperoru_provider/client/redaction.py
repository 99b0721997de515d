"""Keeps secrets out of messages and results. Nothing else knows in which forms a secret may be repeated."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus

from hyperoru_provider.client.errors import HyperoruApiError

_MASK = "***"
_SECRET_NAMES = ("apikey", "credential", "mnemonic", "passphrase", "password", "secret", "token", "_key")

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


def mask_secret_fields(value: Any, name: str = "") -> Any:
    """Return JSON data with the text of every field whose name speaks of a secret replaced, at any depth.

    :param value: the data; it is not changed.
    :param name: the name of the field that holds it.
    """
    if isinstance(value, dict):
        return {field: mask_secret_fields(inner, field) for field, inner in value.items()}
    if isinstance(value, list):
        return [mask_secret_fields(inner, name) for inner in value]
    is_secret = isinstance(value, str) and value and any(word in name.lower() for word in _SECRET_NAMES)
    return _MASK if is_secret else value


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

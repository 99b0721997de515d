"""Keeps secrets out of messages and results. Nothing else knows in which forms a secret may be repeated."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus

from hyperoru_provider.client.errors import HyperoruApiError
from hyperoru_provider.client.escaping import printable

_MASK = "***"
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRETS = (
    "apikey", "credential", "jwt", "keystore", "mnemonic", "passphrase", "passwd", "password", "privatekey", "pwd",
    "recoveryphrase", "secret", "seedphrase", "webhookurl",
)  # fmt: skip
#: whole names: with a word more, such as ``authorization_status``, they are data
_SECRET_NAMES = ("authorization", "bearer", "cookie", "cookies", "sk")
_OPEN_KEYS = ("cache", "foreign", "idempotency", "partition", "primary", "public", "row", "sort", "unique")
#: what a token is called that lets somebody in, and is no coin or part of a text
_TOKENS = (
    "access", "api", "app", "auth", "bearer", "bot", "client", "csrf", "device", "id", "jwt", "login", "oauth", "push",
    "refresh", "security", "session", "user", "webhook", "xsrf",
)  # fmt: skip
#: characters of a secret that may show
_LONGEST_PART = 4
_LONGEST_TEXT = 4_000
#: words of our own messages, which are no part of a secret even where somebody's password is made of them
_OWN_WORDS = (
    "answered", "authorization", "bearer", "credentials", "hyperoru", "invalid", "password", "request", "server",
    "session_token", "success", "unauthorized", "username",
)  # fmt: skip
_COIN = re.compile(r"[A-Z0-9]{1,10}")

ErrorT = TypeVar("ErrorT", bound=HyperoruApiError)


class Address(str):
    """An e-mail address among secrets: hidden as a whole, while a part of it, such as its domain, may show."""

    __slots__ = ()


def redact_text(text: str, secrets: Iterable[str]) -> str:
    """Return a text with every secret replaced by ``***``, also where it is encoded, or only a part of it is there.

    A text that is longer than any message is cut.

    :param secrets: passwords, tokens and addresses; empty ones are passed over.
    """
    secrets = tuple(secrets)
    for form in _written_forms(secrets):
        text = text.replace(form, _MASK)
    text = text[:_LONGEST_TEXT]
    for form in _written_forms(secret for secret in secrets if not isinstance(secret, Address)):
        text = _mask_parts(text, form)
    return text


def _mask_parts(text: str, form: str) -> str:
    """Return a text with each part replaced that is also one of a secret, in upper or lower case."""
    least = _LONGEST_PART + 1
    folded, secret = text.lower(), form.lower()
    if len(folded) != len(text):
        folded = text
    parts = {secret[place : place + least] for place in range(len(secret) - least + 1)}
    shown, begin, place = [], 0, 0
    while place <= len(folded) - least:
        end = place + least
        if folded[place:end] not in parts:
            place += 1
            continue
        while end < len(folded) and folded[place : end + 1] in secret:
            end += 1
        if not any(folded[place:end] in word for word in _OWN_WORDS):
            shown += [text[begin:place], _MASK]
            begin = end
        place = end
    return "".join(shown) + text[begin:]


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
    if whole in _SECRET_NAMES or any(secret in whole for secret in _SECRETS):
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
            " ".join(secret.split()),
            printable(secret),
            escape(secret),
            "".join(f"%{byte:02X}" for byte in _encode(secret)),
            "".join(f"\\u{ord(character):04x}" for character in secret),
            *_base64_forms(_encode(secret)),
            json.dumps(secret)[1:-1],
            json.dumps(secret, ensure_ascii=False)[1:-1],
            quote(_encode(secret)),
            quote(_encode(secret), safe=""),
            quote_plus(_encode(secret)),
        )
        if form
    }
    return sorted(forms, key=len, reverse=True)


def _base64_forms(secret: bytes) -> Iterator[str]:
    """Yield what a secret is in base64, whatever stands before it, but for the characters that it shares with that."""
    for before in range(3):
        encoded = b64encode(bytes(before) + secret)[4 if before else 0 :].decode().rstrip("=")
        yield from (encoded, encoded.translate(_URL_SAFE)) if len(encoded) > _LONGEST_PART else ()


_URL_SAFE = str.maketrans("+/", "-_")


def _encode(text: str) -> bytes:
    """Return a text in UTF-8; a lone surrogate, as a broken password may have, is no error."""
    return text.encode("utf-8", "surrogatepass")

"""Secrets that are easy to find again, whatever they were made into; and the search for them."""

from __future__ import annotations

import html
import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from urllib.parse import quote, quote_plus

PASSWORD = "vK~7\"q\\Z\u00e9&+4x/W%k  J9m;Gt'X"
TOKEN = "tYk!3Zq~8WvX^5pJ;gR7mKu|Hd2w"
EMAIL = "zq7xkv+wj4pf@mq8ydn.example"

#: how a server, a proxy or a library may repeat a secret
ECHOES: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in JSON": lambda secret: json.dumps(secret)[1:-1],
    "in JSON in JSON": lambda secret: json.dumps(json.dumps(secret)),
    "quoted": lambda secret: quote(secret, safe=""),
    "in a form": quote_plus,
    "in base64": lambda secret: b64encode(secret.encode()).decode(),
    "as basic login": lambda secret: b64encode(f"{EMAIL}:{secret}".encode()).decode(),
    "in HTML": html.escape,
    "as repr": repr,
    "cut": lambda secret: secret[3:-2],
}


def echo(how: str, *names: str) -> str:
    """Return a text that repeats secrets in a way: those named, or all."""
    return "; ".join(f"{name} {ECHOES[how](_SECRETS[name])}" for name in names or _SECRETS)


def seen_in(text: str) -> list[str]:
    """Return which canaries show in a text, and the first part of each that does."""
    folded = text.lower()
    return [
        f"{name}: {part}" for name, parts in _PARTS.items() if (part := next((p for p in parts if p in folded), ""))
    ]


_SECRETS = {"password": PASSWORD, "token": TOKEN, "email": EMAIL}


def _parts(name: str, secret: str) -> Iterator[str]:
    """Yield the parts of a secret by which it is found, in lower case: any five characters; of an e-mail, all of it."""
    data = secret.encode()
    least = len(secret) if name == "email" else 5
    forms = [
        (secret, least),
        (json.dumps(secret)[1:-1], least),
        (repr(secret)[1:-1], least),
        (html.escape(secret), least),
    ]
    percent, units = "".join(f"%{byte:02x}" for byte in data), "".join(f"\\u{ord(each):04x}" for each in secret)
    forms += [(percent, 3 * least), (units, 6 * least), (quote(secret, safe=""), least + 4), (data.hex(), 2 * least)]
    forms += [(b64encode(bytes(shift) + data).decode()[4:-4], 12 if name == "email" else 8) for shift in range(3)]
    for form, length in forms:
        for place in range(max(len(form) - length, 0) + 1):
            yield form[place : place + length].lower()


_PARTS = {name: [*dict.fromkeys(_parts(name, secret))] for name, secret in _SECRETS.items()}

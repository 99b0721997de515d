"""Who logs in, the session tokens that this gives, and where they are kept between clients.

Stores are written against this module by users and by the hook, so it imports neither httpx nor Airflow.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import ClassVar, Protocol, TypeGuard

from hyperoru_provider.client.redaction import Address

#: of the digest that is stored beside a token: it is slow on purpose, some hundredths of a second
BINDING_ROUNDS = 60_000

_TOKEN = re.compile(r"[!-~]{1,16384}")


@dataclass(frozen=True)
class Credentials:
    """Who logs in where.

    :param base_url: the server.
    :param login: email or user name; in no ``repr``.
    :param password: in no ``repr``.
    :param session_token: a token that was issued elsewhere; with it there is no login at all.
    :param headers: what a gateway before the server wants to see.
    """

    base_url: str
    login: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be seen in a message."""
        address = Address(self.login) if self.login and "@" in self.login else None
        return tuple(filter(None, (self.password, self.session_token, address, *self.headers.values())))

    @cached_property
    def binding(self) -> str:
        """Digest that ties a stored token to URL, login and password: change one, and a new login follows."""
        salt = f"{self.base_url}\n{self.login}".encode()
        return hashlib.pbkdf2_hmac("sha256", (self.password or "").encode(), salt, BINDING_ROUNDS).hex()


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

    def is_usable(self, refused: Collection[str]) -> bool:
        """Return whether the token can be one, has not expired and is not one of those that the server refused."""
        return can_be_token(self.value) and self.value not in refused and self.expires_at > datetime.now(UTC)


def can_be_token(value: object) -> TypeGuard[str]:
    """Return whether a value can be sent as a token: a text of a bounded length, of visible ASCII characters."""
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


class TokenStore(Protocol):
    """Where tokens are kept between clients. A failure inside is a warning and no token, never an exception."""

    def read(self, binding: str) -> Token | None:
        """Return the token that was stored for this binding, or ``None``."""

    def write(self, token: Token) -> None:
        """Keep a token."""


class MemoryTokenStore:
    """Tokens of this process, shared by all its clients."""

    _tokens: ClassVar[dict[str, Token]] = {}

    def read(self, binding: str) -> Token | None:
        """Return the token that was stored for this binding, or ``None``."""
        return self._tokens.get(binding)

    def write(self, token: Token) -> None:
        """Keep a token until the process ends."""
        self._tokens[token.binding] = token

    def clear(self) -> None:
        """Forget all tokens, for all clients of this process."""
        self._tokens.clear()

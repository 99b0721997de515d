"""What a running sandbox knows: its tokens, its faults and what it was asked."""

from __future__ import annotations

import random
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping
from threading import Lock

from hyperoru_provider.sandbox.faults import Faults

__all__ = ["Call", "State", "Stats"]

_TOKEN_LIFETIME = 180 * 86_400.0

#: What makes two requests the same: method, path, query without a token, body.
Call = tuple[str, str, str, bytes]


class Stats:
    """Counts of what was asked and answered."""

    def __init__(self) -> None:
        self.requests = 0
        self.logins = 0
        self.login_attempts = 0
        self.by_status: Counter[str] = Counter()
        self.by_path: Counter[str] = Counter()
        self.repeated_refusals = 0
        self.in_flight = 0
        self.max_in_flight = 0
        self.rows_served = 0
        self.backfills = 0
        self.sockets_open = 0
        self.sockets: Counter[str] = Counter(opened=0, most_open=0, refused=0, tokens_in_url=0)
        self.socket_events: Counter[str] = Counter()
        self.socket_messages: Counter[str] = Counter()
        self._refused: dict[Call, tuple[int, str | None, bool]] = {}

    def begin(self, call: Call, token: str | None) -> None:
        """Count a request that came in."""
        self.requests += 1
        self.by_path[call[1]] += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        if call in self._refused:
            status, refused_token, excused = self._refused[call]
            if status == 401 and token != refused_token and not excused:
                self._refused[call] = (status, refused_token, True)
            else:
                self.repeated_refusals += 1

    def end(self, call: Call, token: str | None, status: int | None) -> None:
        """Count the answer to a request; None when there was none."""
        self.in_flight -= 1
        self.by_status["dropped" if status is None else str(status)] += 1
        if status is None:
            return
        if 400 <= status < 500 and status != 429:
            excused = status == 401 and call in self._refused and self._refused[call][2]
            self._refused[call] = (status, token, excused)
        else:
            self._refused.pop(call, None)

    def open_socket(self) -> None:
        """Count a socket that was opened."""
        self.sockets["opened"] += 1
        self.sockets_open += 1
        self.sockets["most_open"] = max(self.sockets["most_open"], self.sockets_open)

    def as_dict(self) -> dict[str, object]:
        """Return the counts by name, as JSON has them."""
        return {
            "requests": self.requests,
            "logins": self.logins,
            "login_attempts": self.login_attempts,
            "by_status": dict(self.by_status),
            "by_path": dict(self.by_path),
            "repeated_refusals": self.repeated_refusals,
            "max_in_flight": self.max_in_flight,
            "rows_served": self.rows_served,
            "backfills": self.backfills,
            "sockets": {
                "open": self.sockets_open,
                **self.sockets,
                "events": dict(self.socket_events),
                "messages": dict(self.socket_messages),
            },
        }


class State:
    """The changing part of a sandbox; safe to use from any thread.

    :param email: of the one user
    :param password: of the one user
    :param faults: how the sandbox misbehaves
    :param seed: of the random faults
    :param clock: the present, in seconds since 1970
    """

    def __init__(
        self, email: str, password: str, faults: Faults, seed: int, clock: Callable[[], float] = time.time
    ) -> None:
        self.email = email
        self.username = email.partition("@")[0]
        self.clock = clock
        self.faults = faults
        self.stats = Stats()
        self.lock = Lock()
        self._password = password
        self._seed = seed
        self._tokens: dict[str, float] = {}
        self._dice: dict[str, random.Random] = {}

    @property
    def user(self) -> dict[str, object]:
        """The one user, as the API shows it."""
        return {"id": 1, "username": self.username, "email": self.email, "is_active": True}

    def set_faults(self, changes: Mapping[str, object]) -> None:
        """Change some faults; see :meth:`Faults.merged`."""
        with self.lock:
            self.faults = self.faults.merged(changes)

    def take_failure(self) -> bool:
        """Return whether this is one of the requests of ``fail_next``, which it then counts down."""
        return self._count_down("fail_next")

    def take_refusal(self) -> bool:
        """Return whether this is one of the tokens of ``socket_refuse``, which it then counts down."""
        return self._count_down("socket_refuse")

    def strikes(self, name: str, rate: float) -> bool:
        """Return whether a random fault happens, by a draw."""
        if not rate:
            return False
        with self.lock:
            return self._named_dice(name).random() < rate

    def dice(self, name: str) -> random.Random:
        """Return the generator of a random fault, for draws in one thread."""
        with self.lock:
            return self._named_dice(name)

    def log_in(self, name: str, value: object, password: object) -> tuple[str, float] | None:
        """Return a new token and when it expires, or None for wrong credentials.

        :param name: ``email`` or ``username``
        :param value: what was sent for it
        :param password: what was sent
        """
        known = self.email if name == "email" else self.username
        right = value == known and password == self._password
        with self.lock:
            self.stats.login_attempts += 1
            if not right:
                return None
            self.stats.logins += 1
            if self.faults.single_session:
                self._tokens.clear()
            token = secrets.token_urlsafe(48)
            self._tokens[token] = self.clock()
            return token, self._tokens[token] + self._lifetime()

    def accepts(self, token: str | None) -> bool:
        """Return whether a token is known and has not expired."""
        with self.lock:
            issued = self._tokens.get(token or "")
            return issued is not None and self.clock() < issued + self._lifetime()

    def log_out(self, token: str) -> None:
        """End a token."""
        with self.lock:
            self._tokens.pop(token, None)

    def revoke_tokens(self) -> None:
        """End all tokens."""
        with self.lock:
            self._tokens.clear()

    def reset(self) -> None:
        """Set counters to zero, faults off, and random faults to their start; tokens stay."""
        with self.lock:
            before, self.stats = self.stats, Stats()
            self.stats.in_flight = before.in_flight
            self.stats.sockets_open = self.stats.sockets["most_open"] = before.sockets_open
            self.faults = Faults()
            self._dice.clear()

    def _count_down(self, name: str) -> bool:
        with self.lock:
            left: int = getattr(self.faults, name)
            if left:
                self.faults = self.faults.merged({name: left - 1})
            return left > 0

    def _named_dice(self, name: str) -> random.Random:
        return self._dice.setdefault(name, random.Random(f"{self._seed}:{name}"))

    def _lifetime(self) -> float:
        return _TOKEN_LIFETIME if self.faults.token_lifetime is None else self.faults.token_lifetime

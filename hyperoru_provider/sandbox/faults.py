"""The ways in which the sandbox misbehaves on request."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

__all__ = ["FaultError", "Faults"]


class FaultError(ValueError):
    """A fault has an unknown name, or a value that it can't take; the message names it."""


@dataclass(frozen=True)
class Faults:
    """The faults of a sandbox; the defaults are the behaviour without any fault.

    Rates are probabilities from 0 to 1, drawn from seeded generators, one for each rate.

    :param health: what the health check answers as ``status``
    :param latency: seconds that each answer is held back
    :param error_rate: share of requests that are answered with ``error_status``
    :param error_status: the status of ``error_rate`` and ``fail_next``
    :param rate_limit_rate: share of requests that are answered with 429
    :param retry_after: seconds in the ``Retry-After`` header of those answers; None leaves it out
    :param retry_after_as_date: send ``Retry-After`` as an HTTP date
    :param drop_rate: share of requests whose connection is closed without an answer
    :param truncate_rate: share of answers that end before their ``Content-Length``
    :param token_lifetime: seconds after which a token ends, in place of 180 days
    :param single_session: a login ends the tokens of all earlier ones
    :param fail_next: so many of the next data requests (authenticated, any path) fail; counts down
    :param ignore_unknown: ignore unknown query parameters in place of refusing them
    :param ignore_params: query parameters that are ignored although they are known
    :param cap: a list of trades or candles holds at most so many rows, without a sign of it
    :param cap_skips: the page after one that was cut begins where a whole one would have ended
    :param max_per_page: the largest page size that may be asked for
    :param first_page: the number of the first page
    :param past_the_end: what a page past the end of the trades is: ``empty``, the ``last`` page again, or ``absent``
        (404)
    :param merge_after_limit: share of rows that are merged into others, after ``cap`` or the page size has taken them;
        always the same rows, so pages come short or empty although more rows follow
    :param order: of the trades: ``newest`` or ``oldest`` first, ``mixed``, or ``changing`` with each request
    :param unstable: so many new trades arrive at the newest end before each further page
    :param day_granular: filter by whole UTC days, with the day of ``end`` included
    :param inclusive_end: include what is exactly of the time ``end``
    :param colliding_ids: two tables in one list: the same id twice, told apart by ``source``
    :param recurring_ids: ids begin again after so many
    :param total: ``right``, ``none`` (left out), ``before_filter`` (counts more than was asked for), ``page``
        (counts the rows of the page), or ``changing`` (one more on each further page)
    :param has_more: send ``has_more``
    :param envelope: the name of the list in answers with trades or orders; ``bare`` is an array and nothing else, and
        ``default`` is ``items`` for trades and ``bare`` for orders
    :param beside_accounts: trades stand beside a list of the traders: ``accounts``, ``trades``, ``generated_at``
    :param null_when_empty: a list in an envelope is ``null`` when it is empty
    :param hidden_by_default: a query parameter and its value, such as ``trading_mode=mainnet``, without which the lists
        of trades and orders are empty
    :param paging: the query parameters of the trades list; ``none`` lists everything at once
    :param error_body: the shape of error answers
    :param false_success: lists answer 200 with ``{"success": false, "message": ...}``
    :param error_beside: lists answer 200 with an error in the same object: ``error_object``, ``error_text`` (both as
        ``error``), ``errors`` (a list), ``ok`` (false), ``status`` ("error"), ``success_text`` ("false"),
        ``success_zero`` (0), or ``code`` (beside a ``message``)
    :param error_beside_page: the page with that error: the ``first``, or each ``further`` one
    :param error_beside_rows: keep the rows of that page; without it the list is empty, and nothing tells its length
    :param naive_times: ``trade_time`` without its ``Z``
    :param duplicate_rows: each page begins with the last row of the page before it
    :param repeat_newest: the newest row is in the list twice
    :param conflicting_rows: the newest row is in the list twice, the older time with another price
    :param bad_rows: the first row of the list has no key (``no_key``) or no time (``no_time``)
    :param backfill_seconds: how long a backfill job takes, also one that is under way
    :param backfill_fail: a job that begins now will fail half-way
    :param backfill_gone: no job is known any more
    :param backfill_lose_answer: a job begins, but the connection is closed without an answer
    :param backfill_window: jobs show the ``start`` and ``end`` of their window
    :param backfill_old: jobs as an older version of the API has them, with other names and ids
    :param pace: so many new trades a second, of all traders and symbols
    :param asset_curve_seconds: how often the socket's channel ``asset_curve`` has an event for each trader
    :param socket_latency: seconds that a handshake and each message of a socket are held back
    :param socket_refuse: so many of the next tokens at a socket are refused although they are right; counts down
    :param socket_drop_rate: share of events in whose place the connection is closed, without a close frame
    :param socket_silent: sockets stay open, but nothing comes from them any more: no event, answer or pong
    :param socket_malformed_rate: share of events before which there is a message that is no JSON, or binary
    :param socket_duplicate_rate: share of events that are sent twice
    :param socket_lose_rate: share of events that are never sent
    :param socket_shuffle: events are in no order, and some come a tick (0.1 s) later
    :param socket_batch: up to so many trades in one event, whose ``data`` is a list then
    :param socket_queue: messages kept for a client that reads too slowly; one more closes its socket with 1013
    """

    health: str = "healthy"
    latency: float = 0
    error_rate: float = 0
    error_status: int = 503
    rate_limit_rate: float = 0
    retry_after: float | None = None
    retry_after_as_date: bool = False
    drop_rate: float = 0
    truncate_rate: float = 0
    token_lifetime: float | None = None
    single_session: bool = False
    fail_next: int = 0
    ignore_unknown: bool = False
    ignore_params: tuple[str, ...] = ()
    cap: int | None = None
    cap_skips: bool = False
    max_per_page: int = 500
    first_page: int = 1
    past_the_end: Literal["empty", "last", "absent"] = "empty"
    merge_after_limit: float = 0
    order: Literal["newest", "oldest", "mixed", "changing"] = "newest"
    unstable: int = 0
    day_granular: bool = False
    inclusive_end: bool = False
    colliding_ids: bool = False
    recurring_ids: int | None = None
    total: Literal["right", "none", "before_filter", "page", "changing"] = "right"
    has_more: bool = True
    envelope: Literal["default", "bare", "items", "trades", "orders", "data", "results"] = "default"
    beside_accounts: bool = False
    null_when_empty: bool = False
    hidden_by_default: str | None = None
    paging: Literal["page", "offset", "cursor", "none"] = "page"
    error_body: Literal["default", "details", "detail", "detail_list", "html", "empty"] = "default"
    false_success: bool = False
    error_beside: Literal[
        "none", "error_object", "error_text", "errors", "ok", "status", "success_text", "success_zero", "code"
    ] = "none"
    error_beside_page: Literal["first", "further"] = "first"
    error_beside_rows: bool = False
    naive_times: bool = False
    duplicate_rows: bool = False
    repeat_newest: bool = False
    conflicting_rows: bool = False
    bad_rows: Literal["none", "no_key", "no_time"] = "none"
    backfill_seconds: float = 0.2
    backfill_fail: bool = False
    backfill_gone: bool = False
    backfill_lose_answer: bool = False
    backfill_window: bool = False
    backfill_old: bool = False
    pace: float = 0
    asset_curve_seconds: float = 60
    socket_latency: float = 0
    socket_refuse: int = 0
    socket_drop_rate: float = 0
    socket_silent: bool = False
    socket_malformed_rate: float = 0
    socket_duplicate_rate: float = 0
    socket_lose_rate: float = 0
    socket_shuffle: bool = False
    socket_batch: int | None = None
    socket_queue: int = 10_000

    @property
    def hiding_parameter(self) -> tuple[str, str] | None:
        """The name and the value of ``hidden_by_default``, or None."""
        name, equals, value = (self.hidden_by_default or "").partition("=")
        return (name, value) if equals else None

    def merged(self, changes: Mapping[str, object]) -> Faults:
        """Return these faults with some of them changed.

        :param changes: new values by fault name
        :raises FaultError: for an unknown name or a value of the wrong type or size
        """
        known = [field.name for field in fields(self)]
        clean: dict[str, Any] = {}
        for name, value in changes.items():
            if name not in known:
                raise FaultError(f"unknown fault {name!r}; known are {', '.join(known)}")
            _check(name, value)
            clean[name] = tuple(value) if isinstance(value, list) else value
        return replace(self, **clean)

    def as_dict(self) -> dict[str, object]:
        """Return the faults by name, as JSON has them."""
        return asdict(self)


_HINTS = get_type_hints(Faults)

_LIMITS: dict[str, tuple[float, float]] = {
    "error_rate": (0, 1),
    "rate_limit_rate": (0, 1),
    "drop_rate": (0, 1),
    "truncate_rate": (0, 1),
    "error_status": (400, 599),
    "cap": (1, math.inf),
    "merge_after_limit": (0, 1),
    "max_per_page": (1, math.inf),
    "recurring_ids": (1, math.inf),
    "pace": (0, 1_000),
    "asset_curve_seconds": (0.1, math.inf),
    "socket_drop_rate": (0, 1),
    "socket_malformed_rate": (0, 1),
    "socket_duplicate_rate": (0, 1),
    "socket_lose_rate": (0, 1),
    "socket_batch": (1, math.inf),
    "socket_queue": (1, math.inf),
}


def _check(name: str, value: object) -> None:
    if not _fits(value, _HINTS[name]):
        raise FaultError(f"fault {name!r} can't be {value!r}; it takes {_describe(_HINTS[name])}")
    low, high = _LIMITS.get(name, (0, math.inf))
    if isinstance(value, int | float) and not low <= value <= high:
        raise FaultError(f"fault {name!r} can't be {value!r}; it takes {low} to {high}")
    if name == "hidden_by_default" and isinstance(value, str) and not re.fullmatch(r"\w+=.+", value):
        raise FaultError(f"fault {name!r} can't be {value!r}; it takes NAME=VALUE, such as trading_mode=mainnet")


def _fits(value: object, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin is Literal:
        return value in get_args(hint)
    if origin is UnionType:
        return any(_fits(value, member) for member in get_args(hint))
    if origin is tuple:
        return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _describe(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(get_args(hint))
    if get_origin(hint) is UnionType:
        return " or ".join(_describe(member) for member in get_args(hint))
    if get_origin(hint) is tuple:
        return "a list of names"
    names = {str: "a text", float: "a number", int: "a whole number", bool: "true or false", type(None): "null"}
    return names[hint]

"""The faults of the matrix, and what each does to what it strikes: written down before anything is run.

A fault strikes some of what subjects ask (``on``), and a task that asks it ends as ``ends`` says. A wait takes
transient errors for "not yet". Where one subject or one thing that is asked ends otherwise, ``but`` says so and why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.airflow.matrix.outcomes import (
    AMBIGUOUS,
    AUTHENTICATION,
    BAD_REQUEST,
    CONFLICT,
    CONTRACT,
    DATA,
    EXACT,
    JOB_FAILED,
    LISTS,
    NETWORK,
    NOT_FOUND,
    NOTHING,
    PART,
    PERMISSION,
    RATE_LIMIT,
    REQUESTS,
    ROWS,
    SERVER,
    VALIDATION,
    WAITS,
    Asks,
)
from tests.airflow.matrix.tampering import Tamper

ANY = REQUESTS | Asks.SOCKET
TRADES, ORDERS = Asks.TRADES, Asks.ORDERS
#: a count of trades ends as soon as there are enough, which may be before the last page proves the list
ENDS_EARLY = {"trades there": {EXACT, CONTRACT}}
#: a second try that may have to begin while it isn't known whether the first one began a job
MAY_HAVE_BEGUN = {Asks.NEW_JOB: {EXACT, AMBIGUOUS}}
#: a server that hides all rows answers with an honest, empty list; where rows were exported before, that is an error
HIDDEN = {"afresh": {PART}, "trades there": {WAITS}, "one trade more": {WAITS}}
#: a list without window and pages that is cut without a sign of it
CUT = {ORDERS: {PART}}

#: ends by a label of a subject, or by what it asks
But = Mapping[Any, set[str]]


@dataclass(frozen=True)
class Fault:
    """A way in which the server misbehaves.

    :param name: as the docs name it.
    :param on: what it strikes.
    :param ends: how a task ends that asks for it.
    :param switches: of the sandbox.
    :param but: other ends, by a label of a subject or by what it asks; the first that fits counts.
    :param extra: of the connection.
    :param tamper: done to answers on their way.
    :param frames: sent on a socket once it is subscribed.
    """

    name: str
    on: Asks
    ends: str
    switches: Mapping[str, Any] = field(default_factory=dict)
    but: But = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    tamper: Tamper | None = None
    frames: bytes = b""


def switch(on: Asks, ends: str, *, but: But | None = None, extra: Any = None, **switches: Any) -> Fault:
    """Return a fault of the sandbox, named as its switches."""
    name = ", ".join(f"{name}={_shown(value)}" for name, value in switches.items())
    return Fault(name, on, ends, switches, but or {}, extra or {})


def _shown(value: Any) -> str:
    return "+".join(value) if isinstance(value, list) else str(value).lower() if isinstance(value, bool) else str(value)


def _requests() -> Iterator[Fault]:
    """What may happen to any request."""
    yield switch(Asks.HEALTH, WAITS, health="degraded")
    yield switch(ANY, EXACT, latency=0.02)
    yield switch(REQUESTS, NETWORK, latency=1.0, extra={"timeout": 0.2, "max_retries": 1})
    yield switch(REQUESTS, EXACT, error_rate=0.3, but=MAY_HAVE_BEGUN)
    of_login = {Asks.LOGIN: {AUTHENTICATION}}
    for status, ends, but in (
        (400, BAD_REQUEST, of_login),
        (401, AUTHENTICATION, {}),
        (403, PERMISSION, of_login),
        (404, NOT_FOUND, {}),
        (408, SERVER, {}),
        (409, CONFLICT, {}),
        (418, BAD_REQUEST, {}),
        (422, VALIDATION, of_login),
        (425, SERVER, {}),
        (429, RATE_LIMIT, {}),
        (500, SERVER, {}),
        (599, SERVER, {}),
    ):
        yield switch(REQUESTS, ends, error_rate=1.0, error_status=status, but=but)
        yield switch(DATA, ends, fail_next=100_000, error_status=status)
    yield switch(DATA, EXACT, fail_next=2, error_status=503)
    yield switch(REQUESTS, EXACT, rate_limit_rate=0.3)
    yield switch(REQUESTS, EXACT, rate_limit_rate=0.3, retry_after=0.01)
    yield switch(REQUESTS, EXACT, rate_limit_rate=0.3, retry_after=86_400)
    yield switch(REQUESTS, EXACT, rate_limit_rate=0.3, retry_after=86_400, retry_after_as_date=True)
    yield switch(REQUESTS, EXACT, error_rate=0.3, retry_after=86_400, but=MAY_HAVE_BEGUN)
    yield switch(REQUESTS, RATE_LIMIT, rate_limit_rate=1.0)
    yield switch(REQUESTS, EXACT, drop_rate=0.2, but=MAY_HAVE_BEGUN)
    yield switch(REQUESTS, NETWORK, drop_rate=1.0)
    yield switch(REQUESTS, EXACT, truncate_rate=0.2, but=MAY_HAVE_BEGUN)
    yield switch(REQUESTS, NETWORK, truncate_rate=1.0)
    for shape in ("default", "details", "detail", "detail_list", "html", "empty"):
        yield switch(DATA, BAD_REQUEST, fail_next=100_000, error_status=400, error_body=shape)
        yield switch(REQUESTS, EXACT, error_rate=0.3, error_body=shape, but=MAY_HAVE_BEGUN)


def _sessions() -> Iterator[Fault]:
    yield switch(DATA | Asks.SOCKET, AUTHENTICATION, token_lifetime=0)
    yield switch(DATA | Asks.SOCKET, EXACT, token_lifetime=1.0)
    yield switch(ANY, EXACT, single_session=True)


def _lists() -> Iterator[Fault]:
    """What lists and pages do."""
    yield switch(NOTHING, EXACT, ignore_unknown=True)
    yield switch(TRADES | Asks.KLINES, CONTRACT, ignore_params=["start", "end"], but=ENDS_EARLY)
    yield switch(TRADES, CONTRACT, ignore_params=["page"])
    yield switch(TRADES, EXACT, ignore_params=["per_page"])
    yield switch(TRADES, CONTRACT, ignore_params=["account_id"])
    yield switch(Asks.PRICE | Asks.KLINES, BAD_REQUEST, ignore_params=["symbol"])
    yield switch(TRADES | ORDERS | Asks.KLINES, EXACT, cap=10, but=CUT)
    yield switch(ORDERS, CONTRACT, cap=50)
    yield switch(TRADES | ORDERS | Asks.KLINES, EXACT, cap=10, cap_skips=True, but=CUT)
    yield switch(TRADES | ORDERS, EXACT, cap=10, cap_skips=True, total="none", but=CUT)
    yield switch(TRADES, VALIDATION, max_per_page=10)
    yield switch(TRADES, EXACT, first_page=0)
    yield switch(TRADES, EXACT, first_page=0, total="none", has_more=False)
    yield switch(TRADES, VALIDATION, first_page=2)
    for past in ("last", "absent"):
        yield switch(TRADES, EXACT, past_the_end=past)
        yield switch(TRADES, EXACT, past_the_end=past, total="none", has_more=False)
    # 50 orders are left of them, which looks like a cap
    yield switch(ROWS, CONTRACT, merge_after_limit=0.5, but=ENDS_EARLY)
    for order in ("oldest", "mixed"):
        yield switch(ROWS, EXACT, order=order)
    # which is the first page can't be told; chance may speak for 0, which the sandbox refuses
    yield switch(TRADES, CONTRACT, order="changing", but={TRADES: {CONTRACT, VALIDATION}})
    yield switch(TRADES, CONTRACT, unstable=1, but={"trades there": {EXACT, CONTRACT}})
    yield switch(TRADES | Asks.KLINES, CONTRACT, day_granular=True)
    yield switch(TRADES | Asks.KLINES, EXACT, inclusive_end=True)
    yield switch(TRADES, EXACT, total="none")
    yield switch(TRADES, CONTRACT, total="before_filter", but=ENDS_EARLY)
    yield switch(TRADES, EXACT, total="page")
    yield switch(TRADES, CONTRACT, total="changing", but=ENDS_EARLY)
    yield switch(TRADES, EXACT, has_more=False)
    yield switch(TRADES, EXACT, total="none", has_more=False)
    for envelope in ("bare", "items", "trades", "orders", "data", "results"):
        yield switch(ROWS, EXACT, envelope=envelope)
    yield switch(TRADES, EXACT, beside_accounts=True)
    yield switch(ROWS, EXACT, null_when_empty=True)
    yield switch(ROWS, CONTRACT, hidden_by_default="trading_mode=mainnet", but=HIDDEN)
    for paging in ("offset", "cursor", "none"):
        yield switch(TRADES, BAD_REQUEST, paging=paging)
    yield switch(TRADES, CONTRACT, paging="none", ignore_unknown=True, but=ENDS_EARLY)


def _rows() -> Iterator[Fault]:
    """What rows do."""
    yield switch(ROWS, CONTRACT, colliding_ids=True)
    yield switch(ROWS, CONTRACT, recurring_ids=20)
    yield switch(ROWS, EXACT, naive_times=True)
    yield switch(TRADES, EXACT, duplicate_rows=True)
    yield switch(TRADES, CONTRACT, repeat_newest=True, but=ENDS_EARLY)
    yield switch(TRADES, EXACT, repeat_newest=True, total="none", has_more=False)
    yield switch(ROWS, CONTRACT, conflicting_rows=True)
    yield switch(ROWS, CONTRACT, bad_rows="no_key")
    yield switch(TRADES, CONTRACT, bad_rows="no_time")


def _errors_in_a_success() -> Iterator[Fault]:
    yield switch(LISTS, CONTRACT, false_success=True)
    for kind in ("error_object", "error_text", "errors", "ok", "status", "success_text", "success_zero", "code"):
        yield switch(LISTS, CONTRACT, error_beside=kind)
        yield switch(LISTS, CONTRACT, error_beside=kind, error_beside_rows=True)
        yield switch(TRADES, CONTRACT, error_beside=kind, error_beside_page="further")


def _jobs() -> Iterator[Fault]:
    yield switch(Asks.JOB, EXACT, backfill_seconds=0)
    yield switch(Asks.JOB, EXACT, backfill_seconds=0.5)
    yield switch(Asks.JOB, WAITS, backfill_seconds=3_600)
    yield switch(Asks.NEW_JOB, JOB_FAILED, backfill_fail=True)
    yield switch(Asks.JOB, CONTRACT, backfill_gone=True, but={"backfill trigger": {NOT_FOUND}})
    yield switch(Asks.NEW_JOB, EXACT, backfill_lose_answer=True)
    yield switch(Asks.JOB, EXACT, backfill_window=True)
    yield switch(Asks.JOB, VALIDATION, backfill_old=True, but={"backfill trigger": {NOT_FOUND}})


def _sockets() -> Iterator[Fault]:
    """What the stream does. Events that a gap covers are not lost: the DAG looks there."""
    yield switch(Asks.SOCKET, EXACT, pace=20)
    yield switch(Asks.SOCKET, EXACT, asset_curve_seconds=0.2)
    yield switch(Asks.SOCKET, EXACT, socket_latency=0.1)
    yield switch(Asks.SOCKET, EXACT, socket_refuse=1)
    yield switch(Asks.SOCKET, AUTHENTICATION, socket_refuse=100_000)
    yield switch(Asks.SOCKET, EXACT, socket_drop_rate=0.3)
    yield switch(Asks.SOCKET, EXACT, socket_drop_rate=1.0)
    yield switch(Asks.SOCKET, WAITS, socket_silent=True)
    yield switch(Asks.SOCKET, EXACT, socket_malformed_rate=1.0)
    yield switch(Asks.SOCKET, EXACT, socket_duplicate_rate=1.0)
    yield switch(Asks.SOCKET, WAITS, socket_lose_rate=1.0)
    yield switch(Asks.SOCKET, EXACT, socket_shuffle=True)
    yield switch(Asks.SOCKET, EXACT, socket_batch=5)
    yield switch(Asks.SOCKET, EXACT, socket_queue=5)  # the answers to four subscriptions fit in


SWITCHES = [*_requests(), *_sessions(), *_lists(), *_rows(), *_errors_in_a_success(), *_jobs(), *_sockets()]

"""The order in which a server is examined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hyperoru_provider.client.api.resources import RESOURCES
from hyperoru_provider.doctor.basics import (
    examine_health,
    examine_login,
    examine_price,
    examine_profile,
    examine_tokens,
    read_document,
)
from hyperoru_provider.doctor.lists import ListExam
from hyperoru_provider.doctor.openapi import Document
from hyperoru_provider.doctor.redacting import redacted_report
from hyperoru_provider.doctor.report import Finding, Report
from hyperoru_provider.doctor.server import OutOfRequestsError, Server
from hyperoru_provider.doctor.state import State
from hyperoru_provider.doctor.stream import examine_stream
from hyperoru_provider.doctor.vocabulary import ALIKE

#: the lists that are asked first, as most requests are worth it there; the others follow
_FIRST = ("trades", "closed_trades", "decisions", "program_runs", "klines", "orders", "backfill_jobs")
_NOT_ASKED = "It was not asked for: no more requests were left."


def examine(
    options: Mapping[str, Any],
    contract: Mapping[str, Any] | None = None,
    chosen: Mapping[str, str] | None = None,
    document: Document | None = None,
) -> Report:
    """Ask a server, read-only, how it differs from the contract, and return what was found out.

    :param options: the arguments of a client, but for its contract.
    :param contract: overrides that there are already.
    :param chosen: values of switches, by the server's names of them.
    :param document: what the server says of itself; by default its ``/openapi.json``.
    :raises HyperoruConfigError: the options or the overrides are wrong.
    """
    with Server(options) as server:
        state = State(server, dict(contract or {}), chosen or {}, document)
        examine_health(state)
        read_document(state)
        examine_login(state)
        if state.is_logged_in:
            _examine_the_rest(state)
        for name in RESOURCES:
            if all(name != each.resource for each in state.findings):
                state.add(Finding(name, notes=[_reason(state, name)]))
        report = Report(server.base_url, state.contract, state.findings, state.questions, server.requests)
        return redacted_report(report, server.secrets)


def _reason(state: State, name: str) -> str:
    """Return why a list was not asked for."""
    if not state.is_logged_in:
        return "Nobody could log in."
    return f"It was not asked for; {ALIKE[name]} is like it." if name in ALIKE else _NOT_ASKED


def _examine_the_rest(state: State) -> None:
    first = ("traders", "coverage")
    others = [name for name in RESOURCES if name not in (*first, *_FIRST, *ALIKE)]
    try:
        examine_profile(state)
        for name in first:
            state.add(ListExam(state, name).run())
        examine_tokens(state)
        examine_price(state)
        examine_stream(state)
        for name in (*_FIRST, *others):
            state.add(ListExam(state, name).run())
    except OutOfRequestsError:
        return

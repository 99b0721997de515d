"""The order in which a server is examined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hyperoru_provider.client.api.resources import RESOURCES
from hyperoru_provider.client.errors import HyperoruConfigError
from hyperoru_provider.client.redaction import redact_text
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
from hyperoru_provider.doctor.server import MORE_FOR_A_CHOICE, MOST_REQUESTS, OutOfRequestsError, Server
from hyperoru_provider.doctor.state import State
from hyperoru_provider.doctor.stream import examine_stream
from hyperoru_provider.doctor.vocabulary import ALIKE, SWITCHES

#: the lists that are asked first, as most requests are worth it there; the others follow
_FIRST = ("trades", "closed_trades", "decisions", "program_runs", "klines", "orders", "backfill_jobs")


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
    :raises HyperoruConfigError: the options or the overrides are wrong, or a value was chosen that no list takes.
    """
    with Server(options, MOST_REQUESTS + MORE_FOR_A_CHOICE * len(chosen or ())) as server:
        state = State(server, dict(contract or {}), chosen or {}, document)
        examine_health(state)
        read_document(state)
        examine_login(state)
        if state.is_logged_in:
            _examine_the_rest(state)
            _check_choices(state)
        for name in RESOURCES:
            if all(name != each.resource for each in state.findings):
                state.add(_not_asked(state, name))
        report = Report(server.base_url, state.contract, state.findings, state.questions, server.requests)
        return redacted_report(report, server.secrets)


def _check_choices(state: State) -> None:
    """Raise an error if a value was chosen by which no list shows what it has.

    :raises HyperoruConfigError: one was; the text names those that there are.
    """
    for switch in sorted({*state.chosen} - state.choices.used):
        values = state.choices.values.get(switch) or SWITCHES.get(switch, ())
        known = ", ".join(sorted({*state.choices.values, *SWITCHES}))
        there = f"Its values are {', '.join(values)}." if values else f"Switches that there may be are {known}."
        text = f"--set {switch}={state.chosen[switch]}: no list is known to take it, so nothing was found out. {there}"
        raise HyperoruConfigError(redact_text(text, state.server.secrets))


def _not_asked(state: State, name: str) -> Finding:
    """Return what is to be said of a list that was not asked for."""
    if not state.is_logged_in:
        return Finding(name, notes=["Nobody could log in."])
    if name not in ALIKE:
        return Finding(name, notes=["It was not asked for: no more requests were left."])
    like = next((each for each in state.findings if each.resource == ALIKE[name]), Finding(name))
    override = {option: value for option, value in like.override.items() if option in ("query", "rows", "params")}
    believed = [f"{name}: its override, as it was not asked for, but {ALIKE[name]} was."] if override else []
    return Finding(
        name, notes=[f"It was not asked for; {ALIKE[name]} is like it."], override=override, believed=believed
    )


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

"""Examines one list: where it is, what its rows look like, and whether a reader of it can prove what it reads."""

from __future__ import annotations

import re
from typing import Any

from hyperoru_provider.client.decoding import canonical
from hyperoru_provider.client.errors import (
    HyperoruApiError,
    HyperoruBadRequestError,
    HyperoruNotFoundError,
    HyperoruValidationError,
)
from hyperoru_provider.client.lists.page import Page
from hyperoru_provider.doctor.inference import override_by_document
from hyperoru_provider.doctor.openapi import Operation, with_our_names
from hyperoru_provider.doctor.probe import ListProbe
from hyperoru_provider.doctor.proofs import ListProof
from hyperoru_provider.doctor.report import Finding, Verdict, verdict_of
from hyperoru_provider.doctor.server import OutOfRequestsError
from hyperoru_provider.doctor.state import State
from hyperoru_provider.doctor.switches import compare_values, switches_of
from hyperoru_provider.doctor.vocabulary import LEARNED, NEEDED, SWITCHES

#: requests that a list may take, and that of trades
_MOST_REQUESTS, _MOST_OF_TRADES = 20, 40
_REFUSALS = (HyperoruBadRequestError, HyperoruValidationError)
_NUMBER, _PLACE = re.compile(r"\d+"), re.compile(r"\{(\w+)\}")


class ListExam:
    """Examines a list.

    :param state: what is known of the server.
    :param name: the list.
    """

    def __init__(self, state: State, name: str) -> None:
        self._finding = Finding(name)
        self._state = state
        self._probe = ListProbe(state, name)
        self._switches: dict[str, tuple[str, ...]] = {}

    def run(self) -> Finding:
        """Return what was found out."""
        finding, trades = self._finding, self._finding.resource == "trades"
        try:
            with self._state.server.at_most(_MOST_OF_TRADES if trades else _MOST_REQUESTS):
                self._examine()
        except OutOfRequestsError:
            self._tell(Verdict.UNKNOWN, "It was not looked at to the end: no more requests were left for it.")
        except HyperoruApiError as error:
            self._tell(verdict_of(error), str(error))
            return finding
        if finding.verdict is not Verdict.ABSENT:
            finding.override = self._probe.look.changes
        return finding

    def _tell(self, verdict: Verdict, *notes: str) -> None:
        self._finding.verdict = verdict
        self._finding.notes += notes

    def _examine(self) -> None:
        page = self._find()
        if page is None:
            return
        page = self._choose_rows(page)
        if not page.texts:
            self._tell(Verdict.UNKNOWN, "It is empty: neither its columns nor its window or pages can be seen.")
            return
        problem = self._probe.look.fit(page) or self._problem_of(page)
        if problem:
            self._tell(Verdict.DIFFERS, problem)
            self._finding.impossible.append(f"{self._finding.resource}: {problem}")
            return
        self._tell(Verdict.DIFFERS if self._probe.look.changes else Verdict.WORKS)
        row = canonical(page.rows[0], self._probe.endpoint)
        self._state.known |= {name: row[field] for name, field in LEARNED.get(self._finding.resource, {}).items()}

    def _problem_of(self, page: Page) -> str | None:
        """Return why the list can't be read; ``None`` if it can, with the override."""
        proof = ListProof(self._probe, page)
        problem = proof.problem()
        self._finding.believed += [f"{self._finding.resource}: {text}." for text in proof.unproved]
        self._finding.impossible += [f"{self._finding.resource}: {text}." for text in proof.limits]
        return problem

    def _find(self) -> Page | None:
        """Return the first rows that the list shows, from the first path that has it; ``None`` if nothing can."""
        paths = self._state.paths(self._finding.resource)
        if not paths:
            self._tell(Verdict.ABSENT, "The server's /openapi.json does not have it.")
        for path in paths:
            if not self._go_to(path):
                continue
            try:
                return self._first_rows()
            except HyperoruNotFoundError:
                if path == paths[-1]:
                    raise
        return None

    def _go_to(self, path: str) -> bool:
        """Let the override lead to a path, and return whether it can be asked."""
        look, operation = self._probe.look, self._state.operation(path)
        look.override = {}
        served = path if operation is None else with_our_names(operation.path, _PLACE.findall(path)) or path
        if served != look.endpoint.path:
            look.override = {"path": served}
        if operation is not None:
            look.override = {**look.override, **override_by_document(operation, look.endpoint, self._probe.resource)}
        wanted = self._wanted(operation)
        if missing := [name for name in wanted if name not in self._state.known]:
            self._tell(Verdict.UNKNOWN, f"No {' and '.join(missing)} is known to ask with.")
            return False
        self._probe.filters = {name: self._state.known[name] for name in wanted}
        fields = self._probe.resource.model.model_fields
        look.known = {name: value for name, value in self._probe.filters.items() if name in fields}
        self._switches = switches_of(operation)
        chosen = {name: value for name, value in self._state.chosen.items() if operation and name in self._switches}
        if chosen:
            look.override = {**look.override, "query": chosen}
        return True

    def _wanted(self, operation: Operation | None) -> list[str]:
        """Return the filters without which the list can't be asked for."""
        wanted = [*self._probe.endpoint.path_names, *NEEDED.get(self._finding.resource, ())]
        if operation is not None:
            named = ((name, operation.named(name)) for name in self._probe.resource.filters)
            wanted += [name for name, theirs in named if theirs is not None and theirs.required]
        return list(dict.fromkeys(wanted))

    def _first_rows(self) -> Page:
        """Return the rows that the list shows without a window; in another way of paging if it refuses this one."""
        look, endpoint = self._probe.look, self._probe.endpoint
        try:
            return self._probe.first_page()
        except _REFUSALS as error:
            refusal, size = error, endpoint.page_size or 0
        numbers = {int(each[:9]) for each in _NUMBER.findall(refusal.message)} - {refusal.status}
        ways: list[dict[str, Any]] = [
            *({"page_size": number} for number in sorted(numbers, reverse=True) if 0 < number < size),
            *({"paging": style, "page_size": size} for style in ("offset", "cursor") if size),
            *([{"paging": "none", "page_size": None}] if endpoint.paging != "none" else []),
        ]
        for way in ways:
            try:
                with self._probe.trying(way):
                    page = self._probe.first_page()
            except HyperoruApiError:
                continue
            look.override = {**look.override, **way}
            return page
        raise refusal

    def _choose_rows(self, page: Page) -> Page:
        """Return the rows that the user means, or note the question which they are."""
        name, look, filters = self._finding.resource, self._probe.look, self._probe.resource.filters
        is_documented = self._state.operation(look.endpoint.path) is not None
        # a document may pass over a switch, and an empty list be hidden by one
        may_have_one = (name == "trades" and not is_documented) if page.texts else "account_id" in filters
        possible = (self._switches if is_documented else {}) or (SWITCHES if may_have_one else {})
        settled = (*look.endpoint.query, *filters)
        switches = {switch: values for switch, values in possible.items() if switch not in settled}
        if asked := sorted({each.switch for each in self._state.questions} & set(switches)):
            self._finding.notes.append(f"Which rows it has depends on {' and '.join(asked)}, too.")
            return page
        question = compare_values(name, switches, page, self._page_by)
        if question is None:
            return page
        value = self._state.chosen.get(question.switch)
        if value is None:
            self._state.questions.append(question)
            return page
        look.override = {**look.override, "query": {question.switch: value}}
        return self._probe.first_page()

    def _page_by(self, switch: str, value: str) -> Page:
        """Return what the list shows by a value of a switch."""
        with self._probe.trying({"query": {switch: value}}):
            return self._probe.page()

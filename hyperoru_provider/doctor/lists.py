"""Examines one list: where it is, what its rows look like, and whether a reader of it can prove what it reads."""

from __future__ import annotations

import json
import re
from typing import Any

from hyperoru_provider.client.decoding import canonical
from hyperoru_provider.client.errors import (
    HyperoruApiError,
    HyperoruConfigError,
    HyperoruNotFoundError,
)
from hyperoru_provider.client.lists.page import Page
from hyperoru_provider.doctor.inference import override_by_document
from hyperoru_provider.doctor.openapi import Operation, with_our_names
from hyperoru_provider.doctor.probe import ListProbe
from hyperoru_provider.doctor.proofs import ListProof
from hyperoru_provider.doctor.report import REFUSED_PARAMETERS, Finding, Verdict, verdict_of
from hyperoru_provider.doctor.server import OutOfRequestsError
from hyperoru_provider.doctor.state import State
from hyperoru_provider.doctor.switches import Switches
from hyperoru_provider.doctor.vocabulary import LEARNED, NEEDED

#: requests that a list may take, and that of trades
_MOST_REQUESTS, _MOST_OF_TRADES = 40, 60
#: what is inferred from looks, and proved by nothing
_GUESSES = ("path", "rows", "fields", "key")
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
        self._switches = Switches(self._probe, self._finding)
        self._seen = False

    def run(self) -> Finding:
        """Return what was found out."""
        finding = self._finding
        try:
            with self._state.server.at_most(_MOST_OF_TRADES if finding.resource == "trades" else _MOST_REQUESTS):
                self._examine()
        except OutOfRequestsError:
            self._tell(Verdict.UNKNOWN, "It was not read to the end, as that takes more requests than there were.")
        except HyperoruApiError as error:
            self._tell(verdict_of(error), str(error))
            return finding
        except HyperoruConfigError as error:  # a name in an answer, or in the document, which no contract can hold
            self._tell(Verdict.DIFFERS, f"No contract can say what it is like: {error}")
            finding.impossible.append(f"{finding.resource}: {finding.notes[-1]}")
            return finding
        if finding.verdict is not Verdict.ABSENT:
            finding.override = self._override()
        return finding

    def _override(self) -> dict[str, Any]:
        """Return what the contract has to say: of an empty list no more than what the user has chosen."""
        changes, name = self._probe.look.changes, self._finding.resource
        if not self._seen:
            chosen = changes.get("query", {})
            return {"query": chosen} if chosen else {}
        for option in _GUESSES:
            if option in changes and not (option == "path" and self._probe.operation):
                self._finding.believed.append(
                    f"{name}: its {option}, {json.dumps(changes[option])}, by its rows' looks."
                )
        if changes and self._finding.verdict is Verdict.UNKNOWN:
            self._finding.believed.append(f"{name}: its override, as it was not read to the end.")
        return changes

    def _tell(self, verdict: Verdict, *notes: str) -> None:
        self._finding.verdict = verdict
        self._finding.notes += notes

    def _examine(self) -> None:
        page = self._find()
        if page is None:
            return
        page = self._switches.settle(page)
        self._seen = bool(page.texts)
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
        learned = LEARNED.get(self._finding.resource, {})
        self._state.known |= {name: row[field] for name, field in learned.items() if row.get(field) not in (None, "")}

    def _problem_of(self, page: Page) -> str | None:
        """Return why the list can't be read; ``None`` if it can, with the override."""
        proof = ListProof(self._probe, page)
        problem = proof.problem()
        self._finding.believed += [f"{self._finding.resource}: {text}." for text in proof.unproved]
        self._finding.limits += [f"{self._finding.resource}: {text}." for text in proof.limits]
        return problem

    def _find(self) -> Page | None:
        """Return the first rows that the list shows, from the first path that has it; ``None`` if nothing can."""
        paths = self._state.paths(self._finding.resource)
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
        look.override, self._probe.operation = {}, operation
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
        if chosen := self._switches.documented:
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
            return self._probe.page()
        except REFUSED_PARAMETERS as error:
            refusal, size = error, endpoint.page_size or 0
        numbers = {int(each[:9]) for each in _NUMBER.findall(refusal.message)} - {refusal.status}
        ways: list[dict[str, Any]] = [
            *({"page_size": number} for number in sorted(numbers, reverse=True) if 0 < number < size),
            *({"paging": style, "page_size": size} for style in ("offset", "cursor") if size),
            *([{"paging": "none", "page_size": None}] if endpoint.paging != "none" or size else []),
        ]
        for way in ways:
            try:
                with self._probe.trying(way):
                    page = self._probe.page()
            except HyperoruApiError:
                continue
            look.override = {**look.override, **way}
            return page
        raise refusal

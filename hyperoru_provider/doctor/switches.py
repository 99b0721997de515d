"""Finds out which parameters choose what a list shows: the user says which value is meant, and nobody guesses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from hyperoru_provider.client.errors import HyperoruApiError
from hyperoru_provider.client.lists.page import Page
from hyperoru_provider.doctor.probe import ListProbe
from hyperoru_provider.doctor.report import REFUSED_PARAMETERS, Finding, Question, is_busy
from hyperoru_provider.doctor.vocabulary import PARAMETERS, SWITCHES

#: a parameter that no server has: how it is refused is how this server refuses what it does not know
_NO_PARAMETER = "hyperoru_doctor_asks"
_DEFAULT = "(default)"
_QUOTED, _ALTERNATIVES = re.compile(r"'(\w+)'"), re.compile(r"\w+(?:\|\w+)+")
_LISTED = re.compile(r"(\w+(?:, *\w+)*),? (?:or|and) (\w+)")


class UnknownParameterError(Exception):
    """The server has no such parameter there."""


class Switches:
    """The switches of a list.

    :param probe: asks for the list.
    :param finding: takes notes of what is seen.
    """

    def __init__(self, probe: ListProbe, finding: Finding) -> None:
        self._probe = probe
        self._state = probe.state
        self._finding = finding

    @property
    def documented(self) -> dict[str, str]:
        """What the user has chosen of what the server's document names, and with a value that it names, too."""
        found = {}
        for switch, value in self._state.chosen.items():
            operation = self._probe.operation
            parameter = operation.parameters.get(switch) if operation and not self._is_ours(switch) else None
            if parameter is not None and value in parameter.choices:
                found[switch] = value
        return found

    def settle(self, page: Page) -> Page:
        """Return the rows that the user means, having said so in the override or asked which they are.

        :param page: what the list shows as it is asked for by now.
        """
        self._state.choices.used.update(self.documented)
        for switch, value in self._state.chosen.items():
            if self._probe.endpoint.query.get(switch) == value:
                self._state.choices.used.add(switch)
            elif not self._is_ours(switch):
                page = self._choose(switch, value, page)
        for switch, values in self._open(page).items():
            self._state.choices.note(switch, values)
            if any(each.switch == switch for each in self._state.questions):
                self._finding.notes.append(f"Which rows it has depends on {switch}, too.")
            elif question := self._compare(switch, values, page):
                self._state.questions.append(question)
        return page

    def _open(self, page: Page) -> dict[str, tuple[str, ...]]:
        """Return the switches of which nothing is said yet, and the values to try."""
        operation = self._probe.operation
        if operation is not None and operation.switches:
            possible = operation.switches
        elif page.texts:  # a document may pass over a switch, but one that names parameters passes over few
            silent = operation is None or not operation.parameters
            possible = SWITCHES if silent and self._finding.resource == "trades" else {}
        else:
            possible = SWITCHES if self._is_of_accounts else {}
        settled = {*self._probe.endpoint.query, *self._state.chosen, *self._probe.resource.filters}
        return {switch: values for switch, values in possible.items() if switch not in settled}

    def _is_ours(self, name: str) -> bool:
        """Return whether a parameter is one that an export gives a value to."""
        known = any(name in (ours, *theirs) for ours, theirs in PARAMETERS.items())
        return known or name in self._probe.resource.filters

    @property
    def _is_of_accounts(self) -> bool:
        return "account_id" in self._probe.resource.filters

    def _choose(self, switch: str, value: str, page: Page) -> Page:
        """Return what the list shows by a value that the user has chosen, if that is to be sent there."""
        operation = self._probe.operation
        if operation is not None and switch in operation.parameters:
            if choices := operation.parameters[switch].choices:
                self._refuse(switch, value, choices)
                return page
        elif operation is not None and operation.parameters and page.texts:
            return page  # it names others, but not this one, and hides nothing
        try:
            chosen = self._ask(switch, value)
        except UnknownParameterError:
            return page
        if chosen is None:
            self._refuse(switch, value, self._state.choices.values.get(switch, ()))
        if chosen is None or not self._is_to_be_sent(switch, value, page, chosen):
            return page
        self._state.choices.used.add(switch)
        look = self._probe.look
        look.override = {**look.override, "query": {**look.override.get("query", {}), switch: value}}
        return chosen

    def _is_to_be_sent(self, switch: str, value: str, page: Page, chosen: Page) -> bool:
        """Return whether a value makes a difference, and not just as an unknown one would, too."""
        is_known = value in SWITCHES.get(switch, ())
        if self._differs(page, chosen):
            return is_known or bool(chosen.texts)
        return is_known and self._may_be_by_default(switch, value, page)

    def _may_be_by_default(self, switch: str, value: str, page: Page) -> bool:
        """Return whether a value that makes no difference is to be sent all the same: another one makes a difference,
        or there are no rows of which some might be hidden later.
        """
        if page.texts:
            others = tuple(each for each in SWITCHES[switch] if each != value)
            return self._finding.resource == "trades" and self._compare(switch, others, page) is not None
        if self._is_of_accounts:
            name = self._finding.resource
            self._finding.believed.append(f"{name}: that {switch}={value} chooses its rows, as there are none yet.")
        return self._is_of_accounts

    def _refuse(self, switch: str, value: str, values: Sequence[str]) -> None:
        self._state.choices.note(switch, values)
        known = f", but {', '.join(values)}" if values else ""
        self._finding.limits.append(f"{self._finding.resource}: {switch} can't be {value} there{known}.")

    def _compare(self, switch: str, values: tuple[str, ...], page: Page) -> Question | None:
        """Return the question which value of a switch is meant, or ``None`` if none makes a difference."""
        pages = {_DEFAULT: page}
        try:
            for value, shown in self._shown(switch, values):
                pages[value] = shown
        except UnknownParameterError:
            return None
        if not any(self._differs(page, shown) for shown in pages.values()):
            return None
        size = self._probe.endpoint.page_size
        full = [value for value, shown in pages.items() if shown.more or len(shown.texts) == size]
        return Question(switch, self._finding.resource, {name: len(each.texts) for name, each in pages.items()}, full)

    def _shown(self, switch: str, values: tuple[str, ...]) -> Iterator[tuple[str, Page]]:
        """Yield values of a switch, and what the list shows by each; those that a refusal names where one does.

        :raises UnknownParameterError: the server has no such parameter.
        """
        for value in values:
            if (shown := self._ask(switch, value)) is not None:
                yield value, shown
                continue
            further = [each for each in self._state.choices.values.get(switch, ()) if each not in values]
            for each in further:
                if (shown := self._ask(switch, each)) is not None:
                    yield each, shown
            values = (*values, *further)

    def _ask(self, switch: str, value: str) -> Page | None:
        """Return what the list shows by a value of a switch; ``None`` if the server refuses the value.

        :raises UnknownParameterError: it refuses the parameter.
        """
        try:
            with self._probe.trying({"query": {**self._probe.look.override.get("query", {}), switch: value}}):
                return self._probe.page()
        except HyperoruApiError as error:
            if is_busy(error):
                raise
            if not isinstance(error, REFUSED_PARAMETERS) or error.status == 200:
                return None
            if self._is_of_any_parameter(error, switch, value):
                raise UnknownParameterError from None
            self._state.choices.note(switch, _choices_in(error.message, {switch: value}))
            return None

    def _is_of_any_parameter(self, refusal: HyperoruApiError, switch: str, value: str) -> bool:
        """Return whether the server refuses in the same words what no server has."""
        told, refusals = _without_names(refusal, switch, value), self._state.choices.refusals
        if told in refusals:
            return True
        try:
            with self._probe.trying({"query": {_NO_PARAMETER: value}}):
                self._probe.page()
        except HyperoruApiError as error:
            if is_busy(error):
                raise
            refusals.add(_without_names(error, _NO_PARAMETER, value))
        return told in refusals

    def _differs(self, page: Page, other: Page) -> bool:
        """Return whether two answers are different, and not just because the list changes all the time."""
        return other.rows != page.rows and self._probe.page().rows == page.rows


def _without_names(error: HyperoruApiError, name: str, value: str) -> str:
    """Return the first part of what an error says, which is the same for every parameter."""
    text = error.message.replace(name, "~").replace(value, "~")
    return f"{error.code} {re.split('[;[]', text)[0]}"


def _choices_in(message: str, but: Mapping[str, str]) -> list[str]:
    """Return the values that a refusal names.

    :param but: what was refused: a parameter, and its value.
    """
    for pattern in (_QUOTED, _ALTERNATIVES, _LISTED):
        words = [word for found in pattern.finditer(message) for word in re.findall(r"\w+", found[0])]
        values = [word for word in words if word not in {*but, *but.values(), "or", "and"}]
        if values:
            return values
    return []

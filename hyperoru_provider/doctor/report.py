"""What an examination found: a row for each resource, and one override for all. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from hyperoru_provider.client.api.contract import ENTRY_BY_ENTRY
from hyperoru_provider.client.errors import (
    HyperoruApiError,
    HyperoruBadRequestError,
    HyperoruNotFoundError,
    HyperoruValidationError,
)

#: status of a fault of the server's own, which retrying won't fix
_OWN_FAULT = 500
#: what a server answers that takes no such parameter, or no such value
REFUSED_PARAMETERS = (HyperoruBadRequestError, HyperoruValidationError)


class Verdict(StrEnum):
    """How a resource is."""

    WORKS = "works"
    DIFFERS = "differs"
    REFUSED = "refused"
    ABSENT = "absent"
    UNKNOWN = "can't be told"


def verdict_of(error: HyperoruApiError) -> Verdict:
    """Return how a resource is that can't be asked for."""
    if isinstance(error, HyperoruNotFoundError):
        return Verdict.ABSENT
    return Verdict.UNKNOWN if is_busy(error) else Verdict.REFUSED


def is_busy(error: HyperoruApiError) -> bool:
    """Return whether an error says nothing of what was asked, but that the server is busy or can't be reached."""
    return error.transient and error.status != _OWN_FAULT


#: of what can be used, with the override
WORKING = (Verdict.WORKS, Verdict.DIFFERS)


@dataclass
class Finding:
    """What was found out about a resource.

    :param resource: its name in the contract.
    :param verdict: how it is.
    :param notes: what was seen, a sentence each.
    :param override: what its contract has to say, beside what it says already.
    :param believed: what of that nothing proves.
    :param impossible: why it can't be read, whatever the contract says.
    :param limits: what of it can't be read, or not in the way that was asked for.
    :param warnings: what a person should know of it, whatever the contract says.
    """

    resource: str
    verdict: Verdict = Verdict.UNKNOWN
    notes: list[str] = field(default_factory=list)
    override: dict[str, Any] = field(default_factory=dict)
    believed: list[str] = field(default_factory=list)
    impossible: list[str] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass
class Question:
    """What only the user can know: which value of a switch is meant.

    :param switch: the server's name of the parameter.
    :param resource: the list that was asked with each value.
    :param rows: how many rows an answer showed by each; ``(default)`` is without the parameter.
    :param full: the values by which an answer was full, so that there may be more rows.
    """

    switch: str
    resource: str
    rows: dict[str, int]
    full: list[str] = field(default_factory=list)


@dataclass
class Report:
    """The end of an examination.

    :param base_url: the server.
    :param contract: the whole override: what was given, and what was found.
    :param resources: the findings.
    :param questions: what is still to be answered.
    :param requests: how many were sent.
    :param written: whether what was found was put into the connection.
    """

    base_url: str
    contract: dict[str, Any] = field(default_factory=dict)
    resources: list[Finding] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    requests: int = 0
    written: bool = False

    @property
    def reached(self) -> bool:
        """Whether the server could be examined: it answered, and let us in."""
        return any(each.resource == "login" and each.verdict in WORKING for each in self.resources)

    @property
    def reason(self) -> str:
        """Why the server could not be examined."""
        notes = {each.resource: each.notes for each in self.resources if each.verdict not in WORKING}
        return " ".join(notes.get("login") or notes.get("health") or []) or "Nobody could log in."

    @property
    def overrides(self) -> dict[str, dict[str, Any]]:
        """What was found that the contract of each resource has to say."""
        return {each.resource: each.override for each in self.resources if each.override}

    @property
    def changed(self) -> bool:
        """Whether the contract still has to change, or a question is open."""
        return bool(self.questions) or (bool(self.overrides) and not self.written)

    @property
    def unreadable(self) -> list[str]:
        """The resources that can't be read, whatever the contract says."""
        return [
            each.resource
            for each in self.resources
            if each.verdict is Verdict.REFUSED or (each.verdict is Verdict.DIFFERS and each.impossible)
        ]

    @property
    def exit_status(self) -> int:
        """What a script learns.

        0 if all is well, 1 if the contract is to be changed, 2 if nobody could look, and 3 if the contract fits, but
        something can't be read all the same.
        """
        if not self.reached:
            return 2
        return 1 if self.changed else 3 * bool(self.unreadable)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON."""
        return {
            "base_url": self.base_url,
            "contract": self.contract,
            "resources": [{**asdict(each), "verdict": str(each.verdict)} for each in self.resources],
            "questions": [asdict(each) for each in self.questions],
            "requests": self.requests,
            "written": self.written,
        }


def merged(contract: Mapping[str, Any], resource: str, override: Mapping[str, Any]) -> dict[str, Any]:
    """Return a contract with an override of a resource, by the rules of the contract itself."""
    present = dict(contract.get(resource, {}))
    for name, value in override.items():
        present[name] = {**present.get(name, {}), **value} if name in ENTRY_BY_ENTRY else value
    return {**contract, resource: present} if present else dict(contract)

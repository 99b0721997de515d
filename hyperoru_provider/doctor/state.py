"""What an examination knows so far, which all its steps share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hyperoru_provider.client import HyperoruClient
from hyperoru_provider.client.api.contract import load_contract
from hyperoru_provider.doctor.openapi import Document, Operation
from hyperoru_provider.doctor.redacting import redacted
from hyperoru_provider.doctor.report import WORKING, Finding, Question, merged
from hyperoru_provider.doctor.server import Server
from hyperoru_provider.doctor.vocabulary import KNOWN, PATHS

_LEFT_OUT = "what its contract would have to say repeats a secret, and is left out"


@dataclass
class Choices:
    """What is known of switches, by the server's names of them.

    :param used: those of which a value that the user has chosen chooses the rows of a list.
    :param values: the values that were seen to be there.
    :param refusals: how the server refuses a parameter that it does not know.
    """

    used: set[str] = field(default_factory=set)
    values: dict[str, list[str]] = field(default_factory=dict)
    refusals: set[str] = field(default_factory=set)

    def note(self, switch: str, values: Iterable[str]) -> None:
        """Note values that a switch has."""
        self.values[switch] = list(dict.fromkeys([*self.values.get(switch, ()), *values]))


@dataclass
class State:
    """What is known of a server.

    :param server: is asked.
    :param contract: the overrides: those that were given, and those found out.
    :param chosen: values of switches that the user has chosen, by the server's names of them.
    :param document: what the server says of itself; ``None`` if nothing.
    :param known: values to ask with, by our names of the parameters, such as an ``account_id``.
    :param findings: what was found out.
    :param questions: what only the user can know.
    :param choices: what became of what the user has chosen.
    """

    server: Server
    contract: dict[str, Any]
    chosen: Mapping[str, str] = field(default_factory=dict)
    document: Document | None = None
    known: dict[str, Any] = field(default_factory=lambda: dict(KNOWN))
    findings: list[Finding] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    choices: Choices = field(default_factory=Choices)

    def client(self, resource: str = "", override: Mapping[str, Any] | None = None, **options: Any) -> HyperoruClient:
        """Return a client with the contract as it is known, and a further override of one resource."""
        return self.server.client(merged(self.contract, resource, override or {}), **options)

    def endpoint(self, resource: str, override: Mapping[str, Any] | None = None) -> Any:
        """Return what the contract says of a resource, with a further override."""
        contract = load_contract(merged(self.contract, resource, override or {}))
        return contract.lists[resource] if resource in contract.lists else getattr(contract, resource)

    def changes(self, resource: str, override: Mapping[str, Any]) -> bool:
        """Return whether an override says anything that the contract does not say already."""
        return bool(self.endpoint(resource, override) != self.endpoint(resource))

    @property
    def is_logged_in(self) -> bool:
        """Whether the login, or a token in its place, works."""
        return any(each.resource == "login" and each.verdict in WORKING for each in self.findings)

    def add(self, finding: Finding) -> None:
        """Add what was found out of a resource; an override that repeats a secret is left out."""
        if redacted(finding.override, self.server.secrets) != finding.override:
            finding.override = {}
            finding.impossible.append(f"{finding.resource}: {_LEFT_OUT}")
        self.findings.append(finding)
        self.contract = merged(self.contract, finding.resource, finding.override)

    def warn(self, resource: str, text: str) -> None:
        """Add to what a person should know of a resource."""
        next(each for each in self.findings if each.resource == resource).warnings.append(text)

    def paths(self, resource: str) -> list[str]:
        """Return where a resource may be, the likeliest first: where the document has it, and the contract's path."""
        own = self.endpoint(resource).path
        paths = [own, *PATHS.get(resource, ())]
        served = [path for path in paths if self.operation(path) is not None]
        return list(dict.fromkeys([*served, *([own] if served else paths)]))

    def operation(self, path: str) -> Operation | None:
        """Return what the server's document says of a path."""
        return None if self.document is None else self.document.operation(path)

"""What an examination knows so far, which all its steps share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hyperoru_provider.client import HyperoruClient
from hyperoru_provider.client.api.contract import load_contract
from hyperoru_provider.client.api.endpoints import Endpoint
from hyperoru_provider.doctor.openapi import Document, Operation
from hyperoru_provider.doctor.redacting import redacted
from hyperoru_provider.doctor.report import WORKING, Finding, Question, merged
from hyperoru_provider.doctor.server import Server
from hyperoru_provider.doctor.vocabulary import KNOWN, PATHS

_REPEATS_A_SECRET = "what its contract would have to say repeats a secret, and is left out"


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
    """

    server: Server
    contract: dict[str, Any]
    chosen: Mapping[str, str] = field(default_factory=dict)
    document: Document | None = None
    known: dict[str, Any] = field(default_factory=lambda: dict(KNOWN))
    findings: list[Finding] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)

    def client(self, resource: str = "", override: Mapping[str, Any] | None = None, **options: Any) -> HyperoruClient:
        """Return a client with the contract as it is known, and a further override of one resource."""
        return self.server.client(merged(self.contract, resource, override or {}), **options)

    def endpoint(self, resource: str, override: Mapping[str, Any] | None = None) -> Endpoint:
        """Return what the contract says of a resource, with a further override."""
        contract = load_contract(merged(self.contract, resource, override or {}))
        found: Endpoint = contract.lists[resource] if resource in contract.lists else getattr(contract, resource)
        return found

    def changes(self, resource: str, override: Mapping[str, Any]) -> bool:
        """Return whether an override says anything that the contract does not say already."""
        return self.endpoint(resource, override) != self.endpoint(resource)

    @property
    def is_logged_in(self) -> bool:
        """Whether the login, or a token in its place, works."""
        return any(each.resource == "login" and each.verdict in WORKING for each in self.findings)

    def add(self, finding: Finding) -> None:
        """Add what was found out of a resource; an override that repeats a secret is left out."""
        if redacted(finding.override, self.server.secrets) != finding.override:
            finding.override = {}
            finding.impossible.append(f"{finding.resource}: {_REPEATS_A_SECRET}")
        self.findings.append(finding)
        self.contract = merged(self.contract, finding.resource, finding.override)

    def note(self, resource: str, text: str) -> None:
        """Add to what was found out of a resource."""
        next(each for each in self.findings if each.resource == resource).notes.append(text)

    def paths(self, resource: str) -> list[str]:
        """Return where a resource may be, the contract's own path first; with a document, only what is in it."""
        paths = [self.endpoint(resource).path, *PATHS.get(resource, ())]
        return [path for path in paths if self.document is None or self.operation(path) is not None]

    def operation(self, path: str) -> Operation | None:
        """Return what the server's document says of a path."""
        return None if self.document is None else self.document.operation(path)

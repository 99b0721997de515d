"""Keeps secrets out of a report: a server may repeat a token, a password or a gateway's key in whatever it says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hyperoru_provider.client.api.contract import DEFAULT_CONTRACT
from hyperoru_provider.client.api.resources import RESOURCES
from hyperoru_provider.client.redaction import redact_text
from hyperoru_provider.doctor.report import Finding, Question, Report
from hyperoru_provider.doctor.vocabulary import FIELDS, PARAMETERS, PATHS, SWITCHES, TELLING_APART


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from (*_texts(name), *_texts(inner))
    elif isinstance(value, Iterable):
        for inner in value:
            yield from _texts(inner)


#: texts that are our own, and no part of a secret even where somebody's password is made of them
_OURS = {
    *_texts([DEFAULT_CONTRACT.model_dump(), FIELDS, PARAMETERS, PATHS, SWITCHES, TELLING_APART]),
    *(name for each in RESOURCES.values() for name in each.model.model_fields),
    *("page", "offset", "cursor", "none", "instant", "day", "iso", "seconds", "milliseconds", "username", "email"),
}


def redacted(value: Any, secrets: Sequence[str]) -> Any:
    """Return data of a contract, or of a question, with every secret replaced in its texts and names."""
    if isinstance(value, str):
        return value if value in _OURS else redact_text(value, secrets)
    if isinstance(value, Mapping):
        return {redacted(name, secrets): redacted(inner, secrets) for name, inner in value.items()}
    return [redacted(inner, secrets) for inner in value] if isinstance(value, (list, tuple)) else value


def redacted_report(report: Report, secrets: Sequence[str]) -> Report:
    """Return a report with every secret replaced in all that is shown of it."""

    def told(texts: Sequence[str]) -> list[str]:
        return [redact_text(text, secrets) for text in texts]

    def finding(each: Finding) -> Finding:
        return replace(
            each,
            notes=told(each.notes),
            override=redacted(each.override, secrets),
            believed=told(each.believed),
            impossible=told(each.impossible),
            limits=told(each.limits),
            warnings=told(each.warnings),
        )

    def question(each: Question) -> Question:
        return replace(each, switch=redacted(each.switch, secrets), rows=redacted(each.rows, secrets))

    return replace(
        report,
        contract=redacted(report.contract, secrets),
        resources=list(map(finding, report.resources)),
        questions=list(map(question, report.questions)),
    )

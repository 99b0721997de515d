"""Two faults at once: what was exact or an error by each is one of both together, and never a lie."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.airflow.matrix.expected import expected, is_concerned
from tests.airflow.matrix.faults import Fault
from tests.airflow.matrix.hostility import FAULTS
from tests.airflow.matrix.outcomes import ERRORS, EXACT, WAITS
from tests.airflow.matrix.runs import Cell
from tests.airflow.matrix.subjects import SUBJECTS, Subject


def pairs(seed: int) -> Iterator[Cell]:
    """Yield cells of two faults, without an end, and the same for the same seed."""
    dice = random.Random(seed)
    while True:
        subject, one, other = dice.choice([*SUBJECTS.values()]), *dice.sample([*FAULTS.values()], 2)
        if _go_together(one, other) and (is_concerned(subject, one) or is_concerned(subject, other)):
            yield Cell(subject, _both(one, other), _expected_of_both(subject, one, other))


def _go_together(one: Fault, other: Fault) -> bool:
    return not set(one.switches) & set(other.switches) and None in (one.tamper, other.tamper)


def _both(one: Fault, other: Fault) -> Fault:
    return Fault(
        f"{one.name} and {other.name}",
        one.on | other.on,
        "",
        switches={**one.switches, **other.switches},
        extra={**one.extra, **other.extra},
        tamper=one.tamper or other.tamper,
        frames=one.frames or other.frames,
    )


def _expected_of_both(subject: Subject, one: Fault, other: Fault) -> frozenset[str]:
    """Return how a pair may end: exactly or with an error, and as an end that only one of them explains."""
    ends = expected(subject, one) | expected(subject, other)
    if not is_concerned(subject, one) or not is_concerned(subject, other):
        return (expected(subject, one) if is_concerned(subject, one) else expected(subject, other)) | ERRORS
    exact = frozenset() if subject.never else frozenset({EXACT})
    return ends | ERRORS | exact | (frozenset({WAITS}) if subject.waits else frozenset())

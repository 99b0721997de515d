"""How each cell must end: by what a fault strikes and what a subject asks, without a look at any run."""

from __future__ import annotations

from tests.airflow.matrix.faults import Fault
from tests.airflow.matrix.outcomes import EXACT, TRANSIENT, WAITS, Asks
from tests.airflow.matrix.subjects import Subject


def expected(subject: Subject, fault: Fault) -> frozenset[str]:
    """Return the right ends of a cell: mostly one."""
    ends = {EXACT}
    if is_concerned(subject, fault):
        ends = next((ends for what, ends in fault.but.items() if _fits(what, subject)), {fault.ends})
    waits = TRANSIENT if subject.waits else frozenset()
    waits |= {EXACT} if subject.never else frozenset()
    return frozenset(WAITS if end in waits else end for end in ends)


def _fits(what: str | Asks, subject: Subject) -> bool:
    return bool(what & subject.asks) if isinstance(what, Asks) else what in subject.is_called


def is_concerned(subject: Subject, fault: Fault) -> bool:
    """Return whether a fault strikes anything that a subject asks."""
    return bool(fault.on & subject.asks)

"""The page of the docs: what is expected of each cell, and what the last whole run measured."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.airflow.matrix.cells import DEADLINE, Result
from tests.airflow.matrix.expected import expected, is_concerned
from tests.airflow.matrix.faults import SWITCHES, Fault
from tests.airflow.matrix.hostility import FAULTS, HOSTILITY
from tests.airflow.matrix.outcomes import EXACT
from tests.airflow.matrix.runs import HELD_SECONDS, MEGABYTES, REQUESTS, Cell
from tests.airflow.matrix.subjects import SUBJECTS, Subject
from tests.places import ROOT

PAGE = ROOT / "docs" / "fault-matrix.md"
_MEASURED = "## What the last run measured\n"
_TEXT = f"""\
# The fault matrix

Every operator, sensor and trigger, in each mode, against every fault of the [sandbox](sandbox.md#faults) and against \
answers that are hostile or broken: {len(SUBJECTS)} subjects and {len(FAULTS)} faults. This page is written by \
`make fault-matrix`, which runs all cells, and fails if one is wrong; `tests/airflow/matrix/` has the tables. How each \
cell must end was written down before it ran. CI runs those that were wrong once, and a few others.

A cell runs in its own process, over real sockets, and is right only if

- it ends as the table says. A success is compared with what the server has, row by row: nothing lost, doubled or \
changed. After an error, files and tables are as the earlier run of the task left them;
- it ends by itself, within {DEADLINE:g} s;
- no more than a few characters of the password or a token are in any log line at the level of debugging, result, \
payload, stored trigger, file or error, in any encoding;
- it asks for no more than {REQUESTS} answers, takes no more than {MEGABYTES} MB above its start, and holds a \
triggerer's loop for no more than {1000 * HELD_SECONDS:.0f} ms;
- a backfill starts one job, however often it is tried.

Retries take milliseconds here instead of seconds, and a request has 8 of them; waits have a second or two. Pages have \
25 rows, so that there are several. A sensor waits for what is there, and another one (*one trade more*) for a trade \
that never comes, whose success would be a lie.

## How a cell ends

| Word | Meaning |
| --- | --- |
| · | the fault strikes nothing that is asked here: as without it |
| exact | success, and exactly what the server has; for events: each is told, or a gap covers it |
| part | success with fewer rows than there are, which [nobody can tell](promises.md#what-nobody-can-tell) |
| as sent | success with the server's amounts as they are, which no other format takes |
| waits | not there until the time is over: a sensor takes what may pass for "not yet" |
| any other | the error `Hyperoru...Error` |

Where some of a column end otherwise, they are named. Where two ends are right, chance decides between them, or how \
far the list was read.

"""


def rendered() -> str:
    """Return the page, without what was measured."""
    tables = [
        ("The sandbox's faults", SWITCHES),
        ("Hostile and broken answers", HOSTILITY),
    ]
    return _TEXT + "\n".join(f"## {title}\n\n{_table(faults)}\n" for title, faults in tables)


def written() -> str:
    """Return what the page says, without what was measured."""
    return PAGE.read_text().partition(_MEASURED)[0]


def write(results: Sequence[tuple[Cell, Result]], path: Path = PAGE) -> None:
    """Write the page after a run in which no cell was wrong."""
    path.write_text(f"{rendered()}{_MEASURED}\n{measured(results)}")


def measured(results: Sequence[tuple[Cell, Result]]) -> str:
    """Return what the cells cost at most, as rows of a table."""
    lines = [f"{len(results)} cells, none of them wrong.", "", "| At most | | In the cell |", "| --- | --- | --- |"]
    for name, unit in (("seconds", "s"), ("requests", "requests"), ("megabytes", "MB above the start"), ("held", "s")):
        cell, result = max(results, key=lambda each: getattr(each[1], name))
        value = getattr(result, name)
        shown = f"{value:.2g} s of the loop" if name == "held" else f"{math.ceil(value)} {unit}"
        lines.append(f"| {name} | {shown} | {cell.subject.name}; {cell.fault.name} |")
    return "\n".join(lines) + "\n"


def _table(faults: Sequence[Fault]) -> str:
    columns: dict[str, list[Subject]] = {}
    for subject in SUBJECTS.values():
        columns.setdefault(subject.column, []).append(subject)
    lines = [f"| Fault | {' | '.join(columns)} |", f"| --- |{' --- |' * len(columns)}"]
    for fault in faults:
        cells = [_cell(subjects, fault) for subjects in columns.values()]
        lines.append(f"| {fault.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(subjects: Sequence[Subject], fault: Fault) -> str:
    """Return what most of a column end with, and which end otherwise."""
    ends = {subject: _word(subject, fault) for subject in subjects}
    most = Counter(ends.values()).most_common(1)[0][0]
    others: dict[str, list[str]] = {}
    for subject, end in ends.items():
        if end != most:
            others.setdefault(end, []).append(subject.name.partition(": ")[2])
    return "; ".join([most, *(f"{', '.join(names)}: {end}" for end, names in others.items())])


def _word(subject: Subject, fault: Fault) -> str:
    if not is_concerned(subject, fault):
        return "·"
    ends = expected(subject, fault)
    return " or ".join(sorted(ends, key=lambda end: (end != EXACT, end)))

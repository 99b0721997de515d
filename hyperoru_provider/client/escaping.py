"""What others wrote, in a form that each log, terminal and database takes. Pure, and idempotent.

The one place for it: text that a server sent passes here before it becomes a message, a payload, an XCom or a state.
Rows on their way to files don't: they are data, and land as they are.
"""

from __future__ import annotations

import re
from typing import Any

#: control characters other than white space, and lone surrogates: what PostgreSQL's JSON or UTF-8 refuses is among them
_UNSTORABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")

_INT64 = range(-(2**63), 2**63)


def printable(text: str) -> str:
    """Return a message in one line, with each character escaped that steers a terminal or that a store may refuse."""
    return text if text.isprintable() else "".join(each if each.isprintable() else _escaped(each) for each in text)


def shorten(text: str, limit: int = 500) -> str:
    """Return a message in one line that can be printed, cut to a number of characters."""
    text = printable(" ".join(text.split()))
    return text if len(text) <= limit else text[:limit] + "..."


def storable(value: Any) -> Any:
    """Return JSON data with each character escaped that a store may refuse, in names, too; white space stays.

    A number beyond 64 bits becomes text, as it gets into no message between a task and Airflow.

    :param value: the data; it is not changed.
    """
    if isinstance(value, str):
        return _UNSTORABLE.sub(lambda found: _escaped(found[0]), value)
    if isinstance(value, dict):
        return {storable(name): storable(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [storable(inner) for inner in value]
    return str(value) if isinstance(value, int) and value not in _INT64 else value


def _escaped(character: str) -> str:
    return ascii(character)[1:-1]

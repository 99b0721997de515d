"""Query parameters: known ones only, each once and of its type."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from starlette.datastructures import QueryParams

from hyperoru_provider.sandbox.book import Book
from hyperoru_provider.sandbox.errors import Refusal
from hyperoru_provider.sandbox.faults import Faults
from hyperoru_provider.sandbox.records import Records
from hyperoru_provider.sandbox.rows import DAY, SECOND, micros

__all__ = [
    "Parser",
    "boolean",
    "choice",
    "integer",
    "moment",
    "moment_or_seconds",
    "natural",
    "read_query",
    "read_window",
    "text",
]

#: Makes a value of its text; a ValueError says why it can't.
Parser = Callable[[str], Any]


def integer(value: str) -> int:
    """Return a whole number, of 18 digits at most."""
    if not re.fullmatch(r"-?[0-9]{1,18}", value):
        raise ValueError("a whole number is needed")
    return int(value)


def natural(most: int) -> Parser:
    """Return a parser of a whole number from 1 up to this one."""

    def parse(value: str) -> int:
        if not 1 <= integer(value) <= most:
            raise ValueError(f"1 to {most} is needed")
        return int(value)

    return parse


def text(value: str) -> str:
    """Return a text that is not empty."""
    if not value:
        raise ValueError("it is empty")
    return value


def boolean(value: str) -> bool:
    """Return the value of ``true`` or ``false``."""
    if value not in ("true", "false"):
        raise ValueError("true or false is needed")
    return value == "true"


def moment(value: str) -> int:
    """Return the microseconds since 1970 of a time in ISO 8601, or a date; without an offset it is UTC."""
    try:
        return micros(value)
    except ValueError:
        raise ValueError("a time in ISO 8601 is needed") from None


def moment_or_seconds(value: str) -> int:
    """Return the microseconds since 1970 of a time in ISO 8601, or of whole seconds since then."""
    return int(value) * SECOND if re.fullmatch(r"[0-9]{9,11}", value) else moment(value)


def choice(*words: str) -> Parser:
    """Return a parser of one of some words."""

    def parse(value: str) -> str:
        if value not in words:
            raise ValueError(f"one of {', '.join(words)} is needed")
        return value

    return parse


def read_query(given: QueryParams, known: Mapping[str, Parser], faults: Faults) -> dict[str, Any]:
    """Return the query parameters that were sent, by name.

    :param given: the query of the request
    :param known: a parser for each parameter that the endpoint has
    :param faults: may say that some are ignored
    :raises Refusal: for an unknown parameter, one that is sent twice, or a value of the wrong type
    """
    query: dict[str, Any] = {}
    for name, value in given.multi_items():
        if name == "session_token" or name in faults.ignore_params:
            continue
        if name not in known:
            if faults.ignore_unknown:
                continue
            names = ", ".join(known) or "none"
            raise Refusal(400, "UNKNOWN_PARAMETER", f"Unknown query parameter {name!r}; known here: {names}")
        if name in query:
            raise Refusal(400, "REPEATED_PARAMETER", f"Query parameter {name!r} is sent twice")
        try:
            query[name] = known[name](value)
        except ValueError as error:
            raise Refusal(400, "INVALID_PARAMETER", f"Query parameter {name!r} can't be {value!r}: {error}") from None
    return query


def read_window(query: Mapping[str, Any], book: Book | Records, faults: Faults) -> tuple[int, int]:
    """Return the half-open window of a query, in microseconds since 1970.

    :param query: what :func:`read_query` returned
    :param book: names the window where the query doesn't
    :param faults: may widen it to whole days
    :raises Refusal: if the window ends before it starts
    """
    default_start, default_end = book.window()
    end = query.get("end", max(default_end, query.get("start", default_end)))
    start = query.get("start", min(default_start, end))
    if start > end:
        raise Refusal(422, "INVALID_WINDOW", "The window ends before it starts")
    if faults.day_granular:
        return start // DAY * DAY, (end // DAY + 1) * DAY
    return start, end + (faults.inclusive_end and "end" in query)

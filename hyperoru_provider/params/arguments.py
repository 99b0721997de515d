"""Checks of arguments, which tell what was left out from what a template rendered empty by mistake.

Constructors of operators and sensors check here what is not a template, while a DAG is parsed: so this module imports
nothing of the client before it has to. In all functions, ``name`` is the argument's name, for the error.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from hyperoru_provider.params.choices import COMPRESSIONS
from hyperoru_provider.params.lists import LISTS

if TYPE_CHECKING:
    from hyperoru_provider.client.errors import HyperoruConfigError
    from hyperoru_provider.params.window import Window

log = logging.getLogger(__name__)

_TABLE = re.compile(r"(?:([\w$-]+)\.)?([\w$-]+)")
_LONGEST_NAME = 63  # bytes; PostgreSQL cuts off the rest of a name in silence

#: default bounds of a window: those of the run's data interval, and an error that explains it where a run has none
INTERVAL_START = "{{ data_interval_start | default('', true) }}"
INTERVAL_END = "{{ data_interval_end | default('', true) }}"


def window(start: object, end: object) -> Window:
    """Return a window, and log a warning if it is not over.

    :raises HyperoruConfigError: see :meth:`Window.parse`.
    """
    from hyperoru_provider.client.times import format_time
    from hyperoru_provider.params.window import Window

    parsed = Window.parse(start, end)
    now = datetime.now(UTC)
    if parsed.end > now:
        log.warning(
            "The window ends at %s, but it is only %s: rows that come later will be missing, and another export of "
            "this window will have other rows.",
            format_time(parsed.end),
            format_time(now.replace(microsecond=0)),
        )
    return parsed


def optional(name: str, value: object) -> str | None:
    """Return the text of an argument that may be left out, which means all.

    :raises HyperoruConfigError: it is empty or the text ``None``, as an unset template gives: all rows may not be
        what was meant.
    """
    if value is None:
        return None
    text = str(value).strip()
    if isinstance(value, (list, tuple, dict, bool)) or text in ("", "None"):
        raise _error(f"{name} is {value!r}: give one value, or leave it out.")
    return text


def required(name: str, value: object) -> str:
    """Return the text of an argument that must be given.

    :raises HyperoruConfigError: it is missing, or see :func:`optional`.
    """
    text = optional(name, value)
    if text is None:
        raise _error(f"{name} is missing.")
    return text


def filters(value: object) -> dict[str, str | None]:
    """Return what limits the rows of a list, beside their time.

    :param value: names of filters, and their values; ``None`` for no filter at all.
    :raises HyperoruConfigError: it is not such a mapping, or see :func:`optional`.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _error(f"filters is {value!r}: a dict such as {{'account_id': 1}} is expected.")
    return {str(name): optional(str(name), given) for name, given in value.items()}


def amount(name: str, value: object) -> str:
    """Return the plain text of an exact number, such as a price. A float is what it is written as.

    :raises HyperoruConfigError: it is not a number.
    """
    from hyperoru_provider.client.amounts import parse_amount

    try:
        return f"{parse_amount(value):f}"
    except ValueError as error:
        raise _error(f"{name} is {value!r}: {error}.") from None


def one_amount(given: Mapping[str, object]) -> tuple[str, str]:
    """Return which of several amounts is given, and the amount.

    :param given: the amounts by name; ``None`` for one that is left out.
    :raises HyperoruConfigError: it is none or several, or not a number.
    """
    found = {name: value for name, value in given.items() if value is not None}
    if len(found) != 1:
        *names, last = given
        raise _error(f"Give exactly one of {', '.join(names)} or {last}; got {' and '.join(found) or 'none'}.")
    ((name, value),) = found.items()
    return name, amount(name, value)


def positive(name: str, value: object) -> int:
    """Return a whole number of 1 or more.

    :raises HyperoruConfigError: it is something else.
    """
    try:
        number = int(str(value))
    except ValueError:
        number = 0
    if number < 1:
        raise _error(f"{name} is {value!r}: a whole number of 1 or more is expected.")
    return number


def seconds(name: str, value: object) -> float:
    """Return a number of seconds, which is more than 0 and finite.

    :raises HyperoruConfigError: it is something else.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf:
        return value
    raise _error(f"{name} is {value!r}: a positive number of seconds is expected.")


def flag(name: str, value: object) -> bool:
    """Return a truth value, which a template may have rendered as text.

    :raises HyperoruConfigError: it is not one.
    """
    text = str(value).strip().lower()
    if text not in ("true", "false", "1", "0"):
        raise _error(f"{name} is {value!r}: true or false is expected.")
    return text in ("true", "1")


def table(name: str, value: object) -> tuple[str | None, str]:
    """Return the schema, if it is named, and the name of a table of a database.

    :raises HyperoruConfigError: it is no such name, or longer than PostgreSQL keeps it.
    """
    required(name, value)
    text = str(value)
    match = _TABLE.fullmatch(text)
    if match is None or any(len(part.encode()) > _LONGEST_NAME for part in text.split(".")):
        raise _error(
            f"{name} {text!r}: expected table or schema.table, each of letters, digits, _, - and $, and of at most "
            f"{_LONGEST_NAME} bytes."
        )
    return match[1], match[2]


def iceberg_table(name: str, value: object) -> str:
    """Return the name of a table of a catalog, with its namespace.

    :raises HyperoruConfigError: it is no such name.
    """
    text = required(name, value)
    if "." not in text or not all(part and part == part.strip() for part in text.split(".")):
        raise _error(f"{name} {text!r}: expected namespace.table.")
    return text


def choice(name: str, value: object, known: Iterable[str]) -> str:
    """Return a text, which must be one of some words.

    :param known: the words.
    :raises HyperoruConfigError: it is another.
    """
    if value not in (known := tuple(known)):
        raise _error(f"{name} {value!r}: expected {', '.join(known[:-1])} or {known[-1]}.")
    return str(value)


def choices(name: str, value: object, known: Iterable[str]) -> list[str]:
    """Return several words, each of which must be one of some, at least one and none twice.

    :param known: the words.
    :raises HyperoruConfigError: it is something else.
    """
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise _error(f"{name} is {value!r}: a list is expected.")
    found = [choice(name, each, known) for each in value]
    if not found or len({*found}) < len(found):
        raise _error(f"{name} is {found}: name at least one of {', '.join(known)}, and none twice.")
    return found


def file_format(given: object, compression: object) -> None:
    """Check a file format and its compression.

    :param compression: ``None`` for the format's default.
    :raises HyperoruConfigError: they are not known.
    """
    choice("file_format", given, COMPRESSIONS)
    if compression is not None:
        choice(f"compression of {given}", compression, COMPRESSIONS[str(given)])


def without_files(given: Mapping[str, object]) -> None:
    """Check that nothing is said of files, where none are written.

    :param given: what could be said, by name; ``None`` for what is left out.
    :raises HyperoruConfigError: something is: the destination seems to be forgotten.
    """
    if said := [name for name, value in given.items() if value is not None]:
        raise _error(
            f"There is no destination, so the rows would go to XCom, but {' and '.join(said)} is given: give a "
            f"destination, or leave out {' and '.join(said)}."
        )


def interval(name: str, value: object) -> str:
    """Return the length of a candle as text.

    :raises HyperoruConfigError: it is not one.
    """
    from hyperoru_provider.client.times import interval_length

    text = required(name, value)
    interval_length(text)
    return text


def symbols(name: str, value: object) -> list[str]:
    """Return symbols, once each and sorted.

    :param value: several, or a text that is split at commas.
    :raises HyperoruConfigError: there is none.
    """
    names = value if isinstance(value, (list, tuple, set)) else str(value).split(",")
    found = sorted({str(each).strip() for each in names} - {"", "None"})
    if not found:
        raise _error(f"{name} is {value!r}: name at least one, such as BTC.")
    return found


def case_hint(symbols: str | None) -> str:
    """Return what to say of symbols of which nothing was found: nothing, if all are written in upper case.

    They can't be put in upper case, as some are not, such as ``kPEPE``; and events and prices pass over case.
    """
    if not symbols or symbols == symbols.upper():
        return ""
    return (
        f" The symbol is given as {symbols!a}: a list finds only symbols that are written as the service writes them."
    )


def early(check: Callable[..., object], name: str, value: object, *more: object) -> None:
    """Check an argument while the DAG is parsed, unless it is a template, which is checked when it is rendered.

    :param check: one of the checks above, or one like it.
    """
    if is_literal(value):
        check(name, value, *more)


def early_window(start: object, end: object) -> None:
    """Check a window while the DAG is parsed, unless a bound is a template or missing.

    :raises HyperoruConfigError: see :meth:`Window.parse`.
    """
    if all(is_literal(bound) and bound not in (None, "") for bound in (start, end)):
        from hyperoru_provider.params.window import Window

        Window.parse(start, end)


def early_list(resource: object, given: object, *, has_window: bool) -> None:
    """Check while the DAG is parsed what is wanted of a list, as far as no template and no contract can make it right.

    :param resource: its name.
    :param given: what limits its rows, by name.
    :param has_window: whether a window is given.
    :raises HyperoruConfigError: there is no such list or filter, or one is missing that the list always needs.
    """
    if not is_literal(resource):
        return
    name = required("resource", resource)
    if name not in LISTS:
        raise _error(f"unknown resource {name!r}; known are {', '.join(LISTS)}.")
    facts = LISTS[name]
    if has_window and not facts.windowed:
        raise _error(f"{name} is not read by time: leave out start and end.")
    if given is not None and not isinstance(given, Mapping):
        return
    names = [*(given or ())]
    if unknown := [each for each in names if is_literal(each) and each not in facts.filters]:
        known = ", ".join(facts.filters) or "none"
        raise _error(f"{name} can't be filtered by {', '.join(map(str, unknown))}; its filters are {known}.")
    missing = [each for each in facts.needed if each not in names]
    if missing and all(map(is_literal, names)):
        raise _error(f"{name} can't be listed without {' and '.join(missing)}: add the filter.")


def is_literal(value: object) -> bool:
    """Return whether a value is what it says: no template, and nothing that Airflow puts a value in place of."""
    if isinstance(value, str):
        return not any(mark in value for mark in ("{{", "{%", "{#"))
    if isinstance(value, Mapping):
        return all(map(is_literal, value.values()))
    if isinstance(value, (list, tuple, set)):
        return all(map(is_literal, value))
    return value is None or isinstance(value, (int, float, Decimal, date))


def _error(text: str) -> HyperoruConfigError:
    from hyperoru_provider.client.errors import HyperoruConfigError

    return HyperoruConfigError(text)

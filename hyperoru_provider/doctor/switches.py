"""Finds out which parameter chooses what a list shows, for the user to say which value is meant: it never guesses."""

from __future__ import annotations

from collections.abc import Callable

from hyperoru_provider.client.errors import HyperoruApiError
from hyperoru_provider.client.lists.page import Page
from hyperoru_provider.doctor.openapi import Operation
from hyperoru_provider.doctor.report import Question, is_busy
from hyperoru_provider.doctor.vocabulary import SWITCHES

_DEFAULT = "(default)"


def switches_of(operation: Operation | None) -> dict[str, tuple[str, ...]]:
    """Return the parameters that may choose what a list shows, and the values to try.

    :param operation: what the server's document says of the list; ``None`` if nothing.
    """
    return dict(SWITCHES) if operation is None else operation.switches


def compare_values(
    resource: str, switches: dict[str, tuple[str, ...]], shown: Page, ask: Callable[[str, str], Page]
) -> Question | None:
    """Return the question which value of a switch is meant, or ``None`` if none makes a difference.

    :param resource: the list.
    :param switches: the parameters, and their values.
    :param shown: what the list shows without them.
    :param ask: returns what it shows by a value of a parameter.
    """
    for name, values in switches.items():
        pages = {_DEFAULT: shown}
        for value in values:
            try:
                pages[value] = ask(name, value)
            except HyperoruApiError as error:
                if is_busy(error):
                    raise
                break  # this server does not know the parameter, or not this value
        if any(page.rows != shown.rows for page in pages.values()):
            return Question(name, resource, {value: len(page.texts) for value, page in pages.items()})
    return None

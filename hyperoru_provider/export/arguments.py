"""Arguments as templates render them: what was left out is told from what came out empty by mistake."""

from __future__ import annotations

from hyperoru_provider.client.errors import HyperoruConfigError


def optional(name: str, value: object) -> str | None:
    """Read an argument that may be left out, and if so means all.

    :raises HyperoruConfigError: it is an empty text or ``None`` as a text, as an unset template gives: all rows
        may not be what was meant.
    """
    if value is None:
        return None
    text = str(value).strip()
    if isinstance(value, (list, tuple, dict, bool)) or text in ("", "None"):
        raise HyperoruConfigError(f"{name} is {value!r}: give one value, or leave it out.")
    return text


def positive(name: str, value: object) -> int:
    """Read a whole number of 1 or more.

    :raises HyperoruConfigError: it is none.
    """
    try:
        number = int(str(value))
    except ValueError:
        number = 0
    if number < 1:
        raise HyperoruConfigError(f"{name} is {value!r}: a whole number of 1 or more is expected.")
    return number


def flag(name: str, value: object) -> bool:
    """Read yes or no.

    :raises HyperoruConfigError: it is neither.
    """
    text = str(value).strip().lower()
    if text not in ("true", "false", "1", "0"):
        raise HyperoruConfigError(f"{name} is {value!r}: true or false is expected.")
    return text in ("true", "1")

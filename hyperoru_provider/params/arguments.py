"""Arguments as templates render them: what was left out is told from what came out empty by mistake."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from hyperoru_provider.client.amounts import parse_amount
from hyperoru_provider.client.errors import HyperoruConfigError
from hyperoru_provider.client.times import format_time
from hyperoru_provider.params.window import Window

log = logging.getLogger(__name__)


def window(start: object, end: object) -> Window:
    """Read a window, and warn of one that is not over.

    :raises HyperoruConfigError: see :meth:`Window.parse`.
    """
    parsed = Window.parse(start, end)
    now = datetime.now(UTC)
    if parsed.end > now:
        log.warning(
            "The window ends at %s, and it is %s: what comes later will be missing, and a new export of this window "
            "will have other rows.",
            format_time(parsed.end),
            format_time(now.replace(microsecond=0)),
        )
    return parsed


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


def required(name: str, value: object) -> str:
    """Read an argument that must be given.

    :raises HyperoruConfigError: it is not, or see :func:`optional`.
    """
    text = optional(name, value)
    if text is None:
        raise HyperoruConfigError(f"{name} is missing.")
    return text


def amount(name: str, value: object) -> str:
    """Read an exact number, such as a price; gives its plain text. A float is what it is written as.

    :raises HyperoruConfigError: it is none.
    """
    try:
        return f"{parse_amount(value):f}"
    except ValueError as error:
        raise HyperoruConfigError(f"{name} is {value!r}: {error}.") from None


def trade_filters(account_id: object, symbol: object) -> dict[str, Any]:
    """Read what limits trades, beside their time.

    :raises HyperoruConfigError: see :func:`optional`.
    """
    return {"account_id": optional("account_id", account_id), "symbol": optional("symbol", symbol)}


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

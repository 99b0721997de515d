"""What is set for a connection: by its extra, or else by the section [hyperoru] of Airflow's configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hyperoru_provider.client.errors import HyperoruConfigError
from hyperoru_provider.get_provider_info import CONFIG_OPTIONS, CONNECTION_FIELDS
from hyperoru_provider.hooks.compat import conf

if TYPE_CHECKING:
    from airflow.sdk import Connection


class ConnectionOptions:
    """The options of a connection, with errors that name the key and where it was set.

    :param connection: the connection.
    :raises HyperoruConfigError: its extra is no JSON object, or has an unknown key.
    """

    def __init__(self, connection: Connection) -> None:
        try:
            self._extra = json.loads(connection.extra) if connection.extra else {}
        except ValueError:
            self._extra = None
        if not isinstance(self._extra, dict):
            raise HyperoruConfigError("The connection's extra must be a JSON object.")
        if unknown := [name for name in self._extra if name not in CONNECTION_FIELDS]:
            raise HyperoruConfigError(
                f"The connection's extra has unknown keys: {', '.join(unknown)}; known are "
                f"{', '.join(CONNECTION_FIELDS)}."
            )

    def text(self, name: str) -> str | None:
        """Return a text, or ``None`` if there is none."""
        value, where = self._find(name)
        if value is not None and not isinstance(value, str):
            raise HyperoruConfigError(f"{where} must be text.")
        return value or None

    def choice(self, name: str, known: tuple[str, ...]) -> str:
        """Return a text that is one of those known."""
        value, where = self._find(name)
        if value not in known:
            raise HyperoruConfigError(f"{where} must be one of {', '.join(known)}.")
        return str(value)

    def number(self, name: str, *, lowest: float) -> float:
        """Return a finite number that is not below the lowest one."""
        value, where = self._find(name)
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = float("nan")
        if isinstance(value, bool) or not lowest <= number < float("inf"):
            raise HyperoruConfigError(f"{where} must be a number of {lowest:g} or more.")
        return number

    def json(self, name: str) -> Mapping[str, Any] | None:
        """Return an object, which may be given as text that holds one, or ``None`` if there is none."""
        value, where = self._find(name)
        if isinstance(value, str):
            try:
                value = json.loads(value) if value.strip() else None
            except ValueError:
                raise HyperoruConfigError(f"{where} must be JSON.") from None
        if value is not None and not isinstance(value, Mapping):
            raise HyperoruConfigError(f"{where} must be a JSON object.")
        return value

    def _find(self, name: str) -> tuple[Any, str]:
        """Return what is set, and where; the extra's ``null`` and an empty text are nothing."""
        value = self._extra.get(name)
        if value in (None, "") and name in CONFIG_OPTIONS:
            default = CONFIG_OPTIONS[name]["default"]
            return conf.get("hyperoru", name, fallback=default) or default, f"Airflow's option [hyperoru] {name}"
        return value, f"The connection's extra {name}"

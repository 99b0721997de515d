"""A store of state for an Airflow that has none of its own (before 3.3), in a Variable."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any


class VariableStore:
    """Keeps values by name, all in one Variable, with the methods of Airflow's own stores.

    One task at a time may use it, as a value is written together with all others.

    :param owner: what the values belong to; the Variable's key is made of it.
    :param description: what the Variable is said to be.
    """

    def __init__(self, owner: list[str | int | None], description: str) -> None:
        self.key = "hyperoru_state__" + hashlib.sha256(json.dumps(owner).encode()).hexdigest()[:32]
        self._description = description

    def get(self, name: str, default: Any = None) -> Any:
        """Return the value of a name, or the default if there is none."""
        return self._read().get(name, default)

    def set(self, name: str, value: Any, *, retention: timedelta | None = None) -> None:
        """Keep a value in place of the earlier one.

        :param value: JSON.
        :param retention: nothing: a Variable stays until it is removed.
        :raises PermissionError: the Variable is not written.
        """
        self._write({**self._read(), name: value})

    def delete(self, name: str) -> None:
        """Forget the value of a name; with the last value, the Variable goes."""
        values = self._read()
        if name in values:
            del values[name]
            self._write(values)

    def remove(self) -> None:
        """Forget all values."""
        from airflow.sdk import Variable

        Variable.delete(self.key)

    def _read(self) -> dict[str, Any]:
        from airflow.sdk import Variable

        values = Variable.get(self.key, default=None, deserialize_json=True)
        return values if isinstance(values, dict) else {}

    def _write(self, values: dict[str, Any]) -> None:
        from airflow.sdk import Variable

        if not values:
            self.remove()
            return
        Variable.set(self.key, values, description=self._description, serialize_json=True)
        if self._read() != values:  # Airflow only logs that it refuses to write
            raise PermissionError(
                f"The Variable {self.key} could not be written. Are tasks allowed to write Variables?"
            )

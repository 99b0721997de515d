"""A stand-in for Airflow's task state store."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from pydantic import JsonValue, TypeAdapter

_JSON: TypeAdapter[JsonValue] = TypeAdapter(JsonValue)


class TaskStates:
    """A task's state store as Airflow has it: JSON by name, and none of what Python only writes as JSON.

    :param failing: methods that fail, as while the store is away.
    """

    def __init__(self, *failing: str) -> None:
        self.texts: dict[str, str] = {}
        self.retentions: list[timedelta | None] = []
        self.failing = failing

    def get(self, key: str, default: Any = None) -> Any:
        self.before("get")
        return json.loads(self.texts[key]) if key in self.texts else default

    def set(self, key: str, value: Any, *, retention: timedelta | None = None) -> None:
        self.before("set")
        self.texts[key] = _JSON.dump_json(_JSON.validate_python(value)).decode()
        self.retentions.append(retention)
        self.after("set")

    def delete(self, key: str) -> None:
        self.before("delete")
        self.texts.pop(key, None)
        self.after("delete")

    def before(self, method: str) -> None:
        """Called at the begin of each method."""
        if method in self.failing:
            raise ConnectionError(f"{method}: the store is away")

    def after(self, method: str) -> None:
        """Called once something was changed."""


class StateOf:
    """What a task's context has for one asset. Before Airflow 3.2 assets are no keys of a dict."""

    def __init__(self, asset: Any, state: Any) -> None:
        self._asset = asset
        self._state = state

    def __getitem__(self, asset: Any) -> Any:
        assert asset == self._asset
        return self._state

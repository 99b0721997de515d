"""What a task remembers, in a store that keeps, is missing, or fails."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset, Variable

from hyperoru_provider.hooks.compat import AirflowFailException, AirflowSensorTimeout, AirflowSkipException
from hyperoru_provider.hooks.task_state import TaskState, asset_state
from tests.task_states import StateOf, TaskStates


def context(store: TaskStates | None, **more: Any) -> Any:
    return {"task_state_store": store, **more}


def test_a_value_is_kept_until_it_is_cleared() -> None:
    store = TaskStates()
    state = TaskState(context(store))
    assert state.native
    assert state.read("a") is None
    state.write("a", {"b": [1, "2"]})
    assert TaskState(context(store)).read("a") == {"b": [1, "2"]}
    state.clear("a")
    state.clear("a")
    assert state.read("a") is None


@pytest.mark.parametrize("text", ["a\0b", "a\ud83d", "\x1b[31m"])
def test_a_value_with_a_character_that_a_store_refuses_comes_back_as_it_was(text: str) -> None:
    store = TaskStates()
    TaskState(context(store), required=True).write("a", {"key": [text]})
    assert "\\u0000" not in store.texts["a"].replace("\\\\", "")
    assert TaskState(context(store)).read("a") == {"key": [text]}


def test_a_value_is_kept_as_long_as_is_said() -> None:
    store = TaskStates()
    TaskState(context(store)).write("a", 1, retention=timedelta(days=1))
    TaskState(context(store)).write("a", 1)
    assert store.retentions == [timedelta(days=1), None]


@pytest.mark.parametrize("required", [False, True])
@pytest.mark.parametrize("without", [{}, {"task_state_store": None}])
def test_without_a_store_nothing_is_kept(without: Any, required: bool) -> None:
    state = TaskState(without, required=required)
    assert not state.native
    state.write("a", 1)
    state.clear("a")
    assert state.read("a") is None


def test_a_store_that_fails_costs_warnings(caplog: pytest.LogCaptureFixture) -> None:
    state = TaskState(context(TaskStates("get", "set", "delete")))
    state.write("a", 1)
    assert state.read("a") is None
    state.clear("a")
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 3
    assert "The task's state a could not be read: ConnectionError: get: the store is away" in caplog.text


def test_a_store_that_is_required_raises_except_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    state = TaskState(context(TaskStates("get", "set", "delete")), required=True)
    with pytest.raises(ConnectionError, match="get"):
        state.read("a")
    with pytest.raises(ConnectionError, match="set"):
        state.write("a", 1)
    state.clear("a")
    assert caplog.text.count("could not be") == 1


def test_a_cleared_task_can_be_told_from_one_that_is_tried_again() -> None:
    assert TaskState(context(None, ti=SimpleNamespace(max_tries=3))).max_tries == 3
    assert TaskState(context(None)).max_tries is None


class Variables:
    """Airflow's Variables, by way of the methods that tasks have."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.refused = False

    def get(self, key: str, default: Any = None, deserialize_json: bool = False) -> Any:
        assert deserialize_json
        return json.loads(self.values[key]) if key in self.values else default

    def set(self, key: str, value: Any, description: str | None = None, serialize_json: bool = False) -> None:
        assert serialize_json
        assert description
        if not self.refused:  # Airflow logs that it refuses, and goes on
            self.values[key] = json.dumps(value)

    def delete(self, key: str) -> None:
        self.values.pop(key, None)


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Variables:
    """Variables in memory; those of a real Airflow are in ``tests/airflow/dag/``."""
    found = Variables()
    for name in ("get", "set", "delete"):
        monkeypatch.setattr(Variable, name, getattr(found, name))
    return found


def task(**more: Any) -> Any:
    given = {"dag_id": "d", "run_id": "manual__2026-01-15T00:00:00+00:00", "task_id": "t", "map_index": -1}
    return {"ti": SimpleNamespace(**given | {"max_tries": 1, "try_number": 1} | more)}


def test_without_a_store_a_variable_of_the_task_instance_keeps_it(variables: Variables) -> None:
    state = TaskState(task())
    assert not state.native
    state.write("a", 1.5)
    state.write("b", {"c": "\0"})
    (key,) = variables.values
    assert re.fullmatch(r"hyperoru_state__[0-9a-f]{32}", key)
    again = TaskState(task(try_number=2), required=True)
    assert (again.read("a"), again.read("b"), again.read("c")) == (1.5, {"c": "\0"}, None)
    again.clear("a")
    again.clear("a")
    assert again.read("a") is None
    assert again.read("b") == {"c": "\0"}
    again.clear("b")
    assert variables.values == {}


@pytest.mark.parametrize("other", [{"dag_id": "e"}, {"run_id": "r"}, {"task_id": "u"}, {"map_index": 0}])
def test_another_task_instance_has_another_variable(variables: Variables, other: dict[str, Any]) -> None:
    TaskState(task()).write("a", 1)
    assert TaskState(task(**other)).read("a") is None
    TaskState(task(**other)).write("a", 2)
    assert TaskState(task()).read("a") == 1
    assert len(variables.values) == 2


def test_a_variable_that_is_not_written_is_told(variables: Variables, caplog: pytest.LogCaptureFixture) -> None:
    """Airflow says so in a log only; a job that was noted nowhere would be started twice."""
    variables.refused = True
    with pytest.raises(PermissionError, match="Are tasks allowed to write Variables"):
        TaskState(task(), required=True).write("a", 1)
    TaskState(task()).write("a", 1)
    assert "could not be written: PermissionError" in caplog.text


@pytest.mark.parametrize(
    ("error", "try_number", "kept"),
    [
        (None, 1, False),
        (ValueError(), 1, True),
        (ValueError(), 2, False),
        (AirflowFailException(), 1, False),
        (AirflowSensorTimeout(), 1, False),
        (AirflowSkipException(), 1, False),
    ],
)
def test_the_variable_goes_when_no_try_follows(
    variables: Variables, error: BaseException | None, try_number: int, kept: bool
) -> None:
    TaskState(task()).write("a", 1)
    TaskState(task(try_number=try_number)).end(error)
    assert bool(variables.values) == kept


def test_what_is_in_airflow_s_own_store_stays() -> None:
    store = TaskStates()
    TaskState(context(store)).write("a", 1)
    TaskState(context(store, **task())).end()
    assert TaskState(context(store)).read("a") == 1


def test_the_state_of_an_asset_is_airflow_s_or_a_variable(variables: Variables) -> None:
    asset = Asset("a")
    store = TaskStates()
    native: Any = {"asset_state_store": StateOf(asset, store)}
    asset_state(native, asset).set("bounds", [1])
    assert store.get("bounds") == [1]
    assert variables.values == {}
    without: Any = {}
    assert asset_state(without, asset).get("bounds") is None
    asset_state(without, asset).set("bounds", [2])
    assert asset_state(without, Asset("a")).get("bounds") == [2]
    assert asset_state(without, Asset("b")).get("bounds") is None

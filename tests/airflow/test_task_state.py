"""What a task remembers, in a store that keeps, is missing, or fails."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from hyperoru_provider.hooks.task_state import TaskState
from tests.task_states import TaskStates


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

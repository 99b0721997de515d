"""The watermark of the example ``hyperoru_live_trades``, under every order of failures and cleared tasks.

Its task functions run as they are; what surrounds them is a model: a clock, a list of trades, an asset's state, and a
destination that holds for each window the rows which were listed when it was exported last.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import ModuleType, SimpleNamespace
from typing import Any

import pendulum
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hyperoru_provider.client.times import format_time
from hyperoru_provider.params.window import Window
from tests.places import EXAMPLES
from tests.task_states import StateOf

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
EXAMPLE = EXAMPLES / "hyperoru_live_trades.py"
TASKS = ("windows", "export", "advance")


class KilledError(Exception):
    """A task that ends here."""


class Live:
    """The DAG, and what surrounds it."""

    def __init__(self, module: ModuleType) -> None:
        dag = module.exports.dag
        self._windows = dag.get_task("windows").python_callable
        self._advance = dag.get_task("advance").python_callable
        self._asset = module.EXPORTS
        self.now = SINCE + timedelta(hours=1)
        self.trades: list[datetime] = []
        self.state: dict[str, Any] = {}
        self.exported: dict[tuple[str, str], list[datetime]] = {}
        self.runs: list[dict[str, Any]] = []
        self.kill_in: str | None = None
        self.module = module

    def trade(self, seconds: float) -> str:
        """Let time pass and a trade happen; gives its event's ``to``."""
        self.now += timedelta(seconds=seconds)
        self.trades.append(self.now)
        return format_time(self.now + timedelta(microseconds=1))

    def run(self, *payloads: dict[str, Any] | None, kill_in: str | None = None) -> None:
        """Run the DAG for some events; ``None`` is one that no trigger made."""
        events = [SimpleNamespace(extra={} if payload is None else {"payload": payload}) for payload in payloads]
        self.now += timedelta(seconds=1)
        self.runs.append({"events": {self.module.EVENTS.name: events} if events else {}})
        self._go_on(self.runs[-1], 0, kill_in)

    def clear(self, number: int, task: str) -> None:
        """Clear a task of a run, and those after it."""
        run = self.runs[number]
        if all(before in run for before in TASKS[: TASKS.index(task)]):
            self._go_on(run, TASKS.index(task), None)

    def _go_on(self, run: dict[str, Any], first: int, kill_in: str | None) -> None:
        store = SimpleNamespace(get=self.state.get, set=self._set)
        context: dict[str, Any] = {
            "triggering_asset_events": run["events"],
            "asset_state_store": StateOf(self._asset, store),
            "outlet_events": StateOf(self._asset, SimpleNamespace()),
            "params": self.module.exports.dag.params.dump(),
        }
        self.kill_in = kill_in
        with suppress(KilledError):
            for task in TASKS[first:]:
                run.pop(task, None)
                if task == "windows":
                    run[task] = self._windows(**context)
                elif task == "export":
                    run[task] = [self._export(number, window) for number, window in enumerate(run["windows"])]
                elif run["export"]:
                    self._advance(run["export"], **context)
                    run[task] = None
                if kill_in == task:
                    raise KilledError

    def _set(self, key: str, value: Any) -> None:
        self.state[key] = value
        if self.kill_in == "set":
            raise KilledError

    def _export(self, number: int, given: dict[str, str]) -> dict[str, Any]:
        if self.kill_in == "export 1" and number == 1:
            raise KilledError
        window = Window.parse(given["start"], given["end"])
        named = window.as_dict()
        listed = [trade for trade in self.trades if window.start <= trade < window.end and trade <= self.now]
        self.exported[named["start"], named["end"]] = listed
        return {"window": named, "manifest": window.name}

    def check(self) -> None:
        """Every trade is exported once, and no window overlaps another or leaves a hole."""
        windows = sorted(self.exported)
        assert all(one[1] == other[0] for one, other in pairwise(windows)), windows
        assert [trade for window in windows for trade in self.exported[window]] == self.trades


@pytest.fixture(scope="module")
def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hyperoru_live_trades", EXAMPLE)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def lives(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Live]:
    current: list[Live] = []

    def begin() -> Live:
        current[:] = [Live(module)]
        return current[0]

    def sleep(seconds: float) -> None:
        current[0].now += timedelta(seconds=seconds)

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(pendulum, "now", lambda zone: pendulum.instance(current[0].now))
    return begin


def event(to: str) -> dict[str, Any]:
    return {"kind": "events", "from": None, "to": to}


KILLS = st.sampled_from([None, None, "windows", "set", "export 1", "export", "advance"])
ACTS = st.one_of(
    st.tuples(st.just("event"), st.floats(0.001, 30), KILLS),
    st.tuples(st.just("by hand"), st.floats(0.001, 30), KILLS),
    st.tuples(st.just("late event"), st.floats(0.001, 30), KILLS),
    st.tuples(st.just("clear"), st.integers(0, 20), st.sampled_from(TASKS)),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(ACTS, max_size=12))
def test_no_order_of_failures_and_clears_loses_or_doubles_a_row(lives: Callable[[], Live], acts: list[Any]) -> None:
    live, earlier = lives(), format_time(SINCE)
    for what, amount, how in acts:
        if what == "clear":
            if live.runs:
                live.clear(amount % len(live.runs), how)
            continue
        to = live.trade(amount)
        events = {"event": [event(earlier), event(to)], "late event": [event(earlier)], "by hand": []}[what]
        live.run(*events, kill_in=how)
        earlier = to
    live.run(event(live.trade(2)))
    live.check()


def test_a_cleared_run_does_not_bring_the_watermark_back(lives: Callable[[], Live]) -> None:
    live = lives()
    live.run(event(live.trade(5)), kill_in="export")
    live.run(event(live.trade(5)))
    live.clear(0, "export")
    live.run(event(live.trade(5)))
    live.check()


def test_a_time_in_the_future_does_not_end_all_exports(lives: Callable[[], Live]) -> None:
    live = lives()
    live.run(event("2099-01-01T00:00:00Z"))
    for _ in range(3):
        live.run(event(live.trade(5)))
    live.check()


def test_an_event_that_was_made_by_hand_is_a_look(lives: Callable[[], Live]) -> None:
    live = lives()
    live.trade(5)
    live.run(None)
    live.check()


def test_a_long_outage_of_the_destination_notes_no_more_windows_than_can_be_mapped(lives: Callable[[], Live]) -> None:
    live = lives()
    for _ in range(1030):
        live.run(event(live.trade(5)), kill_in="windows")
    assert len(live.runs[-1].get("windows", live.state["bounds"])) < 1024
    for _ in range(2):
        live.run(event(live.trade(5)))
    live.check()

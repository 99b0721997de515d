"""The backfill operator without a task runner, killed at every point; in real Airflow it runs in tests/system."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module
from itertools import product
from types import SimpleNamespace
from typing import Any

import pytest

from hyperoru_provider.client import HyperoruClient, errors
from hyperoru_provider.client.api.models import BackfillJob
from hyperoru_provider.client.http.transport import AsyncTransport, Transport
from hyperoru_provider.hooks.compat import AirflowTaskTimeout, TaskDeferred
from hyperoru_provider.operators import backfill_job
from hyperoru_provider.operators.klines import HyperoruBackfillKlinesOperator
from hyperoru_provider.sandbox import Sandbox
from hyperoru_provider.sandbox.rows import iso
from tests.task_states import TaskStates

KEY = "hyperoru_backfill"
DAY: dict[str, Any] = {"symbol": "BTC", "interval": "1h", "start": "2026-01-01", "end": "2026-01-02"}
WINDOW = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}
POST = "/api/klines/backfill"


class Killed(KeyboardInterrupt):
    """kill -9: nothing in the code may stop it."""


@dataclass
class Points:
    """The moments at which a process can be killed, before and after each thing that it does."""

    #: after how many moments to kill, again and again
    gaps: list[int] = field(default_factory=list)
    trail: list[str] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)

    def pass_by(self, what: str) -> None:
        self.trail.append(what)
        if self.gaps:
            self.gaps[0] -= 1
            if self.gaps[0] == 0:
                self.gaps.pop(0)
                self.killed.append(what)
                raise Killed(what)


class KilledStates(TaskStates):
    """A store of which each change is a moment to be killed before and after."""

    def __init__(self, points: Points) -> None:
        super().__init__()
        self._points = points

    def before(self, method: str) -> None:
        super().before(method)
        if method != "get":
            self._points.pass_by(f"before {method}")

    def after(self, method: str) -> None:
        self._points.pass_by(f"after {method}")


class Task:
    """A task instance as Airflow runs it: new processes for each try, each resumption and each trigger.

    :param deferrable: how it waits.
    :param arguments: of the operator.
    """

    def __init__(self, deferrable: bool, **arguments: Any) -> None:
        self.points = Points()
        self.store: TaskStates = KilledStates(self.points)
        self.max_tries = 1
        self.tries = 0
        self._arguments = DAY | {"deferrable": deferrable, "poll_interval": 0.02} | arguments

    @property
    def operator(self) -> HyperoruBackfillKlinesOperator:
        return HyperoruBackfillKlinesOperator(task_id="backfill", **self._arguments)

    @property
    def context(self) -> Any:
        return {"task_state_store": self.store, "ti": SimpleNamespace(max_tries=self.max_tries)}

    def attempt(self) -> Any:
        """One try, with all its deferrals."""
        self.tries += 1
        act: Callable[[], Any] = lambda: self.operator.execute(self.context)  # noqa: E731
        while True:
            try:
                return act()
            except TaskDeferred as deferred:
                kwargs = json.loads(json.dumps(deferred.kwargs)) | {"event": self._event(deferred.trigger)}
                method = deferred.method_name
                act = lambda: self.operator.resume_execution(method, kwargs, self.context)  # noqa: B023, E731

    def run(self) -> Any:
        """Try until nobody kills it."""
        while True:
            try:
                return self.attempt()
            except Killed:
                continue

    def clear(self) -> None:
        self.max_tries = self.tries + 1

    def _event(self, trigger: Any) -> Any:
        path, kwargs = trigger.serialize()
        kwargs = json.loads(json.dumps(kwargs))
        module, _, name = path.rpartition(".")

        async def first() -> Any:
            async for event in getattr(import_module(module), name)(**kwargs).run():
                return json.loads(json.dumps(event.payload))

        while True:
            try:
                return asyncio.run(first())
            except Killed:
                continue


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, connect: Callable[..., None], sandbox: Sandbox) -> None:
    monkeypatch.setattr(backfill_job, "SETTLE_SECONDS", 0.0)
    connect(sandbox, token_cache="memory", max_retries=0)
    sandbox.set_faults(backfill_seconds=0.1)


class Clock:
    """The clock of those who wait for the server to show a job; sleeping takes no time.

    :param acts: what happens while they sleep, by turns.
    """

    def __init__(self, acts: Iterable[Callable[[], object]]) -> None:
        self.now = 0.0
        self._acts = iter(acts)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        next(self._acts, nothing)()


def nothing() -> None:
    """Let time pass alone."""


@pytest.fixture
def settling(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Clock]:
    """Let the server take a minute to show what it does, by a clock."""

    def begin(*acts: Callable[[], object]) -> Clock:
        clock = Clock(acts)
        monkeypatch.setattr(backfill_job, "SETTLE_SECONDS", 60.0)
        monkeypatch.setattr(backfill_job, "time", clock)
        return clock

    return begin


@pytest.fixture(params=[False, True], ids=["worker", "triggerer"])
def deferrable(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def kills(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Points]]:
    """Let requests be moments to be killed at, too; gives the place for the points of the present task."""
    present: list[Points] = []
    send, asend = Transport.send, AsyncTransport.send

    def sync(self: Transport, request: Any, *more: Any, **options: Any) -> Any:
        present[0].pass_by(f"before {request.method} {request.path}")
        answer = send(self, request, *more, **options)
        present[0].pass_by(f"after {request.method} {request.path}")
        return answer

    async def in_loop(self: AsyncTransport, request: Any, *more: Any, **options: Any) -> Any:
        present[0].pass_by(f"before {request.method} {request.path} in the triggerer")
        answer = await asend(self, request, *more, **options)
        present[0].pass_by(f"after {request.method} {request.path} in the triggerer")
        return answer

    monkeypatch.setattr(Transport, "send", sync)
    monkeypatch.setattr(AsyncTransport, "send", in_loop)
    yield present


def jobs(sandbox: Sandbox) -> int:
    count: int = sandbox.stats()["backfills"]
    return count


def test_a_backfill(sandbox: Sandbox, deferrable: bool) -> None:
    summary = Task(deferrable).run()
    assert summary.pop("started_at") < summary.pop("finished_at")
    assert summary == {
        "id": 1,
        "status": "completed",
        "rows_written": 24,
        "symbol": "BTC",
        "interval": "1h",
        "window": WINDOW,
    }
    assert jobs(sandbox) == 1


@pytest.mark.parametrize("failing", ["get", "set"])
def test_while_the_store_is_away_no_job_is_started(sandbox: Sandbox, failing: str) -> None:
    """It may hold one that an earlier try started, and could not keep this one."""
    task = Task(deferrable=False)
    task.store = TaskStates(failing)
    with pytest.raises(ConnectionError, match="the store is away"):
        task.attempt()
    assert jobs(sandbox) == 0


def test_a_failed_job_is_told_although_it_can_not_be_forgotten(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.set_faults(backfill_fail=True)
    task = Task(deferrable=False)
    task.store = TaskStates("delete")
    with pytest.raises(errors.HyperoruJobFailedError):
        task.attempt()
    assert "The task's state hyperoru_backfill could not be cleared: ConnectionError" in caplog.text


def test_what_is_noted_has_names_that_stay(sandbox: Sandbox) -> None:
    """The next try may be of another version."""
    task = Task(deferrable=False)
    task.run()
    noted = json.loads(task.store.texts[KEY])
    assert noted.pop("request").keys() == {"server", "path", "body"}
    assert noted == {"job": 1, "seen": True, "finished_in": 1}
    intent = json.loads(lost(sandbox).store.texts[KEY])
    assert intent.keys() == {"request", "since", "known"}
    assert intent["known"] == ["1"]


def test_without_a_task_state_store(sandbox: Sandbox) -> None:
    operator = HyperoruBackfillKlinesOperator(task_id="t", **DAY, poll_interval=0.02)
    assert operator.execute({})["rows_written"] == 24


@pytest.mark.parametrize("window_shown", [False, True])
def test_killed_at_any_point_there_is_one_job(
    sandbox: Sandbox, deferrable: bool, kills: list[Points], window_shown: bool
) -> None:
    killed: list[str] = []
    while True:
        sandbox.reset()
        sandbox.set_faults(backfill_seconds=0.05, backfill_window=window_shown)
        task = Task(deferrable)
        kills[:] = [task.points]
        task.points.gaps = [len(killed) + 1]
        summary = task.run()
        assert (jobs(sandbox), summary["id"], summary["rows_written"]) == (1, 1, 24), task.points.trail
        if not task.points.killed:
            break
        killed += task.points.killed
    assert {"before set", "after set", f"before POST {POST}", f"after POST {POST}"} <= set(killed)
    assert f"after GET {POST}/status/1" in killed
    assert (f"after GET {POST}/status/1 in the triggerer" in killed) is deferrable


@pytest.mark.slow
def test_killed_again_there_is_one_job(sandbox: Sandbox, kills: list[Points]) -> None:
    for gaps in product(range(1, 10), repeat=2):
        sandbox.reset()
        sandbox.set_faults(backfill_seconds=0)
        task = Task(deferrable=False)
        kills[:] = [task.points]
        task.points.gaps = list(gaps)
        assert task.run()["id"] == 1
        assert jobs(sandbox) == 1, task.points.killed


def test_a_lost_answer_fails_the_try_and_the_next_finds_the_job(
    sandbox: Sandbox, deferrable: bool, caplog: pytest.LogCaptureFixture
) -> None:
    task = Task(deferrable)
    sandbox.set_faults(backfill_lose_answer=True)
    with pytest.raises(errors.HyperoruAmbiguousWriteError):
        task.attempt()
    assert task.attempt()["rows_written"] == 24
    assert jobs(sandbox) == 1
    said = caplog.text
    assert "Found the backfill job 1 that an earlier try started" in said
    assert "HyperoruKlineCoverageSensor" in said


def test_a_job_that_shows_its_window_needs_no_proof(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    task = Task(deferrable=False)
    sandbox.set_faults(backfill_lose_answer=True, backfill_window=True)
    with pytest.raises(errors.HyperoruAmbiguousWriteError):
        task.attempt()
    assert task.attempt()["id"] == 1
    assert "HyperoruKlineCoverageSensor" not in caplog.text


def started(sandbox: Sandbox, **arguments: Any) -> None:
    """Start a job by another task."""
    HyperoruBackfillKlinesOperator(task_id="other", **(DAY | arguments), poll_interval=0.01).execute({})


def lost(sandbox: Sandbox, **arguments: Any) -> Task:
    """A task whose first try could not reach the server with its request, but does not know that."""
    task = Task(deferrable=False, **arguments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hyperoru_provider.client.client.HyperoruClient.backfill_klines", _killed)
        with pytest.raises(Killed):
            task.attempt()
    return task


def _killed(*_: Any) -> None:
    raise Killed


def test_an_older_job_of_the_same_window_is_another(sandbox: Sandbox) -> None:
    sandbox.set_faults(backfill_seconds=0)
    started(sandbox)
    assert lost(sandbox).attempt()["id"] == 2
    assert jobs(sandbox) == 2


@pytest.mark.parametrize("other", [{"symbol": "ETH"}, {"interval": "5m"}, {"exchange": "binance"}])
def test_a_job_of_something_else_is_another(sandbox: Sandbox, other: dict[str, str]) -> None:
    sandbox.set_faults(backfill_seconds=0)
    task = lost(sandbox)
    started(sandbox, **other)
    assert task.attempt()["id"] == 2


@pytest.mark.parametrize(("window_shown", "found"), [(True, 2), (False, 1)])
def test_a_job_of_another_window_is_told_where_it_is_shown(sandbox: Sandbox, window_shown: bool, found: int) -> None:
    sandbox.set_faults(backfill_seconds=0, backfill_window=window_shown)
    task = lost(sandbox)
    started(sandbox, start="2026-01-01T12:00:00Z")
    assert task.attempt()["id"] == found


def test_several_that_fit_are_named(sandbox: Sandbox) -> None:
    sandbox.set_faults(backfill_seconds=0)
    task = lost(sandbox)
    for _ in range(2):
        started(sandbox)
    with pytest.raises(errors.HyperoruAmbiguousWriteError, match=f"1, 2 were started since.*remove {KEY}") as caught:
        task.attempt()
    assert caught.value.path == "/api/klines/backfill-tasks"
    assert jobs(sandbox) == 2


def test_a_request_that_is_on_its_way_is_waited_for(sandbox: Sandbox, settling: Callable[..., Clock]) -> None:
    """A server may begin a job although nobody waits for the answer any more."""
    sandbox.set_faults(backfill_seconds=0)
    task = lost(sandbox)
    clock = settling(*[nothing] * 4, lambda: started(sandbox))
    assert task.attempt()["id"] == 1
    assert clock.now == 50
    assert jobs(sandbox) == 1


def test_a_request_that_never_came_is_not_waited_for_longer(sandbox: Sandbox, settling: Callable[..., Clock]) -> None:
    task = lost(sandbox)
    clock = settling()
    assert task.attempt()["id"] == 1
    assert clock.now == 60


NO_LIST = {"backfill_jobs": {"path": "/api/klines/no-such"}}


def test_a_server_without_a_list_of_jobs(
    sandbox: Sandbox, connect: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    connect(sandbox, token_cache="memory", max_retries=0, contract=NO_LIST)
    assert Task(deferrable=False).attempt()["id"] == 1
    assert "has no list of jobs at /api/klines/no-such" in caplog.text
    task = lost(sandbox)
    with pytest.raises(errors.HyperoruAmbiguousWriteError, match=f"no list of jobs.*remove {KEY}"):
        task.attempt()
    task.store.delete(KEY)
    assert task.attempt()["id"] == 2


def test_a_failed_job_fails_the_try_and_the_next_starts_another(sandbox: Sandbox, deferrable: bool) -> None:
    task = Task(deferrable)
    sandbox.set_faults(backfill_fail=True)
    with pytest.raises(errors.HyperoruJobFailedError, match=r"job 1 .BTC 1h.*status failed: The exchange.*12 rows"):
        task.attempt()
    assert task.store.texts == {}
    sandbox.set_faults(backfill_fail=False)
    assert task.attempt()["id"] == 2
    assert jobs(sandbox) == 2


def test_a_refusal_starts_nothing_and_leaves_nothing(sandbox: Sandbox, deferrable: bool) -> None:
    task = Task(deferrable, symbol="NONE")
    with pytest.raises(errors.HyperoruNotFoundError, match="Unknown symbol"):
        task.attempt()
    assert task.store.texts == {}
    assert jobs(sandbox) == 0


def test_a_job_that_the_server_forgot(sandbox: Sandbox, deferrable: bool) -> None:
    task = Task(deferrable)
    task.points.gaps = [7]  # before it is noted that the job is over
    with pytest.raises(Killed):
        task.attempt()
    sandbox.set_faults(backfill_gone=True)
    with pytest.raises(errors.HyperoruJobFailedError, match="no longer knows the backfill job 1"):
        task.attempt()
    assert task.store.texts == {}


def test_a_wrong_address_is_no_forgotten_job(sandbox: Sandbox, connect: Callable[..., None]) -> None:
    wrong = {"backfill_status": {"path": "/api/klines/backfill/state/{task_id}"}}
    connect(sandbox, token_cache="memory", max_retries=0, contract=wrong)
    task = Task(deferrable=False)
    for _ in range(2):
        with pytest.raises(errors.HyperoruContractError, match=r"backfill_status\.path"):
            task.attempt()
    connect(sandbox, token_cache="memory", contract=wrong | NO_LIST)
    with pytest.raises(errors.HyperoruNotFoundError):
        task.attempt()
    connect(sandbox, token_cache="memory")
    assert task.attempt()["id"] == 1
    assert jobs(sandbox) == 1


def test_an_unknown_status_names_the_override(sandbox: Sandbox, connect: Callable[..., None], deferrable: bool) -> None:
    connect(sandbox, token_cache="memory", contract={"backfill_status": {"finished": "ready"}})
    task = Task(deferrable)
    with pytest.raises(errors.HyperoruContractError, match=r"'completed'.*backfill_status"):
        task.attempt()
    connect(sandbox, token_cache="memory")
    assert task.attempt()["id"] == 1
    assert jobs(sandbox) == 1


def test_a_job_of_something_else_than_was_asked_for_is_an_error(sandbox: Sandbox, connect: Callable[..., None]) -> None:
    """A server that ignores what it does not know fills the candles of its default interval."""
    sandbox.set_faults(ignore_unknown=True)
    connect(sandbox, token_cache="memory", contract={"backfill": {"params": {"interval": "interval"}}})
    task = Task(deferrable=False, interval="5m")
    for _ in range(2):
        with pytest.raises(
            errors.HyperoruContractError, match=r"job 1 is for interval 1h, but BTC 5m.*backfill.params"
        ):
            task.attempt()
    assert jobs(sandbox) == 1
    connect(sandbox, token_cache="memory")  # another request, so another job
    assert task.attempt()["rows_written"] == 288


def test_a_server_of_the_older_kind(sandbox: Sandbox, connect: Callable[..., None], deferrable: bool) -> None:
    params = {"interval": "interval", "start": "start_date", "end": "end_date", "exchange": None, "environment": None}
    connect(sandbox, token_cache="memory", contract={"backfill": {"params": params}})
    sandbox.set_faults(backfill_old=True)
    summary = Task(deferrable).run()
    assert (summary["id"], summary["rows_written"]) == ("bf-001", None)


def test_a_cleared_task_starts_another_job(sandbox: Sandbox, deferrable: bool) -> None:
    task = Task(deferrable)
    assert task.run()["id"] == 1
    assert task.attempt()["id"] == 1  # killed before Airflow heard of its success
    task.clear()
    assert task.run()["id"] == 2
    task.clear()
    assert task.run()["id"] == 3


def test_a_task_that_is_cleared_while_its_job_runs_waits_for_it(sandbox: Sandbox, deferrable: bool) -> None:
    task = Task(deferrable)
    task.points.gaps = [4]
    with pytest.raises(Killed):
        task.attempt()
    task.clear()
    assert task.attempt()["id"] == 1
    assert jobs(sandbox) == 1


def test_a_server_that_is_away_for_a_while_is_waited_for(sandbox: Sandbox, deferrable: bool) -> None:
    task = Task(deferrable)
    task.points.gaps = [4]  # when the job is noted
    with pytest.raises(Killed):
        task.attempt()
    sandbox.set_faults(fail_next=2)
    assert task.attempt()["id"] == 1
    assert sandbox.stats()["by_status"]["503"] == 2
    assert jobs(sandbox) == 1


def test_execution_timeout_ends_the_wait_in_either_mode(sandbox: Sandbox, deferrable: bool) -> None:
    sandbox.set_faults(backfill_seconds=60)
    task = Task(deferrable, execution_timeout=timedelta(seconds=0.2))
    with pytest.raises(AirflowTaskTimeout, match="job 1"):
        task.attempt()
    assert jobs(sandbox) == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"symbol": "None"}, "symbol"),
        ({"interval": "hourly"}, "interval"),
        ({"start": "2026-01-02"}, "window"),
        ({"exchange": ""}, "exchange"),
        ({"environment": " "}, "environment"),
        ({"poll_interval": 0}, "poll_interval"),
        ({"poll_interval": timedelta(seconds=5)}, "poll_interval"),
    ],
)
def test_bad_arguments_are_named_before_anything_is_asked(
    sandbox: Sandbox, arguments: dict[str, Any], named: str
) -> None:
    with pytest.raises(errors.HyperoruConfigError, match=named):
        Task(deferrable=False, **arguments).attempt()
    assert sandbox.stats()["requests"] == 0


def test_on_kill_says_what_goes_on(
    sandbox: Sandbox, deferrable: bool, kills: list[Points], caplog: pytest.LogCaptureFixture
) -> None:
    task = Task(deferrable)
    kills[:] = [task.points]
    operator = task.operator
    operator.on_kill()
    assert "Killed" not in caplog.text
    task.points.gaps = [5]
    with pytest.raises(Killed, match=f"before POST {POST}"):
        operator.execute(task.context)
    operator.on_kill()
    assert re.search(
        r"Killed while a backfill job was being started: BTC 1h, .*GET /api/klines/backfill-tasks",
        caplog.text,
    )


def test_on_kill_names_the_job(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    task = Task(deferrable=True)
    operator = task.operator
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(task.context)
    operator.on_kill()
    said = (
        "Killed. The backfill job 1 (BTC 1h, 2026-01-01T00:00:00Z to 2026-01-02T00:00:00Z) continues at the server, as "
        "this provider knows no call that stops it; GET /api/klines/backfill/status/1 shows its status."
    )
    assert said in caplog.text
    caplog.clear()
    asyncio.run(deferred.value.trigger.on_kill())
    assert said in caplog.text


def test_an_event_that_is_none_is_not_believed(sandbox: Sandbox) -> None:
    sandbox.set_faults(backfill_seconds=60)
    task = Task(deferrable=True)
    with pytest.raises(TaskDeferred) as deferred:
        task.operator.execute(task.context)
    kwargs = deferred.value.kwargs or {}
    for event in (None, {"status": "done"}, "done"):
        with pytest.raises(errors.HyperoruContractError, match="event"):
            task.operator.execute_complete(task.context, event, **kwargs)
    done = {"status": "done", "says": "It is over.", "result": None}
    with pytest.raises(TaskDeferred):  # it is not
        task.operator.execute_complete(task.context, done, **kwargs)
    assert jobs(sandbox) == 1


def test_a_server_whose_clock_is_hours_behind_has_one_job(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or that shows its local time without an offset."""
    sandbox.set_faults(backfill_lose_answer=True)
    local = lambda moment: iso(moment - 5 * 3600 * 1_000_000).rstrip("Z")  # noqa: E731
    monkeypatch.setattr("hyperoru_provider.sandbox.jobs.iso", local)
    task = Task(deferrable=False)
    with pytest.raises(errors.HyperoruAmbiguousWriteError):
        task.attempt()
    assert task.attempt()["id"] == 1
    assert jobs(sandbox) == 1


def test_a_job_of_another_server_is_not_taken_up(sandbox: Sandbox, connect: Callable[..., None]) -> None:
    task = Task(deferrable=False)
    task.points.gaps = [4]  # when the job is noted
    with pytest.raises(Killed):
        task.attempt()
    with Sandbox() as other:
        connect(other, token_cache="memory", max_retries=0)
        other.set_faults(backfill_seconds=0)
        started(other)
        assert task.attempt()["id"] == 2
        assert jobs(other) == 2


def test_a_job_that_is_listed_late_is_waited_for(
    sandbox: Sandbox, deferrable: bool, settling: Callable[..., Clock]
) -> None:
    """A server may answer from a copy of its data that lags behind."""
    task = Task(deferrable)
    sandbox.set_faults(backfill_gone=True)
    clock = settling(*[nothing] * 4, lambda: sandbox.set_faults(backfill_gone=False))
    assert task.attempt()["id"] == 1
    assert clock.now == 50
    assert jobs(sandbox) == 1


def test_a_job_that_comes_between_two_questions_is_waited_for(
    sandbox: Sandbox, deferrable: bool, monkeypatch: pytest.MonkeyPatch, settling: Callable[..., Clock]
) -> None:
    """How it is was asked too early, and it is listed a moment later: that proves no wrong address."""
    listed = HyperoruClient.backfill_jobs

    def come_and_list(client: HyperoruClient) -> list[BackfillJob]:
        sandbox.set_faults(backfill_gone=not jobs(sandbox))
        return listed.__get__(client, HyperoruClient)()

    settling()
    monkeypatch.setattr(HyperoruClient, "backfill_jobs", come_and_list)
    sandbox.set_faults(backfill_gone=True)
    assert Task(deferrable).attempt()["id"] == 1
    assert jobs(sandbox) == 1


def test_a_job_that_was_never_seen_is_not_started_again(sandbox: Sandbox, deferrable: bool) -> None:
    """Its addresses may be wrong, and each try would start one more."""
    task = Task(deferrable)
    sandbox.set_faults(backfill_gone=True)
    for _ in range(3):
        with pytest.raises(errors.HyperoruContractError, match=rf"backfill_status\.path.*remove {KEY}"):
            task.attempt()
    assert jobs(sandbox) == 1
    sandbox.set_faults(backfill_gone=False)
    assert task.attempt()["id"] == 1

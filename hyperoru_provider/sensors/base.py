"""The base of all sensors: one rule for poke, reschedule and deferred mode."""

from __future__ import annotations

import logging
import math
import time
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseSensorOperator, PokeReturnValue

from hyperoru_provider.hooks.compat import (
    AirflowRescheduleException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    TaskDeferralTimeout,
    TaskDeferred,
    conf,
)
from hyperoru_provider.hooks.hyperoru import HyperoruHook
from hyperoru_provider.hooks.task_state import TaskState
from hyperoru_provider.hooks.tasks import WindowTask, failing_at_once

if TYPE_CHECKING:
    from airflow.sdk import Context

    from hyperoru_provider.waiting.conditions import Condition, Verdict

log = logging.getLogger(__name__)

_STATE_PREFIX = "hyperoru_wait_"
#: seconds between the trigger's deadline, at which it says what is missing, and Airflow's own timeout, by which a wait
#: ends although the triggerer is gone
_GRACE = 60.0
#: seconds that a question is given although the timeout comes sooner: with a timeout of 0, a sensor asks once
SHORTEST_QUESTION = 5.0


class HyperoruSensor(WindowTask, BaseSensorOperator):
    """Base of all sensors: wait until a condition is met, in poke, reschedule or deferred mode.

    A transient error, such as a server that can't be reached, is overloaded or answers 5xx, is "not yet" until the
    sensor's ``timeout``, and the log says why. Any other error fails the try, and a wrong argument or connection or a
    refused login the task, without retries. ``execution_timeout`` is how long a try may take, waiting included, in
    each mode. ``soft_fail`` skips the task at its timeout, and at nothing else; ``never_fail`` at any other error.

    :param deferrable: whether to wait in the triggerer, without a worker slot. Default: Airflow's
        ``[operators] default_deferrable``.
    :param hyperoru_conn_id: the connection. Default: ``hyperoru_default``. (templated)
    :raises HyperoruConfigError: an argument or the connection is wrong.
    :raises HyperoruApiError: the server refuses, or its answer can't be understood.
    """

    template_fields: Sequence[str] = ("hyperoru_conn_id",)
    ui_color = "#e3f2e1"

    def __init__(
        self,
        *,
        hyperoru_conn_id: str = HyperoruHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.hyperoru_conn_id = hyperoru_conn_id
        self.deferrable = deferrable
        self._state: Any = None
        self._deadline = math.inf

    @abstractmethod
    def condition(self) -> Condition:
        """Return the condition to wait for.

        :raises HyperoruConfigError: an argument is wrong.
        """

    def poke(self, context: Context) -> PokeReturnValue:
        """Ask once. In reschedule mode, the condition's state is kept from one process to the next."""
        memory = _WaitMemory(self, context) if self.reschedule else None
        if memory:
            self._state = memory.read("state")
        try:
            verdict = self._ask()
        finally:
            if memory:
                memory.write("state", self._state)
        return PokeReturnValue(verdict.done, verdict.result)

    def execute(self, context: Context) -> Any:
        """Wait in the worker; if the sensor is deferrable, ask once and then wait in the triggerer."""
        with _forgetting_at_the_end(context), failing_at_once():
            return self._execute(context)

    def _execute(self, context: Context) -> Any:
        self._state, self._deadline = None, time.monotonic() + self.timeout
        if not self.deferrable:
            return self._execute_on_worker(context)
        with self._failing_as_in_poke_mode():
            since, expires = self._first_try_began(context), time.time() + self._longest_try
            try:
                verdict = self._ask()
            except Exception:
                if not self.silent_fail:
                    raise
                log.exception("Error ignored, because silent_fail is set")
            else:
                if verdict.done:
                    return self._finish(context, verdict)
                if time.time() > since + self.timeout:
                    raise self._timed_out(verdict.message)
            return self._defer(since, expires)

    def _execute_on_worker(self, context: Context) -> Any:
        """Wait as Airflow's sensors do; in reschedule mode, too, a try takes no longer than it may."""
        if not (self.reschedule and self.execution_timeout):
            return super().execute(context)
        memory, now = _WaitMemory(self, context), time.time()
        this_try = getattr(context["ti"], "try_number", None)
        began = memory.read("try")
        if not (isinstance(began, dict) and began.get("number") == this_try):
            began = {"number": this_try, "at": now}
            memory.write("try", began)
        expires = datetime.fromtimestamp(began["at"] + self._longest_try, UTC)
        try:
            return super().execute(context)
        except AirflowRescheduleException as error:
            if datetime.now(UTC) >= expires:
                raise self._took_too_long() from None
            error.reschedule_date = min(error.reschedule_date, expires)
            raise

    def execute_complete(
        self,
        context: Context,
        event: Any = None,
        since: float = 0.0,
        state: Any = None,
        expires: float = math.inf,
    ) -> Any:
        """Return the result of a wait that the trigger has ended.

        :param event: the payload of the trigger.
        :param since: when the wait began, in seconds since 1970.
        :param state: what the condition remembered when the task was deferred.
        :param expires: when the try has taken as long as it may, likewise.
        :raises AirflowSensorTimeout: the condition was not met in time.
        :raises AirflowTaskTimeout: the try took longer than its ``execution_timeout``.
        :raises HyperoruError: the error that ended the wait in the triggerer.
        """
        from hyperoru_provider.client.errors import HyperoruError
        from hyperoru_provider.waiting.payloads import parse_event

        try:
            verdict = parse_event(event)
        except HyperoruError:
            if not self.silent_fail:
                raise
            log.exception("Error ignored, because silent_fail is set")
            self._state = self.condition().state_after_failure(state)
            return self._defer(since, expires)
        if not verdict.done:
            raise self._took_too_long() if expires < since + self.timeout else self._timed_out(verdict.message)
        log.info("%s", verdict.message)
        return self._finish(context, verdict)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after the trigger's event, its timeout or its failure."""
        with _forgetting_at_the_end(context), failing_at_once(), self._failing_as_in_poke_mode():
            try:
                # Airflow's sensor would skip the task with soft_fail whatever has failed
                return super(BaseSensorOperator, self).resume_execution(next_method, next_kwargs, context)
            except TaskDeferralTimeout as error:
                if self._longest_try < self.timeout:
                    raise self._took_too_long() from error
                raise self._timed_out("The triggerer did not report back in time.") from error

    def _ask(self) -> Verdict:
        from hyperoru_provider.client.errors import HyperoruApiError
        from hyperoru_provider.client.http.deadline import time_limit
        from hyperoru_provider.waiting.conditions import RETRY_FOR

        condition, now = self.condition(), datetime.now(UTC)
        limit = max(self._deadline - time.monotonic(), SHORTEST_QUESTION)
        reply: Any
        with time_limit(limit), HyperoruHook(self.hyperoru_conn_id, RETRY_FOR).get_conn() as client:
            try:
                reply = condition.question(now).ask(client)
            except HyperoruApiError as error:
                reply = error
        state, self._state = self._state, condition.state_after_failure(self._state)
        verdict = condition.handle(reply, state, now)
        self._state = None if verdict.done else verdict.state
        log.info("%s", verdict.message)
        return verdict

    def _first_try_began(self, context: Context) -> float:
        """Return when the first try began, in seconds since 1970: a timeout goes on over retries."""
        now = time.time()
        if not self.retries:
            return now
        memory = _WaitMemory(self, context)
        since = memory.read("since")
        if isinstance(since, float) and since <= now:
            return since
        memory.write("since", now)
        return now

    def _defer(self, since: float, expires: float) -> NoReturn:
        from hyperoru_provider.triggers.poll import HyperoruPollTrigger

        deadline = min(since + self.timeout, expires)
        trigger = HyperoruPollTrigger(
            hyperoru_conn_id=self.hyperoru_conn_id,
            condition=self.condition().as_dict(),
            interval=self.poke_interval,
            since=since,
            deadline=deadline,
            state=self._state,
            doubling=self.exponential_backoff,
            longest=self.max_wait.total_seconds() if self.max_wait else None,
        )
        self.defer(
            trigger=trigger,
            method_name="execute_complete",
            kwargs={"since": since, "state": self._state, **({} if math.isinf(expires) else {"expires": expires})},
            timeout=timedelta(seconds=max(deadline - time.time(), 0.0) + _GRACE),
        )

    def _finish(self, context: Context, verdict: Verdict) -> Any:
        if self.retries:
            _WaitMemory(self, context).write("since", None)
        return verdict.result

    @property
    def _longest_try(self) -> float:
        """How many seconds a try may take."""
        return self.execution_timeout.total_seconds() if self.execution_timeout else math.inf

    def _took_too_long(self) -> AirflowTaskTimeout:
        return AirflowTaskTimeout(f"The try took longer than the execution_timeout of {self._longest_try:g} s.")

    def _timed_out(self, message: str) -> AirflowSensorTimeout:
        return AirflowSensorTimeout(f"The condition was not met within the timeout of {self.timeout:g} s. {message}")

    @contextmanager
    def _failing_as_in_poke_mode(self) -> Iterator[None]:
        """Skip the task for the errors for which Airflow's poke mode does."""
        try:
            yield
        except AirflowSkipException:
            raise
        except AirflowSensorTimeout as error:
            if self.soft_fail:
                raise AirflowSkipException(f"Skipped, because soft_fail is set: {error}") from error
            raise
        except Exception as error:
            if self.never_fail:
                raise AirflowSkipException(f"Skipped, because never_fail is set: {error}") from error
            raise


@contextmanager
def _forgetting_at_the_end(context: Context) -> Iterator[None]:
    """Forget what a wait knows, once neither a poke nor an event nor a try follows."""
    try:
        yield
    except (AirflowRescheduleException, TaskDeferred):
        raise
    except BaseException as error:
        TaskState(context).end(error)
        raise
    TaskState(context).end()


class _WaitMemory:
    """Keeps what a wait knows in the task's state: from poke to poke in reschedule mode, and from try to try.

    A value that was noted before the task was cleared does not count.

    :param sensor: the sensor that waits.
    :param context: of the task.
    """

    def __init__(self, sensor: BaseSensorOperator, context: Context) -> None:
        self._state = TaskState(context)
        max_tries = self._state.max_tries
        self._run = None if max_tries is None else max_tries - (sensor.retries or 0)

    def read(self, name: str) -> Any:
        """Return a value, or ``None`` if there is none."""
        noted = self._state.read(_STATE_PREFIX + name)
        return noted["value"] if isinstance(noted, dict) and noted.get("run") == self._run else None

    def write(self, name: str, value: Any) -> None:
        """Keep a value, or forget it if it is ``None``."""
        if value is None:
            self._state.clear(_STATE_PREFIX + name)
        else:
            self._state.write(_STATE_PREFIX + name, {"run": self._run, "value": value})

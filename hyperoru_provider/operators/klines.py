"""Have the server fetch candles that it lacks."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowTaskTimeout

from hyperoru_provider.hooks.hyperoru import HyperoruHook

if TYPE_CHECKING:
    from airflow.sdk import Context

    from hyperoru_provider.client import HyperoruClient
    from hyperoru_provider.client.backfills import Backfill
    from hyperoru_provider.client.models import BackfillTask

_KEY = "hyperoru_backfill"
#: seconds that a request which nobody waits for any more may take to begin its job
_SETTLED = 60.0
#: seconds after which a deferred task looks itself whether all is well
_ONE_WAIT = 86_400.0
_RESOLVE = (
    f"Look at the server. If no job runs, or once it has ended, remove {_KEY} from the task's state and clear the "
    "task: it then starts one."
)


class HyperoruBackfillKlinesOperator(BaseOperator):
    """Have the server backfill the candles of a time range: start a job there, and wait until it is done.

    However often the task is killed, with its worker or its triggerer, there is one job: what is known of it is kept
    in Airflow's task state store, under ``hyperoru_backfill``, and the next try goes on with it. A job that failed
    fails the try, and the next one starts another; so does a task that is cleared after its success. Killing the
    task does not stop the job, as no call for that is known.

    Returns a summary: ``id``, ``status``, ``rows_written``, ``started_at``, ``finished_at``, ``symbol``, ``interval``
    and ``window``.

    .. seealso:: ``docs/backfill-klines.md``

    :param symbol: such as ``BTC``. (templated)
    :param interval: length of a candle, such as ``1m``, ``1h`` (the default) or ``1d``. (templated)
    :param start: begin of the window, inclusive: a datetime, date or ISO 8601 text, in UTC if it has no offset.
        Default: ``{{ data_interval_start }}``. (templated)
    :param end: end of the window, exclusive; likewise. Default: ``{{ data_interval_end }}``. (templated)
    :param exchange: whose candles. Default: ``hyperliquid``. (templated)
    :param environment: such as ``mainnet``. Default: the server's. (templated)
    :param deferrable: whether to wait in the triggerer, without a worker slot. Default: Airflow's
        ``[operators] default_deferrable``.
    :param poll_interval: seconds between two questions how the job is. Default: 30.
    :param hyperoru_conn_id: the connection. Default: ``hyperoru_default``. (templated)
    :raises HyperoruConfigError: an argument or the connection is wrong, or the window is empty. Nothing was started.
    :raises HyperoruAmbiguousWriteError: it can't be told whether a job was started, or which one. None was started
        beside it.
    :raises HyperoruJobFailedError: the job failed, or the server has forgotten it.
    :raises HyperoruContractError: the server's answers can't be understood, or the job is another than the one asked
        for.
    :raises HyperoruApiError: the server refused or could not be asked.
    """

    template_fields: Sequence[str] = (
        "symbol",
        "interval",
        "start",
        "end",
        "exchange",
        "environment",
        "hyperoru_conn_id",
    )
    ui_color = "#e6e1f2"

    def __init__(
        self,
        *,
        symbol: str,
        interval: str = "1h",
        start: datetime | str = "{{ data_interval_start }}",
        end: datetime | str = "{{ data_interval_end }}",
        exchange: str = "hyperliquid",
        environment: str | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float = 30.0,
        hyperoru_conn_id: str = HyperoruHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.symbol = symbol
        self.interval = interval
        self.start = start
        self.end = end
        self.exchange = exchange
        self.environment = environment
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.hyperoru_conn_id = hyperoru_conn_id
        self._left_behind = ""

    def execute(self, context: Context) -> dict[str, Any]:
        """Start the job, unless an earlier try did, and wait until it is done."""
        from hyperoru_provider.client.backfills import Backfill
        from hyperoru_provider.client.errors import HyperoruConfigError
        from hyperoru_provider.export import arguments

        if not isinstance(self.poll_interval, (int, float)) or not 0 < self.poll_interval < math.inf:
            raise HyperoruConfigError(f"poll_interval is {self.poll_interval!r}: seconds, more than 0, are expected.")
        window = arguments.window(self.start, self.end)
        wanted = Backfill(
            symbol=arguments.required("symbol", self.symbol),
            interval=arguments.required("interval", self.interval),
            start=window.start,
            end=window.end,
            exchange=arguments.required("exchange", self.exchange),
            environment=arguments.optional("environment", self.environment),
        )
        with HyperoruHook(self.hyperoru_conn_id).get_conn() as client:
            note = _Note(context, client, wanted)
            return self._wait(client, wanted, self._job(client, wanted, note), note, since=time.time())

    def execute_complete(
        self,
        context: Context,
        event: Any = None,
        job: int | str | None = None,
        wanted: dict[str, Any] | None = None,
        since: float = 0.0,
    ) -> dict[str, Any]:
        """Take up where the triggerer has left off. How the job is, is asked again, whatever the event says.

        :param event: what the trigger fired.
        :param job: id of the job.
        :param wanted: what it is to do.
        :param since: when the wait began, in seconds since 1970.
        """
        from hyperoru_provider.client.backfills import Backfill
        from hyperoru_provider.client.errors import HyperoruNotFoundError
        from hyperoru_provider.triggers.outcomes import parse_event

        try:
            parse_event(event)
        except HyperoruNotFoundError as error:
            self.log.info("The trigger could not ask how the job is, which may have a reason: %s", error)
        if job is None or wanted is None:  # dag.test() gives the event alone
            return self.execute(context)
        backfill = Backfill.of(wanted)
        with HyperoruHook(self.hyperoru_conn_id).get_conn() as client:
            return self._wait(client, backfill, job, _Note(context, client, backfill), since)

    def on_kill(self) -> None:
        """Say what goes on at the server."""
        if self._left_behind:
            self.log.warning("%s", self._left_behind)

    def _job(self, client: HyperoruClient, wanted: Backfill, note: _Note) -> int | str:
        """Give the id of this task's job, which an earlier try may have started."""
        from hyperoru_provider.client.errors import HyperoruApiError, HyperoruConnectError

        noted = note.read()
        if "job" in noted:
            job: int | str = noted["job"]
            self.log.info("The backfill job %s of an earlier try is taken up: %s", job, wanted)
            return job
        if noted and (found := self._lost(client, wanted, noted)):
            note.write({**noted, "job": found.id})
            return found.id
        listed = _listed(client)
        known = None if listed is None else [str(task.id) for task in _alike(client, wanted, listed)]
        if known is None:
            self.log.warning(
                "The server has no list of jobs at %s: if the task is killed in the moment of starting one, the next "
                "try can't look for it.",
                client.contract.backfill_tasks.path,
            )
        intent = note.intend(known)
        self._left_behind = (
            f"Killed while a backfill job was being started: {wanted}. If it was, it goes on at the server, where "
            f"GET {client.contract.backfill_tasks.path} lists all jobs. The next try looks for it there."
        )
        try:
            task = client.backfill_klines(wanted)
        except HyperoruApiError as error:
            if 400 <= (error.status or 0) < 500 or isinstance(error, HyperoruConnectError):
                note.clear()
            raise
        note.write({**intent, "job": task.id})
        self.log.info("Started the backfill job %s: %s", task.id, wanted)
        return task.id

    def _lost(self, client: HyperoruClient, wanted: Backfill, noted: dict[str, Any]) -> BackfillTask | None:
        """Find the job that an earlier try was starting when it ended; ``None`` if it started none."""
        from hyperoru_provider.client.backfills import begun_since, shows_window
        from hyperoru_provider.client.errors import HyperoruAmbiguousWriteError
        from hyperoru_provider.client.times import parse_time

        since = parse_time(noted["since"])
        last_look = time.monotonic() + _SETTLED
        while True:
            listed = _listed(client)
            if listed is None or noted["known"] is None:
                raise HyperoruAmbiguousWriteError(
                    f"An earlier try may have started a backfill job at {noted['since']} ({wanted}), but the server "
                    f"had no list of jobs to look for it. {_RESOLVE}",
                    method="GET",
                    path=client.contract.backfill_tasks.path,
                )
            found = begun_since(since, noted["known"], _alike(client, wanted, listed))
            if len(found) > 1:
                raise HyperoruAmbiguousWriteError(
                    f"An earlier try may have started a backfill job at {noted['since']} ({wanted}), and it can't be "
                    f"told which it is: {', '.join(str(task.id) for task in found)} were started since. {_RESOLVE}",
                    method="GET",
                    path=client.contract.backfill_tasks.path,
                )
            if found:
                self.log.info("The backfill job %s that an earlier try started is found: %s", found[0].id, wanted)
                if not shows_window(found[0]):
                    self.log.warning(
                        "The list of jobs does not show their windows: prove with a HyperoruKlineCoverageSensor that "
                        "the candles are there, or name the fields in the contract's backfill_tasks.fields."
                    )
                return found[0]
            if time.monotonic() >= last_look:
                self.log.info("The earlier try started no backfill job")
                return None
            self.log.info("An earlier try was starting a backfill job, and none is listed yet: %s", wanted)
            time.sleep(_SETTLED / 6)

    def _wait(
        self, client: HyperoruClient, wanted: Backfill, job: int | str, note: _Note, since: float
    ) -> dict[str, Any]:
        """Give the job's summary, or defer until it is over."""
        from hyperoru_provider.client.backfills import left_behind
        from hyperoru_provider.client.errors import HyperoruApiError, HyperoruJobFailedError

        self._left_behind = left_behind(job, wanted, client.contract)
        while True:
            try:
                task = self._look(client, wanted, job, note)
            except HyperoruApiError as error:
                if not error.transient:
                    raise
                self.log.info("How the backfill job %s is can't be told: %s", job, error)
            else:
                if task.meaning == "finished":
                    note.finish(job)
                    return _summary(task, wanted)
                if task.meaning == "failed":
                    note.clear()
                    raise HyperoruJobFailedError(
                        f"The backfill job {job} ({wanted}) ended with the status {task.status}: "
                        f"{task.error or 'no reason given'}. It has written "
                        f"{'an unknown number of' if task.rows_written is None else task.rows_written} rows. The next "
                        "try starts another job."
                    )
            until = since + self.execution_timeout.total_seconds() if self.execution_timeout else None
            if until is not None and time.time() >= until:
                raise AirflowTaskTimeout(f"The backfill job {job} ({wanted}) took more than the execution_timeout.")
            if self.deferrable:
                self._defer(wanted, job, since, min(until or math.inf, time.time() + _ONE_WAIT))
            time.sleep(self.poll_interval)

    def _defer(self, wanted: Backfill, job: int | str, since: float, deadline: float) -> NoReturn:
        from hyperoru_provider.triggers.backfill import HyperoruBackfillTrigger
        from hyperoru_provider.triggers.conditions import BackfillOver

        condition = BackfillOver(job, self._left_behind)
        trigger = HyperoruBackfillTrigger(
            hyperoru_conn_id=self.hyperoru_conn_id,
            condition=condition.as_dict(),
            interval=self.poll_interval,
            since=since,
            deadline=deadline,
        )
        self.defer(
            trigger=trigger,
            method_name="execute_complete",
            kwargs={"job": job, "wanted": wanted.as_dict(), "since": since},
        )

    def _look(self, client: HyperoruClient, wanted: Backfill, job: int | str, note: _Note) -> BackfillTask:
        """Ask how the job is, and check that it is the one that was asked for."""
        from hyperoru_provider.client.errors import (
            HyperoruContractError,
            HyperoruJobFailedError,
            HyperoruNotFoundError,
        )

        try:
            task = client.backfill_task(job)
        except HyperoruNotFoundError as error:
            listed = _listed(client)
            if listed is None:
                raise
            if any(str(task.id) == str(job) for task in listed):
                raise error.become(
                    HyperoruContractError,
                    f"The job {job} is in the list of jobs, but asking how it is ends with 404. Correct the contract's "
                    "backfill_status.path.",
                ) from None
            note.clear()
            raise HyperoruJobFailedError(
                f"The server no longer knows the backfill job {job} ({wanted}), so it can't be told how it ended. Look "
                "whether the candles are there; the next try starts another job."
            ) from None
        if names := wanted.differences(task, client.contract.backfill_tasks.echoes):
            shown = ", ".join(f"{name} {getattr(task, name)}" for name in names)
            raise HyperoruContractError(
                f"The backfill job {job} is of {shown}, but {wanted} was asked for: the server seems to ignore some of "
                "it. Correct the contract's backfill.params; if it only writes them otherwise, take them out of "
                "backfill_tasks.echoes."
            )
        return task


class _Note:
    """What is known about a task's job, kept over its tries. Outside of a task nothing is kept.

    :param context: the task's.
    :param client: the service's.
    :param wanted: what the job is to do. What is known about another is of no use.
    """

    def __init__(self, context: Context, client: HyperoruClient, wanted: Backfill) -> None:
        from hyperoru_provider.client import calls

        request = calls.backfill_klines(client.contract, wanted).request
        self._request = {"path": request.path, "body": request.body}
        self._store = context.get("task_state_store")
        # it grows when a task is cleared, and stays when it is tried again
        self._max_tries = getattr(context.get("ti"), "max_tries", None)

    def read(self) -> dict[str, Any]:
        """Give what an earlier try has noted; empty if it is of no use."""
        noted = None if self._store is None else self._store.get(_KEY)
        if not isinstance(noted, dict) or noted.get("request") != self._request:
            return {}
        # a job that is over is another try's only if Airflow never heard of that one's success
        return noted if noted.get("finished_in", self._max_tries) == self._max_tries else {}

    def write(self, noted: dict[str, Any]) -> None:
        """Keep it."""
        if self._store is not None:
            self._store.set(_KEY, noted)

    def intend(self, known: list[str] | None) -> dict[str, Any]:
        """Keep that a job is about to be started.

        :param known: ids of the jobs like it that are there before; ``None`` if that can't be told.
        """
        from hyperoru_provider.client.times import format_time

        noted = {"request": self._request, "since": format_time(datetime.now(UTC)), "known": known}
        self.write(noted)
        return noted

    def finish(self, job: int | str) -> None:
        """Keep that the job is over; a task that is killed before Airflow hears of its success reports it again."""
        self.write({"request": self._request, "job": job, "finished_in": self._max_tries})

    def clear(self) -> None:
        """Forget it."""
        if self._store is not None:
            self._store.delete(_KEY)


def _listed(client: HyperoruClient) -> list[BackfillTask] | None:
    """Give all jobs; ``None`` if the server has no list of them."""
    from hyperoru_provider.client.errors import HyperoruNotFoundError

    try:
        return client.backfill_tasks()
    except HyperoruNotFoundError:
        return None


def _alike(client: HyperoruClient, wanted: Backfill, listed: list[BackfillTask]) -> list[BackfillTask]:
    return wanted.alike(listed, client.contract.backfill_tasks.echoes)


def _summary(task: BackfillTask, wanted: Backfill) -> dict[str, Any]:
    told = wanted.as_dict()
    return {
        **task.model_dump(include={"id", "status", "rows_written", "started_at", "finished_at"}),
        "symbol": wanted.symbol,
        "interval": wanted.interval,
        "window": {"start": told["start"], "end": told["end"]},
    }

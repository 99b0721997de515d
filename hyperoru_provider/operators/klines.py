"""Have the server fetch candles that it lacks."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseOperator

from hyperoru_provider.hooks.compat import AirflowTaskTimeout, conf
from hyperoru_provider.hooks.hyperoru import HyperoruHook
from hyperoru_provider.hooks.tasks import WindowTask, failing_at_once
from hyperoru_provider.operators.base import for_xcom
from hyperoru_provider.params import arguments
from hyperoru_provider.params.arguments import INTERVAL_END, INTERVAL_START

if TYPE_CHECKING:
    from airflow.sdk import Context

    from hyperoru_provider.client.api.models import BackfillJob
    from hyperoru_provider.client.backfills import Backfill
    from hyperoru_provider.operators.backfill_job import BackfillJobTracker

log = logging.getLogger(__name__)

#: seconds after which a deferred task resumes and asks by itself, if the trigger has not fired
_MAX_DEFERRAL = 86_400.0


class HyperoruBackfillKlinesOperator(WindowTask, BaseOperator):
    """Have the server backfill the candles of a time range: start a job there, and wait until it is done.

    However often the task is killed, with its worker or its triggerer, there is one job: what is known of it is kept
    in Airflow's task state store, under ``hyperoru_backfill``, and the next try continues with it. While that store
    can't be read or written, no job is started. A job that failed fails the try, and the next one starts another; so
    does a task that is cleared after its success. Killing the task does not stop the job, as no call for that is known.

    Returns a summary: ``id``, ``status``, ``rows_written``, ``started_at``, ``finished_at``, ``symbol``, ``interval``
    and ``window``.

    .. seealso:: ``docs/backfill-klines.md``

    :param symbol: such as ``BTC``. (templated)
    :param interval: length of a candle, such as ``1m``, ``1h`` (the default) or ``1d``. (templated)
    :param start: start of the window, inclusive: a datetime, date or ISO 8601 text, in UTC if it has no offset.
        Default: the start of the run's data interval. (templated)
    :param end: end of the window, exclusive; likewise. Default: the end of the run's data interval. (templated)
    :param exchange: whose candles. Default: ``hyperliquid``. (templated)
    :param environment: such as ``mainnet``. Default: the server's. (templated)
    :param deferrable: whether to wait in the triggerer, without a worker slot. Default: Airflow's
        ``[operators] default_deferrable``.
    :param poll_interval: seconds between two requests for the job's status, more than 0. Default: 30.
    :param hyperoru_conn_id: the connection. Default: ``hyperoru_default``. (templated)
    :raises HyperoruConfigError: an argument or the connection is wrong, or the window is empty.
    :raises HyperoruAmbiguousWriteError: it is not known whether a job was started, or which one. No second one was
        started.
    :raises HyperoruJobFailedError: the job failed, or the server has forgotten it.
    :raises HyperoruContractError: the server's answers can't be understood, or the job is not the one requested.
    :raises HyperoruApiError: the server refused a request or could not be reached.
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

    @failing_at_once()
    def __init__(
        self,
        *,
        symbol: str,
        interval: str = "1h",
        start: datetime | str = INTERVAL_START,
        end: datetime | str = INTERVAL_END,
        exchange: str = "hyperliquid",
        environment: str | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float = 30.0,
        hyperoru_conn_id: str = HyperoruHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        arguments.early(arguments.required, "symbol", symbol)
        arguments.early(arguments.interval, "interval", interval)
        arguments.early(arguments.required, "exchange", exchange)
        arguments.early(arguments.optional, "environment", environment)
        arguments.early_window(start, end)
        self.symbol = symbol
        self.interval = interval
        self.start = start
        self.end = end
        self.exchange = exchange
        self.environment = environment
        self.deferrable = deferrable
        self.poll_interval = arguments.seconds("poll_interval", poll_interval)
        self.hyperoru_conn_id = hyperoru_conn_id
        self._tracker: BackfillJobTracker | None = None

    @failing_at_once()
    def execute(self, context: Context) -> Any:
        """Start the job, unless an earlier try did, and wait until it is done."""
        from hyperoru_provider.client.backfills import Backfill
        from hyperoru_provider.operators.backfill_job import BackfillJobTracker

        window = arguments.window(self.start, self.end)
        wanted = Backfill(
            symbol=arguments.required("symbol", self.symbol),
            interval=arguments.interval("interval", self.interval),
            start=window.start,
            end=window.end,
            exchange=arguments.required("exchange", self.exchange),
            environment=arguments.optional("environment", self.environment),
        )
        with HyperoruHook(self.hyperoru_conn_id).get_conn() as client:
            self._tracker = BackfillJobTracker(context, client, wanted)
            self._tracker.begin()
            return self._wait(self._tracker, since=time.time())

    @failing_at_once()
    def execute_complete(
        self,
        context: Context,
        event: Any = None,
        job: int | str | None = None,
        wanted: dict[str, Any] | None = None,
        since: float = 0.0,
    ) -> Any:
        """Return the job's summary, or defer again. Whatever the event says, the server is asked.

        :param event: the payload of the trigger.
        :param job: id of the job.
        :param wanted: what the job is to do.
        :param since: when the wait began, in seconds since 1970.
        """
        from hyperoru_provider.client.backfills import Backfill
        from hyperoru_provider.client.errors import HyperoruNotFoundError
        from hyperoru_provider.operators.backfill_job import BackfillJobTracker
        from hyperoru_provider.waiting.payloads import parse_event

        try:
            parse_event(event)
        except HyperoruNotFoundError as error:
            log.info("The trigger could not fetch the job's state, so the worker checks it: %s", error)
        if job is None or wanted is None:  # dag.test() gives the event alone
            return self.execute(context)
        with HyperoruHook(self.hyperoru_conn_id).get_conn() as client:
            self._tracker = BackfillJobTracker(context, client, Backfill.of(wanted))
            self._tracker.take_up(job)
            return self._wait(self._tracker, since)

    def on_kill(self) -> None:
        """Log what continues at the server."""
        if self._tracker is not None and self._tracker.kill_message:
            log.warning("%s", self._tracker.kill_message)

    def _wait(self, tracker: BackfillJobTracker, since: float) -> Any:
        """Return the job's summary when it is finished, or defer until it is over."""
        from hyperoru_provider.client.errors import HyperoruApiError

        while True:
            try:
                job = tracker.look()
            except HyperoruApiError as error:
                if not error.transient:
                    raise
                log.info("The state of the backfill job %s is not known: %s", tracker.id, error)
            else:
                if job.meaning == "finished":
                    written = "an unknown number of" if job.rows_written is None else job.rows_written
                    log.info("The %s is finished: %s rows written, after %.0f s", tracker, written, time.time() - since)
                    return for_xcom(_summary(job, tracker.wanted))
            deadline = since + self.execution_timeout.total_seconds() if self.execution_timeout else math.inf
            if time.time() >= deadline:
                raise AirflowTaskTimeout(f"The {tracker} took more than the execution_timeout.")
            if self.deferrable:
                self._defer(tracker, since, min(deadline, time.time() + _MAX_DEFERRAL))
            time.sleep(self.poll_interval)

    def _defer(self, tracker: BackfillJobTracker, since: float, deadline: float) -> NoReturn:
        from hyperoru_provider.triggers.backfill import HyperoruBackfillTrigger
        from hyperoru_provider.waiting.conditions import BackfillOver

        trigger = HyperoruBackfillTrigger(
            hyperoru_conn_id=self.hyperoru_conn_id,
            condition=BackfillOver(tracker.id, tracker.kill_message).as_dict(),
            interval=self.poll_interval,
            since=since,
            deadline=deadline,
        )
        self.defer(
            trigger=trigger,
            method_name="execute_complete",
            kwargs={"job": tracker.id, "wanted": tracker.wanted.as_dict(), "since": since},
        )


def _summary(job: BackfillJob, wanted: Backfill) -> dict[str, Any]:
    request = wanted.as_dict()
    return {
        **job.model_dump(include={"id", "status", "rows_written", "started_at", "finished_at"}),
        "symbol": wanted.symbol,
        "interval": wanted.interval,
        "window": {"start": request["start"], "end": request["end"]},
    }

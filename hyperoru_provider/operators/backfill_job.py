"""The one backfill job of a task: started once, and found again, whatever is killed."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hyperoru_provider.hooks.task_state import TaskState

if TYPE_CHECKING:
    from airflow.sdk import Context

    from hyperoru_provider.client import HyperoruClient
    from hyperoru_provider.client.api.models import BackfillJob
    from hyperoru_provider.client.backfills import Backfill
    from hyperoru_provider.client.errors import (
        HyperoruAmbiguousWriteError,
        HyperoruError,
        HyperoruNotFoundError,
    )

log = logging.getLogger(__name__)

#: seconds that an abandoned request may take to start its job, and a server to show one
SETTLE_SECONDS = 60.0
_STATE_NAME = "hyperoru_backfill"
_RESOLVE = (
    f"Check the server. If no job is running, or once it has ended, remove {_STATE_NAME} from the task's state and "
    "clear the task: it then starts a new one."
)


class BackfillJobTracker:
    """Starts the job of a task, or finds the one that an earlier try started, and follows it.

    :param context: of the task.
    :param client: the client.
    :param wanted: what the job is to do.
    """

    def __init__(self, context: Context, client: HyperoruClient, wanted: Backfill) -> None:
        self.wanted = wanted
        self.id: int | str = ""
        #: what to log if the task is killed: what continues at the server
        self.kill_message = ""
        self._client = client
        self._record = _JobRecord(context, client, wanted)
        self._seen = False

    def __str__(self) -> str:
        return f"backfill job {self.id} ({self.wanted})"

    def begin(self) -> None:
        """Start the job, unless an earlier try did.

        :raises HyperoruAmbiguousWriteError: it can't be told whether a job was started, or which one.
        """
        noted = self._record.read()
        if "job" in noted:
            self.take_up(noted["job"])
            log.info("Resuming the %s of an earlier try", self)
        elif noted and (found := self._find_lost_job(noted)):
            self._record.write({**noted, "job": found.id, "seen": True})
            self.take_up(found.id)
        else:
            self._start()

    def take_up(self, job: int | str) -> None:
        """Go on with a job that was started.

        :param job: its id.
        """
        self.id = job
        path, _ = self._client.contract.backfill_status.target({"task_id": job})
        self.kill_message = (
            f"Killed. The {self} continues at the server, as this provider knows no call that stops it; GET {path} "
            "shows its status. If the task is cleared, it waits for this job."
        )

    def look(self) -> BackfillJob:
        """Return the job as the server shows it.

        :raises HyperoruJobFailedError: it failed, or the server has forgotten it; the next try starts another.
        :raises HyperoruContractError: it is not the job that was asked for.
        """
        job = self._ask()
        if not self._seen:
            self._seen = True
            self._record.mark_seen()
        self._check(job)
        if job.meaning == "finished":
            self._record.finish(self.id)
        return job

    def _start(self) -> None:
        from hyperoru_provider.client.errors import HyperoruApiError, HyperoruConnectError

        listed = self._list_jobs()
        path = self._client.contract.backfill_jobs.path
        if listed is None:
            log.warning(
                "The server has no list of jobs at %s: if the task is killed while it starts one, the next try can't "
                "look for it.",
                path,
            )
        known_ids = None if listed is None else [str(job.id) for job in self._similar(listed)]
        intent = self._record.intend(known_ids)
        self.kill_message = (
            f"Killed while a backfill job was being started: {self.wanted}. If it was, it continues at the server, "
            f"where GET {path} lists all jobs. The next try looks for it there."
        )
        try:
            job = self._client.backfill_klines(self.wanted)
        except HyperoruApiError as error:
            if 400 <= (error.status or 0) < 500 or isinstance(error, HyperoruConnectError):
                self._record.clear()  # surely none was started
            raise
        self._record.write({**intent, "job": job.id})
        self.take_up(job.id)
        log.info("Started the %s", self)

    def _ask(self) -> BackfillJob:
        """Return the job as the server shows it; for a while, wait for one that it does not know yet."""
        from hyperoru_provider.client.errors import HyperoruContractError, HyperoruNotFoundError

        last_look, was_listed = time.monotonic() + SETTLE_SECONDS, False
        while True:
            try:
                return self._client.backfill_job(self.id)
            except HyperoruNotFoundError as error:
                listed = self._list_jobs()
                if listed is None:
                    raise
                is_listed = any(str(job.id) == str(self.id) for job in listed)
                if is_listed and was_listed:  # once proves nothing: it may have come between the two questions
                    raise error.as_type(
                        HyperoruContractError,
                        f"The job {self.id} is in the list of jobs, but the request for its status is answered with "
                        "404. Correct the contract's backfill_status.path.",
                    ) from None
                if time.monotonic() >= last_look and not is_listed:
                    raise self._unknown_job(error) from None
                was_listed = is_listed
                log.info("The server does not know the %s, or not yet", self)
                time.sleep(SETTLE_SECONDS / 6)

    def _check(self, job: BackfillJob) -> None:
        """Raise an error if the job is another than the one asked for, or has failed."""
        from hyperoru_provider.client.errors import HyperoruContractError, HyperoruJobFailedError

        if names := self.wanted.differences(job, self._client.contract.backfill_jobs.verified_fields):
            shown = ", ".join(f"{name} {getattr(job, name)}" for name in names)
            raise HyperoruContractError(
                f"The backfill job {self.id} is for {shown}, but {self.wanted} was requested: the server seems to "
                "ignore some of it. Correct the contract's backfill.params; if it only writes them differently, "
                "remove them from backfill_jobs.verified_fields."
            )
        if job.meaning == "failed":
            self._record.clear()
            raise HyperoruJobFailedError(
                f"The {self} ended with the status {job.status}: {job.error or 'no reason given'}. It has written "
                f"{'an unknown number of' if job.rows_written is None else job.rows_written} rows. The next try "
                "starts another job."
            )

    def _unknown_job(self, error: HyperoruNotFoundError) -> HyperoruError:
        from hyperoru_provider.client.errors import HyperoruContractError, HyperoruJobFailedError

        if not self._seen and not self._record.read().get("seen"):  # another job would be no better
            return error.as_type(
                HyperoruContractError,
                f"The {self} was started, but the request for its status is answered with 404, and it is missing "
                "from the list of jobs. Correct the contract's backfill_status.path and backfill_jobs.path. "
                f"{_RESOLVE}",
            )
        self._record.clear()
        return HyperoruJobFailedError(
            f"The server no longer knows the {self}, so how it ended is not known. Check whether the candles are "
            "there; the next try starts another job."
        )

    def _find_lost_job(self, noted: dict[str, Any]) -> BackfillJob | None:
        """Return the job that an earlier try was starting when it was killed, or ``None`` if it started none.

        :param noted: the intent of that try.
        :raises HyperoruAmbiguousWriteError: there is no list of jobs, or several jobs fit.
        """
        last_look = time.monotonic() + SETTLE_SECONDS
        while True:
            listed = self._list_jobs()
            if listed is None or noted["known"] is None:
                raise self._ambiguous(noted, "but the server had no list of jobs to look for it")
            found = [job for job in self._similar(listed) if str(job.id) not in noted["known"]]
            if len(found) > 1:
                several = ", ".join(str(job.id) for job in found)
                raise self._ambiguous(noted, f"and it can't be told which it is: {several} were started since")
            if found:
                self._log_found(found[0])
                return found[0]
            if time.monotonic() >= last_look:
                log.info("The earlier try started no backfill job")
                return None
            log.info("An earlier try was starting a backfill job, and none is listed yet: %s", self.wanted)
            time.sleep(SETTLE_SECONDS / 6)

    def _log_found(self, job: BackfillJob) -> None:
        from hyperoru_provider.client.backfills import shows_window

        log.info("Found the backfill job %s that an earlier try started: %s", job.id, self.wanted)
        if not shows_window(job):
            log.warning(
                "The list of jobs does not show their windows: check with a HyperoruKlineCoverageSensor that the "
                "candles are there, or name the fields in the contract's backfill_jobs.fields."
            )

    def _ambiguous(self, noted: dict[str, Any], why: str) -> HyperoruAmbiguousWriteError:
        from hyperoru_provider.client.errors import HyperoruAmbiguousWriteError

        return HyperoruAmbiguousWriteError(
            f"An earlier try may have started a backfill job at {noted['since']} ({self.wanted}), {why}. {_RESOLVE}",
            method="GET",
            path=self._client.contract.backfill_jobs.path,
        )

    def _list_jobs(self) -> list[BackfillJob] | None:
        """Return all jobs, or ``None`` if the server has no list of them."""
        from hyperoru_provider.client.errors import HyperoruNotFoundError

        try:
            return self._client.backfill_jobs()
        except HyperoruNotFoundError:
            return None

    def _similar(self, listed: list[BackfillJob]) -> list[BackfillJob]:
        return self.wanted.similar(listed, self._client.contract.backfill_jobs.verified_fields)


class _JobRecord:
    """What is known about the job of a task, as JSON in the task's state.

    The state is required, as a job that was forgotten would be started twice.

    :param context: of the task.
    :param client: the client.
    :param wanted: what the job is to do; a record about anything else, or another server, does not count.
    """

    def __init__(self, context: Context, client: HyperoruClient, wanted: Backfill) -> None:
        from hyperoru_provider.client import calls

        request = calls.backfill_klines(client.contract, wanted).request
        self._request = {"server": client.base_url, "path": request.path, "body": request.body}
        self._state = TaskState(context, required=True)

    def read(self) -> dict[str, Any]:
        """Return what an earlier try noted, or an empty dict if nothing counts."""
        noted = self._state.read(_STATE_NAME)
        if not isinstance(noted, dict) or noted.get("request") != self._request:
            return {}
        # a finished job counts only for a try that follows since Airflow never heard of the success
        max_tries = self._state.max_tries
        return noted if noted.get("finished_in", max_tries) == max_tries else {}

    def write(self, noted: dict[str, Any]) -> None:
        """Note what is known."""
        self._state.write(_STATE_NAME, noted)

    def intend(self, known_ids: list[str] | None) -> dict[str, Any]:
        """Note that a job is about to be started, and return what was noted.

        :param known_ids: ids of similar jobs that are there before; ``None`` if they can't be told.
        """
        from hyperoru_provider.client.times import format_time

        noted = {"request": self._request, "since": format_time(datetime.now(UTC)), "known": known_ids}
        self.write(noted)
        return noted

    def mark_seen(self) -> None:
        """Note that the server knows the job."""
        noted = self.read()
        if noted and "seen" not in noted:
            self.write({**noted, "seen": True})

    def finish(self, job: int | str) -> None:
        """Note that the job is finished: if the task is killed before Airflow hears of it, the next try reports it.

        A Variable would stay for ever, and is removed.
        """
        if not self._state.native:
            self.clear()
            return
        self.write({"request": self._request, "job": job, "seen": True, "finished_in": self._state.max_tries})

    def clear(self) -> None:
        """Forget the job."""
        self._state.clear(_STATE_NAME)

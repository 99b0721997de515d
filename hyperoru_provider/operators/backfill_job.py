"""The one backfill job of a task: started once, and found again, whatever is killed."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

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

_KEY = "hyperoru_backfill"
#: seconds that a request which nobody waits for any more may take to begin its job, and a server to show one
_SETTLED = 60.0
_RESOLVE = (
    f"Look at the server. If no job runs, or once it has ended, remove {_KEY} from the task's state and clear the "
    "task: it then starts one."
)


class BackfillJobTracker:
    """The job of a task, over all its tries.

    :param context: the task's.
    :param client: the service's.
    :param wanted: what the job is to do.
    """

    def __init__(self, context: Context, client: HyperoruClient, wanted: Backfill) -> None:
        self.wanted = wanted
        self.id: int | str = ""
        #: what to say if the task is killed
        self.left_behind = ""
        self._client = client
        self._note = _Note(context, client, wanted)
        self._seen = False

    def __str__(self) -> str:
        return f"backfill job {self.id} ({self.wanted})"

    def begin(self) -> None:
        """Start the job, unless an earlier try did."""
        from hyperoru_provider.client.errors import HyperoruApiError, HyperoruConnectError

        noted = self._note.read()
        if "job" in noted:
            self.take_up(noted["job"])
            log.info("The %s of an earlier try is taken up", self)
            return
        if noted and (found := self._lost(noted)):
            self._note.write({**noted, "job": found.id, "seen": True})
            self.take_up(found.id)
            return
        listed = self._listed()
        path = self._client.contract.backfill_jobs.path
        if listed is None:
            log.warning(
                "The server has no list of jobs at %s: if the task is killed in the moment of starting one, the next "
                "try can't look for it.",
                path,
            )
        intent = self._note.intend(None if listed is None else [str(task.id) for task in self._alike(listed)])
        self.left_behind = (
            f"Killed while a backfill job was being started: {self.wanted}. If it was, it goes on at the server, where "
            f"GET {path} lists all jobs. The next try looks for it there."
        )
        try:
            task = self._client.backfill_klines(self.wanted)
        except HyperoruApiError as error:
            if 400 <= (error.status or 0) < 500 or isinstance(error, HyperoruConnectError):
                self._note.clear()
            raise
        self._note.write({**intent, "job": task.id})
        self.take_up(task.id)
        log.info("Started the %s", self)

    def take_up(self, job: int | str) -> None:
        """Go on with a job that was started.

        :param job: its id.
        """
        from hyperoru_provider.client.backfills import left_behind

        self.id = job
        self.left_behind = left_behind(job, self.wanted, self._client.contract)

    def look(self) -> BackfillJob:
        """Ask how the job is, and check that it is the one that was asked for.

        :raises HyperoruJobFailedError: it failed, or is forgotten; the next try starts another.
        """
        from hyperoru_provider.client.errors import HyperoruContractError, HyperoruJobFailedError

        task = self._known()
        if names := self.wanted.differences(task, self._client.contract.backfill_jobs.verified_fields):
            shown = ", ".join(f"{name} {getattr(task, name)}" for name in names)
            raise HyperoruContractError(
                f"The backfill job {self.id} is of {shown}, but {self.wanted} was asked for: the server seems to "
                "ignore some of it. Correct the contract's backfill.params; if it only writes them otherwise, take "
                "them out of backfill_jobs.verified_fields."
            )
        if task.meaning == "failed":
            self._note.clear()
            raise HyperoruJobFailedError(
                f"The {self} ended with the status {task.status}: {task.error or 'no reason given'}. It has written "
                f"{'an unknown number of' if task.rows_written is None else task.rows_written} rows. The next try "
                "starts another job."
            )
        if task.meaning == "finished":
            self._note.finish(self.id)
        return task

    def _known(self) -> BackfillJob:
        """Ask how the job is, for a while even if the server does not know it."""
        from hyperoru_provider.client.errors import HyperoruContractError, HyperoruNotFoundError

        last_look, was_listed = time.monotonic() + _SETTLED, False
        while True:
            try:
                task = self._client.backfill_job(self.id)
            except HyperoruNotFoundError as error:
                listed = self._listed()
                if listed is None:
                    raise
                is_listed = any(str(task.id) == str(self.id) for task in listed)
                if is_listed and was_listed:  # once may be that it came between the two questions
                    raise error.as_type(
                        HyperoruContractError,
                        f"The job {self.id} is in the list of jobs, but asking how it is ends with 404. Correct the "
                        "contract's backfill_status.path.",
                    ) from None
                if time.monotonic() >= last_look and not is_listed:
                    raise self._unknown(error) from None
                was_listed = is_listed
                log.info("The server does not know the %s, or not yet", self)
                time.sleep(_SETTLED / 6)
            else:
                if not self._seen:
                    self._seen = True
                    self._note.see()
                return task

    def _unknown(self, error: HyperoruNotFoundError) -> HyperoruError:
        from hyperoru_provider.client.errors import HyperoruContractError, HyperoruJobFailedError

        if not self._seen and not self._note.read().get("seen"):  # another job would be no better
            return error.as_type(
                HyperoruContractError,
                f"The {self} was started, but asking how it is ends with 404, and the list of jobs lacks it. Correct "
                f"the contract's backfill_status.path and backfill_jobs.path. {_RESOLVE}",
            )
        self._note.clear()
        return HyperoruJobFailedError(
            f"The server no longer knows the {self}, so it can't be told how it ended. Look whether the candles are "
            "there; the next try starts another job."
        )

    def _lost(self, noted: dict[str, Any]) -> BackfillJob | None:
        """Find the job that an earlier try was starting when it ended; ``None`` if it started none."""
        from hyperoru_provider.client.backfills import shows_window

        last_look = time.monotonic() + _SETTLED
        while True:
            listed = self._listed()
            if listed is None or noted["known"] is None:
                raise self._ambiguous(noted, "but the server had no list of jobs to look for it")
            found = [task for task in self._alike(listed) if str(task.id) not in noted["known"]]
            if len(found) > 1:
                several = ", ".join(str(task.id) for task in found)
                raise self._ambiguous(noted, f"and it can't be told which it is: {several} were started since")
            if found:
                log.info("The backfill job %s that an earlier try started is found: %s", found[0].id, self.wanted)
                if not shows_window(found[0]):
                    log.warning(
                        "The list of jobs does not show their windows: prove with a HyperoruKlineCoverageSensor that "
                        "the candles are there, or name the fields in the contract's backfill_jobs.fields."
                    )
                return found[0]
            if time.monotonic() >= last_look:
                log.info("The earlier try started no backfill job")
                return None
            log.info("An earlier try was starting a backfill job, and none is listed yet: %s", self.wanted)
            time.sleep(_SETTLED / 6)

    def _ambiguous(self, noted: dict[str, Any], why: str) -> HyperoruAmbiguousWriteError:
        from hyperoru_provider.client.errors import HyperoruAmbiguousWriteError

        return HyperoruAmbiguousWriteError(
            f"An earlier try may have started a backfill job at {noted['since']} ({self.wanted}), {why}. {_RESOLVE}",
            method="GET",
            path=self._client.contract.backfill_jobs.path,
        )

    def _listed(self) -> list[BackfillJob] | None:
        """Give all jobs; ``None`` if the server has no list of them."""
        from hyperoru_provider.client.errors import HyperoruNotFoundError

        try:
            return self._client.backfill_jobs()
        except HyperoruNotFoundError:
            return None

    def _alike(self, listed: list[BackfillJob]) -> list[BackfillJob]:
        return self.wanted.alike(listed, self._client.contract.backfill_jobs.verified_fields)


class _Note:
    """What is known about a task's job, kept over its tries. Outside of a task nothing is kept.

    :param context: the task's.
    :param client: the service's.
    :param wanted: what the job is to do. What is known about another is of no use.
    """

    def __init__(self, context: Context, client: HyperoruClient, wanted: Backfill) -> None:
        from hyperoru_provider.client import calls

        request = calls.backfill_klines(client.contract, wanted).request
        self._request = {"server": client.base_url, "path": request.path, "body": request.body}
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

    def see(self) -> None:
        """Keep that the server knows the job."""
        noted = self.read()
        if noted and "seen" not in noted:
            self.write({**noted, "seen": True})

    def finish(self, job: int | str) -> None:
        """Keep that the job is over; a task that is killed before Airflow hears of its success reports it again."""
        self.write({"request": self._request, "job": job, "seen": True, "finished_in": self._max_tries})

    def clear(self) -> None:
        """Forget it."""
        if self._store is not None:
            self._store.delete(_KEY)

"""What a backfill job is to do, and how it is found again in a list. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Self

from hyperoru_provider.client.api.contract import Contract
from hyperoru_provider.client.api.models import BackfillJob
from hyperoru_provider.client.times import format_time, parse_time, to_utc


@dataclass(frozen=True)
class Backfill:
    """Candles of a window that the server is to fetch from an exchange.

    :param symbol: for example ``BTC``.
    :param interval: for example ``1m``, ``1h`` or ``1d``.
    :param start: begin of the window, in UTC.
    :param end: end of the window, exclusive, in UTC.
    :param exchange: whose candles.
    :param environment: such as ``mainnet``; ``None`` leaves it to the server.
    """

    symbol: str
    interval: str
    start: datetime
    end: datetime
    exchange: str = "hyperliquid"
    environment: str | None = None

    def __str__(self) -> str:
        return f"{self.symbol} {self.interval}, {format_time(self.start)} to {format_time(self.end)}"

    def as_dict(self) -> dict[str, Any]:
        """What is wanted, as JSON."""
        return {**vars(self), "start": format_time(self.start), "end": format_time(self.end)}

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """Read what :meth:`as_dict` gave."""
        return cls(**{**data, "start": parse_time(data["start"]), "end": parse_time(data["end"])})

    def differences(self, task: BackfillJob, verified_fields: Sequence[str]) -> list[str]:
        """Name the fields in which a job shows that it does something else.

        :param task: the job.
        :param verified_fields: fields to look at; what a job does not show is no difference.
        """
        return [
            name
            for name in verified_fields
            if (shown := _comparable(getattr(task, name))) is not None
            and (wanted := _comparable(getattr(self, name))) is not None
            and shown != wanted
        ]

    def alike(self, tasks: Iterable[BackfillJob], verified_fields: Sequence[str]) -> list[BackfillJob]:
        """Give the jobs that may do this: nothing that they show says otherwise."""
        return [task for task in tasks if not self.differences(task, verified_fields)]


def shows_window(task: BackfillJob) -> bool:
    """Tell whether a job says which window it fills."""
    return _moment(task.start) is not None and _moment(task.end) is not None


def left_behind(job: int | str, wanted: Backfill, contract: Contract) -> str:
    """Say what becomes of a job whose task is killed."""
    path = contract.backfill_status.path.replace("{task_id}", str(job))
    return (
        f"Killed. The backfill job {job} ({wanted}) goes on at the server, as this provider knows no call that stops "
        f"it; GET {path} tells how it is. If the task is cleared, it waits for this job."
    )


def _comparable(value: str | datetime | None) -> str | datetime | None:
    """Bring what is wanted and what is shown in one form; ``None`` says nothing."""
    return value if isinstance(value, datetime) else _moment(value) or (value and value.casefold())


def _moment(text: str | None) -> datetime | None:
    """Read a time or date; ``None`` if it is none, as no format is documented."""
    try:
        return parse_time(text)
    except ValueError:
        pass
    try:
        return to_utc(datetime.combine(date.fromisoformat(text or ""), time.min, UTC))
    except ValueError:
        return None

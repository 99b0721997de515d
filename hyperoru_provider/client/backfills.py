"""What a backfill job is to do, and how it is recognized in a list of jobs. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Self

from hyperoru_provider.client.api.models import BackfillJob
from hyperoru_provider.client.times import format_time, parse_moment, parse_time, to_utc


@dataclass(frozen=True)
class Backfill:
    """A request that the server fetch the candles of a window from an exchange.

    :param symbol: for example ``BTC``.
    :param interval: for example ``1m``, ``1h`` or ``1d``.
    :param start: start of the window, inclusive; a date or ISO 8601 text becomes a datetime in UTC.
    :param end: end of the window, exclusive; likewise.
    :param exchange: whose candles.
    :param environment: such as ``mainnet``; ``None`` leaves it to the server.
    """

    symbol: str
    interval: str
    start: datetime
    end: datetime
    exchange: str = "hyperliquid"
    environment: str | None = None

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            object.__setattr__(self, name, parse_moment(name, getattr(self, name)))

    def __str__(self) -> str:
        return f"{self.symbol} {self.interval}, {format_time(self.start)} to {format_time(self.end)}"

    def as_dict(self) -> dict[str, Any]:
        """Return the request as JSON."""
        return {**vars(self), "start": format_time(self.start), "end": format_time(self.end)}

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """Return the request that :meth:`as_dict` made JSON of."""
        return cls(**{**data, "start": parse_time(data["start"]), "end": parse_time(data["end"])})

    def differences(self, job: BackfillJob, verified_fields: Sequence[str]) -> list[str]:
        """Return the names of the fields in which a job shows that it does something else.

        :param verified_fields: names of the fields to compare; one that the job does not show is no difference.
        """
        return [
            name
            for name in verified_fields
            if (shown := _comparable(getattr(job, name))) is not None
            and (wanted := _comparable(getattr(self, name))) is not None
            and shown != wanted
        ]

    def similar(self, jobs: Iterable[BackfillJob], verified_fields: Sequence[str]) -> list[BackfillJob]:
        """Return the jobs that may do what is requested: none of their fields shows otherwise."""
        return [job for job in jobs if not self.differences(job, verified_fields)]


def shows_window(job: BackfillJob) -> bool:
    """Return whether a job shows which window it fills."""
    return _moment(job.start) is not None and _moment(job.end) is not None


def _comparable(value: str | datetime | None) -> str | datetime | None:
    """Return a field in the form in which it is compared; ``None`` for a field that shows nothing."""
    return value if isinstance(value, datetime) else _moment(value) or (value and value.casefold())


def _moment(text: str | None) -> datetime | None:
    """Return the moment of an ISO 8601 time or date, or ``None`` for any other text: no format is documented."""
    try:
        return parse_time(text)
    except ValueError:
        pass
    try:
        return to_utc(datetime.combine(date.fromisoformat(text or ""), time.min, UTC))
    except ValueError:
        return None

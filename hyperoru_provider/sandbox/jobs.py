"""Backfill jobs: they take time, and may fail, vanish, or start without an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from hyperoru_provider.sandbox.book import Book
from hyperoru_provider.sandbox.errors import Refusal
from hyperoru_provider.sandbox.faults import Faults
from hyperoru_provider.sandbox.prices import INTERVALS
from hyperoru_provider.sandbox.rows import SECOND, iso, micros

__all__ = ["Jobs"]

_NEW = {"exchange": True, "symbol": True, "period": False, "environment": False, "start": False, "end": False}
_OLD = {"symbol": True, "interval": True, "start_date": False, "end_date": False}
_EXCHANGES = ("hyperliquid", "binance")
_WHY = "The exchange stopped answering after half of the window"


@dataclass(frozen=True)
class _Job:
    number: int
    exchange: str
    symbol: str
    period: str
    environment: str
    start: int
    end: int
    begun: int
    fails: bool

    def candles(self, share: float) -> range:
        """Return the starts of the candles that are written when this share of its time is over."""
        step = INTERVALS[self.period]
        wanted = range(-(-self.start // step) * step, min(self.end, self.begun), step)
        return wanted[: int(len(wanted) * min(share, 0.5 if self.fails else 1.0))]


class Jobs:
    """All backfill jobs of a sandbox.

    :param book: names the window of a job which is given none
    :param symbols: what there is to fill
    :param clock: the present, in seconds since 1970
    """

    def __init__(self, book: Book, symbols: list[str], clock: Callable[[], float]) -> None:
        self._book = book
        self._symbols = symbols
        self._clock = clock
        self._jobs: list[_Job] = []

    def start(self, body: Mapping[str, Any], faults: Faults) -> dict[str, Any]:
        """Start a job; return what the API says of it.

        :raises Refusal: if a field is missing, unknown or wrong
        """
        given = _read_body(body, faults)
        symbol, period = given["symbol"], given.get("period") or given.get("interval") or "1h"
        if symbol not in self._symbols:
            raise Refusal(404, "SYMBOL_NOT_FOUND", f"Unknown symbol {symbol!r}")
        if period not in INTERVALS:
            raise Refusal(422, "INVALID_INTERVAL", f"The period must be one of {', '.join(INTERVALS)}")
        exchange = given.get("exchange", _EXCHANGES[0])
        if exchange not in _EXCHANGES:
            raise Refusal(422, "INVALID_EXCHANGE", f"exchange must be one of {', '.join(_EXCHANGES)}")
        first, last = self._book.window()
        end = _moment("end", given.get("end") or given.get("end_date"), last)
        start = _moment("start", given.get("start") or given.get("start_date"), min(first, end))
        if start >= end:
            raise Refusal(422, "INVALID_WINDOW", "The window ends before it starts")
        job = _Job(
            number=len(self._jobs) + 1,
            exchange=exchange,
            symbol=symbol,
            period=period,
            environment=given.get("environment") or "mainnet",
            start=start,
            end=end,
            begun=self._now(),
            fails=faults.backfill_fail,
        )
        self._jobs.append(job)
        return self._shown(job, faults)

    def show(self, task_id: str, faults: Faults) -> dict[str, Any]:
        """Return what the API says of a job.

        :raises Refusal: if there is no such job
        """
        for job in self.all(faults):
            if str(job["id"]) == task_id:
                return job
        raise Refusal(404, "TASK_NOT_FOUND", f"There is no backfill task {task_id!r}")

    def all(self, faults: Faults) -> list[dict[str, Any]]:
        """Return what the API says of all jobs, newest first."""
        return [] if faults.backfill_gone else [self._shown(job, faults) for job in reversed(self._jobs)]

    def coverage(self, faults: Faults) -> Iterator[tuple[str, str, int | None, int | None, int]]:
        """Yield what candles there are: symbol, interval, start of the first and of the last one, and their number."""
        start, end = self._book.window()
        for symbol, (interval, step) in product(self._symbols, INTERVALS.items()):
            stretches = [range(-(-start // step) * step, end, step), *self._written(symbol, interval, faults)]
            stretches = sorted(filter(None, stretches), key=lambda stretch: stretch.start)
            total, reached = 0, 0
            for stretch in stretches:
                total += len(range(max(stretch.start, reached), stretch.stop, step))
                reached = max(reached, stretch[-1] + step)
            yield (symbol, interval, stretches[0].start, reached - step, total) if stretches else (
                symbol, interval, None, None, 0,
            )  # fmt: skip

    def _written(self, symbol: str, period: str, faults: Faults) -> list[range]:
        """Return the starts of the candles of a symbol that were written by jobs."""
        jobs = [job for job in self._jobs if (job.symbol, job.period) == (symbol, period)]
        return [job.candles(self._share(job, faults)) for job in jobs]

    def forget(self) -> None:
        """Remove all jobs."""
        self._jobs.clear()

    def _now(self) -> int:
        return int(self._clock() * SECOND)

    def _share(self, job: _Job, faults: Faults) -> float:
        """Return how much of a job's time is over, 0 to 1."""
        length = faults.backfill_seconds * SECOND
        return min(1.0, (self._now() - job.begun) / length) if length else 1.0

    def _shown(self, job: _Job, faults: Faults) -> dict[str, Any]:
        share = self._share(job, faults)
        over = share == 1
        status = "running" if not over else "failed" if job.fails else "completed"
        window = {"start": iso(job.start), "end": iso(job.end)} if faults.backfill_window else {}
        error = {"error": _WHY} if over and job.fails else {}
        if faults.backfill_old:
            return {
                "id": f"bf-{job.number:03}",
                "symbol": job.symbol,
                "interval": job.period,
                "status": status,
                "progress_pct": round(100 * share, 1),
                **{f"{name}_date": moment for name, moment in window.items()},
                **error,
            }
        return {
            "id": job.number,
            "exchange": job.exchange,
            "symbol": job.symbol,
            "period": job.period,
            "environment": job.environment,
            "status": status,
            "rows_written": len(job.candles(share)),
            "started_at": iso(job.begun),
            "finished_at": iso(job.begun + int(faults.backfill_seconds * SECOND)) if over else None,
            **window,
            **error,
        }


def _read_body(body: Mapping[str, Any], faults: Faults) -> dict[str, str]:
    """Return the fields that were sent.

    :raises Refusal: if a field is missing, unknown or no text
    """
    known = _OLD if faults.backfill_old else _NEW
    for name in body:
        if name not in known and not faults.ignore_unknown:
            raise Refusal(422, "INVALID_BODY", f"Unknown field {name!r}; known here: {', '.join(known)}")
    for name, needed in known.items():
        value = body.get(name)
        if needed and not value:
            raise Refusal(422, "INVALID_BODY", f"The field {name!r} is missing")
        if value is not None and not isinstance(value, str):
            raise Refusal(422, "INVALID_BODY", f"The field {name!r} must be text")
    return {name: body[name] for name in known if body.get(name) is not None}


def _moment(name: str, value: str | None, default: int) -> int:
    if value is None:
        return default
    try:
        return micros(value)
    except ValueError:
        raise Refusal(422, "INVALID_BODY", f"{name} must be a time in ISO 8601") from None

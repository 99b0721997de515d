"""How far an export is: counted, and logged."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Sized
from datetime import datetime
from typing import Any, TypeVar

from hyperoru_provider.client.lists.rows import Rows
from hyperoru_provider.client.times import format_time
from hyperoru_provider.params.window import Window

log = logging.getLogger(__name__)

Batch = TypeVar("Batch", bound=Sized)

_LOG_SECONDS = 10.0
_LEAST_SHARE = 0.01  # before, the time that is left can't be told


class Progress:
    """Counts rows and pages as they pass, and logs how far a long export is, every ten seconds.

    ``pages`` counts the answers that were read, also those of a list that was read again.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.pages = 0
        #: how many requests were under way at once, in the end
        self.at_once = 1
        self.first: datetime | None = None
        self.last: datetime | None = None
        self._window: Window | None = None
        self._resumed_rows = 0
        self._reading = _Stretch()
        self._lock = threading.Lock()

    def resume(self, rows: int, first: datetime | None, last: datetime | None) -> None:
        """Count the rows of an earlier try.

        :param rows: how many.
        :param first: the time of the first.
        :param last: the time of the last.
        """
        self.rows = self._resumed_rows = rows
        self.first, self.last = first, last

    def cover(self, window: Window) -> None:
        """Log the share of a window, whose rows come by time."""
        self._window = window
        self._reading = _Stretch(window.share(self.last) if self.last else 0.0)

    def record(self, batches: Iterable[Rows]) -> Iterator[Rows]:
        """Pass batches on, and count their rows."""
        for rows in batches:
            first, last = rows.times[0], rows.times[-1]
            if first is not None and last is not None:
                self.first = min(self.first or first, first)
                self.last = max(self.last or last, last)
            self.rows += len(rows)
            with self._lock:
                self._log_reading()
            yield rows

    def count_page(self, listed: int, total: int | None) -> None:
        """Count a page, in whichever thread it was read.

        :param listed: how many rows its list has shown so far, of which none may be proved yet.
        :param total: how many there are, as the server counts them.
        """
        with self._lock:
            self.pages += 1
            self._log_reading(listed, total)

    def record_written(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Pass on batches of all rows, and log how many of them are written."""
        writing, written = _Stretch(), 0
        for batch in batches:
            yield batch
            written += len(batch)
            if writing.is_due():
                rate, left = writing.rate(written), writing.left(written / self.rows)
                log.info("%d of %d rows written, %s%s", written, self.rows, rate, left)

    def times(self) -> dict[str, Any]:
        """Return the times of the first and the last row, as a summary has them."""
        return {
            "first_time": self.first and format_time(self.first),
            "last_time": self.last and format_time(self.last),
        }

    def finish(self, result: str) -> None:
        """Log the result of an export.

        :param result: what was exported, and where it went.
        """
        at_once = f", {self.at_once} at once, " if self.at_once > 1 else " "
        requests = f"{self.pages} request{'s' if self.pages != 1 else ''}{at_once}" if self.pages else ""
        earlier = f", after {self._resumed_rows} rows of an earlier try" if self._resumed_rows else ""
        log.info("%s; %sin %.1f s%s", result, requests, self._reading.elapsed, earlier)

    def _log_reading(self, listed: int = 0, total: int | None = None) -> None:
        if not self._reading.is_due():
            return
        read = self.rows - self._resumed_rows
        rows = f"{self.rows} rows" if read else f"{listed} rows listed"
        pages = f"{self.pages} pages, " if self.pages else ""
        share, of = None, "the window"
        if self._window is not None:
            share = self._window.share(self.last) if self.last else None
        elif total and not read and listed <= total:
            share, of = listed / total, f"{total} rows"
        told = "" if share is None else f", {share:.0%} of {of}{self._reading.left(share)}"
        log.info("%s, %s%s%s", rows, pages, self._reading.rate(read or listed), told)


class _Stretch:
    """A stretch of work: how long it has taken, and how long the rest may take.

    :param first_share: how much of the work, 0 to 1, an earlier try has done.
    """

    def __init__(self, first_share: float = 0.0) -> None:
        self._began = self._logged = time.monotonic()
        self._first_share = first_share

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._began

    def is_due(self) -> bool:
        """Return whether a line is due, which there is at most every ten seconds."""
        now = time.monotonic()
        due = now - self._logged >= _LOG_SECONDS
        self._logged = now if due else self._logged
        return due

    def rate(self, rows: int) -> str:
        """Return how many rows there were in a second."""
        rate = rows / max(self.elapsed, 1e-9)
        return f"{rate:.{0 if rate >= 10 else 1}f} rows/s so far"

    def left(self, share: float) -> str:
        """Return how long the rest takes if it goes on like this; nothing where that can't be told."""
        done = share - self._first_share
        if not _LEAST_SHARE <= done < 1.0 - self._first_share:
            return ""
        seconds = self.elapsed * (1.0 - share) / done
        for unit, length in (("s", 1), ("min", 60)):
            if seconds < 90 * length:
                return f", about {seconds / length:.0f} {unit} left"
        return f", about {seconds / 3600:.1f} h left"

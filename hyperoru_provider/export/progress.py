"""How far an export is: counted, and logged."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from hyperoru_provider.client.lists.rows import Rows
from hyperoru_provider.client.times import format_time
from hyperoru_provider.params.window import Window

log = logging.getLogger(__name__)

_LOG_SECONDS = 5.0


class Progress:
    """Counts rows and pages as they pass, and logs how far an export is, every few seconds.

    ``pages`` counts the answers that were read, also those of a list that was read again.

    :param window: what is exported; ``None`` to log no share of it.
    """

    def __init__(self, window: Window | None = None) -> None:
        self.rows = 0
        self.pages = 0
        self.first: datetime | None = None
        self.last: datetime | None = None
        self._window = window
        self._resumed_rows = 0
        self._started = self._logged = time.monotonic()

    def resume(self, rows: int, first: datetime | None, last: datetime | None) -> None:
        """Count the rows of an earlier try.

        :param rows: how many.
        :param first: the time of the first.
        :param last: the time of the last.
        """
        self.rows = self._resumed_rows = rows
        self.first, self.last = first, last

    def record(self, batches: Iterable[Rows]) -> Iterator[Rows]:
        """Pass batches on, and count their rows."""
        for rows in batches:
            first, last = rows.times[0], rows.times[-1]
            if first is not None and last is not None:
                self.first = min(self.first or first, first)
                self.last = max(self.last or last, last)
            self.rows += len(rows)
            self._log_share()
            yield rows

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
        requests = f"{self.pages} request{'s' if self.pages != 1 else ''} " if self.pages else ""
        seconds = time.monotonic() - self._started
        earlier = f", after {self._resumed_rows} rows of an earlier try" if self._resumed_rows else ""
        log.info("%s; %sin %.1f s%s", result, requests, seconds, earlier)

    def _log_share(self) -> None:
        now = time.monotonic()
        if now - self._logged < _LOG_SECONDS:
            return
        self._logged = now
        rate = (self.rows - self._resumed_rows) / max(now - self._started, 1e-9)
        pages = f"{self.pages} pages, " if self.pages else ""
        share = f", {self._window.share(self.last):.0%} of the window" if self._window and self.last else ""
        log.info("%d rows, %s%.0f rows/s so far%s", self.rows, pages, rate, share)

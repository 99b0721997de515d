"""How far an export is, told in the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from datetime import datetime

from hyperoru_provider.client.lists.rows import Rows
from hyperoru_provider.params.window import Window

log = logging.getLogger(__name__)

_LOG_SECONDS = 5.0


class Progress:
    """Counts rows and pages as they pass, and logs how far an export is, every few seconds.

    :param window: what is exported; ``None`` to tell no share of it.
    """

    def __init__(self, window: Window | None = None) -> None:
        self.rows = 0
        self.pages = 0
        self.first: datetime | None = None
        self.last: datetime | None = None
        self._window = window
        self._earlier = 0
        self._begun = self._told = time.monotonic()

    def resume(self, rows: int, first: datetime | None, last: datetime | None) -> None:
        """Take over the rows of an earlier try."""
        self.rows = self._earlier = rows
        self.first, self.last = first, last

    def record(self, batches: Iterable[Rows]) -> Iterator[Rows]:
        """Pass batches on, and count their rows."""
        for rows in batches:
            self.first = self.first or rows.times[0]
            self.last = rows.times[-1]
            self.rows += len(rows)
            now = time.monotonic()
            if now - self._told >= _LOG_SECONDS:
                self._told = now
                share = f", {self._window.share(self.last):.0%} of the window" if self._window and self.last else ""
                log.info("%s so far%s", self._figures(now), share)
            yield rows

    def finish(self) -> None:
        """Log the result."""
        now = time.monotonic()
        log.info("%s, in %.1f s", self._figures(now), now - self._begun)

    def _figures(self, now: float) -> str:
        rate = (self.rows - self._earlier) / max(now - self._begun, 1e-9)
        pages = f"{self.pages} pages, " if self.pages else ""
        return f"{self.rows} rows, {pages}{rate:.0f} rows/s"

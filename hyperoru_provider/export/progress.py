"""How far an export is, told in the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from hyperoru_provider.client.lists.rows import Row
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

    def watch(self, spans: Iterable[Sequence[Row]]) -> Iterator[Sequence[Row]]:
        """Let spans pass."""
        for span in spans:
            self.first = min(self.first or span[0].time, span[0].time)
            self.last = max(self.last or span[-1].time, span[-1].time)
            self.rows += len(span)
            now = time.monotonic()
            if now - self._told >= _LOG_SECONDS:
                self._told = now
                share = f", {self._window.share(self.last):.0%} of the window" if self._window else ""
                log.info("%s so far%s", self._figures(now), share)
            yield span

    def finish(self) -> None:
        """Log the result."""
        now = time.monotonic()
        log.info("%s, in %.1f s", self._figures(now), now - self._begun)

    def _figures(self, now: float) -> str:
        rate = (self.rows - self._earlier) / max(now - self._begun, 1e-9)
        pages = f"{self.pages} pages, " if self.pages else ""
        return f"{self.rows} rows, {pages}{rate:.0f} rows/s"

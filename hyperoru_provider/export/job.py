"""An export: rows in order, into parts of a fixed number of rows, onto a landing."""

from __future__ import annotations

import hashlib
import logging
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar
from urllib.parse import quote

from hyperoru_provider.client.paging import Row
from hyperoru_provider.client.times import format_time
from hyperoru_provider.export.formats import Format
from hyperoru_provider.export.landing import Part, StorageLanding
from hyperoru_provider.export.window import Window

log = logging.getLogger(__name__)

T = TypeVar("T")

FORMAT_VERSION = 1
_BATCH_ROWS = 10_000
_LOG_SECONDS = 5.0
_LONGEST_NAME = 100


@dataclass(frozen=True)
class Subject:
    """What is exported.

    :param resource: for example ``trades``.
    :param window: the rows' time.
    :param filters: what else limits the rows; ``None`` values don't.
    """

    resource: str
    window: Window
    filters: Mapping[str, Any]

    @property
    def directory(self) -> str:
        """Where it lands, below the destination. Exports of other rows never share a directory."""
        filters = "".join(f",{name}={_file_name(value)}" for name, value in self._filters().items())
        return f"{self.resource}/{self.window.name}{filters}"

    def as_dict(self) -> dict[str, Any]:
        """What is exported, as JSON."""
        return {"resource": self.resource, "filters": self._filters(), "window": self.window.as_dict()}

    def _filters(self) -> dict[str, str]:
        return {name: str(value) for name, value in sorted(self.filters.items()) if value is not None}


def _file_name(value: str) -> str:
    """Write a value so that it fits in a file name and differs from any other."""
    name = quote(value, safe="@+")
    return name if len(name) <= _LONGEST_NAME else f"sha256-{hashlib.sha256(value.encode()).hexdigest()[:32]}"


def export(
    spans: Iterable[Sequence[Row]], subject: Subject, form: Format, landing: StorageLanding, rows_per_part: int
) -> dict[str, Any]:
    """Write rows to a landing and commit them; if anything fails, what was there before stays.

    :param spans: the rows in their order, in lists of any length.
    :param subject: what they are.
    :param form: what they become.
    :param landing: where they go.
    :param rows_per_part: rows of each file but the last.
    :return: a summary, ready for XCom.
    """
    progress = Progress(subject.window)
    rows = progress.watch(spans)
    parts: list[Part] = []
    while batch := list(islice(rows, min(_BATCH_ROWS, rows_per_part))):
        count = 0
        with tempfile.TemporaryFile(prefix="hyperoru-") as file:  # has no name, so a kill leaves nothing behind
            with form.open(file) as encode:
                while batch:
                    encode(batch)
                    count += len(batch)
                    batch = list(islice(rows, min(_BATCH_ROWS, rows_per_part - count)))
            parts.append(landing.add(file, f"part-{len(parts):05d}.{form.extension}", count))
    manifest = {
        "format_version": FORMAT_VERSION,
        **subject.as_dict(),
        "rows": progress.rows,
        "file_format": form.file_format,
        "compression": form.compression,
        "columns": [column._asdict() for column in form.table.columns],
    }
    parts = landing.commit(manifest, parts)
    progress.finish()
    return {
        "rows": progress.rows,
        "bytes": sum(part.bytes for part in parts),
        "window": subject.window.as_dict(),
        "first_time": progress.first and format_time(progress.first),
        "last_time": progress.last and format_time(progress.last),
        "manifest": landing.manifest,
        "files": [landing.address(part) for part in parts],
    }


class Progress:
    """Counts rows as they pass, and logs how far an export is, every few seconds."""

    def __init__(self, window: Window) -> None:
        self.rows = 0
        self.first: datetime | None = None
        self.last: datetime | None = None
        self._window = window
        self._begun = self._told = time.monotonic()

    def watch(self, spans: Iterable[Sequence[Row]]) -> Iterator[Row]:
        """Let rows pass."""
        for span in spans:
            self.first = min(self.first or span[0].time, span[0].time)
            self.last = max(self.last or span[-1].time, span[-1].time)
            self.rows += len(span)
            now = time.monotonic()
            if now - self._told >= _LOG_SECONDS:
                self._told = now
                share = self._window.share(self.last)
                log.info("%d rows so far, %d rows/s, %.0f %% of the window", self.rows, self._rate(now), 100 * share)
            yield from span

    def finish(self) -> None:
        """Log the result."""
        now = time.monotonic()
        log.info("%d rows in %.1f s, %d rows/s", self.rows, now - self._begun, self._rate(now))

    def _rate(self, now: float) -> float:
        return self.rows / max(now - self._begun, 1e-9)

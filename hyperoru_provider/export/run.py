"""An export: rows in order, into parts, onto a landing."""

from __future__ import annotations

import hashlib
import platform
import tempfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.lists.rows import Rows
from hyperoru_provider.client.times import format_time
from hyperoru_provider.export.checkpoint import ExportState
from hyperoru_provider.export.destinations.storage import StorageDestination
from hyperoru_provider.export.formats import Format
from hyperoru_provider.export.parts import PartSplitter
from hyperoru_provider.export.progress import Progress
from hyperoru_provider.params.window import Window
from hyperoru_provider.version import __version__

FORMAT_VERSION = 1
_LONGEST_NAME = 100


@dataclass(frozen=True)
class ExportSpec:
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


def decides(subject: ExportSpec, form: Format, landing: StorageDestination, **more: Any) -> dict[str, Any]:
    """Collect all that decides the bytes of an export.

    :param more: what else does.
    """
    libraries = {"python": platform.python_version(), "zlib": zlib.ZLIB_RUNTIME_VERSION}
    if form.needs is not None:
        libraries[form.needs] = version(form.needs)
    return {
        **subject.as_dict(),
        "format": [FORMAT_VERSION, form.file_format, form.compression],
        "contract": form.table.endpoint.model_dump(mode="json"),
        "manifest": landing.manifest,
        "versions": {"provider": __version__, **libraries},
        **more,
    }


def export(
    spans: Iterable[Rows],
    subject: ExportSpec,
    form: Format,
    landing: StorageDestination,
    rows_per_part: int,
    *,
    bytes_per_part: int | None = None,
    closed: ExportState | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write rows to a landing and commit them; if anything fails, what was there before stays.

    :param spans: the rows in their order, in lists of any length.
    :param subject: what they are.
    :param form: what they become.
    :param landing: where they go.
    :param rows_per_part: rows of a file at most.
    :param bytes_per_part: bytes of a file's rows as JSON lines at most.
    :param closed: the parts that an earlier try has landed, and whose rows are not among these.
    :param progress: told the rows.
    :return: a summary, ready for XCom.
    """
    closed = ExportState() if closed is None else closed
    progress = Progress(subject.window) if progress is None else progress
    if closed.last is not None:
        progress.resume(closed.rows, closed.first, closed.last.time)
    cutter = PartSplitter(progress.record(spans), rows_per_part, bytes_per_part)
    try:
        while cutter.more():
            count = 0
            with tempfile.TemporaryFile(prefix="hyperoru-") as file:  # has no name, so a kill leaves nothing behind
                with form.open(file) as encode:
                    for batch in cutter.part():
                        encode(batch)
                        count += sum(map(len, batch))
                        last = batch[-1][-1]
                part = landing.add(file, f"part-{len(closed.parts):05d}.{form.extension}", count)
            closed.add(part, progress.first, last)
    except HyperoruContractError:
        closed.clear()
        raise
    manifest = {
        "format_version": FORMAT_VERSION,
        **subject.as_dict(),
        "rows": closed.rows,
        "file_format": form.file_format,
        "compression": form.compression,
        "columns": [column._asdict() for column in form.table.columns],
    }
    parts = landing.commit(manifest, closed.parts)
    closed.clear()
    progress.finish()
    return {
        "rows": closed.rows,
        "bytes": sum(part.bytes for part in parts),
        "window": subject.window.as_dict(),
        "first_time": progress.first and format_time(progress.first),
        "last_time": progress.last and format_time(progress.last),
        "manifest": landing.manifest,
        "files": [landing.address(part) for part in parts],
    }

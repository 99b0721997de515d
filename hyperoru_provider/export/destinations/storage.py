"""Rows as files in object storage or on local disk."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hyperoru_provider.client.errors import HyperoruConcurrentWriteError, HyperoruConfigError, HyperoruContractError
from hyperoru_provider.client.lists.rows import Rows
from hyperoru_provider.export.checkpoint import ExportState, FileStateStore, ResumableExportState, StateStore
from hyperoru_provider.export.destinations import Earlier
from hyperoru_provider.export.directory import ExportDirectory, Part
from hyperoru_provider.export.formats import choose_encoder
from hyperoru_provider.export.formats.encoder import Encoder
from hyperoru_provider.export.manifest import ExportSpec, counted, fingerprint, manifest_of
from hyperoru_provider.export.parts import PartSplitter
from hyperoru_provider.export.progress import Progress

if TYPE_CHECKING:
    from upath import UPath
    from upath.extensions import ProxyUPath

log = logging.getLogger(__name__)

#: how many of a resource's exports, the latest ones by name, are looked at for rows
_EXPORTS_LOOKED_AT = 100


class StorageDestination:
    """Writes rows into parts of a directory of the window, and commits them with a manifest.

    An export that is stopped goes on after its last closed part, if its list can be read from there on.

    :param root: what the directories of all resources are in; any path of :mod:`upath`, such as Airflow's
        ``ObjectStoragePath``.
    :param file_format: one of :data:`~hyperoru_provider.export.formats.FORMATS`.
    :param compression: one of the format's; ``None`` for its default.
    :param rows_per_part: maximum number of rows in a file.
    :param bytes_per_part: bytes of a file's rows as JSON lines at most; ``None`` for no limit.
    :param store: where the state of an unfinished export is kept; ``None`` for a file beside the parts.
    """

    #: whether an export that was stopped goes on
    resumes = True

    def __init__(
        self,
        root: UPath | ProxyUPath,
        file_format: str = "jsonl",
        compression: str | None = None,
        *,
        rows_per_part: int = 250_000,
        bytes_per_part: int | None = None,
        store: StateStore | None = None,
    ) -> None:
        self._root = root
        self._file_format = file_format
        self._compression = compression
        self._limits = (rows_per_part, bytes_per_part)
        self._store = store
        self._committed: list[Part] = []

    @property
    def prepare(self) -> Callable[[Rows], Any] | None:
        """What the format does with rows while others are fetched."""
        return None if self._encoder.prepare is None else self._prepare

    def _prepare(self, rows: Rows) -> Any:
        prepared = self._encoder.prepare and self._encoder.prepare(rows)
        if self._limits[1] is None:  # else parts are divided by the length of the texts
            rows.texts = [b""] * len(rows)  # which take more memory than what was made of them
        return prepared

    def open(self, spec: ExportSpec) -> ExportState:
        """Check the format and the directory, and return the parts that an earlier try has closed.

        :raises HyperoruConfigError: the format is not known, or the directory's manifest is not one, or of rows under
            another switch.
        """
        self._spec = spec
        self._encoder: Encoder = choose_encoder(self._file_format, self._compression, spec.schema)
        self._directory = ExportDirectory(self._root / spec.directory)
        if self._directory.committed_rows and self._directory.committed_query != spec.endpoint.constants:
            raise HyperoruConfigError(
                f"{self._directory} has an export made with the query {self._directory.committed_query}, but the "
                f"contract's query is now {spec.endpoint.constants}. Give each its own destination, or remove the "
                "earlier export."
            )
        self._state = ExportState()
        if spec.resumable and self.resumes:
            place = {"manifest": self._directory.manifest, "replaces": self._directory.replaces}
            expected = fingerprint(spec, self._encoder, parts=self._limits, **place)
            store = self._store or FileStateStore(self._directory)
            self._state = ResumableExportState(self._directory, store, expected)
        return self._state

    def write(self, batches: Iterable[Rows]) -> None:
        """Write rows into parts, which no manifest names yet.

        :raises HyperoruConcurrentWriteError: another run has committed meanwhile.
        """
        parts = PartSplitter(batches, *self._limits)
        with self._starting_over_after_doubt():
            while parts.more():
                self._write_part(parts)

    @contextmanager
    def _starting_over_after_doubt(self) -> Iterator[None]:
        """Leave nothing to resume of rows that are not to be trusted, or older than those of another run."""
        try:
            yield
        except (HyperoruContractError, HyperoruConcurrentWriteError):
            self._state.clear()
            raise

    def _write_part(self, parts: PartSplitter) -> None:
        count = 0
        first = last = None
        with tempfile.TemporaryFile(prefix="hyperoru-") as file:  # has no name, so a kill leaves nothing behind
            with self._encoder.open(file) as append:
                for batch in parts.part():
                    append(batch)
                    count += sum(map(len, batch))
                    first, last = first or batch[0][0], batch[-1][-1]
            name = f"part-{len(self._state.parts):05d}.{self._encoder.extension}"
            part = self._directory.add(file, name, count)
        if first is not None and last is not None:
            self._state.add(part, first, last)

    def earlier(self) -> Earlier:
        """Return how many rows the committed export of this window has, and whether any of the resource has one."""
        rows = self._directory.committed_rows
        return Earlier(rows, rows > 0 or self._has_any_part())

    def _has_any_part(self) -> bool:
        try:
            exports: list[Any] = sorted(
                (self._root / self._spec.resource).iterdir(), key=lambda path: path.name, reverse=True
            )
        except (FileNotFoundError, NotADirectoryError):  # object storage has no empty directories
            return False
        return any(
            path.name.startswith("part-")
            for export in exports[:_EXPORTS_LOOKED_AT]
            if export.is_dir()
            for path in export.iterdir()
        )

    def commit(self, progress: Progress) -> dict[str, Any]:
        """Commit the parts as the content of the directory.

        :raises HyperoruConcurrentWriteError: another run has written there meanwhile.
        """
        manifest = manifest_of(self._spec, self._encoder, self._state.rows)
        with self._starting_over_after_doubt():
            self._committed = self._directory.commit(manifest, self._state.parts)
        self._state.clear()
        return {
            "rows": manifest["rows"],
            "bytes": sum(part.bytes for part in self._committed),
            "window": manifest["window"],
            **self._spec.moment(),
            **progress.times(),
            "manifest": self._directory.manifest,
            "prefix": self._directory.prefix,
            "keys": [self._directory.key(part) for part in self._committed],
            "files": [self._directory.address(part) for part in self._committed],
        }

    def describe(self, rows: str) -> str:
        """Return how many files of what size were committed, and where."""
        size = _readable(sum(part.bytes for part in self._committed))
        return f"Exported {rows}, in {counted(len(self._committed), 'files')} of {size} to {self._directory}"


def _readable(size: float) -> str:
    """Return a number of bytes with three digits: ``4.3 kB``."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.1f} {unit}" if unit != "bytes" else f"{size} {unit}"
        size /= 1000
    return f"{size:.1f} GB"

"""Rows that were exported before and are read again: written only where they differ."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

from hyperoru_provider.client.api.resources import RESOURCES
from hyperoru_provider.client.errors import HyperoruConcurrentWriteError, HyperoruConfigError
from hyperoru_provider.export.checkpoint import ExportState
from hyperoru_provider.export.destinations.sql import SqlDestination
from hyperoru_provider.export.destinations.storage import StorageDestination
from hyperoru_provider.export.directory import MANIFEST
from hyperoru_provider.export.formats import choose_encoder
from hyperoru_provider.export.formats.encoder import WrittenRow
from hyperoru_provider.export.manifest import ExportSpec, counted
from hyperoru_provider.export.on_empty import check_empty
from hyperoru_provider.export.progress import Progress
from hyperoru_provider.export.read_back import verified_copy
from hyperoru_provider.export.row_changes import RowChanges, compare
from hyperoru_provider.params.window import Window

if TYPE_CHECKING:
    from upath import UPath
    from upath.extensions import ProxyUPath

log = logging.getLogger(__name__)

#: called with what is about to be committed for a window
Note: TypeAlias = Callable[[dict[str, Any]], None]


def exported_windows(
    root: UPath | ProxyUPath, resource: str, filters: Mapping[str, Any], until: datetime | None, count: int
) -> list[Window]:
    """Return the windows of the last exports of a list, oldest first.

    :param root: what the directories of all resources are in.
    :param resource: the list.
    :param filters: what else limits the rows: exports with other filters are others.
    :param until: windows that end later are skipped; ``None`` for none.
    :param count: how many windows at most.
    """
    row = RESOURCES[resource]
    directory = root / resource
    directory.fs.invalidate_cache(directory.path)  # others may have written there since
    try:
        names = {path.name for path in directory.iterdir()}
    except (FileNotFoundError, NotADirectoryError):  # object storage has no empty directories
        return []
    windows = {window for window in map(Window.of_name, names) if window and (until is None or window.end <= until)}
    places = (
        (window, root / ExportSpec(resource, window, filters, row.model, row.endpoint).directory)
        for window in sorted(windows, key=lambda window: (window.end, window.start), reverse=True)
    )
    exported = (window for window, place in places if place.name in names and (place / MANIFEST).exists())
    return [*islice(exported, count)][::-1]


class ReconciledStorage(StorageDestination):
    """Files of an export that is made again, and committed only if they differ from those that are there.

    A part that is the same is not written at all. Others wait beside the earlier ones until the commit, as those of
    each export do; what differs between them is found out by reading both.

    :param note: called before a commit; see :meth:`commit` for what with.

    The other parameters are those of :class:`StorageDestination`.
    """

    resumes = False  # what is kept for the next try would stay beside parts that are not committed again

    def __init__(self, *args: Any, note: Note, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._note = note
        self._changes: RowChanges | None = None

    def open(self, spec: ExportSpec) -> ExportState:
        """Check the format and the directory.

        :raises HyperoruConfigError: see :meth:`StorageDestination.open`; or the files that are there are of another
            format, whose rows can't be compared.
        """
        state = super().open(spec)
        found = self._directory.committed_format
        if found and found[0] != self._file_format:
            raise HyperoruConfigError(
                f"{self._directory} has files of the format {found[0]}, which can't be compared with "
                f"{self._file_format}: set file_format={found[0]!r}, or export this window again."
            )
        return state

    def commit(self, progress: Progress) -> dict[str, Any]:
        """Commit the parts if they are not those that are there.

        :return: the window, how many rows it has, how many were added, removed and changed, and the manifest.
        """
        earlier = dict(self._directory.committed)
        parts = {part.name: part.sha256 for part in self._state.parts}
        same = self._directory.replaces is not None and parts == earlier
        changes = RowChanges(0, 0, 0) if same else self._compare(earlier, parts)
        found = {**_entry(self._spec, progress.rows, changes), "manifest": self._directory.manifest}
        if not same:
            self._note(found)
            self._changes = changes
        if not (same and self._directory.is_clean):
            super().commit(progress)
        return found

    def _compare(self, earlier: Mapping[str, str], parts: Mapping[str, str]) -> RowChanges:
        _, compression = self._directory.committed_format or ("", self._compression)
        return compare(
            self._rows(earlier.items() - parts.items(), compression),
            self._rows(parts.items() - earlier.items(), self._compression),
            self._spec.schema.key,
        )

    def _rows(self, parts: Iterable[tuple[str, str]], compression: str | None) -> Iterator[WrittenRow]:
        encoder = choose_encoder(self._file_format, compression, self._spec.schema)
        for name, sha256 in sorted(parts):
            part = self._root / self._spec.directory / name
            try:
                with verified_copy(part, sha256) as copy:
                    yield from encoder.read(copy)
            except HyperoruConcurrentWriteError:
                log.warning("%s is missing or damaged: its rows count as added", part)

    def describe(self, rows: str) -> str:
        """Return what has changed, and where it was committed."""
        if self._changes is None:
            return f"Compared {rows}: nothing has changed"
        what = self._changes.describe() if any(self._changes) else "the same rows, as other bytes"
        return f"{super().describe(rows)}: {what}"


class ReconciledTable(SqlDestination):
    """Rows of a table, of which those are written that differ, all in one transaction.

    :param windows: the windows by which changes are counted: in order, and together that of the export.
    :param on_empty: what to do with a window without rows; see :func:`~hyperoru_provider.export.run.export_rows`.
    :param note: called in the transaction, for each window that changes; see :meth:`commit` for what with.

    The other parameters are those of :class:`SqlDestination`.
    """

    def __init__(self, *args: Any, windows: Sequence[Window], on_empty: str | None, note: Note, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._windows = windows
        self._on_empty = on_empty
        self._note = note

    def commit(self, progress: Progress) -> dict[str, Any]:
        """Write what differs.

        :return: ``changed``: of each window that has, how many rows it has, and how many were added, removed and
            changed.
        :raises HyperoruContractError: see :meth:`.SqlTable.store`; or a window has no rows where that is an error.
        """
        log.info("All %d rows are read; comparing them with %s", progress.rows, self._name)
        self._differing: list[dict[str, Any]] = []
        self._table.store_differences(self._kept(), progress.rows, self._windows, self._check)
        return {"changed": self._differing}

    def _check(self, window: Window, rows: int, changes: RowChanges) -> None:
        spec = replace(self._spec, window=window)
        if not rows:
            check_empty(spec, changes.removed, self._on_empty)
        if any(changes):
            log.info("%s: %s", spec.describe(rows), changes.describe())
            self._differing.append(_entry(spec, rows, changes))
            self._note(self._differing[-1])

    def describe(self, rows: str) -> str:
        """Return how many windows have changed."""
        what = counted(len(self._differing), "windows") if self._differing else "nothing"
        return f"Compared {rows}, with the table {self._name}: {what} changed"


def _entry(spec: ExportSpec, rows: int, changes: RowChanges) -> dict[str, Any]:
    return {"window": spec.window and spec.window.as_dict(), "rows": rows, **changes._asdict()}

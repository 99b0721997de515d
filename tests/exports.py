"""Exports as the operator makes them, and as a reader finds them."""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upath import UPath

from hyperoru_provider.client.api.endpoints import WindowedEndpoint
from hyperoru_provider.client.api.models import Trade
from hyperoru_provider.client.lists.rows import Row, Rows
from hyperoru_provider.client.lists.window_reader import WindowReader
from hyperoru_provider.export.destinations import Destination
from hyperoru_provider.export.destinations.storage import StorageDestination
from hyperoru_provider.export.fetch import fetch
from hyperoru_provider.export.manifest import ExportSpec
from hyperoru_provider.export.run import export_rows
from hyperoru_provider.params.window import Window

_MANIFEST = "_manifest.json"


def commit(
    client: Any,
    endpoint: WindowedEndpoint,
    window: Window,
    where: Path,
    filters: Mapping[str, Any],
    *,
    concurrency: int,
    slice_rows: int,
    rows_per_part: int,
    on_empty: str | None = "succeed",
    destination: Destination | None = None,
) -> None:
    """Export trades to just this directory, or to a destination, in slices so short that there are several."""
    reader = WindowReader(endpoint, window.start, window.end, filters, slice_rows)
    spec = _SpecOfOnePlace("trades", window, filters, Trade, endpoint, place=where.name)
    if destination is None:
        destination = StorageDestination(UPath(where.parent), "jsonl", "none", rows_per_part=rows_per_part)
    export_rows(spec, lambda *_: fetch(client, [reader], concurrency), destination, on_empty=on_empty)


@dataclass(frozen=True)
class _SpecOfOnePlace(ExportSpec):
    """What is exported to a directory of its own, whatever it is."""

    place: str = ""
    resumable = False

    @property
    def directory(self) -> str:
        return self.place


def batch_of(rows: Sequence[Row]) -> Rows:
    """Return rows as a reader does."""
    return Rows([row.time for row in rows], [row.key for row in rows], [row.raw for row in rows])


def committed(where: Path) -> dict[str, bytes]:
    """Return what a reader finds who follows the manifest, and checks it."""
    if not (where / _MANIFEST).exists():
        return {}
    text = (where / _MANIFEST).read_bytes()
    found = {_MANIFEST: text}
    for file in json.loads(text)["files"]:
        data = found[file["name"]] = (where / file["name"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file["bytes"], file["sha256"])
    return found


def rows(files: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """Return the rows of an export."""
    found = [json.loads(line) for name, text in files.items() if name != _MANIFEST for line in text.splitlines()]
    assert len(found) == json.loads(files[_MANIFEST])["rows"]
    return found


def files_of(where: Path) -> dict[str, bytes]:
    """Return all files below a directory, and their contents."""
    return {str(path.relative_to(where)): path.read_bytes() for path in sorted(where.rglob("*")) if path.is_file()}


def windows(where: Path) -> list[tuple[dict[str, str], list[bytes]]]:
    """Return the windows that are exported below a directory, as JSON lines, and their rows."""
    found = []
    for path in where.rglob(_MANIFEST):
        manifest = json.loads(path.read_text())
        parts = [gzip.decompress(path.with_name(file["name"]).read_bytes()) for file in manifest["files"]]
        found.append((manifest["window"], b"".join(parts).splitlines()))
    return sorted(found, key=lambda export: export[0]["start"])


def assert_readable(where: Path) -> None:
    """Fail if a manifest below a directory names a file that is not there and whole."""
    for manifest in where.rglob(_MANIFEST):
        for file in json.loads(manifest.read_text())["files"]:
            content = (manifest.parent / file["name"]).read_bytes()
            assert hashlib.sha256(content).hexdigest() == file["sha256"]


class Killed(BaseException):
    """Stands for SIGKILL: nobody handles it."""


class Writes:
    """Watches the writes below a directory, and stops at one of them and all that follow."""

    def __init__(self) -> None:
        self._directory = ""
        self._stop_at: int | str = 0
        self._stopped = False
        self._before: Callable[[], None] | None = None
        sys.addaudithook(self._audit)

    def begin(
        self, directory: Path, stop_at: int | str = sys.maxsize, before: Callable[[], None] | None = None
    ) -> None:
        """Begin to watch.

        :param stop_at: the write that is not done: its number, from 1 on, or a part of the file's name.
        :param before: called before each write.
        """
        self._directory, self._stop_at, self.count, self._stopped = str(directory), stop_at, 0, False
        self._before = before

    def end(self) -> None:
        """Watch no longer."""
        self._directory = ""

    def step(self, name: str = "") -> None:
        """Count a write that is about to be done."""
        self.count += 1
        if self._before is not None:
            self._before()
        stop_at = self._stop_at
        self._stopped |= stop_at in name if isinstance(stop_at, str) else self.count >= stop_at
        if self._directory and self._stopped:
            raise Killed

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._directory or event not in ("open", "os.rename", "os.remove", "os.mkdir"):
            return
        if event == "open" and not any(flag in str(arguments[1]) for flag in "wax+"):
            return
        if str(arguments[0]).startswith(self._directory):
            self.step(str(arguments[0]))


WRITES = Writes()

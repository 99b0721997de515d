"""The directory of an export in object storage: it shows a whole export or the one before it, never half of one."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from hyperoru_provider.client.errors import HyperoruConcurrentWriteError, HyperoruConfigError
from hyperoru_provider.export.commit_lock import commit_lock
from hyperoru_provider.export.local_files import remove_abandoned, write_file

if TYPE_CHECKING:
    from upath import UPath
    from upath.extensions import ProxyUPath

MANIFEST = "_manifest.json"
_STAGED = "_next-"
_LOCK = "_next-commit"
_HASH = 16


@dataclass(frozen=True)
class Part:
    """A file of an export."""

    name: str
    rows: int
    bytes: int
    sha256: str


class ExportDirectory:
    """Puts parts into a directory, and commits them with a manifest, which names them and is written last.

    Several runs may do so at once. Until its commit, a part waits under a name of its content, so that nobody ever
    writes over what another run has written. Commits are made one at a time; the one that finds another manifest than
    there was when its directory was opened is refused.

    :param directory: where the export of one window is; any path of :mod:`upath`, such as Airflow's
        ``ObjectStoragePath``.
    :raises HyperoruConfigError: it can't be read, or its manifest is not one.
    """

    def __init__(self, directory: UPath | ProxyUPath) -> None:
        self._directory = directory
        self._local = directory.protocol in ("", "file", "local")
        if self._local:
            directory.mkdir(parents=True, exist_ok=True)
            remove_abandoned(Path(directory.path))
        self._earlier = self._read(MANIFEST)
        self._manifest = self._parse(self._earlier)
        #: the hash of each committed file, by its name
        self.committed = _hashes(self._manifest)
        self._written: set[str] = set()

    def __str__(self) -> str:
        """Return the directory's address."""
        return str(self._directory)

    @property
    def manifest(self) -> str:
        """The address of the manifest."""
        return str(self._directory / MANIFEST)

    @property
    def committed_rows(self) -> int:
        """How many rows the manifest had when the directory was opened."""
        return int(self._manifest["rows"])

    @property
    def committed_query(self) -> dict[str, Any]:
        """The parameters of each request of that export, such as a switch; of none there are none."""
        return dict(self._manifest.get("query", {}))

    @property
    def committed_format(self) -> tuple[str, str] | None:
        """The format and the compression of the files that are committed, or ``None`` if there are none."""
        found = self._manifest
        return (str(found.get("file_format")), str(found.get("compression"))) if found["files"] else None

    @property
    def is_clean(self) -> bool:
        """Whether nothing is left there of runs that ended before they had cleaned up."""
        return not any(map(_is_ours, self._names() - self.committed.keys()))

    @property
    def replaces(self) -> str | None:
        """The hash of the manifest when the directory was opened, or ``None`` if there was none."""
        return None if self._earlier is None else hashlib.sha256(self._earlier).hexdigest()

    @property
    def prefix(self) -> str:
        """What the addresses of all parts begin with, and of nothing else; without the storage's connection."""
        return f"{self._directory.protocol or 'file'}://{self._directory.path}/part-"

    def key(self, part: Part) -> str:
        """Return a part's name in its bucket, or its path where there is no bucket."""
        path = str((self._directory / part.name).path)
        return path if path.startswith("/") else path.partition("/")[2]

    def address(self, part: Part) -> str:
        """Return the address of a part."""
        return str(self._directory / part.name)

    def add(self, file: IO[bytes], name: str, rows: int) -> Part:
        """Copy a finished file to the directory, and return it as a part.

        :param file: the file; its position does not matter.
        :param name: the part's name once it is committed.
        :param rows: how many rows are in it.
        :raises HyperoruConcurrentWriteError: another run has removed it meanwhile.
        """
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        part = Part(name, rows, size, _digest(file))
        if self._is_committed(part):
            return part
        stem, _, extension = name.partition(".")
        part = replace(part, name=f"{_STAGED}{stem}-{part.sha256[:_HASH]}.{extension}")
        if not self._is_whole(part):
            file.seek(0)
            with self._races("Nothing was committed"):
                self._put(file, part.name)
        return part

    def find(self, part: Part) -> Part | None:
        """Return a part of an earlier try under the name that it has now, or ``None`` if it is not there and whole."""
        for found in (part, replace(part, name=_final_name(part.name))):  # it was stopped while it committed
            if _is_ours(found.name) and self._is_whole(found):
                return found
        return None

    def write_temporary(self, name: str, data: bytes) -> None:
        """Write a file that lasts until the next commit."""
        self._write(data, _STAGED + name)

    def read_temporary(self, name: str) -> bytes | None:
        """Return the content of such a file, or ``None`` if it is not there."""
        return self._read(_STAGED + name)

    def remove_temporary(self, name: str) -> None:
        """Remove such a file, if it is there."""
        (self._directory / (_STAGED + name)).unlink(missing_ok=True)

    def commit(self, manifest: dict[str, Any], parts: list[Part]) -> list[Part]:
        """Make the parts the content of the directory, and remove what is left of earlier ones.

        :param manifest: all that the manifest says but the files.
        :param parts: the files, in order.
        :return: the files, under the names that they have now.
        :raises HyperoruConcurrentWriteError: another run has written there meanwhile. What this one has written is
            gone.
        """
        with self._races("Nothing was committed"), commit_lock(self._directory / _LOCK, local=self._local) as confirm:
            there = self._names()  # of runs that can't commit after this one; any later one may
            manifest_now = self._read(MANIFEST)
            if manifest_now != self._earlier or not all(map(self._is_intact, parts)):
                self._remove(self._written - {*_hashes(self._parse(manifest_now))})
                raise self._overtaken("Nothing was committed")
            final = [replace(part, name=_final_name(part.name)) for part in parts]
            waiting = [part for part in final if self.committed.get(part.name, part.sha256) != part.sha256]
            shown = [part if now in waiting else now for part, now in zip(parts, final, strict=True)]
            self._show(manifest, parts, shown, confirm)
            if waiting:  # files that the earlier manifest named were in their place
                self._show(manifest, shown, final, confirm)
            confirm()
            self._remove(there - {part.name for part in final})
        return final

    def _parse(self, text: bytes | None) -> dict[str, Any]:
        if text is None:
            return {"rows": 0, "files": []}
        try:
            manifest = json.loads(text)
        except (ValueError, RecursionError):
            manifest = None
        if not _is_manifest(manifest):
            raise HyperoruConfigError(
                f"{self.manifest} is not the manifest of an export. Remove it, or choose another destination."
            )
        return dict(manifest)

    def _read(self, name: str) -> bytes | None:
        self._forget_listing()
        try:
            return bytes(self._directory.fs.cat_file((self._directory / name).path))
        except FileNotFoundError:
            return None

    def _forget_listing(self) -> None:
        self._directory.fs.invalidate_cache(self._directory.path)  # others may have written there since

    def _names(self) -> set[str]:
        self._forget_listing()
        paths: list[Any] = list(self._directory.iterdir())
        return {path.name for path in paths}

    def _write(self, data: bytes, name: str) -> None:
        if self._local:
            self._put(io.BytesIO(data), name)
        else:
            self._written.add(name)
            self._directory.fs.pipe_file((self._directory / name).path, data)

    def _put(self, file: IO[bytes], name: str) -> None:
        """Write a file so that readers see all of it or what was there before."""
        self._written.add(name)
        path = (self._directory / name).path
        if self._local:
            write_file(Path(path), file)
            return
        sink = self._directory.fs.open(path, "wb")
        try:
            shutil.copyfileobj(file, sink, 1 << 20)
        except BaseException:
            _abandon(sink)
            raise
        sink.close()

    def _show(self, manifest: dict[str, Any], parts: list[Part], now: list[Part], confirm: Callable[[], None]) -> None:
        """Rename parts, and name them in the manifest; the old names may stay until the commit's end."""
        for part, new in zip(parts, now, strict=True):
            if part != new:
                confirm()
                self._rename(part.name, new.name)
        confirm()
        text = json.dumps({**manifest, "files": [asdict(part) for part in now]}, indent=2) + "\n"
        self._write(text.encode(), MANIFEST)
        self.committed = {part.name: part.sha256 for part in now}

    def _rename(self, name: str, new: str) -> None:
        old_path, path = (self._directory / name).path, (self._directory / new).path
        if not self._local:
            self._directory.fs.cp_file(old_path, path)
        elif name in self.committed:  # it stays until another manifest is there
            with Path(old_path).open("rb") as file:
                self._put(file, new)
        else:
            Path(old_path).replace(path)

    @contextmanager
    def _races(self, result: str) -> Iterator[None]:
        """Take a file that is gone for one that another run has removed."""
        try:
            yield
        except FileNotFoundError as error:
            raise self._overtaken(result) from error

    def _overtaken(self, result: str) -> HyperoruConcurrentWriteError:
        return HyperoruConcurrentWriteError(
            f"Another run has written to {self._directory} at the same time. {result}: run this one again, and let "
            "only one run at a time export a window."
        )

    def _is_committed(self, part: Part) -> bool:
        return self.committed.get(part.name) == part.sha256 and self._is_whole(part)

    def _is_intact(self, part: Part) -> bool:
        """Return whether a part of this run is still there; nobody else writes to a name of its content."""
        named = part.name.startswith(_STAGED) or part.name in self.committed
        return self._is_there(part) if named else self._is_whole(part)

    def _is_whole(self, part: Part) -> bool:
        if not self._is_there(part):
            return False
        try:
            with (self._directory / part.name).open("rb") as file:
                return _digest(file) == part.sha256
        except OSError as error:
            if not isinstance(error, FileNotFoundError) and error.errno != errno.EBUSY:  # s3fs: replaced meanwhile
                raise
            return False

    def _is_there(self, part: Part) -> bool:
        try:
            return bool((self._directory / part.name).stat().st_size == part.bytes)
        except FileNotFoundError:
            return False

    def _remove(self, names: set[str]) -> None:
        """Remove files which this class wrote there at some time."""
        for name in sorted(names - {_LOCK}):
            if _is_ours(name):
                with suppress(FileNotFoundError):  # another run was faster
                    (self._directory / name).unlink()


def _digest(file: IO[bytes]) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def _abandon(sink: Any) -> None:
    """Let go of a file in object storage without a trace; to close it would show what it has got so far."""
    from fsspec.spec import AbstractBufferedFile

    if isinstance(sink, AbstractBufferedFile):
        sink.discard()
        sink.closed = True


def _is_ours(name: str) -> bool:
    """Return whether a file of this name is one that this class has written into its directory."""
    return name.startswith(("part-", _STAGED)) and "/" not in name


def _final_name(name: str) -> str:
    """Return the name that a part has once it is committed."""
    if not name.startswith(_STAGED):
        return name
    stem, _, extension = name.removeprefix(_STAGED).partition(".")
    return f"{stem[: -_HASH - 1]}.{extension}"


def _is_manifest(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and type(value.get("rows")) is int
        and isinstance(value.get("files"), list)
        and all(
            isinstance(file, dict)
            and all(isinstance(file.get(name), str) for name in ("name", "sha256"))
            and "/" not in file["name"]
            for file in value["files"]
        )
    )


def _hashes(manifest: dict[str, Any]) -> dict[str, str]:
    """Return the hash of each file that a manifest names."""
    return {file["name"]: file["sha256"] for file in manifest["files"]}

"""The directory of an export in object storage: it shows a whole export or the one before it, never half of one."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from uuid import uuid4

from hyperoru_provider.client.errors import HyperoruConcurrentWriteError, HyperoruConfigError

if TYPE_CHECKING:
    from upath import UPath
    from upath.extensions import ProxyUPath

MANIFEST = "_manifest.json"
_STAGED = "_next-"


@dataclass(frozen=True)
class Part:
    """A file of an export."""

    name: str
    rows: int
    bytes: int
    sha256: str


class ExportDirectory:
    """Puts parts into a directory, and commits them with a manifest, which names them and is written last.

    A part never replaces other content that the committed manifest names: it waits under another name until the
    new manifest is there, and gets its own name after that.

    :param directory: where the export of one window is; any path of :mod:`upath`, such as Airflow's
        ``ObjectStoragePath``.
    :raises HyperoruConfigError: it can't be read, or its manifest is not one.
    """

    def __init__(self, directory: UPath | ProxyUPath) -> None:
        self._directory = directory
        self._local = directory.protocol in ("", "file", "local")
        if self._local:
            directory.mkdir(parents=True, exist_ok=True)
        self._earlier = self._read_manifest()
        self._committed = {file["name"]: file["sha256"] for file in self._earlier.get("files", [])}

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
        return int(self._earlier.get("rows", 0))

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
        digest = _digest(file)
        if self._committed.get(name, digest) != digest:
            name = _STAGED + name
        part = Part(name, rows, size, digest)
        if name not in self._committed or not self._is_there(part):  # what is committed and whole is not touched
            file.seek(0)
            self._put(file, name)
        return part

    def find(self, part: Part) -> Part | None:
        """Return a part of an earlier try under the name that it has now, or ``None`` if it is not there and whole."""
        own = part.name.removeprefix(_STAGED)
        for found in (replace(part, name=name) for name in (own, _STAGED + own)):
            if self._is_whole(found):
                return found
        return None

    def write_temporary(self, name: str, data: bytes) -> None:
        """Write a file that lasts until the next commit."""
        self._write(data, _STAGED + name)

    def read_temporary(self, name: str) -> bytes | None:
        """Return the content of such a file, or ``None`` if it is not there."""
        try:
            with (self._directory / (_STAGED + name)).open("rb") as file:
                return bytes(file.read())
        except FileNotFoundError:
            return None

    def remove_temporary(self, name: str) -> None:
        """Remove such a file, if it is there."""
        (self._directory / (_STAGED + name)).unlink(missing_ok=True)

    def commit(self, manifest: dict[str, Any], parts: list[Part]) -> list[Part]:
        """Make the parts the content of the directory, and remove what is left of earlier ones.

        :param manifest: all that the manifest says but the files.
        :param parts: the files, in order.
        :return: the files, under the names that they have now.
        :raises HyperoruConcurrentWriteError: another run has written there meanwhile.
        """
        if self._read_manifest() != self._earlier or not all(map(self._is_whole, parts)):
            raise self._overtaken("Nothing was committed")
        self._write_manifest(manifest, parts)
        final = [replace(part, name=part.name.removeprefix(_STAGED)) for part in parts]
        for staged, part in zip(parts, final, strict=True):
            if staged != part:
                try:
                    with (self._directory / staged.name).open("rb") as file:
                        self._put(file, part.name)
                except FileNotFoundError:
                    raise self._overtaken(f"{staged.name} is gone") from None
        if final != parts:
            self._write_manifest(manifest, final)
        self._remove_others(final)
        return final

    def _read_manifest(self) -> dict[str, Any]:
        self._directory.fs.invalidate_cache(self._directory.path)  # others may have written there since it was listed
        try:
            with (self._directory / MANIFEST).open("rb") as file:
                manifest = json.loads(file.read())
        except FileNotFoundError:
            return {}
        except (json.JSONDecodeError, UnicodeDecodeError):
            manifest = None
        if not isinstance(manifest, dict):
            raise HyperoruConfigError(
                f"{self.manifest} is no manifest of an export. Remove it, or choose another destination."
            )
        return manifest

    def _write_manifest(self, manifest: dict[str, Any], parts: list[Part]) -> None:
        text = json.dumps({**manifest, "files": [asdict(part) for part in parts]}, indent=2) + "\n"
        self._write(text.encode(), MANIFEST)

    def _write(self, data: bytes, name: str) -> None:
        if self._local:
            self._put(io.BytesIO(data), name)
        else:  # a stream that is closed by an exception would leave what it has got so far
            self._directory.fs.pipe_file((self._directory / name).path, data)

    def _put(self, file: IO[bytes], name: str) -> None:
        """Write a file so that readers see all of it or what was there before."""
        target = self._directory / (f".{name}.{uuid4().hex}.tmp" if self._local else name)
        with target.open("wb") as sink:
            shutil.copyfileobj(file, sink, 1 << 20)
        if self._local:
            try:
                Path(target.path).replace((self._directory / name).path)
            except FileNotFoundError:
                raise self._overtaken(f"{name} was not written") from None

    def _overtaken(self, result: str) -> HyperoruConcurrentWriteError:
        return HyperoruConcurrentWriteError(
            f"Another run has written to {self._directory} at the same time. {result}: run this one again, and let "
            "only one at a time export a window."
        )

    def _is_whole(self, part: Part) -> bool:
        if not self._is_there(part):
            return False
        with (self._directory / part.name).open("rb") as file:
            return _digest(file) == part.sha256

    def _is_there(self, part: Part) -> bool:
        try:
            return bool((self._directory / part.name).stat().st_size == part.bytes)
        except FileNotFoundError:
            return False

    def _remove_others(self, parts: list[Part]) -> None:
        """Remove what this class wrote there earlier and the manifest does not name."""
        kept = {part.name for part in parts}
        found: list[Any] = list(self._directory.iterdir())
        for path in found:
            if path.name not in kept and path.name.startswith(("part-", _STAGED, ".part-", "._")):
                with suppress(FileNotFoundError):  # another run was faster
                    path.unlink()


def _digest(file: IO[bytes]) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]

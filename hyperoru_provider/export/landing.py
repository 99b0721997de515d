"""A directory in object storage that shows a whole export or the one before it, never half of one."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperoru_provider.client.errors import HyperoruConfigError

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


class StorageLanding:
    """Puts parts into a directory and commits them with a manifest, which names them and is written last.

    A part never replaces other content that the committed manifest names: it waits under another name until the
    new manifest is there, and gets its own name after that.

    :param directory: where one window of a resource lands; any path of :mod:`upath`, such as Airflow's
        ``ObjectStoragePath``.
    :raises HyperoruConfigError: it can't be read, or its manifest is none.
    """

    def __init__(self, directory: UPath | ProxyUPath) -> None:
        self._directory = directory
        self._local = directory.protocol in ("", "file", "local")
        if self._local:
            directory.mkdir(parents=True, exist_ok=True)
        self._committed = {file["name"]: file["sha256"] for file in self._read_manifest().get("files", [])}

    @property
    def manifest(self) -> str:
        """Address of the manifest."""
        return str(self._directory / MANIFEST)

    def address(self, part: Part) -> str:
        """Address of a part."""
        return str(self._directory / part.name)

    def add(self, file: Path, name: str, rows: int) -> Part:
        """Copy a finished file to the directory."""
        digest = _sha256(file)
        if self._committed.get(name, digest) != digest:
            name = _STAGED + name
        self._put(file, name)
        return Part(name, rows, file.stat().st_size, digest)

    def commit(self, manifest: dict[str, Any], parts: list[Part], scratch: Path) -> list[Part]:
        """Make the parts the content of the directory, and remove what is left of earlier ones.

        :param manifest: all that the manifest says but the files.
        :param parts: the files, in order.
        :param scratch: a local directory.
        :return: the files, under the names that they have now.
        """
        self._write_manifest(manifest, parts, scratch)
        final = [Part(part.name.removeprefix(_STAGED), part.rows, part.bytes, part.sha256) for part in parts]
        if final != parts:
            for staged, part in zip(parts, final, strict=True):
                if staged != part:
                    self._fetch(staged.name, scratch / "part")
                    self._put(scratch / "part", part.name)
            self._write_manifest(manifest, final, scratch)
        self._remove_others(final)
        return final

    def _read_manifest(self) -> dict[str, Any]:
        try:
            with (self._directory / MANIFEST).open("rb") as file:
                manifest = json.loads(file.read())
        except FileNotFoundError:
            return {}
        except ValueError:
            manifest = None
        if not isinstance(manifest, dict):
            raise HyperoruConfigError(
                f"{self.manifest} is no manifest of an export. Remove it, or choose another destination."
            )
        return manifest

    def _write_manifest(self, manifest: dict[str, Any], parts: list[Part], scratch: Path) -> None:
        file = scratch / MANIFEST
        file.write_text(json.dumps({**manifest, "files": [asdict(part) for part in parts]}, indent=2) + "\n")
        self._put(file, MANIFEST)

    def _put(self, file: Path, name: str) -> None:
        """Write a file so that readers see all of it or what was there before."""
        target = self._directory / (f".{name}.tmp" if self._local else name)
        with file.open("rb") as source, target.open("wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
        if self._local:
            Path(target.path).replace((self._directory / name).path)

    def _fetch(self, name: str, file: Path) -> None:
        with (self._directory / name).open("rb") as source, file.open("wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)

    def _remove_others(self, parts: list[Part]) -> None:
        """Remove what this class wrote there earlier and the manifest does not name."""
        kept = {part.name for part in parts}
        found: list[Any] = list(self._directory.iterdir())
        for path in found:
            if path.name not in kept and path.name.startswith(("part-", _STAGED, ".part-", "._")):
                path.unlink()


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

"""Files of committed exports, read back: each is the one that its manifest names, or it is an error."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from hyperoru_provider.client.errors import HyperoruConcurrentWriteError
from hyperoru_provider.export.directory import MANIFEST

if TYPE_CHECKING:
    from upath import UPath
    from upath.extensions import ProxyUPath

_CHUNK = 1 << 20


@contextmanager
def verified_copy(file: UPath | ProxyUPath, sha256: str) -> Iterator[IO[bytes]]:
    """Copy a file of an export to where nobody can change it, and return the copy.

    :param file: the file, in any storage.
    :param sha256: its hash, as the manifest names it.
    :raises HyperoruConcurrentWriteError: the file is missing, or is another one.
    """
    digest = hashlib.sha256()
    with tempfile.TemporaryFile(prefix="hyperoru-") as copy:
        try:
            with file.open("rb") as source:
                while chunk := source.read(_CHUNK):
                    digest.update(chunk)
                    copy.write(chunk)
        except FileNotFoundError:
            raise changed(file) from None
        if digest.hexdigest() != sha256:
            raise changed(file)
        copy.seek(0)
        yield copy


def changed(file: UPath | ProxyUPath) -> HyperoruConcurrentWriteError:
    """Return the error of a file that is not the one that the manifest names."""
    return HyperoruConcurrentWriteError(
        f"{file} is not the file that {MANIFEST} names: it is missing or damaged, or another export has replaced it "
        "meanwhile. Run this again; if the error persists, export the window again."
    )

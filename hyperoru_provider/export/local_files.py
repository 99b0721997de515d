"""Files on a local disk that are there whole or not at all, and what is left of those whose writer died."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import IO
from uuid import uuid4

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

_TEMPORARY = re.compile(r"\.(part-|_next-|_manifest).*\.tmp")


def try_lock(file: int) -> bool:
    """Lock an open file until it is closed, or its process dies, and return whether it was free.

    :raises OSError: the file system has no locks.
    """
    if fcntl is None:
        raise OSError("no locks on this system")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write_file(path: Path, content: IO[bytes]) -> None:
    """Write a file so that others see all of it, or what was there before.

    :raises FileNotFoundError: its directory, or what was written so far, was removed meanwhile.
    """
    temporary, sink = _new_temporary(path)
    lock = os.dup(sink.fileno())  # shares the lock, which says that the writer is alive
    try:
        with sink:
            shutil.copyfileobj(content, sink, 1 << 20)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(lock)


def _new_temporary(path: Path) -> tuple[Path, IO[bytes]]:
    while True:
        temporary = path.parent / f".{path.name}.{uuid4().hex}.tmp"
        sink = temporary.open("xb")
        try:
            if try_lock(sink.fileno()) and temporary.exists():  # nobody took it for abandoned before it was locked
                return temporary, sink
        except OSError:
            return temporary, sink
        sink.close()


def remove_abandoned(directory: Path) -> None:
    """Remove the temporary files whose writers have died."""
    for path in directory.iterdir():
        if _TEMPORARY.fullmatch(path.name):
            _remove_if_abandoned(path)


def _remove_if_abandoned(path: Path) -> None:
    try:
        with path.open("rb") as file:
            if try_lock(file.fileno()):
                path.unlink(missing_ok=True)
    except OSError:  # gone, another user's, or without locks: then nobody knows whether it is abandoned
        return

"""One run at a time commits to a directory, and who is killed while it does holds up nobody for long."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from hyperoru_provider.client.errors import HyperoruConcurrentWriteError
from hyperoru_provider.export.local_files import try_lock

if TYPE_CHECKING:
    from upath import UPath
    from upath.extensions import ProxyUPath

log = logging.getLogger(__name__)

_PAUSE = 0.25
_SETTLING = 1.0
#: how often to look for a change of a lock before its owner counts as dead: a minute of pauses
PATIENCE = 240
#: seconds after which the owner of a lock shows that it is alive
RENEWAL = 10.0


class _Lock(Protocol):
    def try_acquire(self) -> bool:
        """Try once to get the lock, and return whether it was free."""

    def is_held(self) -> bool:
        """Return whether the lock, once acquired, was not taken away, and show that its owner is alive."""

    def owner(self) -> bytes | None:
        """Return what tells one owner of the lock from another, or ``None`` if it has none."""

    def break_(self, owner: bytes | None) -> None:
        """Take the lock away from an owner that seems to be dead.

        :raises HyperoruConcurrentWriteError: it is alive.
        """

    def release(self) -> None:
        """Let others have the lock."""


@contextmanager
def commit_lock(path: UPath | ProxyUPath, *, local: bool) -> Iterator[Callable[[], None]]:
    """Wait for the lock of a directory and hold it.

    :param path: the lock's file, in the directory.
    :param local: whether it is on a local disk.
    :return: what is to be called before each write; it raises if another run has taken the lock away.
    :raises HyperoruConcurrentWriteError: another run has held it for too long.
    """
    lock: _Lock = _FileLock(Path(path.path)) if local else _ObjectLock(path.fs, path.path)
    owner, looks = None, 0
    while not lock.try_acquire():
        found = lock.owner()
        owner, looks = found, looks + 1 if found == owner else 1
        if looks >= PATIENCE:
            lock.break_(owner)
            looks = 0
        time.sleep(_PAUSE)

    def confirm() -> None:
        if not lock.is_held():
            raise HyperoruConcurrentWriteError(
                f"Another run has taken over, as this one stalled for a minute while committing to {path.parent}: "
                "run this one again."
            )

    try:
        yield confirm
    finally:
        try:
            lock.release()
        except OSError as error:  # what was committed is committed
            log.warning("The lock %s could not be removed, so others may have to wait: %s", path, error)


class _FileLock:
    """A locked file, which the system unlocks when its owner dies; best effort where there are no locks."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def try_acquire(self) -> bool:
        self._file = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
        try:
            if try_lock(self._file) and os.path.samestat(os.fstat(self._file), self._path.stat()):
                return True
        except FileNotFoundError:  # the one before has removed it
            pass
        except OSError as error:
            log.debug("Could not lock the commit: %s", error)
            return True
        os.close(self._file)
        return False

    def is_held(self) -> bool:
        return True

    def owner(self) -> bytes | None:
        return None

    def break_(self, owner: bytes | None) -> None:
        raise HyperoruConcurrentWriteError(
            f"Another run has been committing to {self._path.parent} for a minute, and its process is alive. Nothing "
            "was committed: find out what is holding it up, then run this one again."
        )

    def release(self) -> None:
        try:
            self._path.unlink(missing_ok=True)
        finally:
            os.close(self._file)


class _ObjectLock:
    """An object that only one can create, or whose last creator has it, where a storage lets two create it."""

    def __init__(self, storage: Any, path: str) -> None:
        self._storage = storage
        self._path = path
        self._owner, self._renewed = uuid4().hex.encode(), time.monotonic()
        self._renewing = threading.Lock()
        self._released = threading.Event()

    def try_acquire(self) -> bool:
        try:
            if self.owner() is None and self._create() and not (self._is_shared and not self._create()):
                time.sleep(_SETTLING)  # two can create it: all who saw none have done so by then, and the last has it
            acquired = self.is_held()
        except OSError:
            with suppress(OSError):  # it may be ours by now
                self.release()
            raise
        if acquired and self._is_shared:
            threading.Thread(target=self._stay_alive, name="hyperoru-commit-lock", daemon=True).start()
        return acquired

    @property
    def _is_shared(self) -> bool:
        """Whether two threads may use the storage; those of which it is so can also create a file if there is none."""
        return bool(getattr(self._storage, "async_impl", False))

    def _create(self) -> bool:
        """Create the lock, and return whether there was none, as far as the storage can tell."""
        try:
            self._storage.pipe_file(self._path, self._owner, mode="create")
        except OSError as error:  # S3 also refuses it while another deletes it
            if not isinstance(error, FileExistsError) and "ConditionalRequestConflict" not in str(error):
                raise
            return False
        return True

    def is_held(self) -> bool:
        with self._renewing:
            held = self._is_mine()
            if held and time.monotonic() > self._renewed + RENEWAL:
                self._storage.pipe_file(self._path, self._owner + uuid4().hex.encode())
                self._renewed = time.monotonic()
            return held

    def _stay_alive(self) -> None:
        """Show that the owner is alive while a single write takes long."""
        while not self._released.wait(RENEWAL):
            try:
                if not self.is_held():
                    return
            except Exception as error:  # noqa: BLE001
                log.debug("The lock %s could not be renewed: %s", self._path, error)

    def owner(self) -> bytes | None:
        try:
            return bytes(self._storage.cat_file(self._path))
        except FileNotFoundError:
            return None

    def break_(self, owner: bytes | None) -> None:
        if self.owner() == owner:
            log.warning("Another run was killed while it committed: removing its lock %s", self._path)
            self._remove()

    def release(self) -> None:
        self._released.set()
        with self._renewing:
            if self._is_mine():
                self._remove()

    def _is_mine(self) -> bool:
        return (self.owner() or b"").startswith(self._owner)

    def _remove(self) -> None:
        with suppress(FileNotFoundError):
            self._storage.rm_file(self._path)

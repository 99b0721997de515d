"""One login at a time on a host."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from pathlib import Path

from hyperoru_provider.client.http.tokens import Credentials

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger(__name__)


class LoginLock:
    """Lets one at a time log in, among all threads and processes of this user on this host.

    Best effort: where no lock can be had, two may log in, which the service allows.

    :param credentials: whose login; the password has no part in the file's name.
    """

    def __init__(self, credentials: Credentials) -> None:
        user = os.getuid() if hasattr(os, "getuid") else 0
        name = hashlib.sha256(f"{credentials.base_url}\n{credentials.login}".encode()).hexdigest()[:16]
        self.path = Path(tempfile.gettempdir()) / f"hyperoru-login-{user}-{name}.lock"
        self._file: int | None = None

    def acquire(self) -> bool:
        """Try once to get the lock, without waiting, and return whether to log in now."""
        if fcntl is None:
            return True
        try:
            self._file = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.release()
            return False
        except OSError as error:
            log.debug("Could not lock the login: %s", error)
        return True

    def release(self) -> None:
        """Release the lock, if it is held."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

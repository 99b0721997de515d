"""What survives a crash of an export: which parts are closed, and where the next one begins."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from hyperoru_provider.client.lists.duplicates import DuplicateDetector
from hyperoru_provider.client.lists.rows import Row
from hyperoru_provider.client.lists.window_reader import WindowReader
from hyperoru_provider.client.times import format_time, parse_time
from hyperoru_provider.export.destinations.storage import Part, StorageDestination

log = logging.getLogger(__name__)

#: how long after its first part an export can be resumed: rows that came late to that part would be missing from it
_MAX_AGE = timedelta(days=1)
_KEY = "hyperoru_export"
_FILE = "checkpoint.json"


class StateStore(Protocol):
    """Where the state of an unfinished export is kept. Whatever it raises costs the resumption, not the task."""

    def read(self) -> Any:
        """Give what was written last; ``None`` if there is nothing."""

    def write(self, state: dict[str, Any]) -> None:
        """Keep a state, in place of the one before."""

    def clear(self) -> None:
        """Forget it."""


class TaskStateStore:
    """Airflow's, which a task instance keeps over its tries.

    :param accessor: the context's ``task_state_store``.
    """

    def __init__(self, accessor: Any) -> None:
        self._accessor = accessor

    def read(self) -> Any:
        """See :class:`StateStore`."""
        return self._accessor.get(_KEY)

    def write(self, state: dict[str, Any]) -> None:
        """See :class:`StateStore`."""
        self._accessor.set(_KEY, state, retention=_MAX_AGE)

    def clear(self) -> None:
        """See :class:`StateStore`."""
        self._accessor.delete(_KEY)


class FileStateStore:
    """A file beside the parts.

    :param landing: where they are.
    """

    def __init__(self, landing: StorageDestination) -> None:
        self._landing = landing

    def read(self) -> Any:
        """See :class:`StateStore`."""
        text = self._landing.kept(_FILE)
        return None if text is None else json.loads(text)

    def write(self, state: dict[str, Any]) -> None:
        """See :class:`StateStore`."""
        self._landing.keep(_FILE, json.dumps(state).encode())

    def clear(self) -> None:
        """See :class:`StateStore`."""
        self._landing.drop(_FILE)


class ExportState:
    """The closed parts of an export.

    :param first: time of their first row.
    :param last: their last row.
    """

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.first: datetime | None = None
        self.last: Row | None = None

    @property
    def rows(self) -> int:
        """How many rows are in them."""
        return sum(part.rows for part in self.parts)

    def add(self, part: Part, first: datetime | None, last: Row) -> None:
        """Take one more, which has landed."""
        self.parts.append(part)
        self.first, self.last = first, last

    def clear(self) -> None:
        """Leave nothing to resume."""


class ResumableExportState(ExportState):
    """ExportState parts that are noted, so that the next try goes on after them.

    :param landing: where the parts are; the rows' keys are kept beside them until it commits.
    :param store: where the rest is noted.
    :param decides: all that decides the parts' bytes: a try for which it differs starts over.
    """

    def __init__(self, landing: StorageDestination, store: StateStore, decides: Mapping[str, Any]) -> None:
        super().__init__()
        self.keys = DuplicateDetector()
        self._begun = datetime.now(UTC)
        self._landing = landing
        self._store = store
        self._digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
        state = self._tried("read", store.read)
        if state is not None:
            self._tried("understood", lambda: self._resume(state))

    def rest(self, reader: WindowReader) -> WindowReader:
        """Return a reader of what is left of the window."""
        return reader if self.last is None else reader.after(self.last)

    def add(self, part: Part, first: datetime | None, last: Row) -> None:
        """Take and note one more, which has landed."""
        keys = self.keys.dump(self.rows, part.rows)
        super().add(part, first, last)
        self._tried("written", lambda: self._note(keys, first, last))

    def clear(self) -> None:
        """Leave nothing to resume: the export is committed, or what it read is not to be trusted."""
        self._tried("removed", self._store.clear)

    def _note(self, keys: bytes, first: datetime | None, last: Row) -> None:
        self._landing.keep(_keys_of(len(self.parts) - 1), bytes.fromhex(self.parts[-1].sha256) + keys)
        self._store.write(
            {
                "digest": self._digest,
                "begun_at": format_time(self._begun),
                "parts": [asdict(part) for part in self.parts],
                "first_time": first and format_time(first),
                "last": {"time": last.time and format_time(last.time), "key": list(last.key)},
            }
        )

    def _resume(self, state: Any) -> None:
        begun = parse_time(state["begun_at"])
        if state["digest"] != self._digest or datetime.now(UTC) - begun > _MAX_AGE:
            log.info("An export that was not finished is out of date or of something else: starting over")
            return
        keys = DuplicateDetector()
        parts = []
        for number, noted in enumerate(state["parts"]):
            part = self._landing.find(Part(**noted))
            kept = self._landing.kept(_keys_of(number)) or b""
            if part is None or len(kept) != 32 + 8 * part.rows or kept[:32].hex() != part.sha256:
                log.info("Parts of an export that was not finished are missing: starting over")
                return
            parts.append(part)
            keys.load(kept[32:])
        last = Row(parse_time(state["last"]["time"]), tuple(state["last"]["key"]), b"")
        self.first, self.last = parse_time(state["first_time"]), last
        self.parts, self.keys, self._begun = parts, keys, begun
        log.info("Resuming after %s: %d rows in %d parts are there", state["last"]["time"], self.rows, len(parts))

    def _tried(self, what: str, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except Exception as error:  # noqa: BLE001
            log.warning("The state of the export could not be %s: %s: %s", what, type(error).__name__, error)
            return None


def _keys_of(number: int) -> str:
    return f"keys-{number:05d}"

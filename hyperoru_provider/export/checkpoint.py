"""What survives the crash of an export: which parts are closed, and where the next one starts."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import msgspec

from hyperoru_provider.client.lists.duplicates import DuplicateDetector
from hyperoru_provider.client.lists.rows import Row, key_of, key_part, parts_of
from hyperoru_provider.client.times import format_time, parse_time
from hyperoru_provider.export.directory import ExportDirectory, Part

log = logging.getLogger(__name__)

#: how long after its first part an export can be resumed: rows that came late to that part would be missing from it
_MAX_AGE = timedelta(days=1)
_NAME = "hyperoru_export"
#: how far the clocks of two workers may differ
_SKEW = timedelta(minutes=5)


class _LastRow(msgspec.Struct):
    time: str | None
    key: list[int | str]


class _State(msgspec.Struct):
    """What is kept, as JSON; the digest is that of all else in it, and of the export: a damaged one fits no more."""

    begun_at: str
    parts: list[Part]
    first_time: str | None
    last: _LastRow
    digest: str = ""

    def digest_for(self, fingerprint: bytes) -> str:
        """Return what the digest is to be, for an export with this fingerprint."""
        rest = {**msgspec.to_builtins(self), "digest": ""}  # a key may have more digits than msgspec writes
        return hashlib.sha256(fingerprint + json.dumps(rest).encode()).hexdigest()


class StateStore(Protocol):
    """Where the state of an unfinished export is kept. Whatever it raises costs the resumption, not the export."""

    def read(self, name: str) -> Any:
        """Return the value of a name, or ``None`` if there is none."""

    def write(self, name: str, value: Any, *, retention: timedelta | None = None) -> None:
        """Keep a value, which is JSON, in place of the earlier one."""

    def clear(self, name: str) -> None:
        """Forget the value of a name."""


class FileStateStore:
    """Keeps state in files beside the parts, until the next commit.

    :param directory: where the parts are.
    """

    def __init__(self, directory: ExportDirectory) -> None:
        self._directory = directory

    def read(self, name: str) -> Any:
        """Return the value of a name, or ``None`` if there is none."""
        text = self._directory.read_temporary(f"{name}.json")
        return None if text is None else json.loads(text)

    def write(self, name: str, value: Any, *, retention: timedelta | None = None) -> None:
        """Keep a value in place of the earlier one."""
        self._directory.write_temporary(f"{name}.json", json.dumps(value).encode())

    def clear(self, name: str) -> None:
        """Forget the value of a name."""
        self._directory.remove_temporary(f"{name}.json")


class ExportState:
    """The closed parts of an export, whose rows are not read again.

    ``first`` is the time of their first row, ``last`` their last row, and ``keys`` are the keys of them all.
    """

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.first: datetime | None = None
        self.last: Row | None = None
        self.keys = DuplicateDetector()

    @property
    def rows(self) -> int:
        """How many rows are in them."""
        return sum(part.rows for part in self.parts)

    def add(self, part: Part, first: Row, last: Row) -> None:
        """Add a part that is in its directory.

        :param first: its first row.
        :param last: its last row.
        """
        self.parts.append(part)
        self.first = self.first or first.time
        self.last = last

    def clear(self) -> None:
        """Leave nothing to resume: the export is committed, or what it read is not to be trusted."""


class ResumableExportState(ExportState):
    """The closed parts of an export which the next try finds again, so that it goes on after them.

    :param directory: where the parts are; the keys of their rows are kept beside them until it commits.
    :param store: where the rest is kept.
    :param fingerprint: all that determines the parts' bytes: a try for which it differs starts over.
    """

    def __init__(self, directory: ExportDirectory, store: StateStore, fingerprint: Mapping[str, Any]) -> None:
        super().__init__()
        self._begun = datetime.now(UTC)
        self._directory = directory
        self._store = store
        self._fingerprint = json.dumps(fingerprint, sort_keys=True).encode()
        state = self._attempt("read", lambda: store.read(_NAME))
        if state is not None:
            self._attempt("understood", lambda: self._resume(msgspec.convert(state, _State)))

    def add(self, part: Part, first: Row, last: Row) -> None:
        """Add a part that is in its directory, and note it for the next try."""
        keys = self.keys.dump(self.rows, part.rows)
        super().add(part, first, last)
        self._attempt("written", lambda: self._save(keys, last))

    def clear(self) -> None:
        """Leave nothing to resume."""
        self._attempt("removed", lambda: self._store.clear(_NAME))

    def _save(self, keys: bytes, last: Row) -> None:
        self._directory.write_temporary(_keys_file(self.parts[-1]), bytes.fromhex(self.parts[-1].sha256) + keys)
        state = _State(
            begun_at=format_time(self._begun),
            parts=self.parts,
            first_time=_written(self.first),
            last=_LastRow(_written(last.time), list(parts_of(last.key))),
        )
        state.digest = state.digest_for(self._fingerprint)
        self._store.write(_NAME, msgspec.to_builtins(state), retention=_MAX_AGE)

    def _resume(self, state: _State) -> None:
        begun = parse_time(state.begun_at)
        if state.digest != state.digest_for(self._fingerprint) or not -_SKEW <= datetime.now(UTC) - begun <= _MAX_AGE:
            log.info("The unfinished export is out of date or is not of the same rows: starting over")
            return
        found = [self._find(kept) for kept in state.parts]
        if None in found:
            log.info("Parts of the unfinished export are missing: starting over")
            return
        keys = DuplicateDetector()
        parts = []
        for part, dumped in filter(None, found):
            parts.append(part)
            keys.load(dumped)
        last = Row(parse_time(state.last.time), key_of([key_part(part) for part in state.last.key]), b"")
        self.first, self.last = parse_time(state.first_time), last
        self.parts, self.keys, self._begun = parts, keys, begun
        log.info("Resuming after %s: %d rows in %d parts are already there", state.last.time, self.rows, len(parts))

    def _find(self, kept: Part) -> tuple[Part, bytes] | None:
        """Return a part under its present name, and the keys of its rows, or ``None`` if they are not whole."""
        part = self._directory.find(kept)
        data = self._directory.read_temporary(_keys_file(kept)) or b""
        if part is None or len(data) != 32 + 8 * part.rows or data[:32].hex() != part.sha256:
            return None
        return part, data[32:]

    def _attempt(self, what: str, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except Exception as error:  # noqa: BLE001
            log.warning("The state of the export could not be %s: %s: %s", what, type(error).__name__, error)
            return None


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)


def _keys_file(part: Part) -> str:
    return f"keys-{part.sha256[:16]}"

"""The keys of a window's rows, of which a long window has too many to hold them in memory."""

from __future__ import annotations

import tempfile
import weakref
from array import array
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from hashlib import blake2b
from itertools import islice
from operator import lt

from hyperoru_provider.client.api.endpoints import ListEndpoint
from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.lists.rows import Key, Rows

_HALF = 2**63
_IN_MEMORY = 2**18  # bytes, before they go to a temporary file
_SHARE = 50_000  # keys that are compared at once
_MOST_SHARES = 200  # as many files are open


class DuplicateDetector:
    """The keys of a window, eight bytes each and the same in every process, to find one that came at two times.

    Those of more than some 30,000 rows are in a temporary file.
    """

    def __init__(self) -> None:
        self._hashes = tempfile.SpooledTemporaryFile(_IN_MEMORY, prefix="hyperoru-")  # noqa: SIM115 - closed below
        weakref.finalize(self, self._hashes.close)
        self._count = 0
        self._last = -_HALF - 1
        self._ascending = True

    def add(self, rows: Rows) -> None:
        """Record the keys of rows that are different among themselves."""
        try:
            self._add(array("q", rows.keys))  # type: ignore[arg-type]
        except (TypeError, OverflowError):
            self._add(array("q", map(_hash, rows.keys)))

    def record(self, batches: Iterable[Rows]) -> Iterator[Rows]:
        """Pass batches of rows on, and record their keys."""
        for rows in batches:
            self.add(rows)
            yield rows

    def dump(self, first: int, count: int) -> bytes:
        """Return what was recorded of some rows, eight bytes each."""
        self._hashes.seek(8 * first)
        return self._hashes.read(8 * count)

    def load(self, recorded: bytes) -> None:
        """Record what was recorded before."""
        self._add(_hashes_of(recorded))

    def check(self, endpoint: ListEndpoint) -> None:
        """Raise if a key came twice; needs little memory, and no time for numbers that grow with time.

        :raises HyperoruContractError: one did.
        """
        if not self._ascending and any(_has_repeat(share) for share in self._shares()):
            raise HyperoruContractError(
                f"Two rows of different times have the same {', '.join(endpoint.key)}. If more fields are "
                "needed to tell such rows apart, name them in the contract's key."
            )

    def _add(self, hashes: array[int]) -> None:
        if not hashes:
            return
        self._ascending &= self._last < hashes[0] and all(map(lt, hashes, islice(hashes, 1, None)))
        self._last = hashes[-1]
        self._hashes.seek(8 * self._count)
        self._hashes.write(hashes.tobytes())
        self._count += len(hashes)

    def _shares(self) -> Iterator[array[int]]:
        """Yield all that was recorded in shares of some size, of which the same keys are in the same one."""
        number = min(self._count // _SHARE + 1, _MOST_SHARES)
        with ExitStack() as files:
            shares = [files.enter_context(tempfile.TemporaryFile(prefix="hyperoru-")) for _ in range(number)]
            for first in range(0, self._count, _SHARE):
                parts = [array("q") for _ in shares]
                for value in _hashes_of(self.dump(first, _SHARE)):
                    parts[hash((value,)) % number].append(value)  # ids may have a factor in common
                for share, part in zip(shares, parts, strict=True):
                    share.write(part.tobytes())
            for share in shares:
                share.seek(0)
                yield _hashes_of(share.read())


def _hashes_of(recorded: bytes) -> array[int]:
    hashes = array("q")
    hashes.frombytes(recorded)
    return hashes


def _has_repeat(hashes: array[int]) -> bool:
    return len(set(hashes)) != len(hashes)


def _hash(key: Key) -> int:
    """Return 64 bits of a key: a number itself, as Python's own hash of -1 is that of -2."""
    if isinstance(key, int) and -_HALF <= key < _HALF:
        return key
    return int.from_bytes(blake2b(repr(key).encode(), digest_size=8).digest(), signed=True)

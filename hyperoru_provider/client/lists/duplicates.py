"""The keys of a window's rows, small enough to hold all of them."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import islice
from operator import lt

from hyperoru_provider.client.api.endpoints import ListEndpoint
from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.lists.rows import Key, Rows

_HALF = 2**63


class DuplicateDetector:
    """The keys of a window, eight bytes each and the same in every process, to find one that came at two times."""

    def __init__(self) -> None:
        self._hashes = array("q")

    def add(self, rows: Rows) -> None:
        """Record the keys of rows that are different among themselves."""
        try:
            self._hashes.extend(array("q", rows.keys))  # type: ignore[arg-type]
        except (TypeError, OverflowError):
            self._hashes.extend(map(_hash, rows.keys))

    def record(self, batches: Iterable[Rows]) -> Iterator[Rows]:
        """Pass batches of rows on, and record their keys."""
        for rows in batches:
            self.add(rows)
            yield rows

    def dump(self, first: int, count: int) -> bytes:
        """Return what was recorded of some rows, eight bytes each."""
        return memoryview(self._hashes)[first : first + count].tobytes()

    def load(self, recorded: bytes) -> None:
        """Record what was recorded before."""
        self._hashes.frombytes(recorded)

    def check(self, endpoint: ListEndpoint) -> None:
        """Raise if a key came twice; looks in shares that need little memory, and not at numbers that grow with time.

        :raises HyperoruContractError: one did.
        """
        if all(map(lt, self._hashes, islice(self._hashes, 1, None))):
            return
        shares = [array("q") for _ in range(len(self._hashes) // 30_000 + 1)]
        for value in self._hashes:
            shares[value % len(shares)].append(value)
        for share in shares:
            if len(set(share)) != len(share):
                raise HyperoruContractError(
                    f"Two rows of different times have the same {', '.join(endpoint.key)}. If more fields are "
                    "needed to tell such rows apart, name them in the contract's key."
                )


def _hash(key: Key) -> int:
    """Return 64 bits of a key: a number itself, as Python's own hash of -1 is that of -2."""
    if isinstance(key, int) and -_HALF <= key < _HALF:
        return key
    return int.from_bytes(blake2b(repr(key).encode(), digest_size=8).digest(), signed=True)

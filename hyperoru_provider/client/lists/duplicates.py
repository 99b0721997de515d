"""The keys of a window's rows, small enough to hold all of them."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import lt

from hyperoru_provider.client.api.endpoints import ListEndpoint
from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.lists.rows import BulkRows, Row


class DuplicateDetector:
    """The keys of a window, eight bytes each and the same in every process, to find one that came at two times."""

    def __init__(self) -> None:
        self._hashes = array("q")

    def add(self, rows: Sequence[Row]) -> None:
        """Note the keys of rows which are different among themselves."""
        columns = rows.key_columns() if isinstance(rows, BulkRows) else zip(*[row.key for row in rows], strict=True)
        parts = list(map(_unsalted, columns))
        self._hashes.extend(map(hash, parts[0] if len(parts) == 1 else zip(*parts, strict=True)))

    def watch(self, spans: Iterable[Sequence[Row]]) -> Iterator[Sequence[Row]]:
        """Let spans pass, and note their keys."""
        for rows in spans:
            self.add(rows)
            yield rows

    def dump(self, first: int, count: int) -> bytes:
        """Give what was noted of some rows, eight bytes each."""
        return memoryview(self._hashes)[first : first + count].tobytes()

    def load(self, noted: bytes) -> None:
        """Note what was noted before."""
        self._hashes.frombytes(noted)

    def check(self, endpoint: ListEndpoint) -> None:
        """Find a repeat, in shares that need little memory; numbers that grow with time have none.

        :raises HyperoruContractError: there is one.
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


def _unsalted(parts: Sequence[int | str]) -> Sequence[int | tuple[int, ...]]:
    """Give the same part of several keys so that their hashes are the same in every process: those of texts are not."""
    if set(map(type, parts)) == {int}:
        return parts  # type: ignore[return-value]
    return [tuple(part.encode()) if isinstance(part, str) else part for part in parts]

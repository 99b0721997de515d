"""Reads a window of any length in spans: what to read next, and what to read again. Pure: no I/O."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from hyperoru_provider.client.answers import Page, Picker
from hyperoru_provider.client.contract import ListEndpoint, WindowedEndpoint
from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.paging import CappedError, Reading, Row, ShortPagesError, UnsteadyError, floor

_PASSES = 3
_SMALLEST_CAP = 10


class Keys:
    """The keys of a window, eight bytes each, to find one that came at two times."""

    def __init__(self) -> None:
        self._hashes = array("q")

    def add(self, rows: list[Row]) -> None:
        """Note the keys of rows which are different among themselves."""
        self._hashes.extend(hash(row.key) for row in rows)

    def check(self, endpoint: ListEndpoint) -> None:
        """Find a repeat, in slices that need little memory.

        :raises HyperoruContractError: there is one.
        """
        slices = len(self._hashes) // 250_000 + 1
        for number in range(slices):
            share = [value for value in self._hashes if value % slices == number] if slices > 1 else self._hashes
            if len(set(share)) != len(share):
                raise HyperoruContractError(
                    f"Two rows of different times have the same {', '.join(endpoint.key)}. If more fields are "
                    "needed to tell such rows apart, name them in the contract's key."
                )


class Plan:
    """Reads a window of any length in flat memory: in spans of a bounded number of rows, oldest first.

    A span that turns out to hold too many rows, or that a capped list can't show whole, is split and read again.
    ``query`` gives the parameters of the next request, or ``None`` at the end; ``accept`` takes its page, and
    gives the rows of a span once that is complete, sorted, each once.

    :param endpoint: the list.
    :param start: begin of the window, inclusive.
    :param end: end of the window, exclusive.
    :param filters: what else is asked for, by our names of the parameters.
    :param span_rows: rows to hold at most, but for those that share the shortest span.
    :param keys: those of a larger window of which this is a part, and whose reader checks them.
    :param spacing: rows are at least so far apart, as candles are; ``None`` if nothing is known.
    :param cap: where the server is known not to cut; ``None`` for the contract's.
    """

    def __init__(
        self,
        endpoint: WindowedEndpoint,
        start: datetime,
        end: datetime,
        filters: Mapping[str, Any],
        span_rows: int = 5_000,
        *,
        keys: Keys | None = None,
        spacing: timedelta | None = None,
        cap: int | None = None,
    ) -> None:
        self.endpoint = self._contracted = endpoint
        self._filters = filters
        self._span_rows = span_rows
        self._window = (start, end)
        self._passes = 0
        self._previous: frozenset[tuple[int | str, ...]] | None = None
        self._shown: set[tuple[int | str, ...]] = set()
        self._keys = Keys() if keys is None else keys
        self._part = keys is not None
        self._spacing = spacing
        #: An answer of so many rows or more may have been cut: one that is shorter than an earlier one was not.
        self.cap = cap or endpoint.cap or (1 if spacing else _SMALLEST_CAP)
        self._prove_first = endpoint.first_page is None and not self._part
        self._picker = Picker(endpoint, [*endpoint.key, endpoint.time, *endpoint.echoes])
        self._later: list[tuple[datetime, datetime]] = [(start, end)]
        self._reading: Reading | None = None
        self._rows: list[Row] = []

    def query(self) -> dict[str, str] | None:
        """Give the parameters of the next request, named as the server names them; ``None`` at the end."""
        if self._reading is None:
            if not self._later:
                return None
            span = self._later.pop()
            self._reading = Reading(
                self.endpoint, *span, self._filters, self._picker, self.cap, self._spacing, self._prove_first
            )
        return self._reading.query()

    def accept(self, page: Page) -> list[Row]:
        """Take the page of the last query; gives a span's rows if it is the last page of one, else none.

        :raises HyperoruContractError: the page proves that rows would be lost, doubled or changed.
        """
        reading = self._reading
        if reading is None:
            raise RuntimeError("accept() follows query()")
        try:
            self._rows += reading.accept(page)
        except (CappedError, ShortPagesError, UnsteadyError) as error:
            if not self._mend(reading, error):
                raise
            return []
        if reading.unnumbered:
            return []
        self._prove_first = False
        self.cap = max(self.cap, len(page.rows))
        if max(reading.total or 0, reading.seen) > self._span_rows and self._split(reading, self._pieces(reading)):
            return []
        if reading.query() is not None:
            return []
        if not self._settled(reading):
            return []
        self._passes, self._previous, self._shown = 0, None, set()
        if reading.seen == self.endpoint.page_size:  # all came with the first page, so nothing had been cut
            self.endpoint = self._contracted
        rows = sorted(self._rows, key=_rank)
        self._reading, self._rows = None, []
        self._keys.add(rows)
        if not self._later and not self._part:
            self.check()
        return rows

    def _mend(self, reading: Reading, error: HyperoruContractError) -> bool:
        """Read a span in another way; gives whether there is one."""
        if isinstance(error, CappedError):
            self.cap = max(self.cap, error.rows)
            return self._split(reading, 2)
        if isinstance(error, ShortPagesError):
            self.endpoint = self.endpoint.model_copy(update={"page_size": error.page_size})
        else:
            self._passes += 1
            if self._passes >= _PASSES:
                return False
        self._again(reading)
        return True

    def _settled(self, reading: Reading) -> bool:
        """Tell whether a span can be believed; else it is read again.

        If its pages overlapped, it must have been listed twice with the same rows: rows that arrive shift others onto
        the next page, which is harmless, but an order that changes hides some. And a row that an earlier reading
        showed must be there.

        :raises HyperoruContractError: it was another list each time.
        """
        keys = frozenset(row.key for row in self._rows)
        steady = not reading.overlapped or reading.total is not None or keys == self._previous
        if steady and keys >= self._shown:
            return True
        self._passes += 1
        if self._passes > _PASSES:
            raise HyperoruContractError(
                f"The list changed each of the {self._passes} times that it was read, so it can't be told whether it "
                "was complete. Export the window once it has settled."
            )
        self._previous = keys
        self._again(reading)
        return False

    def _again(self, reading: Reading) -> None:
        self._shown.update(row.key for row in self._rows)
        self._later.append((reading.start, reading.end))
        self._reading, self._rows = None, []

    def parts(self) -> list[Plan]:
        """Hand over the spans that are not begun, oldest first, as plans which may be carried out at once.

        Whoever takes them calls :meth:`check` when all are read.
        """
        spans = [*reversed(self._later)]
        self._later = []
        return [
            Plan(
                self.endpoint, *span, self._filters, self._span_rows,
                keys=self._keys, spacing=self._spacing, cap=self.cap,
            )
            for span in spans
        ]  # fmt: skip

    def check(self) -> None:
        """Find a key that came at two times, in all that was read.

        :raises HyperoruContractError: there is one.
        """
        self._keys.check(self.endpoint)

    @property
    def divided(self) -> bool:
        """Whether the window turned out to be too large for one span."""
        return bool(self._later) and self._reading is None and self._later != [self._window]

    def _pieces(self, reading: Reading) -> int:
        """Guess into how many spans of a bounded number of rows a span falls, a quarter more to be safe."""
        if reading.total:
            return -(-reading.total * 5 // (self._span_rows * 4))
        times = [row.time for row in self._rows] or [reading.start]
        covered = (max(times) - min(times)) / (reading.end - reading.start)  # rows mostly come in the order of time
        return min(int(1.25 / max(covered, 0.001)), 1000)

    def _split(self, reading: Reading, pieces: int) -> bool:
        """Read a span again in at least two pieces; gives whether it could be split."""
        start, end = reading.start, reading.end
        pieces = max(pieces, 2)
        step = (end - start) / pieces
        cuts = {floor(self.endpoint, start + step * number) for number in range(1, pieces)}
        bounds = [start, *sorted(cut for cut in cuts if start < cut < end), end]
        if len(bounds) == 2:
            return False
        self._later += reversed(list(pairwise(bounds)))
        self._reading, self._rows, self._shown = None, [], set()
        return True


def _rank(row: Row) -> tuple[datetime, list[tuple[int, int, str]]]:
    """Order rows by time, then by key: numbers first, and 9 before 10 also in texts."""
    return row.time, [(0, part, "") if isinstance(part, int) else (1, len(part), part) for part in row.key]

"""Rows of a list, column by column, and the slice of a list that is asked for. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from itertools import pairwise, takewhile
from operator import ge, le
from typing import Any, TypeAlias, overload

from msgspec import UNSET, Raw, Struct

from hyperoru_provider.client.api.endpoints import ListEndpoint
from hyperoru_provider.client.times import shift

#: the value of the field that names a row, or a tuple where several do
Key: TypeAlias = int | str | tuple[int | str, ...]


class Row(Struct, frozen=True, gc=False):
    """A row.

    :param time: its time, in UTC; ``None`` in a list without times.
    :param key: its key.
    :param raw: its JSON text, as the server sent it, in one line.
    """

    time: datetime | None
    key: Key
    raw: bytes


class Rows(Sequence[Row]):
    """Rows, column by column; a :class:`Row` is made only of those that are looked at.

    :param times: their times.
    :param keys: their keys.
    :param texts: their JSON texts.
    :param prepared: what a format has made of them ahead of writing: of the same length, and can be sliced.
    """

    __slots__ = ("keys", "prepared", "texts", "times")

    def __init__(
        self, times: Sequence[datetime | None], keys: Sequence[Key], texts: Sequence[bytes | Raw], prepared: Any = None
    ) -> None:
        self.times = times
        self.keys = keys
        self.texts = texts
        self.prepared = prepared

    def __len__(self) -> int:
        return len(self.texts)

    def __iter__(self) -> Iterator[Row]:
        return map(Row, self.times, self.keys, map(bytes, self.texts))

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Rows: ...
    def __getitem__(self, index: int | slice) -> Row | Rows:
        if isinstance(index, slice):
            prepared = None if self.prepared is None else self.prepared[index]
            return Rows(self.times[index], self.keys[index], self.texts[index], prepared)
        return Row(self.times[index], self.keys[index], bytes(self.texts[index]))

    def in_order(self) -> Rows:
        """Return the rows by time, then key: numbers first, and 9 before 10 also in texts."""
        if len(self) < 2:
            return self
        numbers = set(map(type, self.keys)) == {int}
        moments: Sequence[Any] = self.times if self.times[0] is not None else [_NO_TIME] * len(self)
        ranks: Sequence[Any] = self.keys if numbers else [*map(_rank, self.keys)]
        for compare, ordered in ((le, self), (ge, self[::-1])):
            if all(map(compare, moments, moments[1:])) and all(map(compare, ranks, ranks[1:])):
                return ordered
        order = list(zip(moments, ranks, strict=True))
        return self.take(sorted(range(len(self)), key=order.__getitem__))

    def take(self, places: Sequence[int]) -> Rows:
        """Return the rows at these places."""
        times, keys, texts = self.times, self.keys, self.texts
        return Rows([times[n] for n in places], [keys[n] for n in places], [texts[n] for n in places])

    def after(self, last: Row) -> Rows:
        """Return those that come after a row, of rows in order."""
        rank = (last.time, _rank(last.key))
        ranks = ((moment, _rank(key)) for moment, key in zip(self.times, self.keys, strict=True))
        return self[sum(1 for _ in takewhile(lambda each: each <= rank, ranks)) :]


NO_ROWS = Rows((), (), ())
_LONGEST_KEY = 500  # characters, for each field of a key
_NO_TIME = datetime.min.replace(tzinfo=UTC)


def key_of(parts: Sequence[int | str]) -> Key:
    """Return the key that these values make up."""
    return parts[0] if len(parts) == 1 else tuple(parts)


def key_part(value: int | str) -> int | str:
    """Return a value of a key's field, which is the same whether the server sends a number or its text.

    :raises ValueError: it is longer than an index of a database can hold.
    """
    if isinstance(value, str) and len(value) > _LONGEST_KEY:
        raise ValueError(f"{value[:40]}... has {len(value)} characters, and a key at most {_LONGEST_KEY}")
    if isinstance(value, str) and value.isascii() and value.removeprefix("-").isdecimal():
        number = int(value)
        return number if str(number) == value else value
    return value


def parts_of(key: Key) -> tuple[int | str, ...]:
    """Return the values of all fields of a key."""
    return key if isinstance(key, tuple) else (key,)


def _rank(key: Key) -> list[tuple[int, int, str]]:
    return [(0, part, "") if isinstance(part, int) else (1, len(part), part) for part in parts_of(key)]


@dataclass(frozen=True)
class TimeSlice:
    """The rows of a list that are asked for: those of a time, or all.

    :param endpoint: the list.
    :param filters: what limits the rows, beside their time, by our names of the parameters.
    :param start: start of the time, inclusive; ``None`` with ``end`` for the whole of a list that has no times.
    :param end: end of the time, exclusive.
    :param early: whether a second or day more is asked for, as a server may leave out the rows of exactly the start,
        and its days may be those of another time zone.
    :param late: whether so much more is asked for at the end, too: it may compare another time than it lists, such as
        that at which a row was stored.
    """

    endpoint: ListEndpoint
    filters: Mapping[str, Any]
    start: datetime | None = None
    end: datetime | None = None
    early: bool = True
    late: bool = True

    @property
    def reads_back(self) -> bool:
        """Whether the list is read from its newest row back to before this time, for which no server can be asked."""
        return self.start is not None and self.endpoint.time_filter == "none"

    @property
    def is_filtered(self) -> bool:
        """Whether the server is asked for just this time."""
        return self.start is not None and not self.reads_back

    def values(self) -> dict[str, Any]:
        """Return the parameters of a request for this slice, by our names."""
        if not self.is_filtered:
            return dict(self.filters)
        first, last = self.request_range
        return {**self.filters, "start": first, "end": last}

    @cached_property
    def request_range(self) -> tuple[datetime, datetime]:
        """The time, widened to bounds that the server can't cut: rows outside are dropped here."""
        start, end = self.bounds
        first, last = self.floor(start), self.ceiling(end)
        return shift(first, -self.grain) if self.early else first, shift(last, self.grain) if self.late else last

    @cached_property
    def accepted_range(self) -> tuple[datetime, datetime]:
        """The earliest and latest time that a server which keeps to the filter may list.

        It may include the end, compare a time a moment before or after the one that it lists, and its days may begin
        half a day before ours or after.
        """
        if self.reads_back:
            return _NO_TIME, datetime.max.replace(tzinfo=UTC)
        first, last = self.request_range
        return shift(first, -self.grain), shift(last, 2 * self.grain - timedelta.resolution)

    @property
    def bounds(self) -> tuple[datetime, datetime]:
        """The start and the end of a slice that has them."""
        if self.start is None or self.end is None:
            raise ValueError("The list is not read by time.")
        return self.start, self.end

    def matches(self, field: str, sent: Any) -> bool:
        """Return whether a row's field is what was asked for, if it was and the row has it."""
        wanted = self.filters.get(field)
        return wanted is None or sent in (None, UNSET) or str(wanted).casefold() == str(sent).casefold()

    def holds(self, moment: datetime | None) -> bool:
        """Return whether a row of this time is inside the slice."""
        return self.start is None or self.end is None or moment is None or self.start <= moment < self.end

    def part(self, start: datetime, end: datetime) -> TimeSlice:
        """Return the slice of another time."""
        return replace(self, start=start, end=end)

    @property
    def can_be_split(self) -> bool:
        """Whether the server can be asked for less time at once."""
        if not self.is_filtered:
            return False
        first, last = self.bounds
        return self.floor(last - timedelta.resolution) > first

    def split(self, pieces: int) -> list[TimeSlice]:
        """Return at least two slices that together are this one, oldest first."""
        first, last = self.bounds
        step = (last - first) / max(pieces, 2)
        cuts = {self.floor(first + step * number) for number in range(1, max(pieces, 2))}
        cuts = {cut for cut in cuts if first < cut < last} or {self.floor(last - timedelta.resolution)}
        bounds = [first, *sorted(cuts), last]
        return [self.part(*each) for each in pairwise(bounds)]

    def ceiling(self, moment: datetime) -> datetime:
        """Return the first moment from this one on at which any server can filter: a whole second, or day."""
        floor = self.floor(moment)
        return floor if floor == moment else shift(floor, self.grain)

    def floor(self, moment: datetime) -> datetime:
        """Return the start of the second, or day, in which a moment is."""
        midnight = datetime.combine(moment, time.min, UTC)
        return midnight + (moment - midnight) // self.grain * self.grain

    @property
    def grain(self) -> timedelta:
        """The finest step of time that every server with this kind of filter compares."""
        return timedelta(days=1) if self.endpoint.time_filter == "day" else timedelta(seconds=1)

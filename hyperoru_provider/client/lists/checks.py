"""Whether rows are what was asked for, and which of them are new. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import chain, islice
from operator import attrgetter, ge, le
from typing import Any, NamedTuple

import msgspec

from hyperoru_provider.client.api.endpoints import ListEndpoint
from hyperoru_provider.client.decoding import NOT_JSON, canonical
from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.lists.page import Page
from hyperoru_provider.client.lists.rows import Key, Rows, TimeSlice, key_of, key_part, parts_of
from hyperoru_provider.client.surrogates import replace_halves
from hyperoru_provider.client.times import format_time, parse_time, parse_times

_ROWS_IN_ORDER = 10


class Fields(NamedTuple):
    """What is looked at of a page's rows, column by column; ``UNSET`` where a row has no such field.

    :param key: each part of the keys.
    :param times: the rows' times, as the server wrote them; ``None`` in a list without times.
    :param verified: fields by which a row shows that it belongs to what was asked for.
    """

    key: list[list[Any]]
    times: list[Any] | None
    verified: dict[str, list[Any]]


class FieldExtractor:
    """Reads a few fields of all rows of a page at once, much faster than :func:`canonical` does.

    :param endpoint: the list.
    :param filters: what limits the rows: only fields that were asked for are verified.
    """

    def __init__(self, endpoint: ListEndpoint, filters: Mapping[str, Any]) -> None:
        self._key = endpoint.key
        self._time = endpoint.time
        self._verified = [field for field in endpoint.verified_fields if filters.get(field) is not None]
        self._aliases = {
            field: endpoint.names_of(field) for field in (*self._key, *filter(None, [self._time]), *self._verified)
        }
        attribute_of = {name: f"f{n}" for n, name in enumerate(dict.fromkeys(chain(*self._aliases.values())))}
        self._attributes = {field: [attribute_of[name] for name in aliases] for field, aliases in self._aliases.items()}
        struct = msgspec.defstruct(
            "ExtractedFields",
            [(attribute, Any, msgspec.UNSET) for attribute in attribute_of.values()],
            rename={attribute: name for name, attribute in attribute_of.items()},
            gc=False,
        )
        self._decoder = msgspec.json.Decoder(list[struct])  # type: ignore[valid-type]

    def read(self, page: Page) -> Fields | None:
        """Return the fields, or ``None`` if the rows differ in how they name one, or one is no object."""
        try:
            rows = self._decoder.decode(page.text)
        except NOT_JSON:
            return None
        columns: dict[str, list[Any]] = {}
        for field, attributes in self._attributes.items():
            for attribute in attributes:
                values = list(map(attrgetter(attribute), rows))
                missing = values.count(msgspec.UNSET)
                if missing == 0:
                    break
                if missing < len(rows):
                    return None
            columns[field] = values
        return Fields(
            key=[columns[field] for field in self._key],
            times=columns[self._time] if self._time else None,
            verified={field: columns[field] for field in self._verified},
        )


class ListedTimes:
    """In which order of time rows are listed, and how far they go.

    :ivar newest_first: whether no row is later than one before it.
    :ivar oldest_first: whether no row is earlier than one before it.
    """

    def __init__(self) -> None:
        self.rows = 0
        self.newest_first = self.oldest_first = True
        self.earliest: datetime | None = None
        self.latest: datetime | None = None
        self._last: datetime | None = None

    @property
    def shows_an_order(self) -> bool:
        """Whether there are enough rows of different times to be in order not just by chance."""
        return self.rows >= _ROWS_IN_ORDER and self.newest_first != self.oldest_first

    def add(self, times: Sequence[datetime]) -> tuple[datetime, datetime]:
        """Take the times of further rows, in the order of the list, and return the earliest and the latest of them."""
        self.rows += len(times)
        last = times[0] if self._last is None else self._last
        self.newest_first = self.newest_first and last >= times[0] and _is_ordered(times, ge)
        self.oldest_first = self.oldest_first and last <= times[0] and _is_ordered(times, le)
        earliest, latest = spread(times)
        self.earliest = earliest if self.earliest is None else min(earliest, self.earliest)
        self.latest = latest if self.latest is None else max(latest, self.latest)
        self._last = times[-1]
        return earliest, latest


def spread(times: Sequence[datetime]) -> tuple[datetime, datetime]:
    """Return the earliest and the latest time; fast where they are in order, as they mostly are."""
    if _is_ordered(times, ge):
        return times[-1], times[0]
    return min(times), max(times)


def _is_ordered(times: Sequence[datetime], compare: Callable[[Any, Any], bool]) -> bool:
    return all(map(compare, times, islice(times, 1, None)))


class RowCollector:
    """The rows of a slice, each once, as its pages come.

    :param time_slice: what is asked for.
    :param extractor: reads what is looked at of the rows.
    """

    def __init__(self, time_slice: TimeSlice, extractor: FieldExtractor) -> None:
        self.listed = ListedTimes()
        #: whether a page had a row twice
        self.doubled = False
        #: the different times of rows before the slice, of a list that can't be asked for it
        self.older: set[datetime] = set()
        self._slice = time_slice
        self._endpoint = time_slice.endpoint
        self._extractor = extractor
        self._known: dict[Key, bytes | msgspec.Raw] = {}
        self._times: list[Any] = []
        self._keys: list[Key] = []
        self._texts: list[bytes | msgspec.Raw] = []

    @property
    def rows(self) -> Rows:
        """The rows inside the slice, in the order in which they were listed."""
        return Rows(self._times, self._keys, self._texts)

    def add(self, page: Page) -> int:
        """Check a page's rows, keep those that are new and inside the slice, and return how many are new.

        :raises HyperoruContractError: a row is not what was asked for, or has no key or time.
        """
        found = self._all_at_once(page)
        if found is None:  # something is odd: find out what, row by row
            found = self._one_by_one(page)
        new = len(found)
        if found and self._slice.start is not None:
            times: Any = found.times
            earliest, latest = self.listed.add(times)
            start, end = self._slice.bounds
            if self._slice.reads_back:
                self.older.update(moment for moment in times if moment < start)
            if not (start <= earliest and latest < end):
                found = found.take([place for place, moment in enumerate(times) if start <= moment < end])
        self._times += found.times
        self._keys += found.keys
        self._texts += found.texts
        return new

    def _all_at_once(self, page: Page) -> Rows | None:
        """Return all rows of a page, or ``None`` if not all of them are new and right."""
        fields = self._extractor.read(page)
        if fields is None or not page.texts:
            return None
        texts = page.lines
        try:
            times: list[Any] = (
                [None] * len(texts) if fields.times is None else parse_times(fields.times, self._endpoint.time_format)
            )
            keys = self._keys_of([_key_parts(part) for part in fields.key], len(texts))
            fresh = dict(zip(keys, texts, strict=True))
            right = (
                len(fresh) == len(keys)
                and self._known.keys().isdisjoint(fresh)
                and (self._slice.start is None or self._in_range(*spread(times)))
                and all(
                    self._slice.matches(field, sent)
                    for field, column in fields.verified.items()
                    for sent in set(column)
                )
            )
        except (ValueError, TypeError, KeyError):
            return None
        if not right:
            return None
        self._known.update(fresh)
        return Rows(times, keys, texts)

    def _keys_of(self, parts: list[list[Any]], rows: int) -> list[Key]:
        """Return the rows' keys; where the list has none, a row is named by its place."""
        match parts:
            case []:
                return list(range(len(self._known), len(self._known) + rows))
            case [values]:
                return values  # a tuple for each row would have the garbage collector look at all of them
            case _:
                return list(zip(*parts, strict=True))

    def _in_range(self, earliest: datetime, latest: datetime) -> bool:
        first, last = self._slice.accepted_range
        return first <= earliest and latest <= last

    def _one_by_one(self, page: Page) -> Rows:
        """Return the rows of a page that are new.

        :raises HyperoruContractError: one is not what was asked for; the text names it.
        """
        times, keys, texts = [], [], []
        on_page = set()
        for raw in map(bytes, page.lines):
            data = canonical(raw, self._endpoint)
            key = self._key_of(data)
            self.doubled |= key in on_page
            on_page.add(key)
            known = self._known.get(key)
            if known is None:
                self._known[key] = raw
                times.append(self._checked_time(data, key))
                keys.append(key)
                texts.append(raw)
            elif bytes(known) != raw and not self._is_same(bytes(known), raw):
                raise HyperoruContractError(
                    f"The key {self._named(key)} occurs twice, with different content. If more fields are needed to "
                    "tell such rows apart, name them in the contract's key."
                )
        return Rows(times, keys, texts)

    def _key_of(self, data: Mapping[str, Any]) -> Key:
        if not self._endpoint.key:
            return len(self._known)
        parts = []
        for field in self._endpoint.key:
            value = data.get(field)
            if value is None or value == "" or isinstance(value, (bool, dict, list)):
                raise HyperoruContractError(
                    f"A row has no {field}, which the contract names as its key: "
                    f"its fields are {', '.join(data)}. Correct the contract's key or fields."
                )
            try:
                parts.append(value if type(value) is int else key_part(str(value)))
            except ValueError as error:
                raise HyperoruContractError(
                    f"A row has no usable {field}: {error}. Correct the contract's key or fields."
                ) from None
        return key_of(parts)

    def _is_same(self, *texts: bytes) -> bool:
        """Return whether rows of one key have the same content: the key may be a number once and text once."""
        if any(replace_halves(text) != text for text in texts):  # one half of a character is read as any other
            return False
        one, other = (canonical(text, self._endpoint) for text in texts)
        return one == {**other, **{field: one[field] for field in self._endpoint.key}}

    def _checked_time(self, data: Mapping[str, Any], key: Key) -> datetime | None:
        """Return a row's time, once all of it that can be checked is what was asked for."""
        moment = None
        if self._endpoint.time is not None:
            try:
                moment = parse_time(data.get(self._endpoint.time), self._endpoint.time_format)
            except ValueError as error:
                raise HyperoruContractError(
                    f"The row {self._named(key)} has no usable {self._endpoint.time}: {error}; its fields are "
                    f"{', '.join(data)}. Correct the contract's time and fields, or its time_format."
                ) from None
            if self._slice.start is not None and not self._in_range(moment, moment):
                start, end = self._slice.bounds
                raise HyperoruContractError(
                    f"The row {self._named(key)} has the time {format_time(moment)}, but {format_time(start)} to "
                    f"{format_time(end)} was requested: the server seems to ignore its time filter. Correct the "
                    "contract's params start and end; if it filters by whole days, set its time_filter to 'day'."
                )
        for field in self._endpoint.verified_fields:
            if not self._slice.matches(field, data.get(field)):
                in_path = field in self._endpoint.path_names
                remedy = "path" if in_path else f"params {field}, or leave the filter out"
                raise HyperoruContractError(
                    f"The row {self._named(key)} has {field} {data[field]}, but {self._slice.filters[field]} was "
                    f"requested: the server seems to ignore this filter. Correct the contract's {remedy}."
                )
        return moment

    def _named(self, key: Key) -> str:
        if not self._endpoint.key:
            return f"number {len(self._known)}"
        return ", ".join(f"{field}={value}" for field, value in zip(self._endpoint.key, parts_of(key), strict=True))


def _key_parts(values: list[Any]) -> list[int | str]:
    """Return the values of a key's field, ready to be compared.

    :raises ValueError: one can't be part of a key.
    """
    types = set(map(type, values))
    if types == {int}:
        return values
    if not types <= {int, str} or "" in values:
        raise ValueError("A row lacks its key")
    return list(map(key_part, values))

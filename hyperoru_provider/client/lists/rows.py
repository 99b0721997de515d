"""Rows of a list, and the span of time of which they are. Pure: no I/O."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from typing import Any, TypeAlias

from msgspec import UNSET, Struct

from hyperoru_provider.client.api.endpoints import ListEndpoint, WindowedEndpoint

Key: TypeAlias = tuple[int | str, ...]


class Row(Struct, frozen=True, gc=False):
    """A row of a window.

    :param time: its time, in UTC.
    :param key: its key, of numbers and texts.
    :param raw: its JSON text, as the server sent it, in one line.
    """

    time: datetime
    key: Key
    raw: bytes


class BulkRows(Sequence[Row]):
    """Rows that were checked and sorted all at once, and are objects only when asked for."""

    @abstractmethod
    def key_columns(self) -> list[list[int | str]]:
        """Give each part of the keys, in the order of the rows."""


@dataclass(frozen=True)
class Span:
    """Which rows of a list are asked for.

    :param endpoint: the list.
    :param start: begin of the window, inclusive.
    :param end: end of the window, exclusive.
    :param filters: what else is asked for, by our names of the parameters.
    """

    endpoint: WindowedEndpoint
    start: datetime
    end: datetime
    filters: Mapping[str, Any]

    @cached_property
    def asked(self) -> tuple[datetime, datetime]:
        """The window, widened to bounds that the server can't cut: what is outside is dropped here."""
        last = floor(self.endpoint, self.end)
        return floor(self.endpoint, self.start), last if last == self.end else last + _grain(self.endpoint)

    @cached_property
    def slack(self) -> tuple[datetime, datetime]:
        """The earliest and latest time that a server which keeps to the filter may list: it may include the end."""
        first, last = self.asked
        return first, last + _grain(self.endpoint) - timedelta.resolution

    def verified_fields(self, field: str, sent: Any) -> bool:
        """Tell whether a row's field is what was asked for, if it was and the row has it."""
        asked = self.filters.get(field)
        return asked is None or sent in (None, UNSET) or str(asked).casefold() == str(sent).casefold()


def _grain(endpoint: ListEndpoint) -> timedelta:
    """The finest step of time that every server with this kind of filter compares."""
    return timedelta(days=1) if endpoint.time_filter == "day" else timedelta(seconds=1)


def floor(endpoint: ListEndpoint, moment: datetime) -> datetime:
    """Cut a moment to where any server can filter: a whole second, or day."""
    midnight = datetime.combine(moment, time.min, UTC)
    grain = _grain(endpoint)
    return midnight + (moment - midnight) // grain * grain

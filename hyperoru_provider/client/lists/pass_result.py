"""What a pass over a slice of a list is held against, and what comes of it. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple, TypeAlias

from hyperoru_provider.client.lists.rows import Key, Rows


class Incomplete(NamedTuple):
    """A further answer is needed."""


class Split(NamedTuple):
    """The slice can't be read at once: read it in pieces."""

    pieces: int


class Reread(NamedTuple):
    """The pass proves nothing: read the slice again.

    :param reason: why, for the error if it remains so.
    :param page_size: rows to ask for at once from now on; ``None`` for as many as now.
    :param keys: the rows of a pass that came to its end; ``None`` for one that did not.
    """

    reason: str
    page_size: int | None = None
    keys: Set[Key] | None = None


class Complete(NamedTuple):
    """The rows of the slice, all of them, as they were listed.

    :param is_stated: whether the server itself said that they are all.
    """

    rows: Rows
    is_stated: bool


PassResult: TypeAlias = Incomplete | Split | Reread | Complete


@dataclass
class Knowledge:
    """What was learned of a list so far, and holds for each pass over it.

    :param page_size: rows to ask for at once.
    :param first_page: number of the first page; ``None``: not known yet.
    :param longest: rows of the longest answer, which the server did not cut to less.
    :param largest_total: the most rows that the server counted, so that it does not stop to count at fewer.
    """

    page_size: int | None
    first_page: int | None
    longest: int = 0
    largest_total: int = 0


@dataclass(frozen=True)
class Expectation:
    """What a pass is held against.

    :param most_rows: more rows than this are read in pieces.
    :param spacing: rows are at least so far apart, as candles are; ``None`` if nothing is known.
    :param shown: rows of the slice that were seen already, and must be there.
    :param previous: the rows of the pass before; ``None`` if there was none.
    """

    most_rows: int
    spacing: timedelta | None = None
    shown: Set[Key] = frozenset()
    previous: Set[Key] | None = None

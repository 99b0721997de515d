"""What differs between two exports of one window, row by row."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from hyperoru_provider.export.formats.encoder import WrittenRow


class RowChanges(NamedTuple):
    """How many rows differ from the earlier ones."""

    added: int
    removed: int
    changed: int

    def describe(self) -> str:
        """Return the numbers in words: ``2 rows added, 1 changed``."""
        found = [f"{count} {name}" for name, count in self._asdict().items() if count]
        first, *others = found or ["0 changed"]
        number, _, name = first.partition(" ")
        return ", ".join([f"{number} row{'s' if number != '1' else ''} {name}", *others])


def compare(old: Iterable[WrittenRow], new: Iterable[WrittenRow], key: Sequence[str]) -> RowChanges:
    """Return which rows were added, removed or changed.

    Both are in the same order, so that few rows wait for the one of the same key: memory depends on how many differ.

    :param old: the earlier rows.
    :param new: those that there are now.
    :param key: the fields that together name a row.
    """
    removed: dict[Any, bytes] = {}
    added: dict[Any, bytes] = {}
    changed = 0
    for pair in zip_longest(old, new):
        for row, mine, others in zip(pair, (removed, added), (added, removed), strict=True):
            if row is None:
                continue
            content = repr(row.content)
            digest = hashlib.blake2b(content.encode(), digest_size=16).digest()
            # a row that lacks a field of its key is told apart by all that it is
            name = tuple(str(row.fields[field]) for field in key) if row.fields.keys() >= {*key} else content
            if name in others:
                changed += others.pop(name) != digest
            else:
                mine[name] = digest
    return RowChanges(len(added), len(removed), changed)

"""What differs between two exports of a window."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperoru_provider.export.formats.encoder import WrittenRow
from hyperoru_provider.export.row_changes import RowChanges, compare

#: key of a row -> its time and content
_tables = st.dictionaries(st.integers(0, 30), st.tuples(st.integers(0, 5), st.integers(0, 2)))


def written(table: Mapping[int, tuple[int, int]]) -> Iterator[WrittenRow]:
    """Yield rows in the order of an export."""
    for key, (time, content) in sorted(table.items(), key=lambda item: (item[1][0], item[0])):
        yield WrittenRow({"id": key}, f"{key} {time} {content}".encode())


@given(_tables, _tables)
def test_each_row_is_counted_as_what_it_is(old: dict[int, tuple[int, int]], new: dict[int, tuple[int, int]]) -> None:
    assert compare(written(old), written(new), ["id"]) == RowChanges(
        added=len(new.keys() - old.keys()),
        removed=len(old.keys() - new.keys()),
        changed=sum(old[key] != new[key] for key in old.keys() & new.keys()),
    )


def test_a_key_is_the_same_as_number_and_text() -> None:
    assert compare([WrittenRow({"id": 7}, b"a")], [WrittenRow({"id": "7"}, b"b")], ["id"]) == (0, 0, 1)


def test_a_key_may_be_several_fields() -> None:
    rows = [WrittenRow({"id": "7", "fill": fill}, b"%d" % fill) for fill in range(3)]
    assert compare(rows[:2], rows[1:], ["id", "fill"]) == (1, 1, 0)


@pytest.mark.parametrize("fields", [{}, {"other": "7"}])
def test_rows_without_their_key_are_told_apart_by_all_that_they_are(fields: dict[str, str]) -> None:
    old, new = ([WrittenRow(fields, content) for content in contents] for contents in ((b"a", b"b"), (b"b", b"c")))
    assert compare(old, new, ["id"]) == (1, 1, 0)


def test_memory_depends_on_what_differs() -> None:
    def rows(suffix: bytes) -> Iterator[WrittenRow]:
        return (WrittenRow({"id": number}, suffix * 500) for number in range(50_000))

    tracemalloc.start()
    try:
        assert compare(rows(b"a"), rows(b"b"), ["id"]) == (0, 0, 50_000)
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (RowChanges(2, 0, 1), "2 rows added, 1 changed"),
        (RowChanges(1, 3, 0), "1 row added, 3 removed"),
        (RowChanges(0, 0, 1), "1 row changed"),
        (RowChanges(0, 0, 0), "0 rows changed"),
    ],
)
def test_they_are_told_in_words(changes: RowChanges, text: str) -> None:
    assert changes.describe() == text

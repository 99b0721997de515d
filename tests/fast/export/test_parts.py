from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperoru_provider.client.lists.rows import Row, Rows
from hyperoru_provider.export import parts as module
from hyperoru_provider.export.parts import PartSplitter

NOW = datetime(2026, 1, 15, tzinfo=UTC)


def rows_of(sizes: list[int]) -> Rows:
    """Make rows which come to so many bytes as JSON lines."""
    keys = list(range(len(sizes)))
    return Rows([NOW] * len(sizes), keys, [b"x" * (size - 1) for size in sizes])


def split(rows: Rows, length: int, rows_per_part: int, bytes_per_part: int | None) -> list[list[list[Row]]]:
    batches = [rows[first : first + length] for first in range(0, len(rows), length)]
    splitter = PartSplitter(batches, rows_per_part, bytes_per_part)
    parts = []
    while splitter.more():
        parts.append([[row for piece in batch for row in piece] for batch in splitter.part()])
    return parts


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_ROWS", 3)


def plainly(rows: Rows, rows_per_part: int, bytes_per_part: int | None) -> list[list[Row]]:
    """Split as the documentation says."""
    parts: list[list[Row]] = []
    for row in rows:
        part = parts[-1] if parts else []
        size = sum(len(other.raw) + 1 for other in [*part, row])
        if not part or len(part) == rows_per_part or (bytes_per_part is not None and size > bytes_per_part):
            parts.append([])
        parts[-1].append(row)
    return parts


def test_parts_by_rows() -> None:
    assert [[len(batch) for batch in part] for part in split(rows_of([5] * 10), 4, 4, None)] == [[3, 1], [3, 1], [2]]


def test_parts_by_bytes() -> None:
    sizes = [10, 10, 10, 5, 36, 1, 35, 100, 1]
    parts = split(rows_of(sizes), 100, 100, 35)
    assert [[len(row.raw) + 1 for batch in part for row in batch] for part in parts] == [
        [10, 10, 10, 5],  # exactly as many as fit
        [36],  # one row is a part, whatever its size
        [1],
        [35],
        [100],
        [1],
    ]


def test_no_rows_are_no_part() -> None:
    assert split(rows_of([]), 1, 10, 10) == []


@given(
    sizes=st.lists(st.integers(1, 20), max_size=40),
    rows_per_part=st.integers(1, 12),
    bytes_per_part=st.none() | st.integers(1, 120),
    lengths=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_parts_end_at_the_same_rows_however_they_come(
    sizes: list[int], rows_per_part: int, bytes_per_part: int | None, lengths: tuple[int, int]
) -> None:
    rows = rows_of(sizes)
    one, other = (split(rows, length, rows_per_part, bytes_per_part) for length in lengths)
    assert one == other  # their batches, too
    assert [[row for batch in part for row in batch] for part in one] == plainly(rows, rows_per_part, bytes_per_part)

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from hyperoru_provider.client.api.contract import DEFAULT_CONTRACT
from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.lists.duplicates import DuplicateDetector
from hyperoru_provider.client.lists.rows import Rows

NOW = datetime(2026, 1, 15, tzinfo=UTC)
PARTS: list[list[Any]] = [[(1, "a"), (2, "b"), ("3", "ü")], [(-1, 7), (-3, 8)], ["only"], [2**70]]


def rows_of(keys: list[Any]) -> Rows:
    return Rows([NOW] * len(keys), keys, [b""] * len(keys))


def keys_of(*batches: list[Any]) -> DuplicateDetector:
    detector = DuplicateDetector()
    for keys in batches:
        detector.add(rows_of(keys))
    return detector


def check(detector: DuplicateDetector) -> None:
    detector.check(DEFAULT_CONTRACT.trades)


def test_a_repeat_is_found() -> None:
    check(keys_of([1, 2], [3, "1"]))
    check(keys_of([("a", 1), ("a", 2)], [(1, "a"), ("1", "a")]))
    for repeated, other in [(2, 5), ("x", "y"), (("x", 4), ("x", "4"))]:
        with pytest.raises(HyperoruContractError, match="different times"):
            check(keys_of([repeated, other], [repeated]))


@pytest.mark.parametrize("one", [-1, 0, 7, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize("distance", [1, 2**61 - 1, 2**64])
def test_numbers_that_python_hashes_alike_are_different_ids(one: int, distance: int) -> None:
    other = one - distance
    check(keys_of([one], [other]))
    check(keys_of([(one, "a")], [(other, "a")]))
    check(keys_of([(one, 7)], [(other, 7), ("x", 7)]))
    with pytest.raises(HyperoruContractError, match="different times"):
        check(keys_of([other], [one, 3], [5, other]))


def test_texts_that_join_alike_are_different_keys() -> None:
    check(keys_of([("a", "bc"), ("a\0", "b")], [("ab", "c"), ("a", "\0b")]))


def test_a_repeat_is_found_among_many() -> None:
    many = list(range(600_000))
    check(keys_of(many))
    with pytest.raises(HyperoruContractError, match="different times"):
        check(keys_of(many, [17]))


@pytest.mark.parametrize("make", [lambda number: -number, lambda number: f"trade-{number}"])
def test_a_repeat_is_found_among_many_in_no_order(make: Callable[[int], int | str]) -> None:
    many = [make(number) for number in range(200_000)]
    check(keys_of(many[:150_000], many[150_000:]))
    for again in (0, 49_999, 123_456, 199_998):
        with pytest.raises(HyperoruContractError, match="different times"):
            check(keys_of(many, [many[again]]))


@pytest.mark.parametrize("distance", [1, 9 * 2**22])
def test_they_are_not_held_in_memory(distance: int) -> None:
    detector = DuplicateDetector()
    tracemalloc.start()
    try:
        for first in range(0, 400_000, 2_500):
            detector.add(rows_of([-distance * number for number in range(first, first + 2_500)]))
        assert tracemalloc.get_traced_memory()[1] < 1_000_000  # they are 3,200,000 bytes
        check(detector)
        assert tracemalloc.get_traced_memory()[1] < 6_000_000  # as Python's numbers they are 30,000,000
    finally:
        tracemalloc.stop()


def test_what_was_recorded_is_loaded() -> None:
    keys = keys_of(*PARTS)
    recorded = keys.dump(0, 7)
    assert len(recorded) == 7 * 8
    assert keys.dump(3, 2) == recorded[24:40]
    later = DuplicateDetector()
    later.load(recorded)
    check(later)
    later.add(rows_of(["only"]))
    with pytest.raises(HyperoruContractError):
        check(later)


def test_they_are_the_same_in_every_process() -> None:
    script = (
        "import sys; from tests.fast.client.test_duplicates import PARTS, keys_of;"
        "sys.stdout.write(keys_of(*PARTS).dump(0, 7).hex())"
    )
    for seed in ("1", "2"):
        found = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join([".", *sys.path])},
            capture_output=True,
            text=True,
            check=True,
        )
        assert found.stdout == keys_of(*PARTS).dump(0, 7).hex()

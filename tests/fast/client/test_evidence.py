"""What pages prove, and what must be asked for before a slice is believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from hyperoru_provider.client.api.contract import load_contract
from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.lists.checks import ListedTimes
from hyperoru_provider.client.lists.evidence import ListEvidence, doubt
from hyperoru_provider.client.lists.page import Page
from hyperoru_provider.client.lists.rows import TimeSlice

DAY = datetime(2026, 3, 1, tzinfo=UTC)
ENDPOINT = load_contract().trades


def at(seconds: float) -> datetime:
    return DAY + timedelta(seconds=seconds)


def page(first: int, rows: int, total: int | None = None) -> Page:
    return Page([msgspec.Raw(b'{"id":%d}' % number) for number in range(first, first + rows)], total=total)


def evidence(*pages: tuple[Page, int], page_size: int | None = 5, largest_total: int = 0) -> ListEvidence:
    """Weigh pages, of which so many rows are new."""
    found = ListEvidence(ENDPOINT, page_size, largest_total)
    for each, new in pages:
        found.add(each, new)
    return found


@pytest.mark.parametrize(
    ("totals", "counted"),
    [((7, 7), True), ((7, 8), False), ((8, 7), False), ((9, 9), False), ((6, 6), False), ((None, None), False)],
)
def test_a_total_proves_something_if_it_was_met_throughout(totals: tuple[int | None, ...], counted: bool) -> None:
    assert evidence((page(0, 5, totals[0]), 5), (page(5, 2, totals[1]), 2)).counted is counted


@pytest.mark.parametrize("total", [10, 20, 100])
def test_a_round_total_proves_nothing(total: int) -> None:
    assert not evidence((page(0, total, total), total), page_size=500).counted


@pytest.mark.parametrize(("largest_total", "counted"), [(0, False), (10, False), (11, True), (2000, True)])
def test_a_round_total_is_no_limit_of_a_server_that_counted_further(largest_total: int, counted: bool) -> None:
    pages = (page(0, 5, 10), 5), (page(5, 5, 10), 5)
    assert evidence(*pages, largest_total=largest_total).counted is counted


def test_a_total_of_nothing_is_met() -> None:
    assert evidence((page(0, 0, 0), 0)).counted


def test_a_total_that_is_not_met_says_what_is_missing() -> None:
    assert "reports a total of 9 rows, but listed 7" in (evidence((page(0, 5, 9), 5), (page(5, 2, 9), 2)).missing or "")
    assert "8 rows at first and 9" in (evidence((page(0, 5, 8), 5), (page(5, 2, 9), 2)).missing or "")
    assert evidence((page(0, 5, 7), 5), (page(5, 2, 7), 2)).missing is None


def test_pages_that_overlap_or_a_count_that_falls_are_not_steady() -> None:
    assert evidence((page(0, 5), 5), (page(5, 5), 5)).steady
    assert not evidence((page(0, 5), 5), (page(4, 5), 4)).steady
    assert not evidence((page(0, 5, 12), 5), (page(5, 5, 11), 5)).steady
    assert evidence((page(0, 5), 4)).steady  # a row twice on the first page hides none


def test_a_page_that_comes_again_is_an_error() -> None:
    with pytest.raises(HyperoruContractError, match="same page twice"):
        evidence((page(0, 5), 5), (page(0, 5), 0))


def test_short_pages() -> None:
    assert evidence((page(0, 3), 3)).pages_are_short
    assert not evidence((page(0, 5), 5)).pages_are_short
    assert not evidence((page(0, 4, 7), 4), (page(4, 3, 7), 3)).pages_are_short
    assert evidence((page(0, 3, 3), 3)).pages_are_short  # the total may count the page
    assert evidence((page(0, 3), 3)).short_page == 3
    assert evidence((page(0, 5), 5), (page(5, 3), 3)).short_page == 3
    assert evidence((page(0, 5), 5)).short_page is None


def test_the_size_is_kept_if_a_page_is_just_as_long() -> None:
    assert evidence((page(0, 5), 5), (page(5, 2), 2)).size_is_kept
    assert not evidence((page(0, 3), 3)).size_is_kept
    assert not evidence((page(0, 9), 9)).size_is_kept


def test_an_empty_page_at_the_end_may_stand_for_hidden_rows() -> None:
    assert evidence((page(0, 5), 5), (page(5, 2), 2)).ends_short
    assert not evidence((page(0, 5), 5), (page(5, 0), 0)).ends_short
    assert not evidence((page(0, 5), 5), (page(5, 5), 5)).ends_short
    assert evidence((page(0, 0), 0)).ends_short


def test_pages_of_which_rows_are_left_out_are_not_steady() -> None:
    assert not evidence((page(0, 4), 4), (page(5, 5), 5), (page(10, 1), 1)).steady
    assert evidence((page(0, 4, 9), 4), (page(5, 5, 9), 5)).steady  # all that are counted were listed


def doubtful(*seconds: float, start: float = 0, end: float = 100) -> list[tuple[float, float]]:
    listed = ListedTimes()
    if seconds:
        listed.add([at(each) for each in seconds])
    parts, _ = doubt(TimeSlice(ENDPOINT, {}, at(start), at(end)), listed, again=False)
    return [tuple((bound - DAY).total_seconds() for bound in part[0].bounds) for part in parts]  # type: ignore[misc]


TEN = [90.5, *range(90, 50, -5), 20.5]


def test_beyond_the_oldest_and_the_newest_row() -> None:
    assert doubtful(*TEN) == [(0, 21), (90, 100), (0, 56)]
    assert doubtful(*TEN[::-1]) == [(0, 21), (90, 100), (56, 100)]


def test_rows_that_are_too_close_have_no_half() -> None:
    assert doubtful(*[53.5 - number / 10 for number in range(12)]) == [(0, 53), (53, 100)]


def test_a_list_that_went_on_before_or_after_the_slice() -> None:
    assert doubtful(*TEN, start=20.7) == [(90, 100), (20.7, 56)]
    assert doubtful(*TEN, end=90.5) == [(0, 21), (0, 56)]


def test_a_few_rows_may_be_in_order_by_chance() -> None:
    assert doubtful(50, 10) == [(0, 31), (31, 100)]
    assert doubtful(10, 50, 30, 20, 60, 70, 80, 15, 25, 35, 45) == [(0, 46), (46, 100)]


def test_rows_of_one_second_have_no_order() -> None:
    assert doubtful(50.1, 50.2) == [(0, 51), (50, 100)]


def test_the_same_question_again_proves_nothing() -> None:
    assert doubtful(99.5) == [(0, 99), (99, 100)]
    assert doubtful(0.5) == [(0, 1), (1, 100)]
    assert doubtful(0.5, end=1) == []


def test_a_list_of_nothing() -> None:
    assert doubtful() == []

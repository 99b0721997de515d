"""Whether pages count from 0 or from 1, found out by what a server shows."""

from __future__ import annotations

import json

import msgspec
import pytest

from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.lists.first_page import FirstPageProbe
from hyperoru_provider.client.lists.page import Page


def page(*numbers: int, more: bool | None = None) -> Page:
    return Page([msgspec.Raw(json.dumps({"id": number}).encode()) for number in numbers], more=more)


def probe(*answers: Page) -> FirstPageProbe:
    """Let a probe have these answers, all of which it must need."""
    found = FirstPageProbe(page_size=3)
    for number, answer in enumerate(answers):
        assert found.position() == {"page": 1 if number % 2 else None, "per_page": 3}
        assert found.accept(answer) == (number == len(answers) - 1)
    return found


def test_page_one_is_the_list_without_a_number() -> None:
    found = probe(page(9, 8, 7), page(9, 8, 7))
    assert (found.first_page, found.certain) == (1, True)


def test_page_one_is_the_second_page() -> None:
    found = probe(page(9, 8, 7), page(6, 5, 4), page(9, 8, 7))
    assert (found.first_page, found.certain) == (0, True)
    assert found.first is not None
    assert found.first.rows == page(9, 8, 7).rows


def test_a_list_of_one_page_that_counts_from_zero() -> None:
    assert probe(page(9), page(), page(9)).first_page == 0


def test_an_empty_list_has_no_first_page_to_miss() -> None:
    found = probe(page())
    assert (found.first_page, found.certain) == (1, False)


def test_rows_that_arrive_are_no_other_page() -> None:
    assert probe(page(9, 8, 7), page(10, 9, 8), page(10, 9, 8)).first_page == 1
    found = probe(page(9, 8, 7), page(10, 9, 8), page(11, 10, 9))
    assert (found.first_page, found.certain) == (1, False)


def test_a_row_that_is_listed_twice_is_on_both_pages() -> None:
    assert probe(page(9, 8, 7), page(7, 6, 5), page(9, 8, 7)).first_page == 0


def test_one_row_may_be_one_that_is_listed_twice() -> None:
    found = probe(page(9), page(9))
    assert (found.first_page, found.certain) == (1, False)


def test_the_same_rows_with_more_to_come_once_and_once_not_are_no_same_page() -> None:
    found = FirstPageProbe(page_size=1)
    assert not found.accept(page(9, more=True))
    assert not found.accept(page(9, more=False))


def test_a_list_that_is_another_each_time_is_an_error() -> None:
    found = FirstPageProbe(page_size=3)
    with pytest.raises(HyperoruContractError, match="contract's first_page"):
        for number in range(20):
            assert not found.accept(page(*range(number * 3, number * 3 + 3)))
    assert found.first_page is None

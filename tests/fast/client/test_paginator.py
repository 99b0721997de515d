"""How each style of paging walks a list."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hyperoru_provider.client.api.contract import load_contract
from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.lists.page import Page
from hyperoru_provider.client.lists.paginator import Paginator, paginator_for


def paginator(paging: str, page_size: int | None = 5, first_page: int = 1) -> Paginator:
    endpoint = load_contract({"trades": {"paging": paging, "page_size": 5}}).trades
    return paginator_for(endpoint, page_size, first_page)


def page(rows: int, **beside: Any) -> Page:
    return Page([msgspec.Raw(b"{}")] * rows, **beside)


def walk(walked: Paginator, *pages: Page) -> list[dict[str, Any]]:
    positions = []
    for each in pages:
        assert not walked.ended
        positions.append(walked.position())
        walked.advance(each)
    return positions


@pytest.mark.parametrize("first_page", [0, 1])
def test_numbers(first_page: int) -> None:
    walked = paginator("page", first_page=first_page)
    pages = walk(walked, page(5), page(3), page(0))
    assert pages == [{"page": first_page + number, "per_page": 5} for number in range(3)]
    assert (walked.ended, walked.told) == (True, False)


def test_offsets_go_by_what_was_sent() -> None:
    walked = paginator("offset")
    assert [each["offset"] for each in walk(walked, page(5), page(3), page(0))] == [0, 5, 8]
    assert (walked.ended, walked.told) == (True, False)


def test_cursors() -> None:
    walked = paginator("cursor")
    pages = walk(walked, page(5, cursor="a"), page(0, cursor="b"), page(1))
    assert [each["cursor"] for each in pages] == [None, "a", "b"]
    assert (walked.ended, walked.told) == (True, True)


def test_one_answer() -> None:
    walked = paginator("none", page_size=None)
    assert walk(walked, page(5)) == [{"limit": None}]
    assert (walked.ended, walked.told) == (True, False)


@pytest.mark.parametrize("paging", ["page", "offset"])
def test_the_server_says_that_it_is_the_last(paging: str) -> None:
    walked = paginator(paging)
    walk(walked, page(5, more=True), page(5, more=False))
    assert (walked.ended, walked.told) == (True, True)


@pytest.mark.parametrize("paging", ["page", "offset"])
def test_no_rows_and_more_to_come_is_an_error(paging: str) -> None:
    with pytest.raises(HyperoruContractError, match="no rows, but says that there are more"):
        paginator(paging).advance(page(0, more=True))


def test_cursors_that_lead_in_a_circle_or_nowhere() -> None:
    with pytest.raises(HyperoruContractError, match="same cursor twice"):
        walk(paginator("cursor"), page(1, cursor="a"), page(1, cursor="a"))
    with pytest.raises(HyperoruContractError, match="no rows"):
        walk(paginator("cursor"), *(page(0, cursor=str(number)) for number in range(9)))
    with pytest.raises(HyperoruContractError, match="says that there is a next page"):
        walk(paginator("cursor"), page(1, more=True))

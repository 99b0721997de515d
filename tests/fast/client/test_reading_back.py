"""Lists without a filter by time: read from the newest row back to before the window, or not believed."""

from __future__ import annotations

from typing import Any

import pytest

from hyperoru_provider.client.errors import HyperoruContractError
from tests.fast.client.test_window_reader import in_order, read
from tests.model_server import Server, trade

ROWS = [trade(number, number * 10) for number in range(60)]
UNPROVED = "no order that shows that it goes back to before the window"


def without_filter(server: Server, start: float, end: float, **trades: Any) -> list[dict[str, Any]]:
    return read(server, start, end, **{"time_filter": "none", "page_size": 20, **trades})


@pytest.mark.parametrize("paging", ["page", "offset", "cursor"])
def test_pages_are_read_back_to_before_the_window_and_no_further(paging: str) -> None:
    server = Server(ROWS, paging=paging, total="none", has_more=False)
    assert without_filter(server, 350, 450, first_page=1) == in_order(ROWS, 350, 450)
    assert server.asked == 2


@pytest.mark.parametrize("paging", ["page", "offset", "cursor"])
@pytest.mark.parametrize("order", ["newest", "oldest", "any"])
def test_pages_may_be_read_to_their_end_in_any_order(paging: str, order: str) -> None:
    assert without_filter(Server(ROWS, paging=paging, order=order), 0, 450) == in_order(ROWS, 0, 450)


def test_one_answer_goes_back_to_before_the_window() -> None:
    server = Server(ROWS, paging="none", cap=20)
    assert without_filter(server, 450, 1000) == in_order(ROWS, 450, 1000)
    assert server.asked == 1


def test_what_is_dropped_after_the_limit_does_not_matter() -> None:
    """The rows that are left go back far enough, however few they are."""
    server = Server(ROWS, paging="none", cap=40, drops=2)
    shown = [row for row in ROWS if not server.hides(row)]
    assert without_filter(server, 450, 1000, page_size=40) == in_order(shown, 450, 1000)


@pytest.mark.parametrize(
    "server",
    [
        Server(ROWS, paging="none", cap=20, order="oldest"),
        Server(ROWS, paging="none", cap=20, order="any"),
        Server(ROWS[-20:], paging="none", cap=20),  # not one row from before the window
        Server(ROWS[-15:], paging="none"),  # short, but rows may have been merged after a cut
        Server([], paging="none"),
        Server(ROWS[39:42], paging="none"),  # too few to show their order
    ],
    ids=["oldest first", "no order", "full", "short", "empty", "few"],
)
def test_one_answer_that_proves_nothing_is_an_error(server: Server) -> None:
    with pytest.raises(HyperoruContractError, match=UNPROVED):
        without_filter(server, 400, 1000)


@pytest.mark.parametrize("rows", [0, 3, 19])
def test_a_cap_says_which_answer_is_whole(rows: int) -> None:
    server = Server(ROWS[:rows], paging="none", cap=20)
    assert without_filter(server, 0, 1000, cap=20) == in_order(ROWS[:rows])


def test_an_answer_as_long_as_the_cap_is_not_whole() -> None:
    with pytest.raises(HyperoruContractError, match=UNPROVED):
        without_filter(Server(ROWS, paging="none", cap=20), 0, 1000, cap=20)


def test_rows_that_arrive_meanwhile_double_none() -> None:
    late = [trade(f"late{number}", 1000 + number) for number in range(9)]
    server = Server(list(ROWS), total="none", has_more=False, arrivals=late)
    assert without_filter(server, 100, 450, first_page=1) == in_order(ROWS, 100, 450)


def test_a_server_that_ignores_the_page_is_found_out() -> None:
    server = Server(ROWS, ignored=frozenset({"page"}), total="none", has_more=False)
    with pytest.raises(HyperoruContractError, match="same page twice"):
        without_filter(server, 0, 300, first_page=1)


@pytest.mark.parametrize("rows", [3, 15, 60])
@pytest.mark.parametrize("paging", ["page", "offset"])
def test_pages_that_are_cut_below_the_size_asked_for_hide_none(paging: str, rows: int) -> None:
    """The page after one that was cut may begin where a whole one would have ended."""
    server = Server(ROWS[:rows], paging=paging, cap=10, cap_skips=True, total="none", has_more=False)
    assert without_filter(server, 0, 1000) == in_order(ROWS[:rows])

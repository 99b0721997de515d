"""Lists without a filter by time: read from the newest row back to before the window, or not believed."""

from __future__ import annotations

import random
from typing import Any

import pytest

from hyperoru_provider.client.errors import HyperoruContractError
from tests.fast.client.test_window_reader import in_order, read
from tests.model_server import Server, trade

ROWS = [trade(number, number * 10) for number in range(60)]
UNPROVED = "The list ended after .* rows, .*not in an order, to prove that it reaches back to before the window"


class AsGiven(Server):
    """A server that lists its rows in the order in which it has them."""

    def _listed(self, query: dict[str, str]) -> list[dict[str, Any]]:
        return list(self.rows)


def without_filter(server: Server, start: float, end: float, **trades: Any) -> list[dict[str, Any]]:
    return read(server, start, end, **{"time_filter": "none", "page_size": 20, **trades})


@pytest.mark.parametrize("paging", ["page", "offset", "cursor"])
def test_pages_are_read_back_to_before_the_window_and_no_further(paging: str) -> None:
    server = Server(ROWS, paging=paging, total="none", has_more=False)
    assert without_filter(server, 450, 550, first_page=1) == in_order(ROWS, 450, 550)
    assert server.asked == 2


@pytest.mark.parametrize("paging", ["page", "offset", "cursor"])
@pytest.mark.parametrize("order", ["newest", "oldest", "any"])
def test_pages_may_be_read_to_their_end_in_any_order(paging: str, order: str) -> None:
    assert without_filter(Server(ROWS, paging=paging, order=order), 0, 450) == in_order(ROWS, 0, 450)


def test_one_answer_goes_back_to_before_the_window() -> None:
    server = Server(ROWS, paging="none", cap=20)
    assert without_filter(server, 500, 1000) == in_order(ROWS, 500, 1000)
    assert server.asked == 2  # once more, for fewer rows


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
        Server(ROWS[31:], paging="none", cap=20),  # nine rows from before the window
    ],
    ids=["oldest first", "no order", "full", "short", "empty", "few older ones"],
)
def test_one_answer_that_proves_nothing_is_an_error(server: Server) -> None:
    with pytest.raises(HyperoruContractError, match=UNPROVED):
        without_filter(server, 400, 1000)


@pytest.mark.parametrize("rows", [0, 3, 19])
def test_a_cap_says_which_answer_is_whole(rows: int) -> None:
    server = Server(ROWS[:rows], paging="none", cap=20)
    assert without_filter(server, 0, 1000, cap=20) == in_order(ROWS[:rows])


@pytest.mark.parametrize("rows", [1, 3, 19])
def test_a_cap_is_borne_out_by_a_limit_of_as_many_rows_as_there_are(rows: int) -> None:
    server = Server(ROWS[:rows], paging="none", cap=20, limits=True)
    assert without_filter(server, 0, 1000, cap=20) == in_order(ROWS[:rows])
    assert server.asked == 2


@pytest.mark.parametrize("drops", [2, 3, 5])
def test_a_cap_does_not_hold_where_rows_are_dropped_after_the_limit(drops: int) -> None:
    """The list is limited to 40 rows, of which fewer are shown: that is shorter than the cap, and not all."""
    server = Server(ROWS, paging="none", cap=40, drops=drops, limits=True, total="none")
    with pytest.raises(HyperoruContractError, match="drops or merges rows after applying it"):
        without_filter(server, 0, 1000, page_size=40, cap=40)


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


@pytest.mark.parametrize("paging", ["page", "offset", "cursor"])
@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("has_more", [True, False])
def test_pages_that_end_at_a_limit_within_the_window_are_not_believed(paging: str, order: str, has_more: bool) -> None:
    """The server has 300 rows and lists 100 of them, in pages that end as those of a whole list do."""
    rows = [trade(number, number) for number in range(300)]
    rows = rows[200:] if order == "newest" else rows[:100]
    server = Server(rows, paging=paging, order=order, total="none", has_more=has_more)
    with pytest.raises(HyperoruContractError, match="The list ended after 100 rows"):
        without_filter(server, 150, 290)


@pytest.mark.parametrize("size", [7, 11, 20, 33])
def test_a_server_that_ignores_the_size_and_says_that_there_is_no_more_is_not_believed(size: int) -> None:
    server = Server(
        ROWS, page_size=size, ignored=frozenset({"per_page"}), total="none", cap=size, guesses_more=True, cap_skips=True
    )
    with pytest.raises(HyperoruContractError):
        assert without_filter(server, 0, 590, page_size=11, first_page=1) == in_order(ROWS, 0, 590)
        raise HyperoruContractError("the right rows are right, too")


def test_a_row_a_little_out_of_order_at_the_end_of_a_page_is_not_lost() -> None:
    rows = [trade(number, number * 10 + (16 if number == 29 else 0)) for number in range(60)]  # 29 is of second 306
    for page_size in (10, 15, 20, 30):
        server = AsGiven(rows[::-1], total="none", has_more=False)
        found = without_filter(server, 301, 1000, page_size=page_size)
        assert found == in_order(rows, 301, 1000)


def test_rows_of_one_moment_show_no_order() -> None:
    rows = [trade(number, 500) for number in range(30)] + [trade(100 + number, number) for number in range(3)]
    for seed in range(20):
        server = AsGiven(random.Random(seed).sample(rows, len(rows)), total="none")
        assert without_filter(server, 400, 600, page_size=10) == in_order(rows, 400, 600)

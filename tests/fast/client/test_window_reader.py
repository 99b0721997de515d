from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hyperoru_provider.client.api.contract import load_contract
from hyperoru_provider.client.errors import HyperoruContractError, HyperoruNotFoundError
from hyperoru_provider.client.lists.page import parse_page
from hyperoru_provider.client.lists.readers import list_reader, list_readers
from hyperoru_provider.client.lists.rows import Rows, TimeSlice
from hyperoru_provider.client.lists.window_reader import WindowReader
from hyperoru_provider.client.times import format_time, parse_time
from tests.model_server import Server, at, inside, trade


def answered(server: Server, reader: WindowReader) -> Iterator[Rows]:
    """Let a server answer a reader; yields what each answer completes."""
    while (values := reader.query()) is not None:
        try:
            body = server.answer(reader.endpoint.target(values).query)
        except HyperoruNotFoundError as error:
            yield reader.accept_refusal(error)
        else:
            yield reader.accept(parse_page(body, reader.endpoint))


def read(
    server: Server,
    start: float = 0,
    end: float = 1000,
    slice_rows: int = 20_000,
    account_id: int | None = None,
    **trades: Any,
) -> list[dict[str, Any]]:
    endpoint = load_contract({"trades": {"page_size": 500, "paging": server.paging, **trades}}).trades
    reader = WindowReader(endpoint, at(start), at(end), {"account_id": account_id}, slice_rows)
    return [json.loads(row.raw) for rows in answered(server, reader) for row in rows]


def in_order(rows: list[dict[str, Any]], start: float = 0, end: float = 1000) -> list[dict[str, Any]]:
    return sorted(
        inside(rows, start, end), key=lambda row: (row["trade_time"], len(str(row["trade_id"])), str(row["trade_id"]))
    )


BTC = {"symbol": "BTC", "interval": "1m"}
ROWS = [trade(number, number // 3 * 10) for number in range(60)]


@pytest.mark.parametrize("paging", ["page", "offset", "cursor", "none"])
@pytest.mark.parametrize("order", ["newest", "oldest", "any"])
@pytest.mark.parametrize("page_size", [1, 7, 60, 61, 500])
def test_an_honest_server_is_read_whole(paging: str, order: str, page_size: int) -> None:
    server = Server(ROWS, paging=paging, order=order)
    assert read(server, page_size=None if paging == "none" else page_size) == in_order(ROWS)


def test_a_limit_of_our_own_is_a_cap() -> None:
    """A list of one answer that is no longer than we asked may go on."""
    rows = [trade(number, number) for number in range(30)]
    server = Server(rows, ignored=frozenset({"page"}), has_more=False, total="none")
    assert read(server, paging="none", page_size=5) == in_order(rows)


@pytest.mark.parametrize("paging", ["page", "offset", "cursor", "none"])
@pytest.mark.parametrize("total", [10**10, 2**63 - 1])
def test_a_total_that_is_no_count_of_anything_sizes_no_loop(paging: str, total: int) -> None:
    class Boasting(Server):
        def answer(self, query: dict[str, str]) -> bytes:
            return json.dumps({**json.loads(super().answer(query)), "total": total}).encode()

    server = Boasting(ROWS, paging=paging)
    with pytest.raises(HyperoruContractError, match=f"The server reports a total of {total} rows"):
        read(server, slice_rows=30)
    assert server.asked < 100


def test_a_slice_falls_into_no_more_pieces_than_can_be_asked_for() -> None:
    whole = TimeSlice(load_contract().trades, {}, at(0), at(60))
    assert len(whole.split(1000)) == 60


def test_a_window_up_to_the_end_of_all_times_is_read() -> None:
    end = "9999-12-31T23:59:59.999999Z"
    rows = [{"trade_id": 1, "account_id": 1, "trade_time": "9999-12-31T23:59:59.500000Z"}]
    reader = list_reader(load_contract(), "trades", parse_time("9999-12-31T00:00:00Z"), parse_time(end), {})
    assert [row.key for found in answered(Server(rows), reader) for row in found] == [1]


def test_bounds_are_half_open() -> None:
    rows = [trade(1, 9.999999), trade(2, 10), trade(3, 19.999999), trade(4, 20)]
    assert [row["trade_id"] for row in read(Server(rows), 10, 20)] == [2, 3]
    assert [row["trade_id"] for row in read(Server(rows, inclusive=True), 10, 20)] == [2, 3]


def test_nothing_is_an_answer() -> None:
    assert read(Server([])) == []
    assert read(Server([], total="none", has_more=False)) == []


def refusal(server: Server, **options: Any) -> str:
    with pytest.raises(HyperoruContractError) as caught:
        read(server, **options)
    return str(caught.value)


def test_an_ignored_time_filter() -> None:
    rows = [trade(number, number * 10_000) for number in range(30)]
    assert "time filter" in refusal(Server(rows, ignored=frozenset({"start", "end"})), start=0, end=100_000)
    assert "time filter" in refusal(Server(rows, ignored=frozenset({"end"})), start=0, end=100_000)


def test_an_ignored_page() -> None:
    server = Server(ROWS, ignored=frozenset({"page"}), has_more=False, total="none")
    for page_size in (10, 60):
        assert "paging" in refusal(server, page_size=page_size)
    assert read(server, page_size=500) == in_order(ROWS)  # it is proved as a list of one answer is


def test_an_ignored_page_while_rows_arrive() -> None:
    arrivals = [trade(100 + number, 500 + number) for number in range(50)]
    server = Server(list(ROWS), ignored=frozenset({"page"}), has_more=False, total="none", arrivals=arrivals)
    assert "paging" in refusal(server, page_size=10)


def test_an_ignored_page_in_another_order_each_time() -> None:
    class Shuffled(Server):
        def answer(self, query: dict[str, str]) -> bytes:
            self.asked += 1
            return json.dumps([*ROWS[self.asked :], *ROWS[: self.asked]]).encode()

    server = Shuffled([])
    assert "paging" in refusal(server, page_size=60)
    assert server.asked <= 3


@pytest.mark.parametrize("past_the_end", ["stops", "absent"])
@pytest.mark.parametrize("total", ["right", "none"])
@pytest.mark.parametrize("first_page", [0, 1])
@pytest.mark.parametrize("page_size", [7, 29, 61, 500])
def test_a_page_past_the_end_is_the_last_one_or_absent(
    past_the_end: str, total: str, first_page: int, page_size: int
) -> None:
    server = Server(ROWS, has_more=False, total=total, first_page=first_page)
    setattr(server, past_the_end, True)
    assert read(server, page_size=page_size) == in_order(ROWS)


def test_a_page_past_the_end_is_absent_where_pages_have_an_offset() -> None:
    assert read(Server(ROWS, paging="offset", has_more=False, total="none", absent=True), page_size=7) == in_order(ROWS)


def test_a_full_page_that_comes_again_or_is_followed_by_none_is_no_end() -> None:
    for page_size in (10, 30, None):
        server = Server(ROWS, page_size=10, stops=True, has_more=False, total="none")
        assert "paging" in refusal(server, page_size=page_size)
        server.stops, server.absent = False, True
        with pytest.raises(HyperoruNotFoundError):
            read(server, page_size=page_size)


@pytest.mark.parametrize("paging", ["page", "offset"])
@pytest.mark.parametrize("cap", [37, 50, 99])
@pytest.mark.parametrize("total", ["none", "page"])
@pytest.mark.parametrize("first_page", [None, 0, 1])
@pytest.mark.parametrize("absent", [False, True])
def test_a_list_without_a_window_that_ignores_the_page_and_is_cut(
    paging: str, cap: int, total: str, first_page: int | None, absent: bool
) -> None:
    """Nothing that must be empty can be asked for: a short page that comes again, or is followed by 404, is no end."""
    rows = [{"id": number, "account_id": 1, "symbol": "BTC", "side": "BUY"} for number in range(173)]
    contract = load_contract({"orders": {"paging": paging, "page_size": 100, "first_page": first_page}})
    reader = list_reader(contract, "orders", filters={"account_id": 1})
    with pytest.raises((HyperoruContractError, HyperoruNotFoundError)):
        for asked in range(50):
            if (values := reader.query()) is None:
                break
            if absent and asked and (values.get("page") or values.get("offset")):
                reader.accept_refusal(HyperoruNotFoundError("There is no such page"))
            else:
                body = {"items": rows[:cap], **({"total": cap} if total == "page" else {})}
                reader.accept(parse_page(json.dumps(body).encode(), reader.endpoint))


@pytest.mark.parametrize("paging", ["page", "offset"])
@pytest.mark.parametrize("rows", [3, 100, 173])
def test_a_list_without_a_window_whose_pages_are_cut_and_skip_what_was_cut(paging: str, rows: int) -> None:
    """Asked for 500 rows, the server sends 100, and the next page begins with row 500."""
    listed = [{"id": number, "account_id": 1, "symbol": "BTC", "side": "BUY"} for number in range(rows)]
    contract = load_contract({"orders": {"paging": paging, "page_size": 500, "first_page": 1}})
    reader = list_reader(contract, "orders", filters={"account_id": 1})
    found = 0
    while (values := reader.query()) is not None:
        size = values.get("per_page") or values["limit"]
        first = (values["page"] - 1) * size if paging == "page" else values["offset"]
        body = {"items": listed[first : first + min(size, 100)]}
        found += len(reader.accept(parse_page(json.dumps(body).encode(), reader.endpoint)))
    assert found == rows


@pytest.mark.parametrize("past_the_end", ["last", "absent"])
@pytest.mark.parametrize("rows", [101, 150, 173])
def test_pages_of_a_list_without_a_window_that_end_with_the_last_one_again_or_404(past_the_end: str, rows: int) -> None:
    listed = [{"id": number, "account_id": 1, "symbol": "BTC", "side": "BUY"} for number in range(rows)]
    contract = load_contract({"orders": {"paging": "page", "page_size": 50, "first_page": 1}})
    reader = list_reader(contract, "orders", filters={"account_id": 1})
    found = 0
    while (values := reader.query()) is not None:
        number = min(values["page"], -(-rows // 50)) if past_the_end == "last" else values["page"]
        page = listed[(number - 1) * 50 : number * 50]
        try:
            complete = (
                reader.accept(parse_page(json.dumps(page).encode(), reader.endpoint))
                if page
                else (reader.accept_refusal(HyperoruNotFoundError("There is no such page")))
            )
        except (HyperoruContractError, HyperoruNotFoundError):
            assert rows % 50 == 0  # a full page that comes again, or is the last, can't be told
            return
        found += len(complete)
    assert found == rows


def test_an_absent_first_page_is_an_error() -> None:
    class Absent(Server):
        def answer(self, query: dict[str, str]) -> bytes:
            raise HyperoruNotFoundError("There is no such list")

    for paging in ("page", "offset", "cursor", "none"):
        with pytest.raises(HyperoruNotFoundError):
            read(Absent([], paging=paging))


def test_an_ignored_account() -> None:
    rows = [trade(1, 5), trade(2, 6, account_id=2)]
    assert "account_id 2" in refusal(Server(rows, ignored=frozenset({"account_id"})), account_id=1)


@pytest.mark.parametrize("has_more", [True, False])
def test_pages_capped_below_their_size(has_more: bool) -> None:
    assert read(Server(ROWS, cap=20, has_more=has_more, total="none")) == in_order(ROWS)


@pytest.mark.parametrize("paging", ["page", "offset"])
def test_pages_capped_by_a_server_that_guesses_whether_there_are_more(paging: str) -> None:
    server = Server(ROWS, paging=paging, cap=20, guesses_more=True, total="none")
    assert read(server) == in_order(ROWS)


def test_a_capped_list_is_split() -> None:
    rows = [trade(number, number * 2) for number in range(450)]
    server = Server(rows, paging="none", cap=100, total="none")
    assert read(server) == in_order(rows)
    assert server.asked > 5


def test_a_capped_list_that_can_t_be_split() -> None:
    rows = [trade(number, 5) for number in range(150)]
    assert "contract's cap" in refusal(Server(rows, paging="none", cap=100, total="none"))
    assert len(read(Server(rows, paging="none", cap=200, total="none"), cap=200)) == 150


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_rows_arrive_while_pages_are_read(order: str) -> None:
    arrivals = [trade(100 + number, 900 + number) for number in range(3)]
    server = Server(list(ROWS), order=order, has_more=False, total="none", arrivals=arrivals)
    ids = [row["trade_id"] for row in read(server, page_size=7)]
    assert len(ids) == len(set(ids))
    assert set(range(60)) <= set(ids)


def test_whole_days_end_inclusive() -> None:
    rows = [trade(number, number * 3600) for number in range(-30, 60)]
    server = Server(rows, by_day=True)
    hours = {"start": 3600 * 5, "end": 3600 * 20}
    assert "'day'" in refusal(server, **hours)
    assert read(server, **hours, time_filter="day") == in_order(rows, **hours)


def test_an_id_alone_is_no_key() -> None:
    rows = [trade(1, 5, source="fills"), trade(1, 6, source="liquidations")]
    assert "contract's key" in refusal(Server(rows))
    assert len(read(Server(rows), key=["source", "trade_id"])) == 2
    far = [trade(1, 5), *(trade(number, number * 10) for number in range(2, 90)), trade(1, 950)]
    assert "contract's key" in refusal(Server(far), slice_rows=10)


def test_a_total_that_is_not_met() -> None:
    assert "contract's total" in refusal(Server(ROWS, total="before_filter"))
    assert read(Server(ROWS, total="before_filter"), total=[]) == in_order(ROWS)


def test_a_total_below_what_is_listed_proves_nothing() -> None:
    """It counts a page; and the order turned, so that some rows came twice and others not at all."""
    rows = [trade(number, 0) for number in range(13)]
    server = Server(rows, paging="offset", page_size=3, ignored=frozenset({"limit"}), total="page", flips_at=2)
    server.has_more = False
    assert read(server, page_size=1) == in_order(rows)


@pytest.mark.parametrize("total", ["right", "limited", "none"])
@pytest.mark.parametrize("has_more", [True, False])
@pytest.mark.parametrize("repeated", [[], ROWS[-1:], ROWS[:2], ROWS[17:18]])
@pytest.mark.parametrize("page_size", [2, 7, 20, 59, 500])
def test_pages_that_count_from_zero_are_found_out(
    total: str, has_more: bool, repeated: list[dict[str, Any]], page_size: int
) -> None:
    server = Server([*ROWS, *repeated], first_page=0, total=total, has_more=has_more)
    if total == "right" and repeated:
        assert "a total of 6" in refusal(server, page_size=page_size)  # it counts a row twice
    else:
        assert read(server, page_size=page_size) == in_order(ROWS)


def test_a_total_below_what_is_listed_does_not_prove_the_first_page() -> None:
    assert read(Server(ROWS, first_page=0, total="limited"), page_size=7) == in_order(ROWS)
    assert read(Server(ROWS, total="limited"), page_size=7) == in_order(ROWS)
    assert read(Server(ROWS, first_page=0, total="limited"), page_size=7, first_page=0) == in_order(ROWS)


def test_a_total_that_falls_while_pages_are_read() -> None:
    """A row was removed, and another one moved to a page that had been read: what is left meets the total."""
    rows = [trade(number, number) for number in range(6)]
    assert "it changes" in refusal(Server(list(rows), removed_at=3), page_size=2)
    assert read(Server(list(rows), total="page", cap=4)) == rows


def test_a_row_on_two_pages_does_not_prove_the_first_page() -> None:
    rows = [trade(1, 0), trade(0, 0), trade(0, 0)]
    server = Server(rows, first_page=0, total="none", has_more=False)
    assert "contract's first_page" in refusal(server, page_size=2)
    assert len(read(server, page_size=2, first_page=0)) == 2


def test_a_total_that_counts_a_page_does_not_end_the_list() -> None:
    class CountsThePage(Server):
        def answer(self, query: dict[str, str]) -> bytes:
            body = json.loads(super().answer(query))
            return json.dumps({"items": body["items"], "total": len(body["items"])}).encode()

    assert read(CountsThePage(ROWS, cap=20)) == in_order(ROWS)


def test_the_same_row_twice_is_one_row() -> None:
    assert read(Server([*ROWS, *ROWS[:5]], total="none")) == in_order(ROWS)


def test_the_same_key_with_other_content_is_an_error() -> None:
    text = refusal(Server([*ROWS, {**ROWS[0], "price": 7}], total="none"))
    assert "trade_id=0" in text
    assert "contract's key" in text


def test_a_number_written_otherwise_is_the_same_content() -> None:
    class Twice(Server):
        def answer(self, query: dict[str, str]) -> bytes:
            one, two = (b'{"trade_id":1,"p":%s,"trade_time":"2026-03-01T00:00:05Z"}' % n for n in (b"1.0", b"1.00"))
            return b'{"items":[%s,%s],"has_more":false}' % (one, two)

    assert len(read(Twice([]))) == 1


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ({"trade_time": "2026-03-01T00:00:05Z"}, "contract's key"),
        ({"trade_id": None, "trade_time": "2026-03-01T00:00:05Z"}, "contract's key"),
        ({"trade_id": 1}, "contract's time"),
        ({"trade_id": 1, "trade_time": None}, "contract's time"),
        ({"trade_id": 1, "trade_time": "yesterday"}, "contract's time"),
        ({"trade_id": 1, "trade_time": 1772323205}, "contract's time"),
    ],
)
def test_a_row_without_key_or_time_is_an_error(row: dict[str, Any], named: str) -> None:
    class One(Server):
        def answer(self, query: dict[str, str]) -> bytes:
            return json.dumps([row]).encode()

    assert named in refusal(One([]))


def test_a_cursor_that_comes_back_is_an_error() -> None:
    class Circle(Server):
        def answer(self, query: dict[str, str]) -> bytes:
            self.asked += 1
            return json.dumps({"items": [trade(self.asked, 5)], "next_cursor": "again"}).encode()

    assert "same cursor twice" in refusal(Circle([], paging="cursor"))


def test_a_last_page_that_says_there_are_more_is_an_error() -> None:
    assert "no cursor" in refusal(Pages([{"items": [], "next_cursor": None, "has_more": True}], paging="cursor"))


def test_a_cursor_says_there_are_more_whatever_the_paging() -> None:
    """The first page is empty, but not the last: the server looks for the account in each page."""
    rows = [trade(1, 5, account_id=2), trade(2, 5)]
    server = Server(rows, paging="cursor", order="oldest", total="none", filters_pages=True)
    assert read(server, page_size=1, account_id=1) == rows[1:]
    assert "no rows" in refusal(server, page_size=1, account_id=1, paging="page")
    assert "contract's cap" in refusal(Server(rows, paging="cursor", total="none"), page_size=1, paging="none")


def test_more_without_rows_is_an_error() -> None:
    class Empty(Server):
        def answer(self, query: dict[str, str]) -> bytes:
            return b'{"items":[],"has_more":true}'

    assert "no rows" in refusal(Empty([]))


def test_memory_is_bounded_by_splitting() -> None:
    rows = [trade(number, number) for number in range(900)]
    endpoint = load_contract({"trades": {"page_size": 10}}).trades
    for total in ("right", "none"):
        batches = list(answered(Server(list(rows), total=total), WindowReader(endpoint, at(0), at(1000), {}, 50)))
        assert [json.loads(row.raw) for batch in batches for row in batch] == in_order(rows)
        assert max(map(len, batches)) <= 50


@settings(max_examples=300)
@given(
    numbers=st.lists(st.integers(0, 5000), max_size=60),
    cuts=st.lists(st.integers(1, 4999), max_size=5),
    page_size=st.integers(1, 20),
)
@example(numbers=[60, 60, *[120] * 8], cuts=[1], page_size=9)  # an empty window, and a page that ends amid a time
def test_windows_add_up(numbers: list[int], cuts: list[int], page_size: int) -> None:
    """Any way to cut a period gives the same rows, each once, also through ties."""
    rows = [trade(number, seconds // 60 * 60) for number, seconds in enumerate(numbers)]
    bounds = sorted({0, *(cut // 60 * 60 + (cut % 2) for cut in cuts), 5001})
    pieces = [row for start, end in pairwise(bounds) for row in read(Server(rows), start, end, page_size=page_size)]
    assert pieces == in_order(rows, 0, 5001)


class Pages(Server):
    """A server that sends these bodies, one after the other, and then the last one again."""

    def answer(self, query: dict[str, str]) -> bytes:
        self.asked += 1
        return json.dumps(self.rows[min(self.asked, len(self.rows)) - 1]).encode()


@pytest.mark.parametrize("beside", [{}, {"total": 0}])
def test_a_total_outlives_the_empty_page_past_the_end(beside: dict[str, int]) -> None:
    page = [trade(number, number) for number in range(3)]
    assert "a total of 10 rows" in refusal(Pages([{"items": page, "total": 10}, {"items": [], **beside}] * 5))


def test_a_row_that_was_shown_once_must_be_there_at_the_end() -> None:
    page = [trade(number, number) for number in range(3)]
    assert "it changes" in refusal(Pages([{"items": page, "total": 10}, {"items": []}]), first_page=1)


def test_a_list_without_pages_that_says_there_are_more() -> None:
    class More(Server):
        def answer(self, query: dict[str, str]) -> bytes:
            return json.dumps({**json.loads(super().answer(query)), "has_more": True}).encode()

    assert "contract's cap" in refusal(More([trade(1, 5)], paging="none"))


def test_a_total_that_is_met_at_the_second_reading() -> None:
    """A row that vanished at a page's seam while others moved is found again."""
    rows = [trade(number, number) for number in range(4)]
    server = Pages(
        [
            {"items": rows[2:], "total": 4, "has_more": True},
            {"items": rows[:1], "total": 4, "has_more": False},
            {"items": rows[2:], "total": 4, "has_more": True},
            {"items": rows[:2], "total": 4, "has_more": False},
        ]
    )
    assert read(server, page_size=2) == rows


def test_an_order_that_changes_between_pages_is_noticed() -> None:
    class Shuffled(Server):
        def answer(self, query: dict[str, str]) -> bytes:
            self.asked += 1
            asked_for = [row for row in self.rows if query["start"] <= row["trade_time"] < query["end"]]
            rows = sorted(asked_for, key=lambda row: hash((row["trade_id"] * 7919, self.asked)))
            first = (int(query.get("page", 1)) - 1) * 20
            return json.dumps(rows[first : first + 20]).encode()

    rows = [trade(number, 5) for number in range(100)]
    assert "contract's first_page" in refusal(Shuffled(list(rows)), page_size=20)
    assert "change" in refusal(Shuffled(list(rows)), page_size=20, first_page=1)


def test_a_server_that_caps_pages_but_skips_by_the_size_asked_for() -> None:
    class Skips(Server):
        def answer(self, query: dict[str, str]) -> bytes:
            size, number = int(query["per_page"]), int(query.get("page", 1))
            first = (number - 1) * size
            rows = [row for row in ROWS if query["start"] <= row["trade_time"] < query["end"]]
            return json.dumps(rows[first : first + min(size, 7)]).encode()

    assert read(Skips([]), cap=5) == in_order(ROWS)
    assert read(Skips([]), page_size=20) == in_order(ROWS)


@pytest.mark.parametrize("time_filter", ["instant", "day"])
def test_bounds_are_never_finer_than_servers_compare(time_filter: str) -> None:
    class Cuts(Server):
        """Compares whole seconds or days, and excludes the end."""

        def _bound(self, text: str) -> datetime:
            return super()._bound(text).replace(microsecond=0)

        def _matches(self, row: dict[str, Any], query: dict[str, str]) -> bool:
            return self._bound(query["start"]) <= parse_time(row["trade_time"]) < self._bound(query["end"])

    rows = [trade(1, 10), trade(2, 10.2), trade(3, 10.7)]
    server = Cuts(rows, by_day=time_filter == "day")
    assert [row["trade_id"] for row in read(server, 5, 10.5, time_filter=time_filter)] == [1, 2]


def test_cursors_without_end_are_an_error() -> None:
    class Endless(Server):
        def answer(self, query: dict[str, str]) -> bytes:
            self.asked += 1
            return json.dumps({"items": [], "next_cursor": str(self.asked)}).encode()

    assert "no rows" in refusal(Endless([], paging="cursor"))


@settings(max_examples=50)
@given(
    gaps=st.sets(st.integers(0, 299)), cap=st.integers(2, 120), order=st.sampled_from(["newest", "oldest"]),
    begin=st.integers(-100, 100), inclusive=st.booleans(),
)  # fmt: skip
def test_candles_are_counted(gaps: set[int], cap: int, order: str, begin: int, inclusive: bool) -> None:
    """A cap that nobody knows loses no candle, wherever some are missing."""
    candles = [
        {"timestamp": format_time(at(60 * minute)), "trade_time": format_time(at(60 * minute)), "account_id": 1}
        | {"trade_id": minute}
        for minute in range(300)
        if minute not in gaps
    ]
    server = Server(candles, paging="none", cap=cap, order=order, total="none", inclusive=inclusive)
    start, end = 60 * begin + 30, 60 * 310
    found = []
    for reader in list_readers(load_contract(), "klines", at(start), at(end), BTC):
        found += [json.loads(row.raw) for rows in answered(server, reader) for row in rows]
    assert found == [{**candle, **BTC} for candle in inside(candles, start, end)]
    assert server.asked < 60 + 10 * 310 / min(cap, 98)


@pytest.mark.parametrize(
    ("rows", "cap", "believed"),
    [(0, None, True), (49, None, True), (50, None, False), (100, None, False), (100, 500, True), (101, None, True)],
)
def test_a_list_that_can_t_be_asked_for_in_parts_may_be_cut_where_servers_cut(
    rows: int, cap: int | None, believed: bool
) -> None:
    reader = list_reader(load_contract({"orders": {"cap": cap}}), "orders", filters={"account_id": 1})
    answer = json.dumps([{"id": number} for number in range(rows)]).encode()
    assert reader.query() == {"account_id": 1, "limit": None}
    page = parse_page(answer, reader.endpoint)
    if believed:
        assert len(reader.accept(page)) == rows
    else:
        with pytest.raises(HyperoruContractError, match="a higher cap"):
            reader.accept(page)


def test_a_list_that_can_t_be_asked_for_in_parts_is_whole_if_it_meets_its_total() -> None:
    reader = list_reader(load_contract(), "orders", filters={"account_id": 1})
    body = {"items": [{"id": number} for number in range(100)], "total": 100}
    assert reader.query()
    assert len(reader.accept(parse_page(json.dumps(body).encode(), reader.endpoint))) == 100


def test_a_total_that_counts_a_page_which_others_follow_proves_nothing() -> None:
    server = Server([trade(number, number) for number in range(13)], paging="cursor", page_size=5, total="page")
    assert read(server, page_size=5) == in_order(server.rows)


def test_a_part_that_does_not_list_what_it_has_proves_nothing() -> None:
    server = Pages([{"items": [trade(1, 10), trade(2, 30)]}, {"items": []}], paging="none")
    assert "changes" in refusal(server)

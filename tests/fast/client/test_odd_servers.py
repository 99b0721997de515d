"""Servers that are wrong in ways of their own: their lists are read whole all the same, or refused."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from zlib import crc32

import pytest

from hyperoru_provider.client.api.contract import load_contract
from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.lists.page import parse_page
from hyperoru_provider.client.lists.readers import list_readers
from hyperoru_provider.client.lists.window_reader import Learned, WindowReader
from hyperoru_provider.client.times import format_time, parse_time
from tests.fast.client.test_window_reader import BTC, ROWS, answered, in_order, read, refusal
from tests.model_server import Server, at, inside, trade

EACH_SECOND = [trade(number, number) for number in range(1000)]
PAGED = ["page", "offset", "cursor"]


class Starts(Server):
    """Lists no row of exactly the start."""

    def _matches(self, row: dict[str, Any], query: dict[str, str]) -> bool:
        return super()._matches(row, query) and parse_time(row["trade_time"]) > parse_time(query["start"])


class Deep(Server):
    """Lists its newest rows only, and says that there are no more."""

    most = 300

    def _listed(self, query: dict[str, str]) -> list[dict[str, Any]]:
        listed = super()._listed(query)
        return listed[: self.most] if self.order == "newest" else listed[-self.most :]


class Merges(Server):
    """Cuts a page, merges rows, and takes what is left for all that there is."""

    def _page(self, query: dict[str, str]) -> dict[str, Any]:
        listed, size = self._listed(query), 100
        first = int(query.get("cursor", query.get("offset", 0)))
        page = [row for row in listed[first : first + size] if not merged(row)]
        ended = len(page) < size
        body: dict[str, Any] = {"items": page, "next_cursor": None if ended else str(first + size)}
        if self.paging != "cursor":
            body["has_more"] = not ended
        return body if self.total == "none" else {**body, "total": len(page)}


class Ties(Server):
    """Keeps as many rows as a page ends at, as databases do: which of those of one time come first goes by that."""

    def _listed(self, query: dict[str, str]) -> list[dict[str, Any]]:
        first, size, _ = self._bounds(query, 10_000)
        listed = sorted(super()._listed(query), key=lambda row: crc32(f"{row['trade_id']} {first + size}".encode()))
        return sorted(listed, key=lambda row: str(row["trade_time"]), reverse=True)


class Stored(Server):
    """Compares when a row was stored, a moment after the time that it lists."""

    def _is_of_the_time(self, row: dict[str, Any], query: dict[str, str]) -> bool:
        stored = parse_time(row["trade_time"]) + timedelta(seconds=0.3)
        return parse_time(query.get("start", "1970-01-01T00:00:00Z")) <= stored < parse_time(query["end"])


class Zone(Server):
    """Compares days of another zone; rows of the last one are not listed."""

    offset = timedelta(hours=8)

    def _is_of_the_time(self, row: dict[str, Any], query: dict[str, str]) -> bool:
        day = (parse_time(row["trade_time"]) + self.offset).date().isoformat()
        return query.get("start", "") <= day < query.get("end", "9")


def merged(row: dict[str, Any]) -> bool:
    return crc32(str(row["trade_id"]).encode()) % 7 == 0


def test_a_last_page_for_any_past_it_does_not_tell_the_first_page_of_other_windows() -> None:
    """A list of one page looks the same as page 0 and as page 1."""
    learned = Learned()
    server = Server(EACH_SECOND, first_page=0, stops=True, total="none")
    endpoint = load_contract({"trades": {"page_size": 100}}).trades
    for end in (5, 1000):
        reader = WindowReader(endpoint, at(0), at(end), {}, 20_000, learned=learned)
        assert sum(len(rows) for rows in answered(server, reader)) == end


@pytest.mark.parametrize("paging", PAGED)
@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("total", ["right", "none"])
def test_a_limit_on_pages_is_no_end(paging: str, order: str, total: str) -> None:
    server = Deep(EACH_SECOND, paging=paging, order=order, total=total)
    assert read(server, page_size=100) == EACH_SECOND
    assert read(server, page_size=500) == EACH_SECOND
    if total == "none":  # else it counts what it lists, and that is no round number
        server.most = 21
        assert read(server, 0, 60, page_size=7) == EACH_SECOND[:60]


@pytest.mark.parametrize("total", ["page", "none"])
@pytest.mark.parametrize("paging", PAGED)
def test_a_page_short_of_merged_rows_is_no_end(paging: str, total: str) -> None:
    right = [row for row in EACH_SECOND if not merged(row)]
    assert read(Merges(EACH_SECOND, paging=paging, total=total)) == right
    assert read(Merges(EACH_SECOND, paging="cursor", total=total), page_size=None) == right


@pytest.mark.parametrize("has_more", [True, False])
@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_a_page_cut_at_its_bytes_may_skip_rows(order: str, has_more: bool) -> None:
    class Bytes(Server):
        def _page(self, query: dict[str, str]) -> dict[str, Any]:
            body = super()._page(query)
            while len(json.dumps(body)) > 40_000:
                body["items"].pop()
            return body

    rows = [{**row, "note": "x" * 1000 * (400 <= row["trade_id"] < 500)} for row in EACH_SECOND]
    assert read(Bytes(rows, order=order, total="none", has_more=has_more), page_size=100) == rows


@pytest.mark.parametrize("paging", [*PAGED, "none"])
@pytest.mark.parametrize("slice_rows", [20_000, 100])
def test_an_exclusive_start(paging: str, slice_rows: int) -> None:
    assert read(Starts(EACH_SECOND, paging=paging), slice_rows=slice_rows) == EACH_SECOND


def test_an_exclusive_start_of_candles() -> None:
    candles = [{**trade(minute, 60 * minute), "timestamp": format_time(at(60 * minute))} for minute in range(300)]
    server, found = Starts(candles, paging="none", total="none"), []
    for reader in list_readers(load_contract(), "klines", at(0), at(60 * 300), BTC):
        found += [json.loads(row.raw) for rows in answered(server, reader) for row in rows]
    assert found == [{**candle, **BTC} for candle in candles]


def test_times_that_are_rounded_in_rows_and_not_in_the_filter() -> None:
    class Rounds(Server):
        def _page(self, query: dict[str, str]) -> dict[str, Any]:
            body = super()._page(query)
            return {**body, "items": [rounded(row) for row in body["items"]]}

    def rounded(row: dict[str, Any]) -> dict[str, Any]:
        return trade(row["trade_id"], int((parse_time(row["trade_time"]) - at(0)).total_seconds() + 0.5))

    rows = [trade(number, number * 0.3) for number in range(3000)]
    assert read(Rounds(rows), end=890, slice_rows=500) == inside(list(map(rounded, rows)), 0, 890)


@pytest.mark.parametrize("paging", ["offset", "cursor"])
def test_a_key_is_the_same_as_a_number_and_as_text(paging: str) -> None:
    class Texts(Server):
        def _page(self, query: dict[str, str]) -> dict[str, Any]:
            body = super()._page(query)
            texts = [{**row, "trade_id": str(row["trade_id"])} for row in body["items"]]
            return {**body, "items": texts if self.asked % 2 else body["items"]}

    found = read(Texts(ROWS, paging=paging, total="none"), page_size=7)
    assert [int(row["trade_id"]) for row in found] == list(range(60))
    assert len(read(Server([trade(7, 5), trade("7", 5)], total="none"))) == 1
    assert len(read(Server([trade(7, 5), trade("07", 5)], total="none"))) == 2
    assert "contract's key" in refusal(Server([trade(7, 5), trade("7", 5, price=1)], total="none"))


@pytest.mark.parametrize("key", [-7, 0, 1234567890123456789, 2**70, -(2**70)])
def test_a_key_of_any_length_is_the_same_as_a_number_and_as_text(key: int) -> None:
    assert len(read(Server([trade(key, 5), trade(str(key), 5)], total="none"))) == 1
    assert len(read(Server([trade(key, 5), trade(f"0{key}", 5)], total="none"))) == 2


def test_keys_that_differ_in_half_a_character_are_not_the_same() -> None:
    class Halves(Server):
        def answer(self, query: dict[str, str]) -> bytes:
            return super().answer(query).replace(b'"half 1"', rb'"a\ud83d"').replace(b'"half 2"', rb'"a\ud83e"')

    assert "contract's key" in refusal(Halves([trade("half 1", 5), trade("half 2", 5)], total="none"))


@pytest.mark.parametrize("last", [None, "", 0, False])
def test_no_next_page_however_it_is_said(last: object) -> None:
    class Next(Server):
        def _page(self, query: dict[str, str]) -> dict[str, Any]:
            body = super()._page(query)
            return {**body, "next_page": 2 if body.pop("has_more") else last}

    assert read(Next(ROWS, total="none"), page_size=7) == in_order(ROWS)


@pytest.mark.parametrize("says", [True, False])
def test_a_last_page_that_has_no_cursor(says: bool) -> None:
    class Omits(Server):
        def _page(self, query: dict[str, str]) -> dict[str, Any]:
            body = super()._page(query)
            cursor = body.pop("next_cursor")
            more = {"has_more": cursor is not None} if says else {}
            return {**body, **more, **({} if cursor is None else {"next_cursor": cursor})}

    server = Omits(ROWS, paging="cursor", total="none")
    if says:
        assert read(server, page_size=7) == in_order(ROWS)
    else:
        assert "whether more pages follow" in refusal(server, page_size=7)


@pytest.mark.parametrize("total", [2**31 - 1, 2**63 - 1])
def test_a_total_that_is_no_count_does_not_hang(total: int) -> None:
    class Sentinel(Server):
        def _page(self, query: dict[str, str]) -> dict[str, Any]:
            return {**super()._page(query), "total": total}

    assert "contract's total" in refusal(Sentinel(ROWS))


@pytest.mark.parametrize("rows", [12, 20, 60])
@pytest.mark.parametrize("total", ["right", "none"])
@pytest.mark.parametrize("paging", PAGED)
def test_rows_of_one_second_are_not_refused(paging: str, total: str, rows: int) -> None:
    same = [trade(number, 5) for number in range(rows)]
    server = Server(same, paging=paging, total=total)
    assert read(server) == same
    assert read(server, 5, 6) == same
    assert read(server, time_filter="day") == same


@pytest.mark.parametrize("paging", [*PAGED, "none"])
@pytest.mark.parametrize("rows", [0, 1, 3, 12, 40, 499])
def test_a_few_rows_take_five_requests(paging: str, rows: int) -> None:
    """Of a server that says nothing: beyond both ends, a half, and one row; without any row, the list of any time."""
    server = Server(EACH_SECOND[:rows], paging=paging)
    assert read(server) == EACH_SECOND[:rows]
    assert server.asked <= (5 if rows else 4)


@pytest.mark.parametrize("early", [7, 12, 40])
def test_rows_of_the_second_before_fill_a_list_that_is_cut_before_it_is_merged(early: int) -> None:
    """The second before is asked for as well, and its rows leave no room for those of the window."""
    rows = [*(trade(number, 4) for number in range(early)), *(trade(100 + number, 5) for number in range(5))]
    server = Server(rows, paging="none", order="oldest", cap=7, drops=2, total="none")
    with_room = [row for row in rows[early:] if not server.hides(row)]
    assert with_room
    assert "may have cut it off" in refusal(server, start=5, end=6, page_size=None)


def test_an_order_that_turns_while_the_first_page_is_found_out() -> None:
    """Page 1 is the second one, and has the row that was listed first: so it looks like the first page."""
    rows = [trade(0, 2), trade(1, 2)]
    server = Server(rows, first_page=0, total="none", has_more=False, flips_at=2)
    assert "may have cut it off" in refusal(server, start=2, end=3, page_size=1)


@pytest.mark.parametrize("step", [0, 0.2], ids=["at once", "within a second"])
def test_an_order_that_turns_between_two_pages_of_as_many_rows(step: float) -> None:
    """Page 1 of the other order has the rows of the first page, and the next one is past the end."""
    server = Server([trade(n, 2 + n * step) for n in range(4)], first_page=0, total="none", has_more=False, flips_at=2)
    assert "did not show when it was read" in refusal(server, start=2, end=3, page_size=2)


@pytest.mark.parametrize("total", ["right", "none"])
@pytest.mark.parametrize("paging", ["page", "offset"])
@pytest.mark.parametrize("page_size", [20, 50])
def test_rows_of_one_time_in_an_order_that_goes_by_the_page(paging: str, total: str, page_size: int) -> None:
    """Each page shows the same rows each time, and some rows are on none."""
    rows = [trade(number, number // 7 * 60) for number in range(533)]
    server = Ties(rows, paging=paging, total=total)
    assert read(server, 0, 86_400, page_size=page_size) == in_order(rows, 0, 86_400)


def test_more_rows_of_one_time_than_a_page_holds_are_refused_with_a_total() -> None:
    assert "a total of 90 rows" in refusal(Ties([trade(number, 5) for number in range(90)]), page_size=20)


@pytest.mark.parametrize("total", ["right", "none"])
@pytest.mark.parametrize("paging", [*PAGED, "none"])
def test_a_time_that_is_compared_a_moment_later_hides_no_row(paging: str, total: str) -> None:
    rows = [trade(number, number + 0.9) for number in range(60)]
    server = Stored(rows, paging=paging, total=total)
    if paging == "offset":
        assert read(server, 0, 60) == in_order(rows)
    else:  # asked for just a second, it does not list all of its rows
        assert "may have cut it off" in refusal(server, start=0, end=60)


@pytest.mark.parametrize("hours", [-11, -5, 0, 8, 14])
@pytest.mark.parametrize("paging", ["page", "offset"])
@pytest.mark.parametrize("days", [1, 3])
def test_days_of_any_zone_hide_no_row(paging: str, days: int, hours: int) -> None:
    server = Zone([trade(number, number * 1800) for number in range(-200, 400)], paging=paging)
    server.offset = timedelta(hours=hours)
    if (paging, days) == ("page", 1) and hours:  # asked for just a day, it does not list all of its rows
        assert "may have cut it off" in refusal(server, start=0, end=86_400, time_filter="day")
    else:
        assert read(server, 0, days * 86_400, time_filter="day") == in_order(server.rows, 0, days * 86_400)


@pytest.mark.parametrize(("sparse", "burst"), [(3 * 3600, 300), (1800, 260), (600, 333)])
def test_a_limit_of_each_account_of_which_one_has_most_of_its_rows_at_last(sparse: int, burst: int) -> None:
    rows = [trade(number, number * sparse) for number in range(86_400 // sparse)]
    rows += [trade(1000 + number, 86_399 - 30 * number, account_id=2) for number in range(burst)]
    server = Server(rows, paging="none", limits_each=True, total="none", cap=200)
    assert read(server, 0, 86_400, page_size=None) == in_order(rows, 0, 86_400)


def test_slices_of_round_numbers_take_no_request_more_where_the_server_counted_further() -> None:
    server = Server(EACH_SECOND)
    slices, pages_each = 9, 4  # of 100 rows, with the seconds before and after
    assert read(server, 1, 883, page_size=30, slice_rows=124) == EACH_SECOND[1:883]
    assert server.asked == slices * pages_each + 2  # and two to find out the first page


def test_an_empty_list_of_something_else_beside_one_of_a_name_not_known() -> None:
    class Fills(Server):
        def _page(self, query: dict[str, str]) -> dict[str, Any]:
            return {"accounts": [], "fills": super()._page(query)["items"]}

    assert "contract's rows" in refusal(Fills(ROWS))
    assert read(Fills(ROWS), rows=["fills"]) == in_order(ROWS)


@pytest.mark.parametrize("beside", [{"code": 500}, {"detail": "down"}, {"code": 422, "detail": [{"msg": "no"}]}])
def test_an_error_in_the_words_of_http_beside_an_empty_list(beside: dict[str, Any]) -> None:
    class Fails(Server):
        def _page(self, query: dict[str, str]) -> dict[str, Any]:
            return {"items": [], **beside}

    assert "says that the request failed" in refusal(Fails([]))


@pytest.mark.parametrize(
    "beside",
    [{"hasMore": True}, {"next": "/orders?page=2"}, {"pagination": {"has_more": True}}, {"meta": {"next_page": 2}}],
)
def test_more_to_come_however_it_is_said(beside: dict[str, Any]) -> None:
    """Of a list without a window, it is all that tells."""
    contract = load_contract()
    reader = WindowReader(contract.lists["orders"], None, None, {"account_id": 1}, 20_000)
    assert reader.query() == {"account_id": 1, "limit": None}
    with pytest.raises(HyperoruContractError, match="may have cut it off"):
        reader.accept(parse_page(json.dumps({"orders": [{"id": 1}], **beside}).encode(), reader.endpoint))


@pytest.mark.parametrize("order", ["newest", "oldest"])
@pytest.mark.parametrize("paging", PAGED)
@pytest.mark.parametrize("burst", [560, 650, 880])
def test_a_limit_on_pages_behind_many_rows_of_one_second(paging: str, order: str, burst: int) -> None:
    """The page that must show what is hidden is full of rows that are known."""
    rows = [trade(number, burst if burst < number < burst + 120 else number) for number in range(1000)]
    assert read(Deep(rows, paging=paging, order=order, total="none"), page_size=50) == in_order(rows)


@pytest.mark.parametrize("paging", PAGED)
def test_a_limit_on_pages_of_a_list_that_is_ordered_by_text(paging: str) -> None:
    """The text of a whole second comes after those of its fractions."""
    rows = [trade(number, number * 0.5) for number in range(1000)]
    assert read(Deep(rows, paging=paging, total="none"), page_size=50) == rows

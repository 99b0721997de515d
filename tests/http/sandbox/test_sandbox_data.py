"""The rows: those of a file, with their bytes, and those of the made-up market."""

from __future__ import annotations

import gzip
import json
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperoru_provider.sandbox import Sandbox
from hyperoru_provider.sandbox.book import Book, FileBook
from hyperoru_provider.sandbox.market import Market
from hyperoru_provider.sandbox.prices import SYMBOLS, Prices, number
from hyperoru_provider.sandbox.rows import DAY, SECOND, Row, iso, micros
from tests.http.sandbox.sandbox_caller import Rows, Serve

ODD_ROWS = [
    b'{"id":2,"account_id":9,"symbol":"BTC","quantity":1.00E-05,"x": "\xc3\xa9","trade_time":"2025-01-01T00:00:00"}',
    b'{ "trade_id":1, "account_id":9, "symbol":"@107", "price":0.10, "executed_at":"2024-12-31T23:59:59.999Z" }',
    b'{"id":"a/3","account_id":4,"account_name":"Named","symbol":"BTC","timestamp":"2025-01-01T01:00:00+01:00"}',
]


def fields_of(book: Book, first: int, last: int) -> Rows:
    return [json.loads(row.body) for day in range(first, last) for row in book.base(day)]


@pytest.fixture(scope="module")
def month() -> Rows:
    """The trades of a month of the made-up market."""
    start = micros("2022-02-01") // DAY
    return fields_of(Market(7, Prices(7, SYMBOLS)), start, start + 28)


@pytest.mark.parametrize("name", ["rows.ndjson", "rows.ndjson.gz"])
def test_rows_of_a_file_keep_their_bytes(serve: Serve, tmp_path: Path, name: str) -> None:
    content = b"\n\r\n".join(ODD_ROWS) + b"\n"
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    caller = serve(data=path)
    newest_first = [ODD_ROWS[2], ODD_ROWS[0], ODD_ROWS[1]]
    text = caller.get("/api/arena/trades").content
    assert text.startswith(b'{"items":[' + b",".join(newest_first) + b'],"total"')
    traders = caller.get("/api/account/list").json()
    assert [(trader["id"], trader["name"]) for trader in traders] == [(4, "Named"), (9, "Trader 9")]


def test_rows_of_a_test_keep_their_bytes(serve: Serve) -> None:
    caller = serve(rows=ODD_ROWS)
    window = {"start": "2025-01-01", "end": "2025-01-01T00:00:00.000001Z", "account_id": 9}
    assert b"[" + ODD_ROWS[0] + b"]" in caller.get("/api/arena/trades", **window).content


def test_faults_keep_the_text_of_numbers(serve: Serve) -> None:
    caller = serve(rows=ODD_ROWS, naive_times=True, colliding_ids=True)
    content = caller.get("/api/arena/trades").content
    assert b'"quantity":1.00E-05' in content
    assert b'"price":0.10' in content
    assert content.count(b'Z"') == 0
    assert content.count(b'+01:00"') == 1


def test_no_rows_at_all(serve: Serve) -> None:
    caller = serve(rows=[])
    assert caller.trades()["total"] == 0
    assert caller.get("/api/account/list").json() == []
    assert caller.get("/api/klines/coverage").json() == []


@pytest.mark.parametrize(
    "row",
    [
        b"{",
        b"[]",
        b"{}",
        b'{"account_id":1,"symbol":"BTC"}',
        b'{"account_id":1,"symbol":"BTC","trade_time":"soon"}',
        b'{"account_id":null,"symbol":"BTC","trade_time":"2025-01-01"}',
        b'{"account_id":1,"symbol":2,"trade_time":"2025-01-01"}',
    ],
)
def test_rows_that_are_no_trades_are_named(row: bytes) -> None:
    with pytest.raises(ValueError, match="row 2 is no trade"):
        Sandbox(rows=[ODD_ROWS[0], row])


def test_data_or_rows() -> None:
    with pytest.raises(ValueError, match="not both"):
        Sandbox(rows=[], data="rows.ndjson")


def test_pages_of_a_large_book_are_found_fast() -> None:
    body = '{{"trade_id":{},"account_id":{},"symbol":"BTC","trade_time":"2025-01-{:02}T00:00:{:02}Z"}}'
    book = FileBook(body.format(n, n % 3, 1 + n // 3_600, n // 60 % 60).encode() for n in range(60_000))
    start, end = micros("2025-01-02"), micros("2025-01-17")
    assert len(book.select(1, None, start, end)) == 18_000

    def read_a_page() -> float:
        before = time.perf_counter()
        listing = book.select(1, None, start, end)
        assert len(listing.bodies(9_000, 9_500)) == 500
        return time.perf_counter() - before

    assert min(read_a_page() for _ in range(100)) < 0.002  # a scan would take 50 times as long


ROWS = st.lists(
    st.builds(
        Row,
        st.integers(min_value=0, max_value=2 * DAY).map(lambda time: time // (DAY // 6) * (DAY // 6)),
        st.integers(min_value=1, max_value=2),
        st.sampled_from(["BTC", "ETH"]),
        st.just(b""),
    ),
    max_size=12,
)


@given(ROWS, ROWS, st.integers(min_value=0, max_value=12))
def test_rows_that_arrive_are_found_as_if_they_had_been_there(
    there: list[Row], arriving: list[Row], read_after: int
) -> None:
    numbered = [row._replace(body=as_body(row, number)) for number, row in enumerate(there + arriving)]
    whole = FileBook(row.body for row in numbered)
    book = FileBook(row.body for row in numbered[: len(there)])
    for place, row in enumerate(numbered[len(there) :]):
        if place >= read_after:  # from here on days and filters are known, and kept up to date
            everything(book)
        book.arrive(row)
    assert everything(book) == everything(whole)
    assert book.window() == whole.window()
    book.forget_arrivals()
    assert everything(book) == everything(FileBook(row.body for row in numbered[: len(there)]))


def as_body(row: Row, number: int) -> bytes:
    fields = {"id": number, "account_id": row.account_id, "symbol": row.symbol, "trade_time": iso(row.time)}
    return json.dumps(fields).encode()


def everything(book: Book) -> dict[tuple[int | None, str | None], list[bytes]]:
    views: list[tuple[int | None, str | None]] = [
        (account_id, symbol) for account_id in (None, 1, 2) for symbol in (None, "BTC", "ETH")
    ]
    return {view: book.select(*view, 0, 3 * DAY).bodies(0, 100) for view in views}


def test_news_are_told_once() -> None:
    def row(time: int) -> Row:
        return Row(time, 1, "BTC", as_body(Row(time, 1, "BTC", b""), time))

    book = FileBook(row(time).body for time in (100, 200, 300))
    book.skip_news(150)
    assert [row.time for row in book.news(200)] == []
    book.arrive(row(50))
    book.arrive(row(250))
    assert [row.time for row in book.news(250)] == [200, 50]
    assert [row.time for row in book.news(240)] == []  # a clock that goes back
    assert [row.time for row in book.news(1_000)] == [250, 300]
    book.arrive(row(999))
    book.forget_arrivals()
    assert [row.time for row in book.news(2_000)] == []


def test_a_busy_day_is_read_as_fast_as_a_calm_one() -> None:
    book = Market(7, Prices(7, SYMBOLS))
    noon = int(time.time() * SECOND) // DAY * DAY - DAY // 2
    row = Row(noon, 1, "BTC", b'{"trade_id":1}')
    before = time.process_time()
    for place in range(20_000):
        book.arrive(row._replace(time=noon + place))
        if place % 10 == 0:
            assert len(book.select(1, "BTC", noon, noon + DAY // 2)) > place
    assert time.process_time() - before < 5  # sorting the day again each time would take minutes


def test_the_same_seed_gives_the_same_market(serve: Serve) -> None:
    window = {"start": "1999-12-31", "end": "2000-01-02", "per_page": 500}
    first, second, third = (serve(seed=seed).get("/api/arena/trades", **window) for seed in (7, 7, 8))
    assert first.content == second.content != third.content


@pytest.mark.parametrize("year", ["0001", "1969", "2000", "2025"])
def test_any_year_has_trades(serve: Serve, year: str) -> None:
    answer = serve().trades(start=f"{year}-03-01", end=f"{year}-03-02")
    assert 160 <= answer["total"] <= 2_500
    assert all(row["trade_time"].startswith(f"{year}-03-01T") for row in answer["items"])


def test_the_market_ends_now(serve: Serve) -> None:
    caller = serve()
    answer = caller.trades(end="2999-01-01")
    assert micros(answer["items"][0]["trade_time"]) < time.time() * SECOND
    assert 0 <= answer["total"] - caller.trades()["total"] < 50 or answer["total"] == 0
    assert caller.trades(start="2999-01-01", end="2999-01-02")["items"] == []


def test_the_last_week_is_the_default(serve: Serve) -> None:
    caller = serve()
    oldest = caller.trades(per_page=1, page=caller.trades(per_page=1)["total"])["items"][0]
    age = time.time() - micros(oldest["trade_time"]) / SECOND
    assert 6 * 86_400 < age <= 7 * 86_400 + 60


def test_ids_are_unique_and_pages_meet(serve: Serve) -> None:
    caller = serve()
    pages = caller.pages(start="2022-02-01", end="2022-02-08", per_page=500)
    ids = [key for page in pages for key in page]
    assert len(ids) == len(set(ids)) == caller.trades(start="2022-02-01", end="2022-02-08")["total"]
    by_trader = [caller.trades(start="2022-02-01", end="2022-02-08", account_id=n)["total"] for n in range(1, 6)]
    assert sum(by_trader) == len(ids)
    assert by_trader[4] == 0 < by_trader[3]


def test_the_market_is_like_the_real_one(month: Rows) -> None:
    assert 40 < len(month) / 28 / 4 < 130
    assert {row["symbol"] for row in month} == set(SYMBOLS)
    assert {row["account_id"] for row in month} == {1, 2, 3, 4}
    assert Counter(row["trade_time"] for row in month).most_common(1)[0][1] > 100
    assert any(row["trade_time"].endswith("T00:00:00Z") for row in month)
    assert {len(row["trade_time"]) for row in month} >= {20, 24, 27}
    assert any(row["commission"] is None for row in month)
    assert any((row["commission"] or 0) < 0 for row in month)
    assert any(row["direction"] is None for row in month)
    assert any("related_orders" in row for row in month)
    assert any("prompt_template_id" not in row for row in month)


def test_amounts_are_integers_decimals_and_exponents() -> None:
    bodies = b"\n".join(row.body for row in Market(7, Prices(7, SYMBOLS)).base(19_000))
    quantities = [part.split(b",")[0] for part in bodies.split(b'"quantity":')[1:]]
    assert any(text.endswith(b".00E-05") for text in quantities)
    assert any(text.isdigit() for text in quantities)
    assert all(len(text) < 14 for text in quantities)


@pytest.mark.parametrize(
    ("value", "text"), [("0.00", "0"), ("70", "70"), ("7E+3", "7000"), ("0.10", "0.1"), ("0.0000123", "1.23E-5")]
)
def test_number_text(value: str, text: str) -> None:
    assert number(Decimal(value)) == text
    assert Decimal(text) == Decimal(value)


def test_fills_are_made_at_the_price(month: Rows) -> None:
    prices = Prices(7, SYMBOLS)
    for row in month[:500]:
        assert Decimal(str(row["price"])) == prices.at(row["symbol"], micros(row["trade_time"]))

"""Each fault by itself, some together, and how they are set."""

from __future__ import annotations

import time
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from hyperoru_provider.sandbox import FaultError, Faults, Sandbox
from tests.http.sandbox.sandbox_caller import TRADES, Caller, Rows, Serve


def statuses(caller: Caller, times: int = 60, path: str = "/api/health") -> list[int]:
    return [caller.get(path).status_code for _ in range(times)]


def test_latency(serve: Serve) -> None:
    caller = serve(latency=0.15)
    before = time.monotonic()
    caller.get("/api/health")
    assert time.monotonic() - before >= 0.15


def test_error_rate_is_drawn_again_from_the_seed(serve: Serve) -> None:
    caller = serve(error_rate=0.3, error_status=502)
    drawn = statuses(caller)
    assert set(drawn) == {200, 502}
    assert 5 < drawn.count(502) < 35
    caller.sandbox.reset()
    assert set(statuses(caller, 20)) == {200}
    caller.sandbox.reset()
    caller.sandbox.set_faults(error_rate=0.3, error_status=502, rate_limit_rate=0.0001)
    assert statuses(caller) == drawn
    assert statuses(serve(error_rate=0.3, error_status=502, seed=8)) != drawn


def test_random_faults_come_before_auth_and_hit_the_login(serve: Serve) -> None:
    caller = serve(error_rate=1)
    assert caller.log_in().status_code == 503
    assert caller.client.get(TRADES, headers={"Authorization": "Bearer nonsense"}).status_code == 503
    assert caller.get("/__sandbox__/stats").status_code == 200


def test_rate_limit(serve: Serve) -> None:
    caller = serve(rate_limit_rate=0.5)
    assert set(statuses(caller)) == {200, 429}
    assert "Retry-After" not in caller.get("/api/health").headers


@pytest.mark.parametrize("rate", ["rate_limit_rate", "error_rate"])
def test_retry_after(serve: Serve, rate: str) -> None:
    caller = serve(**{rate: 1})
    assert "Retry-After" not in caller.get("/api/health").headers
    caller.sandbox.set_faults(retry_after=2)
    assert caller.get("/api/health").headers["Retry-After"] == "2"
    caller.sandbox.set_faults(retry_after_as_date=True, retry_after=30)
    later = parsedate_to_datetime(caller.get("/api/health").headers["Retry-After"]) - datetime.now(UTC)
    assert timedelta(seconds=28) < later <= timedelta(seconds=31)


def test_drop(serve: Serve) -> None:
    caller = serve(drop_rate=1)
    for _ in range(2):
        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            caller.get("/api/health")
    assert caller.sandbox.stats()["by_status"] == {"dropped": 2}
    caller.sandbox.set_faults(drop_rate=0)
    assert statuses(caller, 2) == [200, 200]


def test_truncate(serve: Serve) -> None:
    caller = serve(truncate_rate=1)
    with pytest.raises(httpx.RemoteProtocolError, match="complete message body"):
        caller.get(TRADES)
    with caller.client.stream("GET", "/api/health") as answer:
        assert answer.headers["Content-Length"] == "20"
        assert answer.headers["X-Request-Id"].startswith("req_")


def test_tokens_expire(serve: Serve) -> None:
    caller = serve(token_lifetime=0.3)
    answer = caller.log_in().json()
    left = datetime.fromisoformat(answer["expires_at"]) - datetime.now(UTC)
    assert left < timedelta(seconds=0.31)
    assert caller.get("/api/users/profile").status_code == 200
    time.sleep(0.31)
    assert caller.get("/api/users/profile").status_code == 401
    caller.sandbox.set_faults(token_lifetime=None)
    assert caller.get("/api/users/profile").status_code == 200


def test_fail_next_hits_data_requests_only(serve: Serve) -> None:
    caller = serve(fail_next=2, error_status=500)
    assert caller.get("/api/health").status_code == 200
    assert caller.log_in().status_code == 200
    assert caller.client.get(TRADES, headers={"Authorization": "Bearer nonsense"}).status_code == 401
    assert statuses(caller, 4, TRADES) == [500, 500, 200, 200]
    assert caller.sandbox.faults.fail_next == 0


def test_ignored_parameters(serve: Serve, rows: Rows) -> None:
    caller = serve(rows=rows, ignore_params=["start", "page"])
    assert caller.ids(start="2026-03-02T02:00:00Z", per_page=3, page=2) == [10, 9, 8]
    assert len(caller.ids(start="2026-03-02T02:00:00Z")) == 10
    assert caller.ids(start="nonsense", end="2026-03-01T19:00:00Z") == [1]
    assert caller.get(TRADES, offset=1).status_code == 400


def test_unknown_parameters_ignored(serve: Serve, rows: Rows) -> None:
    caller = serve(rows=rows, ignore_unknown=True)
    assert caller.ids(offset=4, limit=2, per_page=3) == [10, 9, 8]


def test_cap_is_silent(serve: Serve, rows: Rows) -> None:
    caller = serve(rows=rows, cap=4)
    answer = caller.trades(per_page=6)
    assert (len(answer["items"]), answer["per_page"], answer["total"]) == (4, 6, 10)
    assert caller.pages(per_page=6) == [[10, 9, 8, 7], [6, 5, 4, 3], [2, 1]]
    assert caller.ids(per_page=3) == [10, 9, 8]
    candles = {"symbol": "BTC", "interval": "1h", "start": "2026-03-01", "end": "2026-03-02"}
    found = caller.get("/api/klines/data", **candles).json()
    assert [candle["timestamp"][11:13] for candle in found] == ["20", "21", "22", "23"]


def test_largest_page_can_be_smaller(serve: Serve, rows: Rows) -> None:
    caller = serve(rows=rows, max_per_page=4)
    assert caller.get(TRADES, per_page=5).status_code == 422
    assert len(caller.trades()["items"]) == 4


def test_oldest_first(serve: Serve, rows: Rows) -> None:
    assert serve(rows=rows, order="oldest").pages(per_page=6) == [[1, 2, 3, 4, 5, 6], [7, 8, 9, 10]]


def test_mixed_order(serve: Serve, rows: Rows) -> None:
    caller = serve(rows=rows, order="mixed")
    pages = caller.pages(per_page=6)
    assert pages == caller.pages(per_page=6)
    ids = [number for page in pages for number in page]
    assert sorted(ids) == list(range(1, 11)) != ids
    caller.sandbox.set_faults(order="changing")
    assert len({tuple(caller.ids()) for _ in range(5)}) > 1


def test_a_cut_page_can_skip_rows(serve: Serve, rows: Rows) -> None:
    caller = serve(rows=rows, cap=2, cap_skips=True)
    assert caller.pages(per_page=6) == [[10, 9], [4, 3]]


def test_pages_from_zero(serve: Serve, rows: Rows) -> None:
    caller = serve(rows=rows, first_page=0)
    assert caller.ids(per_page=3, page=0) == caller.ids(per_page=3) == [10, 9, 8]
    assert caller.ids(per_page=3, page=1) == [7, 6, 5]
    caller.sandbox.set_faults(first_page=1)
    assert caller.get(TRADES, page=0).status_code == 422


def test_the_end_included(serve: Serve, rows: Rows) -> None:
    caller = serve(rows=rows, inclusive_end=True)
    assert caller.ids(start="2026-03-01T20:00:00Z", end="2026-03-01T21:00:00Z") == [4, 3]


def test_ids_that_begin_again(serve: Serve, rows: Rows) -> None:
    assert serve(rows=rows, recurring_ids=7).ids() == [3, 2, 1, 0, 6, 5, 4, 3, 2, 1]


def test_a_login_that_ends_the_others(serve: Serve) -> None:
    caller = serve(single_session=True)
    before = dict(caller.client.headers)
    caller.log_in()
    assert caller.get("/api/users/profile").status_code == 200
    assert caller.client.get("/api/users/profile", headers=before).status_code == 401


def test_totals_that_count_something_else(serve: Serve, rows: Rows) -> None:
    caller = serve(rows=rows, total="page")
    assert [caller.trades(per_page=6, page=page)["total"] for page in (1, 2, 3)] == [6, 4, 0]
    caller.sandbox.set_faults(total="changing")
    assert [caller.trades(per_page=6, page=page)["total"] for page in (1, 2, 3)] == [10, 11, 11]


def test_unstable_list_shifts(serve: Serve, rows: Rows) -> None:
    caller = serve(rows=rows, unstable=1)
    window = {"end": "2026-03-02T00:00:00Z", "per_page": 3}
    assert caller.pages(**window)[:2] == [[6, 5, 4], [4, 3, 2]]
    new = caller.trades(**window)["items"][0]
    assert new["trade_id"] > 10
    assert new["trade_time"] == "2026-03-01T23:00:00Z"
    assert caller.trades(**window)["total"] == 8
    assert len(set(caller.ids(per_page=100))) == 12
    assert caller.ids(start="2026-03-02") == [10, 9, 8, 7]
    caller.sandbox.reset()
    assert caller.ids(end="2026-03-02T00:00:00Z") == [6, 5, 4, 3, 2, 1]


def test_unstable_list_oldest_first_grows_at_its_end(serve: Serve, rows: Rows) -> None:
    pages = serve(rows=rows, unstable=1, order="oldest").pages(per_page=6)
    assert pages[0] == [1, 2, 3, 4, 5, 6]
    assert pages[1][:4] == [7, 8, 9, 10]
    assert len(pages[1]) == 5


def test_whole_days_with_the_end_included(serve: Serve, rows: Rows) -> None:
    caller = serve(rows=rows, day_granular=True)
    assert len(caller.ids(start="2026-03-01T20:00:00Z", end="2026-03-01T21:00:00Z")) == 6
    assert len(caller.ids(start="2026-03-01", end="2026-03-02")) == 10


def test_colliding_ids(serve: Serve, rows: Rows) -> None:
    found = serve(rows=rows, colliding_ids=True).trades()["items"]
    keys = [(row["trade_id"], row["source"]) for row in found]
    assert len(set(keys)) == 10
    assert len({key for key, _ in keys}) == 6


@pytest.mark.parametrize("total", ["none", "before_filter"])
def test_totals(serve: Serve, rows: Rows, total: str) -> None:
    caller = serve(rows=rows, total=total)
    answer = caller.trades(account_id=1, start="2026-03-02")
    if total == "none":
        assert "total" not in answer
    else:
        assert answer["total"] == 10
    assert len(answer["items"]) == 2


def test_has_more_left_out(serve: Serve, rows: Rows) -> None:
    assert set(serve(rows=rows, has_more=False).trades()) == {"items", "total", "page", "per_page"}


@pytest.mark.parametrize("envelope", ["trades", "data", "results"])
def test_envelopes(serve: Serve, rows: Rows, envelope: str) -> None:
    answer = serve(rows=rows, envelope=envelope).trades(per_page=2)
    assert set(answer) == {envelope, "total", "page", "per_page", "has_more"}
    assert [row["trade_id"] for row in answer[envelope]] == [10, 9]


def test_bare_envelope(serve: Serve, rows: Rows) -> None:
    assert [row["trade_id"] for row in serve(rows=rows, envelope="bare").trades(per_page=2)] == [10, 9]


def test_nothing_but_the_list(serve: Serve, rows: Rows) -> None:
    caller = serve(rows=rows, total="none", paging="none")
    assert set(caller.trades()) == {"items"}
    assert len(caller.trades()["items"]) == 10
    assert caller.get(TRADES, page=1).status_code == 400


def test_offset_paging(serve: Serve, rows: Rows) -> None:
    caller = serve(rows=rows, paging="offset")
    assert caller.ids(limit=3, offset=4) == [6, 5, 4]
    answer = caller.trades(limit=3, offset=7)
    assert {name: answer[name] for name in ("total", "offset", "limit", "has_more")} == {
        "total": 10,
        "offset": 7,
        "limit": 3,
        "has_more": False,
    }
    assert caller.get(TRADES, page=1).status_code == 400
    assert caller.get(TRADES, offset=-1).status_code == 422


@pytest.mark.parametrize("order", ["newest", "oldest"])
def test_cursor_paging_does_not_shift(serve: Serve, rows: Rows, order: str) -> None:
    caller = serve(rows=rows, paging="cursor", unstable=2, order=order)
    answer = caller.trades(limit=4)
    found = [row["trade_id"] for row in answer["items"]]
    for _ in range(2):
        assert answer["has_more"] is True
        answer = caller.trades(limit=4, cursor=answer["next_cursor"])
        found += [row["trade_id"] for row in answer["items"]]
    if order == "oldest":
        assert found[:10] == list(range(1, 11))
    else:
        assert found == list(range(10, 0, -1))
        assert (answer["has_more"], answer["next_cursor"]) == (False, None)
    assert caller.get(TRADES, cursor="nonsense").json()["code"] == "INVALID_CURSOR"


@pytest.mark.parametrize(
    ("shape", "keys"),
    [
        ("default", {"error", "code", "request_id"}),
        ("details", {"code", "details", "message"}),
        ("detail", {"detail"}),
    ],
)
def test_error_bodies(serve: Serve, shape: str, keys: set[str]) -> None:
    assert set(serve(error_body=shape).get(TRADES, page=0).json()) == keys


def test_error_body_with_a_list_of_details(serve: Serve) -> None:
    (detail,) = serve(error_body="detail_list").get(TRADES, page=0).json()["detail"]
    assert set(detail) == {"loc", "msg", "type"}


def test_error_bodies_that_are_no_json(serve: Serve) -> None:
    caller = serve(error_body="html", rate_limit_rate=1, retry_after=1)
    answer = caller.get("/api/health")
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "<html>" in answer.text
    caller.sandbox.set_faults(error_body="empty")
    answer = caller.get("/api/health")
    assert (answer.status_code, answer.content, answer.headers["Retry-After"]) == (429, b"", "1")
    assert answer.headers["X-Request-Id"]


def test_false_success(serve: Serve) -> None:
    caller = serve(false_success=True)
    for path in (TRADES, "/api/account/list", "/api/klines/data?symbol=BTC"):
        answer = caller.client.get(path)
        assert (answer.status_code, answer.json()["success"]) == (200, False)
        assert answer.json()["message"]
    assert caller.sandbox.stats()["rows_served"] == 0
    assert caller.get("/api/users/profile").json()["id"] == 1


def test_naive_times(serve: Serve) -> None:
    caller = serve()
    window = {"start": "2024-05-01", "end": "2024-05-02", "per_page": 500}
    zoned = [row["trade_time"] for row in caller.trades(**window)["items"]]
    caller.sandbox.set_faults(naive_times=True)
    naive = [row["trade_time"] for row in caller.trades(**window)["items"]]
    assert all(text.endswith("Z") for text in zoned)
    assert naive == [text[:-1] for text in zoned]


def test_duplicate_rows_at_the_seams(serve: Serve, rows: Rows) -> None:
    caller = serve(rows=rows, duplicate_rows=True)
    assert caller.pages(per_page=4) == [[10, 9, 8, 7], [7, 6, 5, 4], [4, 3, 2, 1]]
    assert caller.trades(per_page=4)["total"] == 10
    assert len(caller.pages(per_page=1)) == 10


def test_conflicting_rows(serve: Serve, rows: Rows) -> None:
    caller = serve(rows=rows, conflicting_rows=True)
    expected = [10, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]
    for size in (1, 2, 3, 11, 500):
        assert [key for page in caller.pages(per_page=size) for key in page] == expected
    first, second, _ = caller.trades(per_page=3)["items"]
    assert (first["price"], second["price"]) == (100.5, 1100.5)
    assert caller.trades()["total"] == 11
    assert caller.trades(start="2026-03-05")["items"] == []


@pytest.mark.parametrize(("fault", "field"), [("no_key", "trade_id"), ("no_time", "trade_time")])
def test_bad_rows(serve: Serve, rows: Rows, fault: str, field: str) -> None:
    caller = serve(rows=rows, bad_rows=fault)
    first, *others = caller.trades(per_page=5)["items"]
    assert set(rows[0]) - set(first) == {field}
    assert all(field in row for row in others)
    assert all(field in row for row in caller.trades(per_page=5, page=2)["items"])


def test_bad_row_whose_field_stands_last() -> None:
    rows = [b'{"account_id":1,"symbol":"BTC","trade_time":"2026-01-01T00:00:00Z", "trade_id":"a-1"}']
    for fault, field in (("no_key", "trade_id"), ("no_time", "trade_time")):
        with Sandbox(rows=rows, bad_rows=fault) as sandbox:
            token = httpx.post(
                sandbox.url + "/api/users/login", json={"email": sandbox.email, "password": sandbox.password}
            ).json()["session_token"]
            (row,) = httpx.get(sandbox.url + TRADES, params={"session_token": token}).json()["items"]
            assert len(row) == 3
            assert field not in row


def test_faults_together(serve: Serve, rows: Rows) -> None:
    caller = serve(rows=rows, envelope="data", paging="offset", cap=2, order="oldest", naive_times=True, has_more=False)
    answer = caller.trades(limit=5, offset=2)
    assert [(row["trade_id"], row["trade_time"]) for row in answer["data"]] == [
        (3, "2026-03-01T20:00:00"),
        (4, "2026-03-01T21:00:00"),
    ]


def test_faults_are_set_while_it_runs(serve: Serve) -> None:
    caller = serve()
    assert caller.get("/__sandbox__/faults").json()["cap"] is None
    assert caller.client.put("/__sandbox__/faults", json={"cap": 5, "total": "none"}).json()["cap"] == 5
    answer = caller.client.put("/__sandbox__/faults", json={"cap": 7})
    assert (answer.json()["cap"], answer.json()["total"]) == (7, "none")
    assert len(caller.trades()["items"]) == 7
    caller.client.post("/__sandbox__/reset")
    assert caller.sandbox.faults == Faults()
    assert caller.sandbox.stats()["requests"] == 0
    assert caller.get("/api/users/profile").status_code == 200
    assert caller.client.post("/__sandbox__/revoke").status_code == 204
    assert caller.get("/api/users/profile").status_code == 401


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("nonsense", 1),
        ("cap", "5"),
        ("cap", 0),
        ("cap", 1.5),
        ("latency", True),
        ("latency", -1),
        ("latency", float("inf")),
        ("error_rate", 1.1),
        ("error_rate", float("nan")),
        ("error_status", 200),
        ("retry_after", -1),
        ("ignore_params", "page"),
        ("ignore_params", [1]),
        ("envelope", "rows"),
        ("envelope", ["items"]),
        ("has_more", None),
        ("order", "new"),
    ],
)
def test_bad_faults_are_named(serve: Serve, name: str, value: Any) -> None:
    with pytest.raises(FaultError, match=name):
        Faults().merged({name: value})
    with pytest.raises(FaultError, match=name):
        Sandbox(**{name: value})


def test_bad_faults_are_refused_and_change_nothing(serve: Serve) -> None:
    caller = serve()
    for body in ({"cap": 3, "nonsense": 1}, {"cap": 3, "envelope": "rows"}):
        answer = caller.client.put("/__sandbox__/faults", json=body)
        assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_FAULT")
        assert list(body)[1] in answer.json()["error"]
    assert caller.sandbox.faults == Faults()
    assert caller.client.put("/__sandbox__/faults", content=b"[]").status_code == 400


def test_every_fault_is_documented() -> None:
    page = (Path(__file__).parents[3] / "docs" / "sandbox.md").read_text()
    for fault in fields(Faults):
        assert f"| `{fault.name}` | " in page
        assert f":param {fault.name}: " in str(Faults.__doc__)

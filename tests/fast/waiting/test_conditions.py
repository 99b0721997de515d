"""Conditions, and the payload by which the end of a wait crosses to the worker."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperoru_provider.client import errors
from hyperoru_provider.client.api.models import Coverage, Health, Price
from hyperoru_provider.client.errors import (
    HyperoruApiError,
    HyperoruConfigError,
    HyperoruContractError,
    HyperoruError,
    HyperoruNotFoundError,
    HyperoruRateLimitError,
    HyperoruServerError,
)
from hyperoru_provider.client.times import format_time
from hyperoru_provider.waiting import payloads
from hyperoru_provider.waiting.conditions import (
    BackfillOver,
    Condition,
    Healthy,
    KlinesCover,
    PriceReached,
    TradesThere,
    Verdict,
    load_condition,
)

NOW = datetime(2026, 1, 20, tzinfo=UTC)
GOOD, BAD = Health(status="Healthy"), Health(status="degraded")
LOST = HyperoruServerError("down", status=503)
DAY = {"start": "2026-01-15T00:00:00Z", "end": "2026-01-16T00:00:00Z"}
CONDITIONS = [
    Healthy(3),
    PriceReached("BTC", "above", "64000.5"),
    TradesThere(**DAY, account_id="2", symbol=None, at_least=10),
    TradesThere(DAY["start"], None, None, "BTC", 1),
    KlinesCover("BTC", "1h", **DAY),
]


def last(condition: Condition, *replies: object) -> Verdict:
    """Return the last verdict; each state crosses as JSON."""
    verdict = Verdict(False, "")
    for reply in replies:
        assert not verdict.done
        verdict = condition.handle(reply, json.loads(json.dumps(verdict.state)), NOW)
    return verdict


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_survives_json(condition: Condition) -> None:
    again = load_condition(json.loads(json.dumps(condition.as_dict())))
    assert again == condition
    assert again.sharing_key == condition.sharing_key


@pytest.mark.parametrize(
    ("condition", "stored"),
    [
        (Healthy(3), {"rule": "Healthy", "checks": 3}),
        (
            PriceReached("BTC", "above", "1.5"),
            {"rule": "PriceReached", "symbol": "BTC", "way": "above", "level": "1.5"},
        ),
        (
            TradesThere(**DAY, account_id="2", symbol=None, at_least=10),
            {"rule": "TradesThere", **DAY, "account_id": "2", "symbol": None, "at_least": 10},
        ),
        (KlinesCover("BTC", "1h", **DAY), {"rule": "KlinesCover", "symbol": "BTC", "interval": "1h", **DAY}),
        (BackfillOver(7, "Killed."), {"rule": "BackfillOver", "job": 7, "left_behind": "Killed."}),
    ],
)
def test_what_is_stored_with_a_deferred_task_keeps_its_names(condition: Condition, stored: dict[str, Any]) -> None:
    assert condition.as_dict() == stored
    assert load_condition(stored) == condition


@pytest.mark.parametrize(
    "data", [{}, {"rule": "os.system"}, {"rule": "Condition"}, {"rule": None}, {"rule": "Healthy", "new": 1}]
)
def test_a_condition_of_another_version_is_told(data: dict[str, Any]) -> None:
    with pytest.raises(HyperoruError, match="in this version"):
        load_condition(data)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_what_may_pass_is_not_yet_and_says_why(condition: Condition) -> None:
    verdict = last(condition, LOST)
    assert not verdict.done
    assert "down" in verdict.message


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("error", [HyperoruApiError("a"), HyperoruContractError("b"), HyperoruConfigError("c")])
def test_what_asking_again_can_not_mend_is_raised(condition: Condition, error: HyperoruError) -> None:
    with pytest.raises(type(error)):
        last(condition, error)


def test_healthy_in_a_row() -> None:
    assert last(Healthy(), GOOD).done
    assert not last(Healthy(3), GOOD, GOOD).done
    assert last(Healthy(3), GOOD, GOOD, GOOD).done
    assert not last(Healthy(3), GOOD, GOOD, BAD, GOOD, GOOD).done
    assert not last(Healthy(3), GOOD, GOOD, LOST, GOOD, GOOD).done
    assert "2 of 3" in last(Healthy(3), GOOD, GOOD).message
    assert "degraded" in last(Healthy(), BAD).message


@given(st.lists(st.sampled_from([GOOD, BAD, LOST]), max_size=20), st.integers(1, 4))
def test_healthy_is_as_it_is_said(replies: list[Any], checks: int) -> None:
    state = None
    for position, reply in enumerate(replies):
        verdict = Healthy(checks).handle(reply, state, NOW)
        state = verdict.state
        row = replies[max(position - checks + 1, 0) : position + 1]
        assert verdict.done == (len(row) == checks and all(each is GOOD for each in row))


def price(value: str) -> Price:
    return Price(symbol="BTC", price=Decimal(value))


@pytest.mark.parametrize(
    ("way", "level", "value", "done"),
    [
        ("above", "100", "100", False),
        ("above", "100", "100.0000000000000000000000000000000001", True),
        ("below", "100", "100", False),
        ("below", "0.1", "0.09999999999999999999999999999999999", True),
    ],
)
def test_prices_are_compared_exactly(way: str, level: str, value: str, done: bool) -> None:
    verdict = last(PriceReached("BTC", way, level), price(value))
    assert verdict.done is done
    assert verdict.result == {"symbol": "BTC", "price": value}


@pytest.mark.parametrize(
    ("seen", "done"),
    [
        (["99"], False),
        (["99", "98"], False),
        (["99", "101"], True),
        (["101", "99"], True),
        (["99", "100"], True),
        (["100", "100"], False),
        (["100", "101"], False),
        (["100", "101", "99"], True),
    ],
)
def test_crossing(seen: list[str], done: bool) -> None:
    assert last(PriceReached("BTC", "crosses", "100"), *map(price, seen)).done is done


def test_a_lost_answer_does_not_forget_the_side() -> None:
    assert last(PriceReached("BTC", "crosses", "100"), price("99"), LOST, price("101")).done


def test_other_levels_of_a_symbol_share_its_question() -> None:
    one, other = PriceReached("BTC", "above", "1"), PriceReached("BTC", "crosses", "2")
    assert one.sharing_key == other.sharing_key == one.question(NOW)
    assert one.sharing_key != PriceReached("ETH", "above", "1").sharing_key


def test_trades_since_a_time_share_a_key_although_the_question_moves_on() -> None:
    condition = TradesThere(DAY["start"], None, None, None, 5)
    asked = condition.question(NOW)
    assert asked.arguments[1] == NOW
    assert asked != condition.question(NOW + timedelta(minutes=1))
    assert condition.sharing_key == TradesThere(DAY["start"], None, None, None, 5).sharing_key
    future = TradesThere("2026-02-01T00:00:00Z", None, None, None, 5).question(NOW)
    assert future.arguments[0] < future.arguments[1]  # type: ignore[operator]


def test_no_trades_of_the_future_are_asked_for() -> None:
    """They would arrive while the list is read, which is an error."""
    start, end = datetime(2026, 1, 19, tzinfo=UTC), datetime(2026, 1, 21, tzinfo=UTC)
    condition = TradesThere(format_time(start), format_time(end), None, None, 5)
    assert condition.question(NOW).arguments[:2] == (start, NOW)
    assert (
        condition.sharing_key.arguments[:2] == condition.question(end + timedelta(days=1)).arguments[:2] == (start, end)
    )
    early = condition.question(start - timedelta(days=1)).arguments
    assert early[:2] == (start, start + datetime.resolution)


def test_enough_trades() -> None:
    condition = TradesThere(**DAY, account_id=None, symbol=None, at_least=5)
    assert not last(condition, 4).done
    assert "4 trades" in last(condition, 4).message
    assert last(condition, 5).done


def coverage(
    earliest: str, latest: str, total: int | None = None, symbol: str = "btc", interval: str = "1h"
) -> Coverage:
    return Coverage.model_validate(
        {"symbol": symbol, "interval": interval, "earliest": earliest, "latest": latest, "total_candles": total}
    )


@pytest.mark.parametrize(
    ("rows", "done"),
    [
        ([], False),
        ([coverage("2026-01-15T00:00:00Z", "2026-01-15T23:00:00Z", 24)], True),
        ([coverage("2026-01-15T00:00:00Z", "2026-01-15T23:00:00Z")], True),
        ([coverage("2026-01-15T00:00:00Z", "2026-01-15T22:00:00Z", 23)], False),
        ([coverage("2026-01-15T01:00:00Z", "2026-01-15T23:00:00Z", 23)], False),
        ([coverage("2026-01-15T00:00:00Z", "2026-01-15T23:00:00Z", 23)], False),
        ([coverage("2026-01-15T00:00:00Z", "2026-01-15T23:00:00Z", 24, symbol="ETH")], False),
        ([coverage("2026-01-15T00:00:00Z", "2026-01-15T23:00:00Z", 24, interval="1m")], False),
        ([Coverage(symbol="BTC", interval="1h", earliest=None, latest=None)], False),
        ([Coverage(symbol="BTC", interval="1h", total_candles=0)], False),
        (
            [
                coverage("2026-01-16T00:00:00Z", "2026-01-17T23:00:00Z"),
                coverage("2026-01-01T00:00:00Z", "2026-01-17T23:00:00Z"),
            ],
            True,
        ),
    ],
)
def test_coverage(rows: list[Coverage], done: bool) -> None:
    assert last(KlinesCover("BTC", "1h", **DAY), rows).done is done


def test_coverage_without_begin_and_end_is_no_absence_of_candles() -> None:
    row = Coverage.model_validate({"symbol": "BTC", "interval": "1h", "from": "2026-01-15T00:00:00Z", "latest": None})
    with pytest.raises(errors.HyperoruContractError, match="has no earliest: its fields are from, interval, latest"):
        last(KlinesCover("BTC", "1h", **DAY), [row])
    with pytest.raises(errors.HyperoruContractError, match=r"has no earliest and no latest.*contract's coverage"):
        last(KlinesCover("BTC", "1h", **DAY), [Coverage(symbol="BTC", interval="1h")])


def test_a_gap_is_named() -> None:
    verdict = last(KlinesCover("BTC", "1h", **DAY), [coverage("2026-01-15T00:00:00Z", "2026-01-15T23:00:00Z", 23)])
    assert "gaps: 23 instead of 24" in verdict.message


def test_coverage_up_to_the_end_of_all_times_is_coverage() -> None:
    row = Coverage.model_validate(
        {"symbol": "BTC", "interval": "1h", "earliest": "2020-01-01T00:00:00Z", "latest": "9999-12-31T23:59:59Z"}
    )
    assert last(KlinesCover("BTC", "1h", **DAY), [row]).done


def test_the_message_of_a_verdict_is_one_line_of_bounded_length() -> None:
    verdict = last(Healthy(), Health(status="down\nfake: line \x1b[2J" + "x" * 1_000_000))
    assert verdict.message.isprintable()
    assert len(verdict.message) < 2_100


def test_a_candle_that_is_not_over_covers_no_more_than_the_past() -> None:
    condition = KlinesCover("BTC", "1d", "2026-01-15T00:00:00Z", "2026-01-21T00:00:00Z")
    rows = [coverage("2026-01-01T00:00:00Z", "2026-01-20T00:00:00Z", interval="1d")]
    assert not condition.handle(rows, None, NOW + timedelta(hours=5)).done
    assert condition.handle(rows, None, NOW + timedelta(days=1)).done


CLASSES = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, HyperoruApiError)]


@pytest.mark.parametrize("cls", CLASSES)
def test_an_error_crosses_as_itself(cls: type[HyperoruApiError]) -> None:
    error = cls("What happened", method="GET", path="/a", status=429, code="C", request_id="r", retry_after=1.5)
    with pytest.raises(cls) as caught:
        payloads.parse_event(json.loads(json.dumps(payloads.failed(error))))
    assert type(caught.value) is cls
    assert vars(caught.value) == vars(error)


def test_an_error_of_the_clients_own_crosses_as_what_others_know() -> None:
    class PrivateError(HyperoruContractError):
        """Known to no other process."""

    with pytest.raises(HyperoruContractError, match="come and go") as caught:
        payloads.parse_event(payloads.failed(PrivateError("Rows come and go")))
    assert type(caught.value) is HyperoruContractError


def test_a_pause_without_end_is_no_json() -> None:
    event = payloads.failed(HyperoruNotFoundError("gone", status=404, retry_after=float("inf")))
    assert "Infinity" not in json.dumps(event, allow_nan=False)


def test_a_wrong_connection_crosses_as_itself() -> None:
    with pytest.raises(HyperoruConfigError, match="host"):
        payloads.parse_event(json.loads(json.dumps(payloads.failed(HyperoruConfigError("The host is wrong.")))))


def test_good_ends_cross() -> None:
    assert payloads.parse_event(payloads.done(Verdict(True, "It is.", None, {"a": "1"}))) == Verdict(
        True, "It is.", None, {"a": "1"}
    )
    assert payloads.parse_event(payloads.timed_out("It is not.")) == Verdict(False, "It is not.")


def test_a_payload_keeps_its_names() -> None:
    """A worker of an older version may read it."""
    assert payloads.done(Verdict(True, "It is.", result="r")) == {"status": "done", "says": "It is.", "result": "r"}
    assert payloads.timed_out("It is not.") == {"status": "timeout", "says": "It is not."}
    error = HyperoruServerError("down", method="GET", path="/a", status=503, code="C", request_id="r", retry_after=2)
    facts = {"method": "GET", "path": "/a", "status": 503, "code": "C", "request_id": "r", "retry_after": 2}
    assert payloads.failed(error) == {
        "status": "failed",
        "error": {"class": "HyperoruServerError", "message": "down", **facts},
    }


@pytest.mark.parametrize(
    "event",
    [
        None,
        True,
        "done",
        [],
        {},
        {"status": "done"},
        {"status": "done", "says": 5, "result": None},
        {"status": "done", "says": "", "result": 5},
        {"status": "success", "says": "", "result": None},
        {"status": "timeout"},
        {"status": "failed"},
        {"status": "failed", "error": {"class": "HyperoruServerError"}},
        {"status": "failed", "error": "down"},
    ],
)
def test_an_event_of_somebody_else_is_an_error(event: object) -> None:
    with pytest.raises(HyperoruContractError, match="event"):
        payloads.parse_event(event)


@pytest.mark.parametrize("name", ["SystemExit", "Any", "from_status", "_rebuild", "Foo", "HyperoruError2", "", "json"])
def test_no_other_class_is_made(name: str) -> None:
    facts = {"class": name, "message": "m" * 10_000, "status": "500", "retry_after": float("nan"), "code": 5, "x": "y"}
    with pytest.raises(HyperoruApiError) as caught:
        payloads.parse_event({"status": "failed", "error": facts})
    assert type(caught.value) is HyperoruApiError
    assert len(caught.value.message) <= 2_000
    assert (caught.value.status, caught.value.retry_after, caught.value.code) == (None, None, None)


def test_a_retry_policy_can_match_what_crossed() -> None:
    with pytest.raises(HyperoruRateLimitError) as caught:
        payloads.parse_event(payloads.failed(HyperoruRateLimitError("Slower", status=429, retry_after=3)))
    assert caught.value.retry_after == 3


def test_what_a_server_says_is_escaped() -> None:
    """It goes to the log, and by way of a trigger to Airflow's database."""
    verdict = Healthy().handle(Health(status="up\x1b[31m\x00"), None, NOW)
    assert verdict.message == "The service is up\\x1b[31m\\x00, not healthy."

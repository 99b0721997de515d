from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperoru_provider.client.api.contract import load_contract
from hyperoru_provider.client.errors import HyperoruConfigError, HyperoruContractError
from hyperoru_provider.client.stream.event_filter import FILTERS
from hyperoru_provider.client.stream.messages import (
    Event,
    EventReader,
    Message,
    Refusal,
    read_message,
    read_refusal,
    server_channels,
    write_message,
    write_subscription,
)

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
LONG = "123456789.123456789123456789"


def read(text: str, **overrides: Any) -> list[Event]:
    contract = load_contract(overrides)
    reader = EventReader(contract, server_channels(contract, FILTERS))
    return reader.read(read_message(text), NOW)


@given(st.text(min_size=1), st.text(), st.dictionaries(st.text(), st.text()))
def test_a_request_can_be_read_again(kind: str, request_id: str, data: dict[str, str]) -> None:
    assert read_message(write_message(kind, request_id, data)) == Message(kind, request_id, data)


@given(st.one_of(st.text(), st.binary(), st.just("[" * 100_000), st.just('{"type": 1e999999999999999999999}')))
def test_whatever_is_no_message_is_an_error_of_ours_that_does_not_repeat_it(text: str | bytes) -> None:
    try:
        message = read_message(text)
    except HyperoruContractError as error:
        assert len(str(error)) < 100
    else:
        assert isinstance(message.type, str)


def test_numbers_keep_their_digits() -> None:
    (event,) = read(f'{{"type": "trades", "data": {{"trade_id": 12345678901234567890123, "price": {LONG}}}}}')
    assert event.data == {"trade_id": 12345678901234567890123, "price": Decimal(LONG)}


@pytest.mark.parametrize(
    ("channel", "data", "expected"),
    [
        (
            "trades",
            '{"id": 1, "account_id": 7, "symbol": "BTC", "side": "BUY", "quantity": 2, "price": 1.5,'
            ' "executed_at": "2026-01-15T10:00:00.5"}',
            (7, "BTC", "BUY", Decimal("3.0"), datetime(2026, 1, 15, 10, 0, 0, 500_000, UTC)),
        ),
        (
            "trades",
            '{"account_id": "x", "symbol": "BTC", "side": "SELL", "notional": -5, "timestamp": "2026-01-15T10:00:00Z"}',
            ("x", "BTC", "SELL", Decimal(5), datetime(2026, 1, 15, 10, tzinfo=UTC)),
        ),
        (
            "positions",
            '{"account_id": 7, "symbol": "ETH", "side": "short", "size": -2, "entry_price": 100}',
            (7, "ETH", "short", Decimal(200), NOW),
        ),
        (
            "model_chat",
            '{"id": 1, "account_id": 7, "symbol": null, "operation": "hold", "created_at": "2026-01-15T10:00:00Z"}',
            (7, None, "hold", None, datetime(2026, 1, 15, 10, tzinfo=UTC)),
        ),
        (
            "asset_curve",
            '{"account_id": 7, "equity": 1000.5, "timestamp": "soon"}',
            (7, None, None, None, NOW),
        ),
        ("trades", '{"account_id": [1], "symbol": 5, "side": {}, "notional": "much"}', ("[1]", "5", "{}", None, NOW)),
    ],
)
def test_an_event_says_whose_what_and_when(channel: str, data: str, expected: tuple[Any, ...]) -> None:
    (event,) = read(f'{{"type": "{channel}", "data": {data}}}')
    assert (event.account_id, event.symbol, event.side, event.notional, event.time) == expected
    assert event.channel == channel


def test_the_contract_names_channels_and_fields() -> None:
    overrides = {
        "trades": {"fields": {"account_id": "who"}, "time": "at"},
        "stream": {"channels": {"trades": "fills", "positions": "pos"}, "fields": {"account_id": "owner"}},
    }
    (trade,) = read('{"type": "fills", "data": {"who": 3, "at": "2026-01-15T10:00:00Z"}}', **overrides)
    assert (trade.channel, trade.account_id, trade.time.hour) == ("trades", 3, 10)
    (position,) = read('{"type": "pos", "data": {"owner": 4}}', **overrides)
    assert (position.channel, position.account_id) == ("positions", 4)


def test_a_list_is_many_events_and_an_answer_is_none() -> None:
    assert len(read('{"type": "trades", "data": [{}, {}, {}]}')) == 3
    assert read('{"type": "trades", "data": []}') == []
    assert read('{"type": "asset_curve", "request_id": "5", "data": {"points": []}}') == []
    for data in ("null", "5", "[{}, 5]"):
        with pytest.raises(HyperoruContractError, match="not an object"):
            read(f'{{"type": "trades", "data": {data}}}')


def test_what_no_filter_can_use_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    contract = load_contract()
    reader = EventReader(contract, server_channels(contract, FILTERS))
    for _ in range(3):
        reader.read(Message("trades", None, {"acct": 1, "symbol": "BTC", "side": "BUY", "notional": 1}), NOW)
        reader.read(Message("fills", None, {}), NOW)
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == 3
    assert "has no account_id; its fields are acct, symbol, side, notional" in told[0]
    assert "trades.fields" in told[0]
    assert "has no time" in told[1]
    assert "'fills'" in told[2] and "stream.channels" in told[2]
    for number in range(100):
        reader.read(Message(f"type {number}", None, {}), NOW)
    assert len(caplog.records) == 20


def test_refusals() -> None:
    assert read_refusal(read_message('{"type": "trades", "data": {}}')) is None
    refusal = read_refusal(read_message('{"type": "error", "data": {"code": "UNAUTHORIZED", "message": "no"}}'))
    assert refusal == Refusal("UNAUTHORIZED", "no") and refusal.is_about_token
    long = msgspec.json.encode({"type": "error", "data": {"code": "x" * 295 + "a-token", "message": "y" * 5000}})
    assert read_refusal(read_message(long), ["a-token"]) == Refusal("x" * 295 + "***", "y" * 300 + "...")
    refusal = read_refusal(read_message('{"type": "error", "data": null}'))
    assert refusal == Refusal("", "no reason given") and not refusal.is_about_token


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "error", "message": "too many", "code": "LIMIT"}',
        '{"type": "error", "error": "too many", "code": "LIMIT", "data": null}',
        '{"type": "error", "error": {"message": "too many", "code": "LIMIT"}}',
        '{"type": "error", "code": "LIMIT", "data": "too many"}',
        '{"type": "error", "code": "LIMIT", "data": {"detail": "too many", "code": null}}',
    ],
)
def test_an_error_may_stand_beside_the_data(text: str) -> None:
    assert read_refusal(read_message(text)) == Refusal("LIMIT", "too many")


def test_an_error_is_no_channel_to_be_advised(caplog: pytest.LogCaptureFixture) -> None:
    reader = EventReader(load_contract(), {"trades": "trades"})
    assert reader.read(read_message('{"type": "error", "message": "no"}'), NOW) == []
    assert not caplog.records


@pytest.mark.parametrize("text", ["a\\u0000b", "a\\u001b[2Jb", "a\\u202eb", "a\\ud83d"])
def test_what_a_server_says_is_logged_escaped(text: str, caplog: pytest.LogCaptureFixture) -> None:
    refusal = read_refusal(read_message(f'{{"type": "error", "message": "{text}", "code": "{text}"}}'))
    assert refusal is not None and refusal.message.isprintable() and refusal.code.isprintable()
    reader = EventReader(load_contract(), {"trades": "trades"})
    reader.read(read_message(f'{{"type": "{text}", "data": {{}}}}'), NOW)
    reader.read(read_message(f'{{"type": "trades", "data": {{"{text}": 1}}}}'), NOW)
    assert len(caplog.records) > 1
    assert all(record.getMessage().isprintable() for record in caplog.records)


def test_channels() -> None:
    assert server_channels(load_contract({"stream": {"channels": {"trades": "fills"}}}), ["trades"]) == {
        "fills": "trades"
    }
    for channels, words in ((["fills"], "known are trades"), ([], "at least one")):
        with pytest.raises(HyperoruConfigError, match=words):
            server_channels(load_contract(), channels)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"channels": {"fills": "x"}}, "stream.channels.fills: unknown name; known are asset_curve"),
        ({"fields": {"accounts": "x"}}, "stream.fields.accounts"),
        ({"params": {"token": "x"}}, "stream.params.token"),
        ({"auth": "header"}, "stream.auth"),
        ({"refused_codes": "4401"}, "stream.refused_codes"),
    ],
)
def test_an_override_that_means_nothing_is_an_error(overrides: dict[str, Any], words: str) -> None:
    with pytest.raises(HyperoruConfigError, match=words):
        load_contract({"stream": overrides})


@pytest.mark.parametrize(
    ("told", "time"),
    [
        ("2026-01-15T12:00:59Z", NOW + timedelta(seconds=59)),
        ("2026-01-15T12:01:01Z", NOW),
        ("9999-12-31T23:59:59.999999Z", NOW),
        ("0001-01-01T00:00:00Z", datetime.min.replace(tzinfo=UTC)),
    ],
)
def test_a_time_far_ahead_is_that_of_receipt(told: str, time: datetime) -> None:
    (event,) = read(f'{{"type": "trades", "data": {{"trade_time": "{told}"}}}}')
    assert event.time == time


AS_A_USER = {
    "user_id": 1,
    "channels": {"trades": "trade_update", "positions": "position_update", "asset_curve": "asset_update"},
    "payloads": {"trades": "trade", "positions": "positions", "asset_curve": None},
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"type": "trade_update", "trade": {"account_id": 1}}', [("trades", {"account_id": 1})]),
        ('{"type": "position_update", "positions": [{}, {"a": 2}]}', [("positions", {}), ("positions", {"a": 2})]),
        ('{"type": "position_update", "positions": []}', []),
        ('{"type": "asset_update", "account_id": 1, "data": 2}', [("asset_curve", {"account_id": 1, "data": 2})]),
        ('{"type": "model_chat", "data": {"account_id": 3}}', [("model_chat", {"account_id": 3})]),
    ],
)  # fmt: skip
def test_an_event_stands_where_the_contract_says(text: str, expected: list[tuple[str, dict[str, Any]]]) -> None:
    assert [(event.channel, event.data) for event in read(text, stream=AS_A_USER)] == expected


def test_a_message_without_its_payload_is_an_error() -> None:
    with pytest.raises(HyperoruContractError, match="not an object"):
        read('{"type": "trade_update", "data": {"account_id": 1}}', stream=AS_A_USER)


def test_a_list_that_is_cut_is_known_wherever_it_stands() -> None:
    rows = ",".join(["{}"] * 1001)
    assert read_message(f'{{"type": "position_update", "positions": [{rows}]}}').is_cut
    assert not read_message('{"type": "position_update", "positions": [{}]}').is_cut


def test_who_subscribes_as_a_user_is_not_surprised_by_other_channels(caplog: pytest.LogCaptureFixture) -> None:
    for stream, warnings in ((AS_A_USER, 0), ({**AS_A_USER, "user_id": None}, 1)):
        caplog.clear()
        contract = load_contract({"stream": stream})
        reader = EventReader(contract, server_channels(contract, ["positions"]))
        assert reader.read(read_message('{"type": "trade_update", "trade": {}}'), NOW) == []
        assert len(caplog.records) == warnings


def test_a_subscription_as_a_user_has_nothing_else_in_it() -> None:
    assert write_subscription(1) == '{"type":"subscribe","user_id":1}'


def test_payloads_are_those_of_channels_that_there_are() -> None:
    with pytest.raises(HyperoruConfigError, match=r"stream\.payloads\.fills"):
        load_contract({"stream": {"payloads": {"fills": "fill"}}})

"""Which events pass a filter, and how many become one summary."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperoru_provider.client.errors import HyperoruConfigError
from hyperoru_provider.client.stream.event_filter import FILTERS, EventFilter, normalize
from hyperoru_provider.client.stream.messages import Event, Gap
from hyperoru_provider.client.times import parse_time
from hyperoru_provider.waiting.event_summary import (
    OVERLAP,
    EventBatch,
    EventSummary,
    Throttle,
    merge_gaps,
    summarize,
    summarize_gap,
)

BEGIN = datetime(2026, 1, 15, tzinfo=UTC)
CHANNELS = frozenset(FILTERS)

times = st.timedeltas(timedelta(0), timedelta(hours=1)).map(lambda delta: BEGIN + delta)
accounts = st.one_of(st.none(), st.integers(1, 4), st.sampled_from(["1", "x"]))
symbols = st.one_of(st.none(), st.sampled_from(["BTC", "ETH", "kPEPE", "PURR/USDC"]))
sides = st.one_of(st.none(), st.sampled_from(["BUY", "sell", "long"]))
notionals = st.one_of(st.none(), st.decimals(0, 1000, places=2))
events = st.builds(
    Event,
    channel=st.sampled_from(sorted(FILTERS)),
    data=st.just({}),
    account_id=accounts,
    symbol=symbols,
    side=sides,
    notional=notionals,
    time=times,
)


def several(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), values, st.lists(values, min_size=1, max_size=3))


def event(**facts: Any) -> Event:
    plain: dict[str, Any] = {"account_id": 1, "symbol": "BTC", "side": "BUY", "notional": Decimal(10), "time": BEGIN}
    return Event(channel=facts.pop("channel", "trades"), data={}, **plain | facts)


@given(
    st.lists(events, max_size=20),
    several(st.one_of(st.integers(1, 4), st.sampled_from(["1", "x"]))),
    several(st.sampled_from(["btc", "ETH", "KPEPE"])),
    several(st.sampled_from(["buy", "SELL"])),
    st.one_of(st.none(), st.integers(0, 1000), st.decimals(0, 1000, places=2), st.floats(0, 1000)),
)
def test_a_filter_passes_what_it_says_and_nothing_else(
    came: list[Event], account_id: Any, symbol: Any, side: Any, least: Any
) -> None:
    def among(value: object, wanted: Any) -> bool:
        if wanted is None:
            return True
        wanted = wanted if isinstance(wanted, list) else [wanted]
        return value is not None and str(value).lower() in [str(each).lower() for each in wanted]

    mine = [
        each
        for each in came
        if each.channel == "trades"
        and among(each.account_id, account_id)
        and among(each.symbol, symbol)
        and among(each.side, side)
        and (least is None or (each.notional is not None and each.notional >= Decimal(str(least))))
    ]
    summary = summarize(EventFilter("trades", account_id, symbol, side, least), EventBatch(CHANNELS, events=came))
    if not mine:
        assert summary is None
        return
    assert summary is not None
    assert summary.count == len(mine)
    assert summary.start is not None
    assert summary.start == min(each.time for each in mine)
    assert max(each.time for each in mine) < summary.end
    account_ids, symbols = {each.account_id for each in mine}, {each.symbol for each in mine}
    assert summary.account_ids == (None if None in account_ids else account_ids)
    assert summary.symbols == (None if None in symbols else symbols)


def taken(throttle: Throttle, now: float) -> list[tuple[float, EventSummary]]:
    if summary := throttle.take(now):
        return [(now, summary)]
    assert (throttle.delay(now) or 0) < 1e-6  # the sum was rounded down
    return []


def covers(summaries: list[EventSummary], gap: bool, start: datetime, end: datetime) -> bool:
    return any(
        summary.gap >= gap and summary.start is not None and summary.start <= start and end <= summary.end
        for summary in summaries
    )


@given(
    st.lists(st.tuples(st.floats(0, 5), st.lists(st.one_of(events, times), min_size=1, max_size=3)), max_size=20),
    st.sampled_from([0.0, 0.5, 2.0, 30.0]),
)
def test_merged_summaries_cover_every_event_and_keep_their_distance(
    arrivals: list[tuple[float, list[Any]]], interval: float
) -> None:
    event_filter, throttle, now = EventFilter("trades"), Throttle(interval), 0.0
    sent: list[tuple[float, EventSummary]] = []
    owed: list[tuple[float, bool, datetime, datetime]] = []  # when it came, whether it is a gap, from when to when

    def pass_time(until: float) -> None:
        nonlocal now
        while (wait := throttle.delay(now)) is not None and now + wait <= until:
            now += wait
            sent.extend(taken(throttle, now))
        now = until

    for pause, items in arrivals:
        pass_time(now + pause)
        for item in items:
            batch = EventBatch(CHANNELS)
            if isinstance(item, Event):
                batch.add(item)
            else:
                end = item + timedelta(seconds=1)
                batch.add(Gap("lost", item, end))
                owed.append((now, True, item, end))
            if batch.gap:
                throttle.add(summarize_gap(event_filter, batch.gap))
            if summary := summarize(event_filter, batch):
                throttle.add(summary)
                owed.append((now, False, item.time, item.time + datetime.resolution))
    pass_time(now + interval)
    assert throttle.delay(now) is None
    for came, gap, start, end in owed:
        in_time = [summary for moment, summary in sent if came <= moment <= came + interval + 1e-6]
        assert covers(in_time, gap, start, end)
    moments = [moment for moment, _ in sent]
    assert all(later - earlier >= interval - 1e-6 for earlier, later in pairwise(moments))
    if owed:
        assert sent[0][0] == pytest.approx(owed[0][0], abs=1e-6)  # the first at once
        assert sum(summary.count for _, summary in sent) == sum(not gap for _, gap, _, _ in owed)


def test_a_summary_is_small_json_that_an_export_can_take() -> None:
    batch = EventBatch(
        CHANNELS, events=[event(), event(account_id=2, symbol="ETH", time=BEGIN + timedelta(seconds=1.5))]
    )
    summary = summarize(EventFilter("trades"), batch)
    assert summary is not None
    assert json.loads(json.dumps(summary.as_dict())) == {
        "kind": "events",
        "channel": "trades",
        "account_ids": [1, 2],
        "symbols": ["BTC", "ETH"],
        "count": 2,
        "from": "2026-01-15T00:00:00Z",
        "to": "2026-01-15T00:00:01.500001Z",
    }
    assert parse_time(summary.as_dict()["to"]) > batch.events[1].time


def test_long_lists_become_any() -> None:
    event_filter = EventFilter("trades")
    one = summarize(event_filter, EventBatch(CHANNELS, events=[event(account_id=number) for number in range(50)]))
    other = summarize(event_filter, EventBatch(CHANNELS, events=[event(account_id=99)]))
    assert one is not None and other is not None
    assert len(one.as_dict()["account_ids"]) == 50
    assert one.merge(other).as_dict()["account_ids"] is None


@pytest.mark.parametrize(("symbol", "symbols"), [("B" * 200, ["B" * 200]), ("B" * 900_000, None)])
def test_a_symbol_without_an_end_is_left_out_of_a_summary(symbol: str, symbols: Any) -> None:
    summary = summarize(EventFilter("trades"), EventBatch(CHANNELS, events=[event(symbol=symbol)]))
    assert summary is not None
    assert summary.as_dict()["symbols"] == symbols


def test_a_gap_names_what_the_trigger_is_about_and_reaches_back_a_little() -> None:
    event_filter = EventFilter("trades", account_id=[3, 2])
    assert summarize_gap(event_filter, Gap("lost", BEGIN + OVERLAP, BEGIN + 2 * OVERLAP)).as_dict() == {
        "kind": "gap",
        "channel": "trades",
        "account_ids": [2, 3],
        "symbols": None,
        "count": 0,
        "from": "2026-01-15T00:00:00Z",
        "to": "2026-01-15T00:02:00Z",
    }
    assert summarize_gap(event_filter, Gap("begin", None, BEGIN)).as_dict()["from"] is None


def test_a_gap_that_begins_at_the_first_of_all_times_is_a_gap() -> None:
    gap = Gap("full", datetime.min.replace(tzinfo=UTC), BEGIN)
    assert summarize_gap(EventFilter("trades"), gap).as_dict()["from"] == "0001-01-01T00:00:00Z"


def test_merged_gaps_hold_both() -> None:
    later = BEGIN + timedelta(seconds=5)
    both = merge_gaps(Gap("one", BEGIN, later), Gap("other", None, BEGIN))
    assert (both.since, both.until) == (None, later)


def test_more_events_than_a_batch_holds_become_a_gap() -> None:
    batch = EventBatch(CHANNELS)
    for number in range(1500):
        batch.add(event(time=BEGIN + timedelta(seconds=number)))
    assert len(batch.events) == 1000
    assert batch.gap is not None and batch.gap.since is not None
    assert batch.gap.since <= BEGIN + timedelta(seconds=1000)
    assert batch.gap.until > BEGIN + timedelta(seconds=1499)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"channel": "fills"}, "known are trades, positions"),
        ({"channel": "asset_curve", "symbol": "BTC"}, "no symbol to filter by, only account_id"),
        ({"channel": "model_chat", "min_notional": 5}, "no notional"),
        ({"channel": "trades", "min_notional": "much"}, "'much' is not an amount"),
        ({"channel": "trades", "min_notional": "nan"}, "not an amount"),
    ],
)
def test_a_filter_that_can_pass_nothing_is_an_error(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(HyperoruConfigError, match=words):
        EventFilter(**arguments)


def test_names_of_a_server_are_escaped() -> None:
    """They go to Airflow's database and to logs."""
    batch = EventBatch(CHANNELS, events=[event(account_id="a\x00", symbol="B\x1b[31m")])
    summary = summarize(EventFilter("trades"), batch)
    assert summary is not None
    assert (summary.as_dict()["account_ids"], summary.as_dict()["symbols"]) == (["a\\x00"], ["B\\x1b[31m"])


def test_equal_lists_are_the_same_list() -> None:
    assert normalize(("ETH", "BTC", "ETH")) == normalize(["BTC", "ETH"]) == ["BTC", "ETH"]
    assert normalize("BTC") == ["BTC"]
    assert normalize(3) == [3]
    assert normalize(None) is None


@pytest.mark.parametrize("nothing", [[], "", " ", "None", [None], ["BTC", ""]])
@pytest.mark.parametrize("name", ["account_id", "symbol", "side"])
def test_a_filter_of_nothing_is_an_error_as_it_would_wait_forever(name: str, nothing: Any) -> None:
    with pytest.raises(HyperoruConfigError, match=f"{name} is .*leave it out"):
        EventFilter("trades", **{name: nothing})


@pytest.mark.parametrize("several", ["[1, 2]", "BTC,ETH", "(1, 2)", ["[1]"]])
@pytest.mark.parametrize("name", ["account_id", "symbol", "side"])
def test_a_text_of_several_values_is_an_error_as_it_would_wait_forever(name: str, several: Any) -> None:
    with pytest.raises(HyperoruConfigError, match=f"{name} is .*give a list"):
        EventFilter("trades", **{name: several})


@given(st.lists(st.lists(events, max_size=3), min_size=2, max_size=4), st.lists(st.booleans(), min_size=4, max_size=4))
def test_batches_that_were_not_taken_in_time_tell_the_same_as_one_by_one(
    came: list[list[Event]], lost: list[bool]
) -> None:
    gap = Gap("lost", BEGIN, BEGIN + timedelta(seconds=1))
    batches = [EventBatch(CHANNELS, gap if gone else None, each) for each, gone in zip(came, lost, strict=False)]
    before = [(batch.gap, list(batch.events)) for batch in batches]
    joined = batches[0]
    for batch in batches[1:]:
        joined = joined.joined_by(batch)
    assert joined.events == [event for batch in batches for event in batch.events]
    assert (joined.gap is not None) == any(batch.gap for batch in batches)
    assert before == [(batch.gap, list(batch.events)) for batch in batches]  # others share them


def test_a_joined_batch_holds_no_more_than_one_does() -> None:
    full = EventBatch(CHANNELS)
    for number in range(1000):
        full.add(Event("trades", {}, number, "BTC", "BUY", None, BEGIN))
    joined = full.joined_by(full)
    assert len(joined.events) == 1000
    assert joined.gap is not None
    assert joined.gap.since == BEGIN

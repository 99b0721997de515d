"""Whatever windows are exported in whatever order: a table of Iceberg has the rows that the server had last."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperoru_provider.client.lists.rows import Row
from hyperoru_provider.params.window import Window
from tests.http.export.test_iceberg import START, land, trade
from tests.lakes import local_lake

HOUR = timedelta(hours=1)
FILTERS: list[dict[str, str]] = [{}, {}, {"account_id": "1"}, {"account_id": "2"}, {"symbol": "eth"}]
#: what a trade is: its hour, its trader, its symbol and its price
Fact = tuple[int, str, str, int]
facts = st.tuples(st.integers(0, 71), st.sampled_from("12"), st.sampled_from(["BTC", "ETH", "eTh"]), st.integers(1, 3))


def row_of(number: int, fact: Fact) -> Row:
    hour, account, symbol, price = fact
    return trade(number, str(price), hour * HOUR, account_id=f'"{account}"', symbol=f'"{symbol}"')


def matches(fact: Fact, start: int, end: int, limits: dict[str, str]) -> bool:
    named = {"account_id": fact[1], "symbol": fact[2].lower()}
    return start <= fact[0] < end and all(named[name] == text for name, text in limits.items())


@pytest.mark.slow
@settings(max_examples=40)
@given(data=st.data())
def test_the_table_has_the_rows_that_the_server_had_last(data: st.DataObject) -> None:
    by_day, per_file = data.draw(st.booleans()), data.draw(st.sampled_from([2, 5, 100]))
    served: dict[int, Fact] = data.draw(st.dictionaries(st.integers(0, 20), facts, max_size=15))
    model: dict[int, Fact] = {}
    with tempfile.TemporaryDirectory() as directory:
        lake = local_lake(Path(directory))
        for _ in range(data.draw(st.integers(1, 5))):
            start = data.draw(st.integers(0, 71))
            end = start + data.draw(st.sampled_from([1, 24, 72]))
            limits = data.draw(st.sampled_from(FILTERS))
            mine = {number: fact for number, fact in served.items() if matches(fact, start, end, limits)}
            stay = {number: fact for number, fact in model.items() if not matches(fact, start, end, limits)}
            if set(mine) & set(stay):  # it has moved to another window, or to another trader: a table shows both
                continue
            same = {**stay, **mine} == model
            rows = [row_of(number, mine[number]) for number in sorted(mine, key=lambda each: (mine[each][0], each))]
            window = Window(START + start * HOUR, START + end * HOUR)
            how: dict[str, Any] = {"partition_by_day": by_day, "rows_per_file": per_file, "on_empty": "succeed"}
            summary = land(lake, rows, window, **limits, **how)
            assert summary["written"] or same
            model = {**stay, **mine}
            assert lake.prices() == {str(number): Decimal(fact[3]) for number, fact in model.items()}
            served = data.draw(st.just(served) | st.dictionaries(st.integers(0, 20), facts, max_size=15))

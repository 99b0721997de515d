from __future__ import annotations

import math
import sys
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperoru_provider.client.amounts import parse_amount
from hyperoru_provider.client.api.contract import load_contract
from hyperoru_provider.client.api.models import BackfillJob, Coverage, Model, Price, Trader
from hyperoru_provider.client.calls import validated
from hyperoru_provider.client.errors import HyperoruConfigError, HyperoruContractError
from hyperoru_provider.client.stream.event_filter import EventFilter
from hyperoru_provider.client.stream.messages import EventReader, read_message
from hyperoru_provider.client.times import parse_time
from hyperoru_provider.params import arguments

NONE_AT_ALL: list[Any] = [
    None, True, False, "", "much", "1,5", "0x10", "1e", "NaN", "sNaN", "-Infinity", "\ud800", "\x00", [1], (0, (1,), 0),
    {}, b"1", math.nan, math.inf, Decimal("NaN"), Decimal("Infinity"),
]  # fmt: skip
TOO_LONG: list[Any] = [
    "1e999999999", "1e-999999999", "0e999999999", "-1e400", "1e-401", "1e99999999999999999999", "9" * 401,
    "0." + "1" * 401, 10**400, pytest.param(10**5000, id="a long int"), Decimal("1e999999999"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (5, "5"),
        (-5, "-5"),
        (0.1, "0.1"),
        (1e-7, "0.0000001"),
        ("1e3", "1000"),
        ("1.00E-05", "0.0000100"),
        (" 7\n", "7"),
        ("+.5", "0.5"),
        (Decimal("1.50"), "1.50"),
        ("1e-400", f"0.{1:0400}"),
        ("9" * 400, "9" * 400),
        ("123456789012345678901234567890.123456789", "123456789012345678901234567890.123456789"),
    ],
)
def test_a_number_keeps_its_digits(value: Any, plain: str) -> None:
    assert f"{parse_amount(value):f}" == plain


@pytest.mark.parametrize("value", [*NONE_AT_ALL, *TOO_LONG])
def test_what_is_no_number_or_too_long_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse_amount(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_float_is_an_amount(value: float) -> None:
    assert float(parse_amount(value)) == value


def test_the_limits_leave_room_for_every_float() -> None:
    for value in (sys.float_info.max, sys.float_info.min, 5e-324):
        assert float(f"{parse_amount(value):f}") == value


@given(st.one_of(st.text(), st.from_regex(r"-?[0-9]{1,9}(\.[0-9]{1,9})?[eE][+-]?[0-9]{1,12}", fullmatch=True)))
def test_whatever_is_accepted_can_be_written_out(text: str) -> None:
    try:
        amount = parse_amount(text)
    except ValueError as error:
        assert len(str(error)) < 100
    else:
        assert amount.is_finite()
        assert len(f"{amount:f}") <= 810


@pytest.mark.parametrize("value", ["much", "nan", True, "1e999999999"])
def test_an_argument_that_is_no_amount_is_an_error_that_names_it(value: Any) -> None:
    with pytest.raises(HyperoruConfigError, match=r"above is .*expected"):
        arguments.amount("above", value)
    with pytest.raises(HyperoruConfigError, match=r"min_notional .* is not an amount"):
        EventFilter("trades", min_notional=value)


@pytest.mark.parametrize("notional", ['"much"', '"NaN"', "true", "[1]", "1e999999999", '"1e999999999"'])
def test_an_event_whose_amount_cant_be_read_has_none(notional: str) -> None:
    now = parse_time("2026-01-15T12:00:00Z")
    reader = EventReader(load_contract(), {"trades": "trades"})
    (event,) = reader.read(read_message(f'{{"type": "trades", "data": {{"notional": {notional}}}}}'), now)
    assert event.notional is None
    (event,) = reader.read(read_message(f'{{"type": "trades", "data": {{"quantity": {notional}, "price": 2}}}}'), now)
    assert event.notional is None


@pytest.mark.parametrize("price", [True, "much", Decimal("1e999999999")])
def test_an_answer_whose_amount_cant_be_read_is_an_error(price: Any) -> None:
    with pytest.raises(HyperoruContractError, match=r"price: .*expected"):
        validated(Price, {"symbol": "BTC", "price": price})


@pytest.mark.parametrize("number", ["1e99999999", "1e999999999", "1e-999999999"])
@pytest.mark.parametrize(
    ("model", "field", "others"),
    [
        (Coverage, "total_candles", {"symbol": "BTC", "interval": "1h"}),
        (BackfillJob, "rows_written", {"id": 1, "status": "done"}),
    ],
)
def test_a_whole_number_of_a_few_bytes_that_is_endless_in_full_is_an_error(
    model: type[Model], field: str, others: dict[str, Any], number: str
) -> None:
    with pytest.raises(HyperoruContractError, match=f"{field}: .*at most 400 digits"):
        validated(model, {**others, field: Decimal(number)})
    assert getattr(validated(model, {**others, field: Decimal("3.0")}), field) == 3


def test_an_id_that_is_endless_in_full_stays_as_it_is_written() -> None:
    assert validated(Trader, {"id": Decimal("1e999999999")}).id == "1E+999999999"
    assert [validated(Trader, {"id": given}).id for given in (7, "7", Decimal("7.0"))] == [7, "7", "7.0"]
    with pytest.raises(HyperoruContractError, match="an id is a whole number or a text"):
        validated(Trader, {"id": True})

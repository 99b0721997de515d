"""What the API sends, as pydantic models: unknown fields are kept, missing optional ones are ``None``.

Amounts are :class:`~decimal.Decimal`, exactly as the server's JSON has them; times are in UTC.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainSerializer

from hyperoru_provider.client.amounts import is_blank, parse_amount
from hyperoru_provider.client.times import format_time, parse_time

UtcTime = Annotated[
    datetime,
    BeforeValidator(
        lambda value, info: value if isinstance(value, datetime) else parse_time(value, info.context or "iso")
    ),
    PlainSerializer(format_time, when_used="json"),
]
Amount = Annotated[
    Decimal, BeforeValidator(parse_amount), PlainSerializer(lambda value: format(value, "f"), when_used="json")
]
#: a whole number; one such as 1e99999999 would take a minute to be written out
Whole = Annotated[
    int, BeforeValidator(lambda value: parse_amount(value) if isinstance(value, (Decimal, float)) else value)
]


def _id_number(value: object) -> int:
    """Return an id that is a whole number; another value may be a text, but ``true`` is neither."""
    if type(value) is not int:
        raise ValueError("an id is a whole number or a text")
    return value


#: a whole number or a text; another number is a text, such as 7.0 or 1E+2
Id: TypeAlias = Annotated[int, BeforeValidator(_id_number)] | str
T = TypeVar("T")
#: what may be missing or ``null``, or an empty text, which is no value of a type that is not text
Maybe = Annotated[T | None, BeforeValidator(lambda value: None if is_blank(value) else value)]


class Model(BaseModel):
    """Base of all models: immutable, and keeps fields that it does not know."""

    model_config = ConfigDict(
        extra="allow", frozen=True, allow_inf_nan=False, coerce_numbers_to_str=True, protected_namespaces=()
    )


class Snapshot(Model):
    """Base of what is as it is now, with no time or key of its own; ``as_of``, when reading began, is ours."""

    as_of: Maybe[UtcTime] = None


class Health(Model):
    """The state of the service."""

    status: str

    @property
    def healthy(self) -> bool:
        """Whether the service calls itself healthy."""
        return self.status.lower() == "healthy"


class Profile(Model):
    """The user behind the session."""

    id: Id | None = None
    username: str | None = None
    email: str | None = None
    is_active: Maybe[bool] = None


class Trader(Model):
    """An AI trader, which the API calls an account; ``id`` is what others name ``account_id``."""

    id: Id
    name: str | None = None
    model: str | None = None
    account_type: str | None = None
    is_active: Maybe[bool] = None
    show_on_dashboard: Maybe[bool] = None
    initial_capital: Maybe[Amount] = None
    current_cash: Maybe[Amount] = None
    frozen_cash: Maybe[Amount] = None


class Price(Model):
    """The price of a symbol when it was asked for."""

    symbol: str
    price: Amount
    market: str | None = None


class Quote(Price):
    """A price with the time at which it was asked for, as the server gives none."""

    asked_at: UtcTime


class Kline(Model):
    """A candle; ``timestamp`` is its start."""

    symbol: str
    interval: str
    timestamp: UtcTime
    open: Amount
    high: Amount
    low: Amount
    close: Amount
    volume: Maybe[Amount] = None


class Coverage(Snapshot):
    """Which candles of a symbol and interval there are: from the start of the first to the start of the last."""

    symbol: str
    interval: str
    earliest: Maybe[UtcTime] = None
    latest: Maybe[UtcTime] = None
    total_candles: Maybe[Whole] = None


_LONGEST_ID = 200  # it is a part of an address


def _printable_id(value: Id) -> Id:
    """Return an id that can be kept beside a task and asked for, in any database and address."""
    if not str(value).isprintable() or len(str(value)) > _LONGEST_ID:
        raise ValueError(f"an id of at most {_LONGEST_ID} characters that can be printed is expected")
    return value


class BackfillJob(Model):
    """A job that writes candles at the server. Its times are text as sent, as no format of theirs is documented.

    ``meaning`` is ours: what its status means by the contract, in the answer to how the job is.
    """

    id: Annotated[Id, AfterValidator(_printable_id)]
    status: str
    meaning: Literal["running", "finished", "failed"] | None = None
    symbol: str | None = None
    interval: str | None = None
    exchange: str | None = None
    environment: str | None = None
    start: str | None = None
    end: str | None = None
    rows_written: Maybe[Whole] = None
    progress_pct: Maybe[Amount] = None
    started_at: str | None = None
    finished_at: str | None = None
    error: str | None = None


class Trade(Model):
    """A fill."""

    trade_id: Id
    account_id: Id | None = None
    account_name: str | None = None
    model: str | None = None
    wallet_address: str | None = None
    exchange: str | None = None
    market: str | None = None
    symbol: str
    side: str
    direction: str | None = None
    price: Amount
    quantity: Amount
    notional: Maybe[Amount] = None
    commission: Maybe[Amount] = None
    realized_pnl: Maybe[Amount] = None
    trade_time: UtcTime
    order_id: Id | None = None
    order_no: Id | None = None
    decision_source_type: str | None = None
    prompt_template_id: Id | None = None
    prompt_template_name: str | None = None
    signal_trigger_id: Id | None = None
    related_orders: Maybe[list[Any]] = None


class Order(Model):
    """An order of a trader. Its times are text as sent, as no format of theirs is documented."""

    id: Id
    account_id: Id | None = None
    symbol: str
    name: str | None = None
    side: str
    order_type: str | None = None
    price: Maybe[Amount] = None
    quantity: Maybe[Amount] = None
    status: str | None = None
    exchange: str | None = None
    environment: str | None = None
    created_at: str | None = None
    executed_at: str | None = None

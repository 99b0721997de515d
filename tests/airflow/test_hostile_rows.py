"""Rows whose text or numbers a database or a message between processes refuses: to XCom they go in another form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from airflow.models.xcom import XComModel
from airflow.sdk import BaseOperator, Context
from airflow.sdk.execution_time.comms import SetXCom
from sqlalchemy import Column, MetaData, Table, create_engine, insert, select
from sqlalchemy.pool import NullPool

from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.operators.traders import HyperoruListTradersOperator
from hyperoru_provider.operators.trades import HyperoruExportTradesOperator
from hyperoru_provider.sandbox import Sandbox
from tests.databases import Database

try:
    from airflow.sdk.serde import serialize
except ImportError:  # before Airflow 3.2
    from airflow.serialization.serde import serialize  # type: ignore[import-not-found, no-redef]


ROW: dict[str, Any] = {
    "trade_id": 1,
    "account_id": 1,
    "symbol": "BTC",
    "side": "BUY",
    "price": 1.5,
    "quantity": 2,
    "trade_time": "2026-01-15T12:00:00Z",
}


def listed(connect: Callable[..., None], operator: type[BaseOperator], row: dict[str, Any]) -> Any:
    """Return what an operator has for XCom."""
    window: dict[str, Any] = (
        {} if operator is HyperoruListTradersOperator else {"start": "2026-01-15", "end": "2026-01-16"}
    )
    with Sandbox(rows=[row]) as sandbox:
        connect(sandbox, token_cache="memory", max_retries=0)
        return operator(task_id="t", **window).execute(Context())


def kept(database: Database, value: Any) -> Any:
    """Return a value as Airflow has it after it was sent to the supervisor and kept in a database."""
    message = SetXCom(key="k", value=serialize(value), dag_id="d", run_id="r", task_id="t")
    sent = msgspec.msgpack.decode(msgspec.msgpack.encode(message.model_dump()))["value"]
    engine = create_engine("postgresql+psycopg://", creator=database.connect, poolclass=NullPool)
    xcom = Table("xcom", MetaData(), Column("value", XComModel.__table__.c.value.type))
    with engine.begin() as connection:
        xcom.create(connection)
        connection.execute(insert(xcom).values(value=sent))
        return connection.scalar(select(xcom.c.value))


@pytest.mark.parametrize("operator", [HyperoruListTradersOperator, HyperoruExportTradesOperator])
def test_a_nul_in_a_name_reaches_xcom_escaped(
    connect: Callable[..., None], postgres: Database, operator: type[BaseOperator]
) -> None:
    value = listed(connect, operator, ROW | {"account_name": "a\0b\x1b[1m\n"})
    name = "name" if operator is HyperoruListTradersOperator else "account_name"
    assert kept(postgres, value)[0][name] == "a\\x00b\\x1b[1m\n"


def test_a_nul_in_an_unknown_field_reaches_xcom_escaped(connect: Callable[..., None], postgres: Database) -> None:
    value = listed(connect, HyperoruExportTradesOperator, ROW | {"no\0te": [{"a": "\0"}]})
    assert kept(postgres, value)[0]["no\\x00te"] == [{"a": "\\x00"}]


@pytest.mark.parametrize("number", [2**63, 2**70, -(2**63) - 1])
def test_ids_beyond_64_bits_reach_xcom_as_text(connect: Callable[..., None], postgres: Database, number: int) -> None:
    value = listed(connect, HyperoruExportTradesOperator, ROW | {"trade_id": number, "account_id": number, "n": number})
    (row,) = kept(postgres, value)
    assert (row["trade_id"], row["account_id"], row["n"]) == (str(number),) * 3


def test_ids_of_64_bits_stay_numbers(connect: Callable[..., None], postgres: Database) -> None:
    value = listed(connect, HyperoruExportTradesOperator, ROW | {"trade_id": 2**63 - 1})
    assert kept(postgres, value)[0]["trade_id"] == 2**63 - 1


def test_a_row_that_is_nested_too_deeply_for_xcom_is_named(connect: Callable[..., None]) -> None:
    deep: Any = "x"
    for _ in range(300):
        deep = [deep]
    with pytest.raises(HyperoruContractError, match=r"trade trade_id=1, .* can't be written as JSON"):
        listed(connect, HyperoruExportTradesOperator, ROW | {"deep": deep})

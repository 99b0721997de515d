"""The subjects of the matrix: every operator, sensor and trigger, in each mode, and how to tell whether it is right."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from hyperoru_provider.operators.export import HyperoruExportOperator, HyperoruToSqlOperator
from hyperoru_provider.operators.iceberg import HyperoruToIcebergOperator
from hyperoru_provider.operators.klines import HyperoruBackfillKlinesOperator
from hyperoru_provider.operators.market import HyperoruFetchMarketOperator
from hyperoru_provider.operators.reconcile import HyperoruReconcileOperator, HyperoruReconcileSqlOperator
from hyperoru_provider.operators.snapshot import HyperoruSnapshotOperator
from hyperoru_provider.operators.sql import HyperoruTradesToSqlOperator
from hyperoru_provider.operators.traders import HyperoruListTradersOperator
from hyperoru_provider.operators.trades import HyperoruExportTradesOperator
from hyperoru_provider.sandbox.market import TRADERS
from hyperoru_provider.sandbox.prices import INTERVALS, SYMBOLS, Prices
from hyperoru_provider.sandbox.rows import SECOND, micros
from hyperoru_provider.sensors.base import HyperoruSensor
from hyperoru_provider.sensors.events import HyperoruEventSensor
from hyperoru_provider.sensors.health import HyperoruHealthSensor
from hyperoru_provider.sensors.klines import HyperoruKlineCoverageSensor
from hyperoru_provider.sensors.price import HyperoruPriceSensor
from hyperoru_provider.sensors.trades import HyperoruTradesSensor
from hyperoru_provider.triggers.backfill import HyperoruBackfillTrigger
from hyperoru_provider.triggers.events import HyperoruEventTrigger
from hyperoru_provider.triggers.poll import HyperoruPollTrigger
from tests.airflow.matrix import streams, tasks
from tests.airflow.matrix.outcomes import EXACT, Asks
from tests.airflow.matrix.place import (
    ACCOUNT,
    DAY,
    Place,
    compared,
    files,
    order_fact,
    table,
    trade_fact,
)
from tests.lakes import TABLE, local_lake

_BTC_AND_ETH = ["BTC", "ETH"]
_PRICES = Prices(7, SYMBOLS)
_NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
_COVERED = {"symbol": "BTC", "start": _NOW - timedelta(hours=5), "end": _NOW - timedelta(hours=1)}


@dataclass(frozen=True)
class Subject:
    """What is tried.

    :param name: as the docs name it: in which column, and which of those there.
    :param of: the class that is tried.
    :param labels: what it is, for expectations that differ.
    :param asks: what it asks the server.
    :param run: returns how a success ended, or raises what it ends with.
    :param waits: whether transient errors are "not yet" to it.
    :param never: whether what it waits for never comes.
    :param lands: whether rows land in files or a table, where an earlier run may have committed others.
    :param prepare: what is done before anything misbehaves.
    """

    name: str
    of: type
    asks: Asks
    run: Callable[[Place], str]
    labels: frozenset[str] = frozenset()
    waits: bool = False
    never: bool = False
    lands: bool = False
    prepare: Callable[[Place], None] | None = None

    @property
    def column(self) -> str:
        """The column of the docs."""
        return self.name.partition(":")[0]

    @property
    def is_called(self) -> frozenset[str]:
        """All words by which an expectation can name it."""
        return self.labels | {self.name}


def traders(place: Place) -> str:
    def facts(rows: Any) -> list[Any]:
        return [(row["id"], row["name"], Decimal(str(row["current_cash"])), row["is_active"]) for row in rows]

    found = place.keep(HyperoruListTradersOperator(task_id="t").execute({}))
    return compared(facts(found), facts(TRADERS))


def prices(place: Place) -> str:
    begun = _micros_now()
    found = place.keep(HyperoruFetchMarketOperator(task_id="t", symbols=_BTC_AND_ETH).execute({}))
    if [row["symbol"] for row in found] != _BTC_AND_ETH:
        return f"lie: prices of {found}"
    return next((wrong for row in found if (wrong := _price_problem(row, begun))), EXACT)


def _price_problem(row: Mapping[str, Any], begun: int) -> str:
    """Return what is wrong with a price that was asked for since a moment."""
    moments = [*range(begun, _micros_now(), SECOND // 5), _micros_now()]
    possible = [_PRICES.at(row["symbol"], moment) for moment in moments]
    return "" if min(possible) <= Decimal(row["price"]) <= max(possible) else f"lie: {row} at {begun}"


def _micros_now() -> int:
    return int(datetime.now(UTC).timestamp() * SECOND)


def candles(place: Place) -> str:
    operator = HyperoruFetchMarketOperator(
        task_id="t", symbols=["BTC"], data="klines", destination=str(place.directory), **DAY
    )
    place.keep(operator.execute({}))

    def facts(rows: Any) -> list[Any]:
        names = ("open", "high", "low", "close", "volume")
        return [(row["timestamp"].replace("+00:00", "Z"), *(Decimal(str(row[name])) for name in names)) for row in rows]

    day = micros(DAY["start"] + "T00:00:00Z"), micros(DAY["end"] + "T00:00:00Z")
    wanted = [json.loads(text, parse_float=Decimal) for text in _PRICES.candles("BTC", "1h", *day)]
    assert len(wanted) == (day[1] - day[0]) // INTERVALS["1h"]
    return compared(facts(files(place.directory)), facts(wanted))


def trades_in_xcom(place: Place) -> str:
    found = place.keep(HyperoruExportTradesOperator(task_id="t", account_id=ACCOUNT, **DAY).execute({}))
    return compared(map(trade_fact, found), place.truth.trades)


def trades_in_files(file_format: str, compression: str) -> Callable[[Place], str]:
    def run(place: Place) -> str:
        operator = HyperoruExportTradesOperator(
            task_id="t",
            account_id=ACCOUNT,
            destination=str(place.directory),
            file_format=file_format,
            compression=compression,
            rows_per_part=30,
            **DAY,
        )
        place.keep(operator.execute({}))
        return compared(map(trade_fact, files(place.directory)), place.truth.trades)

    return run


def trades_in_a_table(place: Place) -> str:
    arguments: dict[str, Any] = {"sql_conn_id": "sql", "table": "trades", "create_table": True, **DAY}
    place.keep(HyperoruTradesToSqlOperator(task_id="t", account_id=ACCOUNT, **arguments).execute({}))
    return compared(map(trade_fact, table(place.directory / "test.db", "trades")), place.truth.trades)


def trades_in_iceberg(place: Place) -> str:
    arguments: dict[str, Any] = {"resource": "trades", "table": TABLE, "filters": {"account_id": ACCOUNT}, **DAY}
    place.keep(HyperoruToIcebergOperator(task_id="t", create_table=True, **arguments).execute({}))
    return compared(map(trade_fact, local_lake(place.directory).trades()), place.truth.trades)


def trades_reconciled(place: Place) -> str:
    how: dict[str, Any] = {"destination": str(place.directory), "compression": "none", "rows_per_part": 30}
    if not any(place.directory.iterdir()):
        HyperoruExportTradesOperator(task_id="t", account_id=ACCOUNT, **how, **DAY).execute({})
    operator = HyperoruReconcileOperator(
        task_id="t", resource="trades", filters={"account_id": ACCOUNT}, end=DAY["end"], **how
    )
    place.keep(operator.execute({}))
    return compared(map(trade_fact, files(place.directory)), place.truth.trades)


def trades_reconciled_in_a_table(place: Place) -> str:
    if not (place.directory / "test.db").exists():
        trades_in_a_table(place)
    operator = HyperoruReconcileSqlOperator(
        task_id="t",
        resource="trades",
        filters={"account_id": ACCOUNT},
        sql_conn_id="sql",
        table="trades",
        windows=1,
        **DAY,
    )
    place.keep(operator.execute({}))
    return compared(map(trade_fact, table(place.directory / "test.db", "trades")), place.truth.trades)


def orders_in_files(place: Place) -> str:
    operator = HyperoruExportOperator(
        task_id="t", resource="orders", filters={"account_id": ACCOUNT}, destination=str(place.directory)
    )
    place.keep(operator.execute({}))
    return compared(map(order_fact, files(place.directory)), place.truth.orders)


def orders_of_a_snapshot(place: Place) -> str:
    operator = HyperoruSnapshotOperator(
        task_id="t", account_id=ACCOUNT, parts=["orders"], destination=str(place.directory)
    )
    place.keep(operator.execute({}))
    return compared(map(order_fact, files(place.directory)), place.truth.orders)


def orders_in_a_table(place: Place) -> str:
    operator = HyperoruToSqlOperator(
        task_id="t",
        resource="orders",
        filters={"account_id": ACCOUNT},
        sql_conn_id="sql",
        table="orders",
        mode="upsert",
        create_table=True,
    )
    place.keep(operator.execute({}))
    return compared(map(order_fact, table(place.directory / "test.db", "orders")), place.truth.orders)


def _healthy(place: Place, found: Any, begun: int) -> str:
    return EXACT if place.switches.get("health", "healthy") == "healthy" else "lie: it is not healthy"


def _price_above(place: Place, found: Any, begun: int) -> str:
    return _price_problem(found, begun) or EXACT


def _true(place: Place, found: Any, begun: int) -> str:
    return EXACT


def _lie(place: Place, found: Any, begun: int) -> str:
    return "lie: there are fewer trades"


def _at_least(more: int) -> Callable[[Place], dict[str, Any]]:
    return lambda place: {**DAY, "account_id": ACCOUNT, "at_least": len(place.truth.trades) + more}


#: name -> class, its arguments, what it asks, whether its success is true
_SENSORS: dict[str, tuple[type[HyperoruSensor], Callable[[Place], dict[str, Any]], Asks, Callable[..., str]]] = {
    "health": (HyperoruHealthSensor, lambda _: {"checks": 2}, Asks.HEALTH, _healthy),
    "price": (
        HyperoruPriceSensor,
        lambda _: {"symbol": "BTC", "above": "1.5"},
        Asks.LOGIN | Asks.PRICE,
        _price_above,
    ),
    "coverage": (HyperoruKlineCoverageSensor, lambda _: _COVERED, Asks.LOGIN | Asks.COVERAGE, _true),
    "trades there": (HyperoruTradesSensor, _at_least(0), Asks.LOGIN | Asks.TRADES, _true),
    "one trade more": (HyperoruTradesSensor, _at_least(1), Asks.LOGIN | Asks.TRADES, _lie),
}


def _sensors() -> Iterator[Subject]:
    for name, (cls, arguments, asks, is_true) in _SENSORS.items():
        for mode in tasks.MODES:
            yield Subject(
                f"{name}: {mode}",
                HyperoruPollTrigger if mode == "trigger" else cls,
                asks,
                tasks.wait(cls, mode, arguments, is_true),
                frozenset({name}),
                waits=True,
                never=is_true is _lie,
            )


def _trades_in_files() -> Iterator[Subject]:
    for file_format, compression in (("jsonl", "none"), ("csv", "gzip"), ("parquet", "zstd")):
        labels = frozenset({"in JSON lines"} if file_format == "jsonl" else ())
        run = trades_in_files(file_format, compression)
        yield Subject(f"trades: {file_format}", HyperoruExportTradesOperator, _TRADES, run, labels, lands=True)


_TRADES, _ORDERS = Asks.LOGIN | Asks.TRADES, Asks.LOGIN | Asks.ORDERS
_BEGUN = Asks.LOGIN | Asks.JOB | Asks.NEW_JOB | Asks.JOBS
_STREAM = Asks.LOGIN | Asks.SOCKET
_ALL = [
    Subject("traders", HyperoruListTradersOperator, Asks.LOGIN | Asks.TRADERS, traders),
    Subject("prices", HyperoruFetchMarketOperator, Asks.LOGIN | Asks.PRICE, prices),
    Subject("candles", HyperoruFetchMarketOperator, Asks.LOGIN | Asks.KLINES, candles, lands=True),
    Subject("trades: XCom", HyperoruExportTradesOperator, _TRADES, trades_in_xcom, frozenset({"afresh"})),
    *_trades_in_files(),
    Subject("trades: table", HyperoruTradesToSqlOperator, _TRADES, trades_in_a_table, lands=True),
    Subject("trades: Iceberg", HyperoruToIcebergOperator, _TRADES, trades_in_iceberg, lands=True),
    Subject(
        "trades: reconciled",
        HyperoruReconcileOperator,
        _TRADES,
        trades_reconciled,
        frozenset({"in JSON lines"}),
        lands=True,
    ),
    Subject(
        "trades: table reconciled", HyperoruReconcileSqlOperator, _TRADES, trades_reconciled_in_a_table, lands=True
    ),
    Subject(
        "orders: jsonl", HyperoruExportOperator, _ORDERS, orders_in_files, frozenset({"in JSON lines"}), lands=True
    ),
    Subject(
        "orders: snapshot",
        HyperoruSnapshotOperator,
        _ORDERS,
        orders_of_a_snapshot,
        frozenset({"in JSON lines", "afresh"}),  # an empty list is the state of that moment
        lands=True,
    ),
    Subject("orders: table", HyperoruToSqlOperator, _ORDERS, orders_in_a_table, frozenset({"afresh"})),
    Subject("backfill: poke", HyperoruBackfillKlinesOperator, _BEGUN, tasks.backfill(deferrable=False)),
    Subject("backfill: deferred", HyperoruBackfillKlinesOperator, _BEGUN, tasks.backfill(deferrable=True)),
    Subject(
        "backfill: trigger",
        HyperoruBackfillTrigger,
        Asks.LOGIN | Asks.JOB,
        tasks.backfill_trigger,
        frozenset({"backfill trigger"}),
        waits=True,
        prepare=tasks.prepare_backfill_trigger,
    ),
    *_sensors(),
    Subject("events: sensor", HyperoruEventSensor, _STREAM, streams.event_sensor, waits=True),
    Subject("events: trigger", HyperoruEventTrigger, _STREAM, streams.event_trigger, waits=True),
]
SUBJECTS = {subject.name: subject for subject in _ALL}

"""Paths of classes that DAG files and the metadata database hold: each is found where it always was."""

from __future__ import annotations

from importlib import import_module

import pytest

PUBLIC = {
    "hooks.hyperoru": ["HyperoruHook"],
    "hooks.retries": ["HyperoruRetryPolicy"],
    "client": ["HyperoruClient", "AsyncHyperoruClient"],
    "operators.export": ["HyperoruExportOperator", "HyperoruToSqlOperator"],
    "operators.iceberg": ["HyperoruToIcebergOperator"],
    "operators.klines": ["HyperoruBackfillKlinesOperator"],
    "operators.market": ["HyperoruFetchMarketOperator"],
    "operators.sql": ["HyperoruTradesToSqlOperator"],
    "operators.traders": ["HyperoruListTradersOperator"],
    "operators.trades": ["HyperoruExportTradesOperator"],
    "sensors.events": ["HyperoruEventSensor"],
    "sensors.health": ["HyperoruHealthSensor"],
    "sensors.klines": ["HyperoruKlineCoverageSensor"],
    "sensors.price": ["HyperoruPriceSensor"],
    "sensors.trades": ["HyperoruTradesSensor"],
}
#: rows of the table of triggers name these; where one moves, its old path has to go on until 1.0
STORED = {
    "triggers.backfill": ["HyperoruBackfillTrigger"],
    "triggers.events": ["HyperoruEventTrigger"],
    "triggers.poll": ["HyperoruPollTrigger"],
}


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, names in (PUBLIC | STORED).items() for name in names]
)
def test_it_is_there(module: str, name: str) -> None:
    assert getattr(import_module(f"hyperoru_provider.{module}"), name).__name__ == name


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in STORED.items() for name in names])
def test_a_trigger_is_stored_under_its_path(module: str, name: str) -> None:
    found = getattr(import_module(f"hyperoru_provider.{module}"), name)
    assert f"{found.__module__}.{found.__qualname__}" == f"hyperoru_provider.{module}.{name}"

"""Apache Airflow provider for Hyperoru.

Airflow imports this package while its own configuration is half built, so nothing is imported here:
the public names load on first use (:pep:`562`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyperoru_provider.client import AsyncHyperoruClient, HyperoruClient
    from hyperoru_provider.hooks.hyperoru import HyperoruHook
    from hyperoru_provider.operators.klines import HyperoruBackfillKlinesOperator
    from hyperoru_provider.operators.market import HyperoruFetchMarketOperator
    from hyperoru_provider.operators.sql import HyperoruTradesToSqlOperator
    from hyperoru_provider.operators.traders import HyperoruListTradersOperator
    from hyperoru_provider.operators.trades import HyperoruExportTradesOperator
    from hyperoru_provider.sensors.events import HyperoruEventSensor
    from hyperoru_provider.sensors.health import HyperoruHealthSensor
    from hyperoru_provider.sensors.klines import HyperoruKlineCoverageSensor
    from hyperoru_provider.sensors.price import HyperoruPriceSensor
    from hyperoru_provider.sensors.trades import HyperoruTradesSensor
    from hyperoru_provider.triggers.events import HyperoruEventTrigger

__version__ = "0.1.0"

_HOMES = {
    "AsyncHyperoruClient": "client",
    "HyperoruBackfillKlinesOperator": "operators.klines",
    "HyperoruClient": "client",
    "HyperoruEventSensor": "sensors.events",
    "HyperoruEventTrigger": "triggers.events",
    "HyperoruExportTradesOperator": "operators.trades",
    "HyperoruFetchMarketOperator": "operators.market",
    "HyperoruHealthSensor": "sensors.health",
    "HyperoruHook": "hooks.hyperoru",
    "HyperoruKlineCoverageSensor": "sensors.klines",
    "HyperoruListTradersOperator": "operators.traders",
    "HyperoruPriceSensor": "sensors.price",
    "HyperoruTradesSensor": "sensors.trades",
    "HyperoruTradesToSqlOperator": "operators.sql",
}

__all__ = [
    "AsyncHyperoruClient",
    "HyperoruBackfillKlinesOperator",
    "HyperoruClient",
    "HyperoruEventSensor",
    "HyperoruEventTrigger",
    "HyperoruExportTradesOperator",
    "HyperoruFetchMarketOperator",
    "HyperoruHealthSensor",
    "HyperoruHook",
    "HyperoruKlineCoverageSensor",
    "HyperoruListTradersOperator",
    "HyperoruPriceSensor",
    "HyperoruTradesSensor",
    "HyperoruTradesToSqlOperator",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

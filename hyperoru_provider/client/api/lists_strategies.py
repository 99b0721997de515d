"""The lists of what traders decide by: programs, signals, prompts, factors."""

from __future__ import annotations

from hyperoru_provider.client.api.endpoints import GENERAL_ROWS, ListEndpoint, WindowedEndpoint
from hyperoru_provider.client.api.models_strategies import (
    BacktestTask,
    Factor,
    FactorDay,
    FactorEffectiveness,
    Program,
    Prompt,
    Signal,
    SignalPool,
    SignalTrigger,
)
from hyperoru_provider.client.api.resource import Resource, rows_of


class StrategyLists:
    """Methods of the lists of what traders decide by."""

    programs = Resource(
        name="programs",
        model=Program,
        source="OLD",
        endpoint=ListEndpoint(path="/api/programs/", rows=rows_of("programs"), key=("id",)),
    )
    signals = Resource(
        name="signals",
        model=Signal,
        source="OLD",
        endpoint=ListEndpoint(path="/api/signals/", rows=("definitions", "signals"), key=("id",)),
    )
    signal_pools = Resource(
        name="signal_pools",
        model=SignalPool,
        source="OLD",
        endpoint=ListEndpoint(path="/api/signals/", rows=("pools",), key=("id",)),
    )
    signal_triggers = Resource(
        name="signal_triggers",
        model=SignalTrigger,
        source="family",
        filters=("pool_id", "signal_id", "symbol"),
        endpoint=WindowedEndpoint(
            path="/api/signals/logs",
            rows=("logs", *GENERAL_ROWS),
            paging="offset",
            page_size=500,
            key=("id",),
            time="triggered_at",
            time_filter="none",
            verified_fields=("pool_id", "signal_id", "symbol"),
        ),
    )
    prompts = Resource(
        name="prompts",
        model=Prompt,
        source="OLD",
        endpoint=ListEndpoint(path="/api/prompts/", rows=rows_of("prompts"), key=("id",)),
    )
    backtest_tasks = Resource(
        name="backtest_tasks",
        model=BacktestTask,
        source="assumed",
        endpoint=ListEndpoint(path="/api/prompt-backtest/tasks", rows=rows_of("tasks"), key=("id",)),
    )
    factors = Resource(
        name="factors",
        model=Factor,
        source="OLD",
        endpoint=ListEndpoint(path="/api/factors/custom", rows=rows_of("factors"), key=("id",)),
    )
    factor_effectiveness = Resource(
        name="factor_effectiveness",
        model=FactorEffectiveness,
        source="OLD",
        endpoint=ListEndpoint(path="/api/factors/effectiveness", rows=rows_of("factors")),
    )
    factor_history = Resource(
        name="factor_history",
        model=FactorDay,
        source="OLD",
        filters=("factor_name",),
        endpoint=ListEndpoint(
            path="/api/factors/effectiveness/{factor_name}/history",
            rows=rows_of("history"),
            key=("factor_name", "date"),
            verified_fields=("factor_name",),
        ),
    )

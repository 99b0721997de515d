"""The lists of results: in all, and by group."""

from __future__ import annotations

from hyperoru_provider.client.api.endpoints import ListEndpoint
from hyperoru_provider.client.api.models_analytics import (
    AccountResult,
    AnalyticsSummary,
    FactorResult,
    OperationResult,
    StrategyResult,
    SymbolResult,
    TriggerTypeResult,
)
from hyperoru_provider.client.api.resource import ObjectResource, Resource


class AnalyticsLists:
    """Methods of the lists of results."""

    analytics_summary = ObjectResource(
        name="analytics_summary",
        model=AnalyticsSummary,
        source="OLD",
        filters=("days",),
        endpoint=ListEndpoint(path="/api/analytics/summary", rows=("summary", "analytics_summary"), shape="object"),
    )
    analytics_by_account = Resource(
        name="analytics_by_account",
        model=AccountResult,
        source="OLD",
        endpoint=ListEndpoint(path="/api/analytics/by-account"),
    )
    analytics_by_symbol = Resource(
        name="analytics_by_symbol",
        model=SymbolResult,
        source="OLD",
        endpoint=ListEndpoint(path="/api/analytics/by-symbol"),
    )
    analytics_by_strategy = Resource(
        name="analytics_by_strategy",
        model=StrategyResult,
        source="OLD",
        endpoint=ListEndpoint(path="/api/analytics/by-strategy"),
    )
    analytics_by_operation = Resource(
        name="analytics_by_operation",
        model=OperationResult,
        source="OLD",
        endpoint=ListEndpoint(path="/api/analytics/by-operation"),
    )
    analytics_by_trigger_type = Resource(
        name="analytics_by_trigger_type",
        model=TriggerTypeResult,
        source="OLD",
        endpoint=ListEndpoint(path="/api/analytics/by-trigger-type"),
    )
    analytics_by_factor = Resource(
        name="analytics_by_factor",
        model=FactorResult,
        source="OLD",
        endpoint=ListEndpoint(path="/api/analytics/by-factor"),
    )

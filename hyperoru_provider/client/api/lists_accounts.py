"""The lists of traders, which the API calls accounts: who they are, and what they have."""

from __future__ import annotations

from hyperoru_provider.client.api.endpoints import ListEndpoint, WindowedEndpoint
from hyperoru_provider.client.api.models import Trader
from hyperoru_provider.client.api.models_accounts import (
    AccountOverview,
    AccountSnapshot,
    AccountState,
    AccountStrategy,
    AssetPoint,
    Balance,
    Overview,
    Position,
)
from hyperoru_provider.client.api.resource import ObjectResource, Resource, rows_of

TRADERS = Resource(
    name="traders",
    model=Trader,
    source="OLD",
    filters=("include_hidden",),
    holds_secrets=True,
    endpoint=ListEndpoint(
        path="/api/account/list", rows=rows_of("accounts"), fields={"id": ("id", "account_id")}, key=("id",)
    ),
)


class AccountLists:
    """Methods of the lists of accounts; the list of traders has one of its own."""

    overview = ObjectResource(
        name="overview",
        model=Overview,
        source="NEW",
        holds_secrets=True,
        endpoint=ListEndpoint(path="/api/account/overview", rows=("overview",), shape="object"),
    )
    account_overview = ObjectResource(
        name="account_overview",
        model=AccountOverview,
        source="OLD",
        filters=("account_id",),
        holds_secrets=True,
        endpoint=ListEndpoint(
            path="/api/account/{account_id}/overview",
            rows=("overview", "account_overview"),
            shape="object",
            verified_fields=("account_id",),
        ),
    )
    account_strategy = ObjectResource(
        name="account_strategy",
        model=AccountStrategy,
        source="OLD",
        filters=("account_id",),
        holds_secrets=True,
        endpoint=ListEndpoint(
            path="/api/account/{account_id}/strategy",
            rows=("strategy", "account_strategy"),
            shape="object",
            verified_fields=("account_id",),
        ),
    )
    balance = ObjectResource(
        name="balances",
        model=Balance,
        source="NEW",
        filters=("account_id",),
        endpoint=ListEndpoint(
            path="/api/hyperliquid/accounts/{account_id}/balance",
            rows=("balance", "balances"),
            shape="object",
            verified_fields=("account_id",),
        ),
    )
    positions = Resource(
        name="positions",
        model=Position,
        source="NEW",
        filters=("account_id",),
        endpoint=ListEndpoint(
            path="/api/hyperliquid/accounts/{account_id}/positions",
            rows=rows_of("positions"),
            verified_fields=("account_id",),
        ),
    )
    account_state = ObjectResource(
        name="account_states",
        model=AccountState,
        source="NEW",
        filters=("account_id",),
        endpoint=ListEndpoint(
            path="/api/hyperliquid/account/{account_id}/state",
            rows=("state", "account_states"),
            shape="object",
            verified_fields=("account_id",),
        ),
    )
    account_snapshots = Resource(
        name="account_snapshots",
        model=AccountSnapshot,
        source="family",
        filters=("account_id",),
        endpoint=WindowedEndpoint(
            path="/api/hyperliquid/accounts/{account_id}/snapshots",
            rows=rows_of("snapshots"),
            page_size=1000,
            key=("account_id", "snapshot_time"),
            time="snapshot_time",
            time_filter="none",
            verified_fields=("account_id",),
        ),
    )
    asset_curve = Resource(
        name="asset_curve",
        model=AssetPoint,
        source="family",
        filters=("timeframe", "account_id"),
        filled=("timeframe",),
        endpoint=WindowedEndpoint(
            path="/api/account/asset-curve",
            params={"start": "start_date", "end": "end_date"},
            rows=rows_of("asset_curve"),
            key=("account_id", "timeframe", "timestamp"),
            time="timestamp",
            time_format="seconds",
            window_format="iso",
            verified_fields=("account_id", "timeframe"),
        ),
    )

"""Other names that servers of this family have for what the contract names, and where else they keep it."""

from __future__ import annotations

#: our name of a parameter -> what servers call it, the likeliest first
PARAMETERS: dict[str, tuple[str, ...]] = {
    "start": ("start", "start_date", "start_time", "after", "after_time", "from", "from_time", "date_from", "since"),
    "end": ("end", "end_date", "end_time", "before", "before_time", "to", "to_time", "date_to", "until"),
    "page": ("page", "page_number", "p"),
    "per_page": ("per_page", "page_size", "limit", "size"),
    "offset": ("offset", "skip"),
    "limit": ("limit", "per_page", "page_size", "size"),
    "cursor": ("cursor", "next_cursor", "since"),
    "interval": ("interval", "period", "timeframe"),
    "account_id": ("account_id", "trader_id"),
    "symbol": ("symbol", "coin"),
    "include_hidden": ("include_hidden",),
    "task_id": ("task_id", "id", "job_id"),
}

#: our name of a field -> what else servers call it
FIELDS: dict[str, tuple[str, ...]] = {
    "trade_id": ("fill_id", "tid"),
    "trade_time": ("time", "filled_at", "ts"),
    "quantity": ("qty", "size"),
    "price": ("px",),
    "interval": ("period", "timeframe"),
    "earliest": ("earliest_time",),
    "latest": ("latest_time",),
    "total_candles": ("total_records",),
    "timestamp": ("time", "open_time", "ts", "t"),
    "id": ("task_id", "job_id", "order_id"),
}

#: fields that tell rows of one id apart, the likeliest first
TELLING_APART = ("source", "table", "account_id", "kind", "type", "environment", "exchange", "symbol")

#: parameters which choose what there is, and the values to try where the server does not name them
SWITCHES: dict[str, tuple[str, ...]] = {
    "trading_mode": ("mainnet", "testnet", "paper"),
    "environment": ("mainnet", "testnet"),
}

#: those whose default may hide something although no document says that they have one
HIDING = ("trading_mode",)

#: parts of names of parameters that choose how rows are shown, and not which
SHOWING = (
    "sort", "order", "dir", "page", "limit", "size", "cursor", "offset", "interval", "period", "timeframe",
    "resolution", "granularity", "group", "format", "lang", "locale", "timezone", "tz", "unit", "currency", "fields",
    "view",
)  # fmt: skip

#: where else a resource may be, by its name
PATHS: dict[str, tuple[str, ...]] = {
    "health": ("/health", "/healthz"),
    "price": ("/api/crypto/price/{symbol}",),
    "trades": ("/api/trades", "/api/arena/fills"),
    "positions": ("/api/arena/positions",),
    "signal_pools": ("/api/signals/",),
}

#: what a list teaches to ask others with: our name of the parameter -> the field of its first row
LEARNED: dict[str, dict[str, str]] = {
    "traders": {"account_id": "id"},
    "coverage": {"symbol": "symbol"},
    "decisions": {"decision_id": "id"},
    "factor_effectiveness": {"factor_name": "factor_name"},
}

#: what is asked with until something better is known
KNOWN = {"symbol": "BTC", "interval": "1h", "timeframe": "1h"}

#: filters without which a list can't be asked for
NEEDED: dict[str, tuple[str, ...]] = {"klines": ("symbol", "interval"), "asset_curve": ("timeframe",)}

#: lists that are asked for as another one is, which spares a request for each
ALIKE = {
    f"analytics_by_{each}": "analytics_by_symbol"
    for each in ("account", "strategy", "operation", "trigger_type", "factor")
}

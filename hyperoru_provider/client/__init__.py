"""The Hyperoru API as a Python client, without Airflow: httpx, msgspec and pydantic.

What is named here is the client's public API; its modules are not. Each name is imported when it is first used, as a
DAG file may want an error's class, and must not pay for httpx and pydantic.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyperoru_provider.client.api.contract import Contract, load_contract
    from hyperoru_provider.client.api.models import (
        BackfillJob,
        Coverage,
        Health,
        Kline,
        Model,
        Order,
        Price,
        Profile,
        Quote,
        Snapshot,
        Trade,
        Trader,
    )
    from hyperoru_provider.client.async_client import AsyncHyperoruClient
    from hyperoru_provider.client.backfills import Backfill
    from hyperoru_provider.client.client import HyperoruClient
    from hyperoru_provider.client.errors import (
        HyperoruAmbiguousWriteError,
        HyperoruApiError,
        HyperoruAuthenticationError,
        HyperoruBadRequestError,
        HyperoruConcurrentWriteError,
        HyperoruConfigError,
        HyperoruConflictError,
        HyperoruConnectError,
        HyperoruContractError,
        HyperoruError,
        HyperoruJobFailedError,
        HyperoruNetworkError,
        HyperoruNotFoundError,
        HyperoruPermissionError,
        HyperoruRateLimitError,
        HyperoruServerError,
        HyperoruValidationError,
    )
    from hyperoru_provider.client.http.retry import RetryPolicy
    from hyperoru_provider.client.http.tokens import MemoryTokenStore, Token, TokenStore
    from hyperoru_provider.client.stream.messages import Event, Gap

__all__ = [
    "AsyncHyperoruClient",
    "Backfill",
    "BackfillJob",
    "Contract",
    "Coverage",
    "Event",
    "Gap",
    "Health",
    "HyperoruAmbiguousWriteError",
    "HyperoruApiError",
    "HyperoruAuthenticationError",
    "HyperoruBadRequestError",
    "HyperoruClient",
    "HyperoruConcurrentWriteError",
    "HyperoruConfigError",
    "HyperoruConflictError",
    "HyperoruConnectError",
    "HyperoruContractError",
    "HyperoruError",
    "HyperoruJobFailedError",
    "HyperoruNetworkError",
    "HyperoruNotFoundError",
    "HyperoruPermissionError",
    "HyperoruRateLimitError",
    "HyperoruServerError",
    "HyperoruValidationError",
    "Kline",
    "MemoryTokenStore",
    "Model",
    "Order",
    "Price",
    "Profile",
    "Quote",
    "RetryPolicy",
    "Snapshot",
    "Token",
    "TokenStore",
    "Trade",
    "Trader",
    "load_contract",
]


#: where these names are, what is cheap to import first
_MODULES = (
    "errors",
    "http.retry",
    "http.tokens",
    "api.models",
    "api.contract",
    "backfills",
    "stream.messages",
    "client",
    "async_client",
)


def __getattr__(name: str) -> Any:
    if name in __all__:
        for module in _MODULES:
            try:
                return getattr(import_module(f"{__name__}.{module}"), name)
            except AttributeError:
                continue
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

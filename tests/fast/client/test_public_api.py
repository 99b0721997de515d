"""What ``hyperoru_provider.client`` exports: adding to it is a decision, and taking away breaks somebody."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from hyperoru_provider import client
from hyperoru_provider.client import errors
from hyperoru_provider.client.api import models

CLIENTS = {"AsyncHyperoruClient", "HyperoruClient"}
OPTIONS = {"Contract", "MemoryTokenStore", "RetryPolicy", "Token", "TokenStore", "load_contract"}
STREAM = {"Event", "Gap"}
MODELS = {
    "Backfill",
    "BackfillJob",
    "Coverage",
    "Health",
    "Kline",
    "Model",
    "Order",
    "Price",
    "Profile",
    "Quote",
    "Snapshot",
    "Trade",
    "Trader",
}
ERRORS = {
    "HyperoruAmbiguousWriteError",
    "HyperoruApiError",
    "HyperoruAuthenticationError",
    "HyperoruBadRequestError",
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
}


def classes(module: object, base: type) -> set[str]:
    return {name for name, member in inspect.getmembers(module, inspect.isclass) if issubclass(member, base)}


def test_exactly_this_is_exported() -> None:
    assert {*client.__all__} == CLIENTS | OPTIONS | STREAM | MODELS | ERRORS
    assert client.__all__ == sorted(client.__all__, key=lambda name: (name.islower(), name))


def test_every_error_and_every_model_is_among_it() -> None:
    assert classes(errors, errors.HyperoruError) == ERRORS
    assert classes(models, models.Model) <= MODELS


@pytest.mark.parametrize("name", client.__all__)
def test_each_name_is_there_and_shown(name: str) -> None:
    assert getattr(client, name).__name__ == name
    assert name in dir(client)


def test_another_name_is_not() -> None:
    with pytest.raises(AttributeError, match="NoSuchThing"):
        _ = client.NoSuchThing


def test_an_error_costs_neither_httpx_nor_pydantic() -> None:
    script = (
        "import sys; from hyperoru_provider.client import HyperoruConfigError; "
        "print(sorted({'httpx', 'pydantic', 'websockets', 'airflow'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "[]\n"

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from hyperoru_provider.sandbox import Sandbox
from tests.http.sandbox.sandbox_caller import Caller, Rows, Serve


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a sandbox, log in to it, and then set its faults."""
    with ExitStack() as stack:

        def start(**options: Any) -> Caller:
            made_of = {name: options.pop(name) for name in ("seed", "data", "rows", "orders") if name in options}
            sandbox = stack.enter_context(Sandbox(**made_of))
            caller = Caller(sandbox, stack.enter_context(httpx.Client(base_url=sandbox.url, verify=False)))
            caller.log_in()
            sandbox.reset()
            sandbox.set_faults(**options)
            return caller

        yield start


@pytest.fixture
def rows() -> Rows:
    """Ten trades, an hour apart over a midnight: 2026-03-01T18:00 to 2026-03-02T03:00."""
    hours = [f"2026-03-01T{hour:02}:00:00Z" for hour in range(18, 24)]
    hours += [f"2026-03-02T{hour:02}:00:00Z" for hour in range(4)]
    return [
        {
            "trade_id": number,
            "account_id": 1 + number % 2,
            "symbol": "ETH" if number % 5 == 0 else "BTC",
            "side": "BUY",
            "price": 100.5,
            "quantity": 2,
            "trade_time": time,
        }
        for number, time in enumerate(hours, start=1)
    ]

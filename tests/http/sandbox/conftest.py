from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from hyperoru_provider.sandbox import Sandbox


class Caller:
    """A sandbox and a client that is logged in to it."""

    def __init__(self, sandbox: Sandbox, client: httpx.Client) -> None:
        self.sandbox = sandbox
        self.client = client

    def log_in(self) -> httpx.Response:
        credentials = {"email": self.sandbox.email, "password": self.sandbox.password}
        answer = self.client.post("/api/users/login", json=credentials)
        if answer.status_code == 200:
            self.client.headers["Authorization"] = f"Bearer {answer.json()['session_token']}"
        return answer

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.client.get(path, params=params)

    def trades(self, **params: Any) -> Any:
        answer = self.get("/api/arena/trades", **params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ids(self, **params: Any) -> list[Any]:
        return [row["trade_id"] for row in self.trades(**params)["items"]]

    def pages(self, **params: Any) -> list[Any]:
        """The ids of each page, up to the one without ``has_more``."""
        found, page = [], 1
        while True:
            answer = self.trades(page=page, **params)
            found.append([row["trade_id"] for row in answer["items"]])
            if not answer["has_more"]:
                return found
            page += 1


@pytest.fixture
def serve() -> Iterator[Callable[..., Caller]]:
    """Start a sandbox, log in to it, and then set its faults."""
    with ExitStack() as stack:

        def start(**options: Any) -> Caller:
            made_of = {name: options.pop(name) for name in ("seed", "data", "rows") if name in options}
            sandbox = stack.enter_context(Sandbox(**made_of))
            caller = Caller(sandbox, stack.enter_context(httpx.Client(base_url=sandbox.url, verify=False)))
            caller.log_in()
            sandbox.reset()
            sandbox.set_faults(**options)
            return caller

        yield start


@pytest.fixture
def rows() -> list[dict[str, Any]]:
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

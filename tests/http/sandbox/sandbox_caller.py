"""A sandbox and a client that is logged in to it, as the tests here use them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

from hyperoru_provider.sandbox import Sandbox

TRADES = "/api/arena/trades"

Rows = list[dict[str, Any]]


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
        answer = self.get(TRADES, **params)
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


#: Starts a sandbox, of its seed and rows, logs in to it, and then sets its faults.
Serve = Callable[..., Caller]

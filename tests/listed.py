"""Reads what the sandbox lists, without the provider."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec

from hyperoru_provider.sandbox import Sandbox


def held(sandbox: Sandbox, **filters: object) -> list[bytes]:
    """The sandbox's rows, read without the provider, byte by byte, by time and then id."""

    class Body(msgspec.Struct):
        items: list[msgspec.Raw]
        has_more: bool

    class Row(msgspec.Struct):
        trade_id: int
        trade_time: str

    def place(raw: bytes) -> tuple[datetime, int]:
        row = msgspec.json.decode(raw, type=Row)
        return datetime.fromisoformat(row.trade_time).astimezone(UTC), row.trade_id

    with httpx.Client(base_url=sandbox.url) as client:
        login = {"email": sandbox.email, "password": sandbox.password}
        token = client.post("/api/users/login", json=login).json()["session_token"]
        found: list[bytes] = []
        page = 0
        more = True
        while more:
            page += 1
            query: Any = {"page": page, "per_page": 500, **filters}
            answer = client.get("/api/arena/trades", params=query, headers={"Authorization": f"Bearer {token}"})
            body = msgspec.json.decode(answer.raise_for_status().content, type=Body)
            found += map(bytes, body.items)
            more = body.has_more
    return sorted(found, key=place)

"""Servers of a few lines for the doctor's tests, over real sockets: what the sandbox can't be made to be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from hyperoru_provider.doctor.examination import examine
from hyperoru_provider.doctor.report import Finding, Report
from tests.json_server import Answer, answering

LOGIN = {"email": "me@example.com", "password": "pw-Zq7Xk-of-the-doctor"}
TOKEN = "tok-9fK2mQ7vLx3"
DAY = datetime(2026, 1, 15, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


BASICS: dict[str, Answer] = {
    "/api/health": lambda asked: {"status": "healthy"},
    "/api/users/login": lambda asked: {"session_token": TOKEN},
    "/api/users/profile": lambda asked: {"id": 1, "username": "me"},
    "/api/account/list": lambda asked: [{"id": 1, "name": "one"}],
}


@contextmanager
def served(answers: Mapping[str, Answer], otherwise: Answer | None = None) -> Iterator[tuple[str, list[str]]]:
    """Serve answers beside the basic ones; see :func:`answering`."""
    with answering({**BASICS, **answers}, otherwise) as server:
        yield server


def trade(number: int, **more: object) -> dict[str, Any]:
    """Return a trade, one a minute."""
    time = (DAY + number * MINUTE).isoformat()
    return {
        "trade_id": number, "account_id": 1, "symbol": "BTC", "side": "BUY", "price": 1.5, "quantity": 2,
        "notional": 3, "trade_time": time, **more,
    }  # fmt: skip


def trades(number: int) -> list[dict[str, Any]]:
    """Return so many trades."""
    return [trade(each) for each in range(number)]


def within(rows: Sequence[dict[str, Any]], query: Mapping[str, str], time: str = "trade_time") -> list[dict[str, Any]]:
    """Return the rows of the window ``start <= time < end`` that a query has, newest first."""
    start, end = (datetime.fromisoformat(query.get(name) or other) for name, other in _FOREVER.items())
    return [row for row in reversed(rows) if start <= datetime.fromisoformat(row[time]) < end]


_FOREVER = {"start": "0001-01-02T00:00:00Z", "end": "9999-12-30T00:00:00Z"}


def paged(rows: Sequence[dict[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
    """Return the page of rows that a query asks for, as the contract's trades are."""
    page, size = int(query.get("page", 1)), int(query.get("per_page", 100))
    return {"trades": rows[(page - 1) * size : page * size], "total": len(rows)}


def doctor(url: str, **options: Any) -> Report:
    """Return what the doctor finds out."""
    return examine({"base_url": url, **LOGIN, **options.pop("more", {})}, **options)


def finding(report: Report, resource: str) -> Finding:
    """Return what was found out of a resource."""
    return next(each for each in report.resources if each.resource == resource)

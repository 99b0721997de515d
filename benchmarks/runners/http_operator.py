"""The HTTP provider's operator with a pagination function, which keeps all rows in memory."""

from __future__ import annotations

from typing import Any

from airflow.providers.http.operators.http import HttpOperator

from benchmarks.job import AMOUNT, Check, Job, counted, query
from benchmarks.server import TRADES


def following(response: Any) -> dict[str, Any] | None:
    """Say what to ask next."""
    body = response.json()
    return {"data": query(body["page"] + 1)} if body["has_more"] else None


def rows_of(responses: list[Any]) -> list[dict[str, Any]]:
    """Give all rows."""
    return [row for response in responses for row in response.json()["items"]]


def operator() -> HttpOperator:
    """Write the task."""
    return HttpOperator(
        task_id="fetch",
        http_conn_id="bench_http",
        method="GET",
        endpoint=TRADES,
        data=query(),
        pagination_function=following,
        response_filter=rows_of,
    )


def run(job: Job) -> Check:
    """Fetch all rows."""
    rows = operator().execute({})
    return lambda: counted(row[AMOUNT] for row in rows)

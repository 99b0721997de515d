"""Exports of windows that a test gives, in files of as many rows as it says."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param, task

from hyperoru_provider.operators.trades import HyperoruExportTradesOperator

with DAG(
    "windows",
    schedule=None,
    params={"windows": Param([], type="array"), "destination": ""},
):

    @task
    def windows(params: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        given: list[dict[str, Any]] = (params or {})["windows"]
        return given

    HyperoruExportTradesOperator.partial(
        task_id="export",
        destination="{{ params.destination }}",
    ).expand_kwargs(windows())

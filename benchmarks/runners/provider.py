"""The operator of this provider, as a task calls it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.job import WINDOW, Check, Job, Landed, in_json_lines, in_parquet
from hyperoru_provider.operators.trades import HyperoruExportTradesOperator


def run(job: Job, **arguments: Any) -> Check:
    """Export the window to files."""
    arguments.update(task_id="export", destination=job.directory, **WINDOW)
    summary: Any = HyperoruExportTradesOperator(**arguments).execute({})

    def check() -> Landed:
        found = (in_parquet if arguments["file_format"] == "parquet" else in_json_lines)(Path(job.directory))
        if found.rows != summary["rows"]:
            raise RuntimeError(f"The summary counts {summary['rows']} rows, the files have {found.rows}.")
        return found

    return check

"""dlt: its rest_api source, its filesystem destination, its defaults."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from benchmarks.job import Check, Job, in_parquet, query
from benchmarks.server import TOKEN, TRADES


def run(job: Job) -> Check:
    """Run a pipeline."""
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"  # nothing leaves this machine
    os.environ["DLT_DATA_DIR"] = job.directory  # nor stays on it
    import dlt
    from dlt.destinations import filesystem
    from dlt.sources.rest_api import rest_api_source

    paginator = {"type": "page_number", "base_page": 1, "total_path": None, "has_more_path": "has_more"}
    config: Any = {
        "client": {"base_url": job.url, "auth": {"type": "bearer", "token": TOKEN}, "paginator": paginator},
        "resources": [
            {"name": "trades", "endpoint": {"path": TRADES, "params": query(), "data_selector": "items"}},
        ],
    }
    place = Path(job.directory)
    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=str(place / "pipelines"),
        destination=filesystem(bucket_url=(place / "landed").as_uri()),
        dataset_name="bench",
    )
    pipeline.run(rest_api_source(config), loader_file_format="parquet").raise_on_failed_jobs()
    return lambda: in_parquet(place / "landed" / "bench" / "trades")

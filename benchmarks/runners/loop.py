"""A loop by hand, as a good engineer writes it: requests and pyarrow, page by page into one typed Parquet file."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks.job import Check, Job, in_parquet, query
from benchmarks.server import EMAIL, LOGIN, PASSWORD, TRADES

_BATCH = 10_000


def run(job: Job) -> Check:
    """Fetch page by page, and write every 10,000 rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import requests

    types = {
        pa.int64(): ("trade_id", "account_id"),
        pa.string(): ("account_name", "model", "wallet_address", "symbol", "side", "direction"),
        pa.decimal128(38, 18): ("price", "quantity", "notional", "commission", "realized_pnl"),
        pa.timestamp("us", tz="UTC"): ("trade_time",),
    }
    schema = pa.schema([(name, kind) for kind, names in types.items() for name in names])
    file = Path(job.directory, "trades.parquet")
    with requests.Session() as session, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        login = session.post(job.url + LOGIN, json={"email": EMAIL, "password": PASSWORD}, timeout=30)
        login.raise_for_status()
        session.headers["Authorization"] = f"Bearer {login.json()['session_token']}"
        batch: list[dict[str, Any]] = []
        page, more = 1, True
        while more:
            response = session.get(job.url + TRADES, params=query(page), timeout=30)
            response.raise_for_status()
            body = response.json(parse_float=Decimal)
            for row in body["items"]:
                row["trade_time"] = datetime.fromisoformat(row["trade_time"])
            batch += body["items"]
            page, more = page + 1, body["has_more"]
            if len(batch) >= _BATCH or not more:
                writer.write_table(pa.Table.from_pylist(batch, schema=schema))
                batch.clear()
    return lambda: in_parquet(file.parent)

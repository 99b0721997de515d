"""Words that an argument may be. Light, as DAG files are checked against them while they are parsed."""

from __future__ import annotations

#: file formats, and what their files may be compressed with; the first is the default
COMPRESSIONS = {
    "jsonl": ("gzip", "zstd", "none"),
    "csv": ("none", "gzip", "zstd"),
    "parquet": ("zstd", "snappy", "gzip", "none"),
}
DEFAULT_FORMAT = "jsonl"
SQL_MODES = ("replace", "upsert")
ON_NUL = ("fail", "replace")
ON_EMPTY = ("succeed", "skip", "fail")
#: what a snapshot of a trader can hold: lists of the service
SNAPSHOT_PARTS = ("account_overview", "balances", "positions", "orders")
MARKET_DATA = ("price", "klines")

"""Reads what exports have landed, as their consumers would: by way of the manifests."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


def path_of(address: str) -> Path:
    """The local file of an address in a summary."""
    return Path(unquote(urlsplit(address).path))


def manifest_of(summary: dict[str, Any]) -> dict[str, Any]:
    """The manifest of an export, after a check of what it and the summary say."""
    file = path_of(summary["manifest"])
    manifest: dict[str, Any] = json.loads(file.read_text())
    parts = [file.parent / part["name"] for part in manifest["files"]]
    assert [path_of(address) for address in summary["files"]] == parts
    assert sorted(file.parent.iterdir()) == sorted([file, *parts])
    for path, part in zip(parts, manifest["files"], strict=True):
        data = path.read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (part["bytes"], part["sha256"])
    assert manifest["rows"] == summary["rows"] == sum(part["rows"] for part in manifest["files"])
    assert manifest["window"] == summary["window"]
    return manifest


def lines(summary: dict[str, Any]) -> list[bytes]:
    """The rows of an export in JSON lines, byte by byte."""
    return [
        line
        for part in manifest_of(summary)["files"]
        for line in gzip.decompress(path_of(summary["manifest"]).with_name(part["name"]).read_bytes()).splitlines()
    ]


def rows(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of an export in any format: ids as text, amounts as ``Decimal``."""
    manifest = manifest_of(summary)
    found: list[dict[str, Any]] = []
    for part in manifest["files"]:
        file = path_of(summary["manifest"]).with_name(part["name"])
        new = list(_READERS[manifest["file_format"]](file))
        assert len(new) == part["rows"]
        found += new
    return found


def snapshot(directory: Path) -> dict[str, bytes]:
    """Every file below a directory."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def _jsonl(file: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(file, "rt") as text:
        for line in text:
            row = json.loads(line, parse_float=Decimal, parse_int=Decimal)
            yield {**row, "trade_id": str(row["trade_id"])}


def _csv(file: Path) -> Iterator[dict[str, Any]]:
    with file.open(newline="") as text:
        yield from csv.DictReader(text)


def _parquet(file: Path) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    yield from pq.read_table(file).to_pylist()


_READERS = {"jsonl": _jsonl, "csv": _csv, "parquet": _parquet}

"""Exports as the operator makes them, and as a reader finds them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow.sdk import ObjectStoragePath

from hyperoru_provider.client.api.endpoints import WindowedEndpoint
from hyperoru_provider.client.api.models import Trade
from hyperoru_provider.client.lists.window_reader import WindowReader
from hyperoru_provider.export.columns import ColumnSchema
from hyperoru_provider.export.destinations.storage import StorageDestination
from hyperoru_provider.export.fetch import fetch
from hyperoru_provider.export.formats import Format
from hyperoru_provider.export.run import ExportSpec, export
from hyperoru_provider.params.window import Window

_MANIFEST = "_manifest.json"


def commit(
    client: Any,
    endpoint: WindowedEndpoint,
    window: Window,
    where: Path,
    filters: Mapping[str, Any],
    *,
    concurrency: int,
    slice_rows: int,
    rows_per_part: int,
) -> None:
    """Export trades to a directory, in spans so short that there are several."""
    reader = WindowReader(endpoint, window.start, window.end, filters, slice_rows)
    landing = StorageDestination(ObjectStoragePath(f"file://{where}"))
    form = Format.choose("jsonl", "none", ColumnSchema(Trade, endpoint))
    export(fetch(client, reader, concurrency), ExportSpec("trades", window, filters), form, landing, rows_per_part)


def committed(where: Path) -> dict[str, bytes]:
    """What a reader finds who follows the manifest, and checks it."""
    if not (where / _MANIFEST).exists():
        return {}
    text = (where / _MANIFEST).read_bytes()
    found = {_MANIFEST: text}
    for file in json.loads(text)["files"]:
        data = found[file["name"]] = (where / file["name"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (file["bytes"], file["sha256"])
    return found


def rows(files: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """The rows of an export."""
    found = [json.loads(line) for name, text in files.items() if name != _MANIFEST for line in text.splitlines()]
    assert len(found) == json.loads(files[_MANIFEST])["rows"]
    return found

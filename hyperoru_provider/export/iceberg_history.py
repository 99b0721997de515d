"""What the snapshots of an Iceberg table say of the exports that made them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Operation, Snapshot

from hyperoru_provider.client.errors import HyperoruConfigError
from hyperoru_provider.export.manifest import ExportSpec
from hyperoru_provider.params.window import Window
from hyperoru_provider.version import __version__

_RESOURCE, _FILTERS, _FINGERPRINT = "hyperoru.resource", "hyperoru.filters", "hyperoru.fingerprint"
_START, _END = "hyperoru.window-start", "hyperoru.window-end"


def content_hash(spec: ExportSpec) -> Any:
    """Return a SHA-256 that has seen all but the rows of what determines what an export writes to a table."""
    seen = {
        **spec.as_dict(),
        "contract": spec.endpoint.model_dump(mode="json"),
        "columns": spec.schema.columns,
        "provider": __version__,
    }
    return hashlib.sha256(json.dumps(seen, sort_keys=True).encode())


def snapshot_properties(spec: ExportSpec, rows: int, fingerprint: str) -> dict[str, str]:
    """Return what the snapshot of an export says of it."""
    window = {_START: spec.window.as_dict()["start"], _END: spec.window.as_dict()["end"]} if spec.window else {}
    return {
        _RESOURCE: spec.resource,
        **window,
        _FILTERS: json.dumps(spec.limits),
        "hyperoru.rows": str(rows),
        _FINGERPRINT: fingerprint,
    }


def find_same(metadata: TableMetadata, properties: Mapping[str, str]) -> Snapshot | None:
    """Return the snapshot of just this export, if surely nothing has changed its rows since.

    :param properties: what its snapshot says.
    """
    for snapshot in _lineage(metadata):
        summary: Any = snapshot.summary or {}
        if summary.get(_FINGERPRINT) == properties[_FINGERPRINT]:
            return snapshot if snapshot.schema_id == metadata.current_schema_id else None
        if summary.get("operation") != Operation.REPLACE and not _are_disjoint(summary, properties):
            return None
    return None


def _lineage(metadata: TableMetadata) -> Iterator[Snapshot]:
    """Yield the snapshots that led to the table as it is, the newest first, as far as they have not expired."""
    snapshot = metadata.current_snapshot()
    while snapshot is not None:
        yield snapshot
        parent = snapshot.parent_snapshot_id
        snapshot = None if parent is None else metadata.snapshot_by_id(parent)


def _are_disjoint(one: Mapping[str, Any], other: Mapping[str, str]) -> bool:
    """Return whether two snapshots are surely of exports that have no row in common."""
    if one.get(_RESOURCE) != other[_RESOURCE]:
        return False
    try:
        first, second = (_window(each) for each in (one, other))
        limits = [json.loads(each[_FILTERS]) for each in (one, other)]
        differ = any(limits[1].get(name, text).lower() != text.lower() for name, text in limits[0].items())
    except (HyperoruConfigError, TypeError, ValueError, AttributeError):  # it only looks like ours
        return False
    apart = first is not None and second is not None and (first.end <= second.start or second.end <= first.start)
    return differ or apart


def _window(properties: Mapping[str, Any]) -> Window | None:
    found = properties.get(_START), properties.get(_END)
    return None if found == (None, None) else Window.parse(*found)

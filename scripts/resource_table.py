"""Write what follows from the lists: the table of docs/resources.md, and what DAG files are checked against.

Tests hold both up to date.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hyperoru_provider.client.api.resource import ObjectResource, Resource
from hyperoru_provider.client.api.resources import RESOURCES, Lists
from hyperoru_provider.export.columns import ColumnSchema

ROOT = Path(__file__).resolve().parents[1]
PLACE = ROOT / "docs" / "resources.md"
LIGHT = ROOT / "hyperoru_provider" / "params" / "lists.py"
METHODS = {row.name: name for cls in Lists.__mro__ for name, row in vars(cls).items() if isinstance(row, Resource)}
#: the methods of lists that have one of their own
OTHER_METHODS = {
    "trades": "iter_trades(start, end, account_id=None, symbol=None)",
    "klines": "klines(symbol, interval, start, end)",
    "traders": "list_traders(include_hidden=True)",
}
BEGIN = "| Resource |"


def text() -> str:
    """Return the page with its table as it must be; what stands before it is written by hand."""
    rows = [
        f"{BEGIN} Method of the clients | Path | Filters | Key | Time | Columns | Known from |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *map(line, RESOURCES.values()),
    ]
    return PLACE.read_text().partition(BEGIN)[0] + "\n".join(rows) + "\n"


def line(resource: Resource[Any]) -> str:
    """Return the row of a list."""
    endpoint = resource.endpoint
    method = OTHER_METHODS.get(resource.name) or f"{METHODS[resource.name]}{resource.signature}"
    filters = [f"**{name}**" if name in resource.needed(endpoint) else name for name in resource.filters]
    columns = [column.name for column in ColumnSchema(resource.model, endpoint).columns[:-1]]
    kind = " (object)" if isinstance(resource, ObjectResource) else ""
    cells = [
        f"`{resource.name}`{kind}",
        f"`{method}`",
        f"`{endpoint.path}`",
        ", ".join(filters),
        ", ".join(endpoint.key) or "snapshot",
        endpoint.time or "",
        ", ".join(columns),
        resource.source,
    ]
    return f"| {' | '.join(cells)} |"


def light() -> str:
    """Return the module of what a DAG file is checked against while it is parsed, which takes no time to import."""
    begin = LIGHT.read_text().partition("LISTS = {\n")
    rows = (
        f"    {json.dumps(row.name)}: ListFacts({_tuple(row.filters)}, {_tuple(row.filled)}, {row.windowed}),\n"
        for row in RESOURCES.values()
    )
    return "".join((*begin[:2], *rows, "}\n"))


def _tuple(names: Iterable[str]) -> str:
    texts = [json.dumps(name) for name in names]
    return f"({', '.join(texts)}{',' if len(texts) == 1 else ''})"


if __name__ == "__main__":
    PLACE.write_text(text())
    LIGHT.write_text(light())

"""Write the table of docs/resources.md: every list as contract and models have it; a test holds it up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hyperoru_provider.client.api.resource import ObjectResource, Resource
from hyperoru_provider.client.api.resources import RESOURCES, Lists
from hyperoru_provider.export.columns import ColumnSchema

PLACE = Path(__file__).resolve().parents[1] / "docs" / "resources.md"
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


if __name__ == "__main__":
    PLACE.write_text(text())

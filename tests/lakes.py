"""Catalogs of Apache Iceberg for tests, and their tables as a reader finds them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.table import Table

from hyperoru_provider.client.times import format_time

TABLE = "hyperoru.trades"


@dataclass(frozen=True)
class Lake:
    """A catalog and its warehouse.

    :param uri: the database of the catalog.
    :param warehouse: where its tables are.
    :param more: further properties of the catalog.
    """

    uri: str
    warehouse: str
    more: dict[str, str] = field(default_factory=dict)

    @property
    def connection(self) -> dict[str, Any]:
        """What Airflow calls a connection."""
        return {
            "conn_type": "iceberg",
            "extra": {"type": "sql", "uri": self.uri, "warehouse": self.warehouse, **self.more},
        }

    def catalog(self) -> Catalog:
        """Return the catalog, as nobody has used it yet."""
        return load_catalog("iceberg_default", **self.connection["extra"])

    @property
    def table(self) -> Table:
        """The table of trades, as it is now."""
        return self.catalog().load_table(TABLE)

    def rows(self, columns: str = "*", snapshot_id: int | None = None) -> list[tuple[Any, ...]]:
        """Return all trades by way of DuckDB, by time and key."""
        found = self.table.scan(snapshot_id=snapshot_id).to_arrow()
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.register("trades", found)
            return connection.execute(f"SELECT {columns} FROM trades ORDER BY trade_time, trade_id").fetchall()

    def prices(self, snapshot_id: int | None = None) -> dict[str, Any]:
        """Return the price of each trade, and fail if one is there twice."""
        rows = self.rows("trade_id, price", snapshot_id)
        assert len({key for key, _ in rows}) == len(rows)
        return dict(rows)

    def trades(self) -> list[dict[str, Any]]:
        """Return all trades as a server sends them, but for values that are nothing; none if there is no table."""
        if not self.catalog().table_exists(TABLE):
            return []
        names = [field.name for field in self.table.schema().fields]
        found = []
        for values in self.rows():
            row = {name: value for name, value in zip(names, values, strict=True) if value is not None}
            row["trade_time"] = format_time(row["trade_time"])
            found.append(row | json.loads(row.pop("extra", "{}")))
        return found

    def orphans(self) -> set[str]:
        """Return the data files that no snapshot names, of a lake on disk."""
        table = self.table
        scans = (table.scan(snapshot_id=snapshot.snapshot_id) for snapshot in table.snapshots())
        named = {task.file.file_path for scan in scans for task in scan.plan_files()}
        data = Path(table.location().removeprefix("file://")) / "data"
        return {f"file://{path}" for path in data.rglob("*.parquet")} - named

    def states(self) -> list[dict[str, Any]]:
        """Return the prices of each snapshot: all that a reader ever could see."""
        return [self.prices(snapshot.snapshot_id) for snapshot in self.table.snapshots()]


def local_lake(directory: Path, **more: str) -> Lake:
    """Return an empty lake in a directory, with a catalog in SQLite."""
    return Lake(f"sqlite:///{directory}/catalog.db", f"file://{directory}/warehouse", more)


def interfering(connect: Callable[[], Catalog], turns: Iterable[Callable[[], object]]) -> Callable[[], Catalog]:
    """Return what connects to a catalog of which a table is written to by others right after it was loaded.

    :param turns: what they do after each time that it was loaded; after the last one they do nothing.
    """
    left = iter(turns)

    def connect_and_interfere() -> Catalog:
        catalog = connect()
        load = catalog.load_table

        def load_and_interfere(identifier: Any) -> Table:
            table = load(identifier)
            next(left, int)()
            return table

        catalog.load_table = load_and_interfere  # type: ignore[method-assign]
        return catalog

    return connect_and_interfere

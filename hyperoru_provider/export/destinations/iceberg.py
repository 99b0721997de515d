"""Rows into a table of Apache Iceberg."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from hyperoru_provider.client.lists.rows import Rows
from hyperoru_provider.export.checkpoint import ExportState
from hyperoru_provider.export.destinations import Earlier
from hyperoru_provider.export.manifest import ExportSpec
from hyperoru_provider.export.parts import PartSplitter
from hyperoru_provider.export.progress import Progress

if TYPE_CHECKING:
    import pyarrow as pa
    from pyiceberg.catalog import Catalog

log = logging.getLogger(__name__)


class IcebergDestination:
    """Writes the rows of an export to a table, in one snapshot.

    The server is read to its end, and its rows wait in a temporary file without a name, before a file of the table is
    written: an export that fails until then leaves nothing there.

    :param connect: returns the catalog.
    :param table: the table: its namespace, a dot, and its name, exactly as the catalog has it.
    :param create_table: whether to create the table, and its namespace, if it does not exist.
    :param partition_by_day: whether a table that is created has a partition for each day, in UTC.
    :param rows_per_file: rows of a data file at most, which are held in memory.
    """

    def __init__(
        self,
        connect: Callable[[], Catalog],
        table: str,
        *,
        create_table: bool = False,
        partition_by_day: bool = False,
        rows_per_file: int = 100_000,
    ) -> None:
        self._connect = connect
        self._name = table
        self._create_table = create_table
        self._partition_by_day = partition_by_day
        self._rows_per_file = rows_per_file

    @property
    def prepare(self) -> Callable[[Rows], Any] | None:
        """What makes rows Arrow tables while others are fetched."""
        return self._tables.prepare

    def open(self, spec: ExportSpec) -> ExportState:
        """Check that the table can take the rows, or create it.

        :raises HyperoruConfigError: it can't.
        """
        from hyperoru_provider.export.formats.arrow_tables import ArrowTableBuilder  # it chooses pyarrow's memory pool

        self._tables = ArrowTableBuilder(spec.schema)
        from hyperoru_provider.export.iceberg_history import content_hash
        from hyperoru_provider.export.iceberg_table import IcebergTable

        self._spec = spec
        self._hash = content_hash(spec)
        self._table = IcebergTable(self._connect(), self._name, spec)
        self._table.prepare(self._create_table, self._partition_by_day)
        return ExportState()

    def write(self, batches: Iterable[Rows]) -> None:
        """Convert rows to Arrow tables, which wait in a file without a name."""
        import pyarrow as pa

        self._scratch = tempfile.TemporaryFile(prefix="hyperoru-")  # noqa: SIM115 - read by commit
        parts = PartSplitter(batches, self._rows_per_file)
        try:
            with pa.ipc.new_stream(
                self._scratch, self._tables.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")
            ) as stream:
                while parts.more():
                    for batch in parts.part():
                        for text in (text for rows in batch for text in rows.texts):
                            self._hash.update(text)
                            self._hash.update(b"\n")
                        stream.write_table(self._tables.table_of(batch))
        except BaseException:
            self._scratch.close()
            raise

    def earlier(self) -> Earlier:
        """Return how many rows the table has of this window and these filters, and whether it has any."""
        return Earlier(self._table.count_replaced(), self._table.has_rows())

    def commit(self, progress: Progress) -> dict[str, Any]:
        """Write all rows to the table, unless it has just these.

        :raises HyperoruConcurrentWriteError: others wrote to it again and again.
        """
        from hyperoru_provider.export.iceberg_history import snapshot_properties

        log.info("All %d rows are read; writing them to %s", progress.rows, self._name)
        said = snapshot_properties(self._spec, progress.rows, self._hash.hexdigest())
        with self._scratch:
            self._done = self._table.replace(self._kept_tables, progress.rows, said)
        snapshot_id = self._done.snapshot_id
        return {
            "rows": progress.rows,
            "window": self._spec.window and self._spec.window.as_dict(),
            "table": self._name,
            "location": self._table.location,
            "snapshot_id": None if snapshot_id is None else str(snapshot_id),  # JavaScript would round it
            "written": self._done.written,
            "replaced": self._done.replaced,
            **self._spec.moment(),
            **progress.times(),
        }

    def _kept_tables(self) -> Iterator[pa.Table]:
        """Yield the rows, in tables of a data file each."""
        import pyarrow as pa

        self._scratch.seek(0)
        held: list[pa.RecordBatch] = []
        for batch in pa.ipc.open_stream(self._scratch):
            held.append(batch)
            if sum(map(len, held)) >= self._rows_per_file:
                yield pa.Table.from_batches(held)
                held = []
        if held:
            yield pa.Table.from_batches(held)

    def describe(self, rows: str) -> str:
        """Return which table the rows went to, and what that has changed."""
        what = f"{self._done.replaced} replaced" if self._done.written else "which had just these already"
        return f"Exported {rows}, to the table {self._name} ({what})"

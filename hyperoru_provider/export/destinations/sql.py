"""Rows into a table of PostgreSQL, MySQL, MariaDB or SQLite."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator
from struct import Struct
from typing import Any

from hyperoru_provider.client.lists.rows import Rows
from hyperoru_provider.export.checkpoint import ExportState
from hyperoru_provider.export.destinations import Earlier
from hyperoru_provider.export.manifest import ExportSpec
from hyperoru_provider.export.progress import Progress
from hyperoru_provider.export.sql_database import Packed
from hyperoru_provider.export.sql_table import SqlTable

log = logging.getLogger(__name__)

#: what stands before rows that wait: how many they are, their bytes, and whether these are a text
_HEAD = Struct("<QQ?")


class SqlDestination:
    """Writes the rows of an export to a table, in one transaction.

    The server is read to its end, and its rows are checked and their values kept in a temporary file, before the
    database is written to: no lock waits for a server.

    :param connect: returns a new connection of psycopg, sqlite3, mysqlclient or MySQL Connector/Python.
    :param table: the table, or ``schema.table``, exactly as the database has it.
    :param mode: ``replace``: the rows of the window and filters are deleted first; ``upsert``: rows are found by
        their key.
    :param create_table: whether to create the table if it does not exist.
    :param batch_rows: rows to hold in memory, beside those that the server is asked for at once; at least 1.
    :param on_nul: what becomes of a text with a NUL, which PostgreSQL can't hold: ``fail``: it is an error;
        ``replace``: U+FFFD takes its place.
    """

    prepare = None

    def __init__(
        self,
        connect: Callable[[], Any],
        table: str,
        mode: str = "replace",
        *,
        create_table: bool = False,
        batch_rows: int = 5_000,
        on_nul: str = "fail",
    ) -> None:
        self._connect = connect
        self._name = table
        self._mode = mode
        self._create_table = create_table
        self._batch_rows = batch_rows
        self._on_nul = on_nul

    def open(self, spec: ExportSpec) -> ExportState:
        """Check that the table can take the rows, or create it.

        :raises HyperoruConfigError: it can't.
        """
        self._spec = spec
        self._table = SqlTable(self._connect, self._name, self._mode, spec, self._on_nul)
        self._table.prepare(self._create_table)
        return ExportState()

    def write(self, batches: Iterable[Rows]) -> None:
        """Check rows and convert them to what the database takes, which waits in a file without a name."""
        self._scratch = tempfile.TemporaryFile(prefix="hyperoru-")  # noqa: SIM115 - read by commit
        try:
            for rows in batches:
                for first in range(0, len(rows), self._batch_rows):
                    packed = self._table.packed(rows[first : first + self._batch_rows])
                    self._scratch.write(_HEAD.pack(packed.rows, len(packed.data), packed.is_text))
                    self._scratch.write(packed.data)
        except BaseException:
            self._scratch.close()
            raise

    def earlier(self) -> Earlier:
        """Return how many rows the table has of this window and these filters, and whether it has any."""
        return Earlier(self._table.replaced, self._table.has_rows())

    def commit(self, progress: Progress) -> dict[str, Any]:
        """Write all rows to the table."""
        log.info("All %d rows are read; writing them to %s", progress.rows, self._name)
        self._changes = self._table.store(progress.record_written(self._kept()), progress.rows)
        return {
            "rows": progress.rows,
            "window": self._spec.window and self._spec.window.as_dict(),
            "table": self._name,
            "mode": self._mode,
            **self._spec.moment(),
            **self._changes._asdict(),
            **progress.times(),
        }

    def _kept(self) -> Iterator[Packed]:
        """Yield all rows in batches, once."""
        with self._scratch as scratch:
            scratch.seek(0)
            while head := scratch.read(_HEAD.size):
                rows, size, is_text = _HEAD.unpack(head)
                yield Packed(rows, scratch.read(size), is_text)

    def describe(self, rows: str) -> str:
        """Return which table the rows went to, and how."""
        changes = ", ".join(f"{count} {name}" for name, count in self._changes._asdict().items())
        return f"Exported {rows}, to the table {self._name} ({self._mode}: {changes})"

"""A table of Apache Iceberg that shows a whole export or the one before it: an export is one snapshot."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, cast

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.manifest import DataFile
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.table import Table, Transaction
from pyiceberg.table.metadata import TableMetadata
from sqlalchemy.exc import IntegrityError

from hyperoru_provider.client.errors import (
    HyperoruConcurrentWriteError,
    HyperoruConfigError,
    HyperoruContractError,
)
from hyperoru_provider.export.iceberg_columns import (
    TYPES,
    check_table,
    day_partition,
    missing_columns,
    new_schema,
)
from hyperoru_provider.export.iceberg_files import DataFiles, Read
from hyperoru_provider.export.iceberg_history import find_same
from hyperoru_provider.export.iceberg_window import RowsOfExport, Share
from hyperoru_provider.export.manifest import ExportSpec

log = logging.getLogger(__name__)

#: how often a commit is tried that others overtake
ATTEMPTS = 20
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 5.0  # seconds


class Replacement(NamedTuple):
    """What an export has done to a table.

    :param snapshot_id: the snapshot that has its rows; ``None`` if the table has none.
    :param replaced: how many rows it took away.
    :param written: whether it wrote anything.
    """

    snapshot_id: int | None
    replaced: int
    written: bool


class _RefusedError(Exception):
    """A catalog refuses a commit: PyIceberg takes its own exception for the proof that it is not there."""


class _Committer:
    """A catalog whose refusals let PyIceberg remove no file.

    :param catalog: the catalog.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def __getattr__(self, name: str) -> Any:
        return getattr(self._catalog, name)

    def commit_table(self, *arguments: Any) -> Any:
        """Commit changes of a table.

        :raises _RefusedError: the catalog has another table by now.
        """
        try:
            return self._catalog.commit_table(*arguments)
        except CommitFailedException as error:
            raise _RefusedError from error


class IcebergTable:
    """Replaces the rows of an export in a table.

    :param catalog: where the table is.
    :param name: the table: its namespace, a dot, and its name.
    :param spec: what the rows are.
    :raises HyperoruConfigError: the window or a filter is not to be seen in the columns.
    """

    def __init__(self, catalog: Catalog, name: str, spec: ExportSpec) -> None:
        self._catalog = catalog
        self._name = name
        self._time = spec.time_column
        self._columns = spec.schema.columns
        self._rows = RowsOfExport(spec, name)
        self._files = DataFiles()
        #: rows of others in files that are replaced, by the attempt that the catalog may have committed
        self._kept = DataFiles()
        self._replaced = 0
        self._sent: tuple[Replacement, Transaction] | None = None

    def prepare(self, create: bool, partition_by_day: bool) -> None:
        """Check that the table can take the rows.

        :param create: whether to create the table, and its namespace, if it does not exist.
        :param partition_by_day: whether a table that is created has a partition for each day.
        :raises HyperoruConfigError: there is no table, or it can't.
        """
        if partition_by_day and self._time is None:
            raise HyperoruConfigError("partition_by_day needs a list that is read by time.")
        if create and not self._catalog.table_exists(self._name):
            self._create(partition_by_day)
        self._table = self._load()

    def _create(self, partition_by_day: bool) -> None:
        """Create the table, and its namespace, unless another run does so at the same moment."""
        schema, partitions = new_schema(self._columns), UNPARTITIONED_PARTITION_SPEC
        if partition_by_day and self._time is not None:
            partitions = day_partition(schema, self._time)
        with suppress(NamespaceAlreadyExistsError, IntegrityError):  # the latter from a SQL catalog
            self._catalog.create_namespace(self._name.rpartition(".")[0])
        with suppress(TableAlreadyExistsError):
            self._catalog.create_table(self._name, schema, partition_spec=partitions)

    def _load(self) -> Table:
        try:
            table = self._catalog.load_table(self._name)
        except (NoSuchTableError, NoSuchNamespaceError):
            raise HyperoruConfigError(
                f"The table {self._name} does not exist in the catalog {self._catalog.name} (names are "
                "case-sensitive). Create it, or set create_table=True."
            ) from None
        check_table(table.metadata, self._name, self._columns)
        if _has_rows(table) and (renamed := self._rows.renamed(table.metadata)):
            raise HyperoruConfigError(
                f"The table {self._name} has no column {' and '.join(renamed)} any more, so it is not known which of "
                "its rows to replace. If the column was renamed, give it its name back; else export to another table."
            )
        # PyIceberg would repeat a commit that failed without a look at the rows that others have written since
        once = {**table.metadata.properties, "commit.retry.num-retries": "0"}
        table.catalog = cast("Catalog", _Committer(table.catalog))
        table.metadata = table.metadata.model_copy(update={"properties": once})
        return table

    @property
    def location(self) -> str:
        """Where the table's files are."""
        return self._table.location()

    def count_replaced(self) -> int:
        """Return how many rows an export would take away; of one without rows it is these and no others."""
        self._replaced = self._rows.count(self._table.metadata, self._table.io)
        return self._replaced

    def has_rows(self) -> bool:
        """Return whether the table has any row, as far as its snapshot says."""
        return _has_rows(self._table)

    def replace(self, read: Read, count: int, properties: Mapping[str, str]) -> Replacement:
        """Make rows those of the export, in one snapshot, unless the table has just these.

        :param read: returns the rows.
        :param count: how many they are.
        :param properties: what the snapshot says of them.
        :raises HyperoruContractError: not just these rows would be found by their window and filters.
        :raises HyperoruConcurrentWriteError: others have written to the table again and again.
        """
        try:
            return self._replace(read, count, properties)
        except BaseException:
            if self._sent is None:
                self._files.remove(self._table.io)
                self._kept.remove(self._table.io)
            raise

    def _replace(self, read: Read, count: int, properties: Mapping[str, str]) -> Replacement:
        reason: _RefusedError | None = None
        for attempt in range(ATTEMPTS + 1):
            self._table = self._load()
            if done := self._committed():
                return done
            if attempt == ATTEMPTS:
                break
            try:
                return self._attempt(read, count, properties)
            except _RefusedError as error:
                log.info("Another run has written to %s at the same time: trying again", self._name)
                reason = error
                time.sleep(random.uniform(0, min(_FIRST_WAIT * 2**attempt, _LONGEST_WAIT)))
        raise HyperoruConcurrentWriteError(
            f"Others wrote to {self._name} during each of {ATTEMPTS} attempts to commit. Nothing was committed: run "
            "this one again, and let fewer runs write to the table at once."
        ) from reason

    def _committed(self) -> Replacement | None:
        """Return what the attempt before has committed after all; else remove its files.

        What is on the way to the catalog may send a commit twice, and then it is refused as it is there already.
        """
        if self._sent is None:
            return None
        done, change = self._sent
        if self._table.snapshot_by_id(done.snapshot_id or 0):
            return done
        self._sent = None
        self._kept.remove(self._table.io)
        for producer in getattr(change, "_snapshot_producers", ()):  # since PyIceberg 0.12
            producer._clean_all_uncommitted()
        return None

    def _attempt(self, read: Read, count: int, properties: Mapping[str, str]) -> Replacement:
        """Commit the rows once.

        :raises _RefusedError: the catalog refuses them, as others have written to the table meanwhile.
        """
        table = self._table
        shares = list(self._rows.shares(table.metadata, table.io))
        replaced = sum(share.rows for share in shares)
        if not count and replaced != self._replaced:
            raise HyperoruConcurrentWriteError(
                f"{self._name} had {self._replaced} rows of the window and filters when none were read, and has "
                f"{replaced} now, which another run has written. Nothing was committed: run this again."
            )
        same = find_same(table.metadata, properties)
        if replaced == count and (same is not None or not count):
            self._files.remove(table.io)
            return Replacement(same.snapshot_id if same else None, 0, written=False)
        change = table.transaction()
        self._add_columns(change)
        metadata = change.table_metadata
        self._files.renew(metadata, table.io, read)
        others = (self._rows.others(share, metadata, table.io) for share in shares if share.others)
        self._kept.write(metadata, table.io, others)
        snapshot_id = _stage(change, shares, [*self._files, *self._kept], properties)
        self._check(change.table_metadata, shares, self._kept.rows, count)
        done = Replacement(snapshot_id, replaced, written=True)
        self._sent = done, change  # its files stay as long as it may be committed
        change.commit_transaction()
        return done

    def _add_columns(self, change: Transaction) -> None:
        """Add the columns that the table lacks; those that it has are as they must be."""
        missing = missing_columns(change.table_metadata.schema(), self._columns)
        if missing:
            log.info("Adding columns to %s: %s", self._name, ", ".join(column.name for column in missing))
            with change.update_schema() as update:
                for name, kind in missing:
                    update.add_column(name, TYPES[kind])

    def _check(self, staged: TableMetadata, shares: list[Share], kept: int, count: int) -> None:
        """Prove that the table has the rows, and all others that it had, before anybody sees it."""
        found, others = self._rows.count(staged, self._table.io), sum(share.others for share in shares)
        if (found, kept) != (count, others):
            raise HyperoruContractError(
                f"{count} rows were written to {self._name}, but {found} are found there by their time and filters "
                f"such as account_id and symbol, and {kept} of {others} other rows of the same files, so nothing was "
                "committed. The rows may lack a field that was filtered by."
            )


def _has_rows(table: Table) -> bool:
    snapshot = table.current_snapshot()
    return snapshot is not None and (snapshot.summary is None or snapshot.summary.get("total-records") != "0")


def _stage(
    change: Transaction, shares: Iterable[Share], files: Iterable[DataFile], properties: Mapping[str, str]
) -> int:
    """Put the snapshot into a transaction, and return its id."""
    with change.update_snapshot(snapshot_properties=dict(properties)).overwrite() as overwrite:
        for share in shares:
            overwrite.delete_data_file(share.task.file)
        for file in files:
            overwrite.append_data_file(file)
    return overwrite.snapshot_id

"""Export any list of the service: to files, to XCom, or into a SQL table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from hyperoru_provider.hooks.hyperoru import HyperoruHook
from hyperoru_provider.hooks.tasks import failing_at_once
from hyperoru_provider.operators.base import ExportOperator, check_files_early, files_or_xcom
from hyperoru_provider.operators.links import HyperoruDataLink, HyperoruManifestLink, HyperoruTraderLink
from hyperoru_provider.params import arguments
from hyperoru_provider.params.arguments import INTERVAL_END, INTERVAL_START
from hyperoru_provider.params.choices import ON_NUL, SQL_MODES

if TYPE_CHECKING:
    from airflow.sdk import Context
    from openlineage.client.event_v2 import Dataset

    from hyperoru_provider.export.destinations import Destination


class HyperoruExportOperator(ExportOperator):
    """Export a list of the service, each row once and none missing, to object storage or XCom.

    The rows of a list with a window are those with ``start <= time < end``, ordered by time and key; a list without
    one, such as ``orders``, is exported as it is now. In storage they land below
    ``<destination>/<resource>/<window>/``, or ``<destination>/<resource>/latest/``, as parts and a
    ``_manifest.json``, which is written last: a reader that follows it never sees half an export, a failed run
    leaves the earlier one readable, and the same rows give the same bytes.
    Returns a summary: ``rows``, ``bytes``, ``window``, ``first_time``, ``last_time``, ``manifest`` and ``files``;
    ``prefix`` and ``keys`` for what loads files without Airflow's connection, such as ``COPY``.
    Without a destination it returns the rows themselves, amounts as text.

    .. seealso:: ``docs/export-trades.md``

    :param resource: the list, such as ``trades`` or ``orders``. (templated)
    :param start: start of the window, inclusive: a datetime, date or ISO 8601 text, in UTC if it has no offset.
        Default: the start of the run's data interval, where the list has a window. (templated)
    :param end: end of the window, exclusive; likewise. Default: the end of the run's data interval. (templated)
    :param filters: what else limits the rows, such as ``{"account_id": 1}``. Default: all rows. (templated)
    :param destination: object-storage URL or local path. Default: the rows go to XCom. (templated)
    :param storage_conn_id: the storage's connection. Default: the storage's own. (templated)
    :param file_format: ``jsonl`` (each row as the server sent it; the default), ``csv`` or ``parquet``. (templated)
    :param compression: ``gzip``, ``zstd`` or ``none`` for jsonl (default ``gzip``) and csv (default ``none``);
        ``zstd`` (default), ``snappy``, ``gzip`` or ``none`` for parquet. (templated)
    :param concurrency: how many requests to send at the same time, at least 1. Default: the number that the server
        answers best, up to 32, found while exporting.
    :param rows_per_part: maximum number of rows in a file. Default: 250,000.
    :param bytes_per_part: maximum size of a file's rows in bytes, counted as JSON lines before compression.
        Default: no limit.
    :param max_xcom_bytes: how much JSON may go to XCom. Default: 1,000,000.
    :param on_empty: what to do with an export without rows: ``succeed``, ``skip`` (the task is skipped, and nothing
        written) or ``fail``. Default: ``succeed``, unless it would replace an earlier export that has rows, which only
        an explicit ``succeed`` allows.
    :param hyperoru_conn_id: the connection. Default: ``hyperoru_default``. (templated)
    :raises HyperoruConfigError: an argument or the connection is wrong, the window is empty, or the rows are too
        many for XCom. Nothing was written.
    :raises HyperoruContractError: the server's pages can't be proved right and complete, or there are no rows where
        that is an error. Nothing was committed.
    :raises HyperoruApiError: the server refused a request or could not be reached. Nothing was committed.
    :raises HyperoruConcurrentWriteError: another run wrote to the same place at the same time.
    """

    operator_extra_links = (HyperoruDataLink(), HyperoruManifestLink(), HyperoruTraderLink())
    template_fields: Sequence[str] = (
        "resource",
        "start",
        "end",
        "filters",
        "destination",
        "storage_conn_id",
        "file_format",
        "compression",
        "hyperoru_conn_id",
    )

    @failing_at_once()
    def __init__(
        self,
        *,
        resource: str,
        start: datetime | str = INTERVAL_START,
        end: datetime | str | None = INTERVAL_END,
        filters: Mapping[str, Any] | None = None,
        destination: str | None = None,
        storage_conn_id: str | None = None,
        file_format: str | None = None,
        compression: str | None = None,
        concurrency: int | None = None,
        rows_per_part: int | None = None,
        bytes_per_part: int | None = None,
        max_xcom_bytes: int = 1_000_000,
        on_empty: str | None = None,
        hyperoru_conn_id: str = HyperoruHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            resource=resource,
            start=start,
            end=end,
            filters=filters,
            concurrency=concurrency,
            on_empty=on_empty,
            hyperoru_conn_id=hyperoru_conn_id,
            **kwargs,
        )
        check_files_early(
            destination,
            file_format,
            compression,
            storage_conn_id=storage_conn_id,
            rows_per_part=rows_per_part,
            bytes_per_part=bytes_per_part,
        )
        self.destination = destination
        self.storage_conn_id = storage_conn_id
        self.file_format = file_format
        self.compression = compression
        self.rows_per_part = None if rows_per_part is None else arguments.positive("rows_per_part", rows_per_part)
        self.bytes_per_part = None if bytes_per_part is None else arguments.positive("bytes_per_part", bytes_per_part)
        self.max_xcom_bytes = arguments.positive("max_xcom_bytes", max_xcom_bytes)

    def destination_of(self, context: Context) -> Destination:
        """Return where the rows go."""
        from hyperoru_provider.hooks.task_state import TaskState

        state = TaskState(context)
        return files_or_xcom(
            self.destination,
            self.storage_conn_id,
            self.file_format,
            self.compression,
            self.max_xcom_bytes,
            rows_per_part=self.rows_per_part,
            bytes_per_part=self.bytes_per_part,
            store=state if state.native else None,
        )


class HyperoruToSqlOperator(ExportOperator):
    """Load a list of the service, each row once and none missing, into a table of a database:
    PostgreSQL, MySQL, MariaDB or SQLite.

    The rows of a list with a window are those with ``start <= time < end``; a list without one, such as ``orders``, is
    loaded as it is now. They are written in one transaction, after the server was read to its end: nobody ever sees a
    part of them, and a failed run leaves the table as it was. The columns are those of the list's model, and ``extra``
    for a JSON object of all that it does not know; no digit of an amount changes. Further columns of the table are left
    alone. Returns a summary: ``rows``, ``window``, ``table``, ``mode``, ``first_time`` and ``last_time``, and how many
    rows of the table were ``inserted``, ``updated`` and ``deleted``.

    .. seealso:: ``docs/trades-to-sql.md``

    :param resource: the list, such as ``trades`` or ``orders``. (templated)
    :param sql_conn_id: the database's connection. (templated)
    :param table: the table, or ``schema.table``, exactly as the database has it. (templated)
    :param start: start of the window, inclusive: a datetime, date or ISO 8601 text, in UTC if it has no offset.
        Default: the start of the run's data interval, where the list has a window. (templated)
    :param end: end of the window, exclusive; likewise. Default: the end of the run's data interval. (templated)
    :param filters: what else limits the rows, such as ``{"account_id": 1}``. Default: all rows. (templated)
    :param mode: ``replace`` (the default): the table then has the server's rows of the window and of the filters, and
        no others; ``upsert``: rows are inserted, or updated by their key where they differ, and none is deleted, which
        needs a unique index on the key. (templated)
    :param create_table: whether to create the table if it does not exist, with the key as its primary key and an index
        on the time. Default: ``False``.
    :param concurrency: how many requests to send at the same time, at least 1. Default: the number that the server
        answers best, up to 32, found while exporting.
    :param batch_rows: rows to write at once. Default: 5,000.
    :param on_nul: what to do with a text that contains a NUL character, which PostgreSQL can't hold: ``fail`` (the
        default), or ``replace``, which puts U+FFFD in its place and logs a warning.
    :param on_empty: what to do with a list without rows: ``succeed``, ``skip`` (the task is skipped, and nothing
        written) or ``fail``. Default: ``succeed``, unless ``replace`` would only delete rows, which only an explicit
        ``succeed`` allows.
    :param hyperoru_conn_id: the connection. Default: ``hyperoru_default``. (templated)
    :raises HyperoruConfigError: an argument or a connection is wrong, the window is empty, or the table is missing
        or does not fit. Nothing was requested or written.
    :raises HyperoruContractError: the server's pages can't be proved right and complete, or there are no rows where
        that is an error. Nothing was changed.
    :raises HyperoruApiError: the server refused a request or could not be reached. Nothing was changed.
    """

    operator_extra_links = (HyperoruTraderLink(),)
    template_fields: Sequence[str] = (
        "resource",
        "sql_conn_id",
        "table",
        "start",
        "end",
        "filters",
        "mode",
        "hyperoru_conn_id",
    )

    @failing_at_once()
    def __init__(
        self,
        *,
        resource: str,
        sql_conn_id: str,
        table: str,
        start: datetime | str = INTERVAL_START,
        end: datetime | str = INTERVAL_END,
        filters: Mapping[str, Any] | None = None,
        mode: str = "replace",
        create_table: bool = False,
        concurrency: int | None = None,
        batch_rows: int = 5_000,
        on_nul: str = "fail",
        on_empty: str | None = None,
        hyperoru_conn_id: str = HyperoruHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            resource=resource,
            start=start,
            end=end,
            filters=filters,
            concurrency=concurrency,
            on_empty=on_empty,
            hyperoru_conn_id=hyperoru_conn_id,
            **kwargs,
        )
        arguments.early(arguments.required, "sql_conn_id", sql_conn_id)
        arguments.early(arguments.table, "table", table)
        arguments.early(arguments.choice, "mode", mode, SQL_MODES)
        self.sql_conn_id = sql_conn_id
        self.table = table
        self.mode = mode
        self.create_table = arguments.flag("create_table", create_table)
        self.batch_rows = arguments.positive("batch_rows", batch_rows)
        self.on_nul = arguments.choice("on_nul", on_nul, ON_NUL)

    def destination_of(self, context: Context) -> Destination:
        """Return the table that the rows go to."""
        from hyperoru_provider.export.destinations.sql import SqlDestination

        arguments.choice("mode", self.mode, SQL_MODES)
        return SqlDestination(
            *self.connect_and_table(),
            self.mode,
            create_table=self.create_table,
            batch_rows=self.batch_rows,
            on_nul=self.on_nul,
        )

    def connect_and_table(self) -> tuple[Callable[[], Any], str]:
        """Return what makes a new connection of the database, and the table's name.

        :raises HyperoruConfigError: one of them is wrong.
        """
        from airflow.providers.common.sql.hooks.sql import DbApiHook

        from hyperoru_provider.client.errors import HyperoruConfigError

        table = arguments.required("table", self.table)
        arguments.table("table", table)
        hook = BaseHook.get_connection(self.sql_conn_id).get_hook()  # type: ignore[no-untyped-call]
        if not isinstance(hook, DbApiHook):
            raise HyperoruConfigError(f"The connection {self.sql_conn_id} is not a SQL database: its hook is {hook!r}.")
        return hook.get_conn, table

    def table_dataset(self) -> Dataset:
        """Return the table, as OpenLineage names it."""
        from hyperoru_provider.hooks.openlineage import table_dataset

        return table_dataset(BaseHook.get_connection(self.sql_conn_id), self.table)

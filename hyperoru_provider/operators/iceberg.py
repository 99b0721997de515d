"""Load any list of the service into a table of Apache Iceberg."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from hyperoru_provider.hooks.hyperoru import HyperoruHook
from hyperoru_provider.hooks.tasks import failing_at_once
from hyperoru_provider.operators.base import ExportOperator
from hyperoru_provider.operators.links import HyperoruTraderLink
from hyperoru_provider.params import arguments
from hyperoru_provider.params.arguments import INTERVAL_END, INTERVAL_START

if TYPE_CHECKING:
    from airflow.sdk import Context
    from openlineage.client.event_v2 import Dataset

    from hyperoru_provider.export.destinations import Destination


class HyperoruToIcebergOperator(ExportOperator):
    """Load a list of the service, each row once and none missing, into a table of Apache Iceberg.

    The rows of a list with a window are those with ``start <= time < end``; a list without one, such as ``orders``, is
    loaded as it is now. The table's rows of the window and of the filters are replaced in one snapshot, after the
    server was read to its end: nobody ever sees a part of them, and a failed run leaves the table as it was. Where the
    table has just these rows already, nothing is written. The columns are those of the list's model, and ``extra`` for
    a JSON object of all that it does not know; a table that lacks some gets them. Returns a summary: ``rows``,
    ``window``, ``table``, ``location``, ``snapshot_id``, whether it was ``written``, how many rows of the table were
    ``replaced``, ``first_time`` and ``last_time``.

    .. seealso:: ``docs/iceberg.md``

    :param resource: the list, such as ``trades`` or ``orders``. (templated)
    :param table: the table: its namespace, a dot and its name, exactly as the catalog has it. (templated)
    :param iceberg_conn_id: the catalog's connection. Default: ``iceberg_default``. (templated)
    :param start: start of the window, inclusive: a datetime, date or ISO 8601 text, in UTC if it has no offset.
        Default: the start of the run's data interval, where the list has a window. (templated)
    :param end: end of the window, exclusive; likewise. Default: the end of the run's data interval. (templated)
    :param filters: what else limits the rows, such as ``{"account_id": 1}``. Default: all rows. (templated)
    :param create_table: whether to create the table, and its namespace, if it does not exist. Default: ``False``.
    :param partition_by_day: whether a table that is created has a partition for each day, in UTC, of the rows' time.
        Default: ``False``.
    :param concurrency: how many requests to send at the same time, at least 1. Default: the number that the server
        answers best, up to 32, found while exporting.
    :param on_empty: what to do with a list without rows: ``succeed``, ``skip`` (the task is skipped, and nothing
        written) or ``fail``. Default: ``succeed``, unless it would only delete rows, which only an explicit
        ``succeed`` allows.
    :param hyperoru_conn_id: the connection. Default: ``hyperoru_default``. (templated)
    :raises HyperoruConfigError: an argument or a connection is wrong, the window is empty, or the table is missing
        or does not fit. Nothing was requested or written.
    :raises HyperoruContractError: the server's pages can't be proved right and complete, or there are no rows where
        that is an error. Nothing was committed.
    :raises HyperoruApiError: the server refused a request or could not be reached. Nothing was committed.
    :raises HyperoruConcurrentWriteError: others wrote to the table again and again. Nothing was committed.
    """

    operator_extra_links = (HyperoruTraderLink(),)
    template_fields: Sequence[str] = (
        "resource",
        "table",
        "iceberg_conn_id",
        "start",
        "end",
        "filters",
        "hyperoru_conn_id",
    )

    @failing_at_once()
    def __init__(
        self,
        *,
        resource: str,
        table: str,
        iceberg_conn_id: str = "iceberg_default",
        start: datetime | str = INTERVAL_START,
        end: datetime | str = INTERVAL_END,
        filters: Mapping[str, Any] | None = None,
        create_table: bool = False,
        partition_by_day: bool = False,
        concurrency: int | None = None,
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
        arguments.early(arguments.iceberg_table, "table", table)
        arguments.early(arguments.required, "iceberg_conn_id", iceberg_conn_id)
        self.table = table
        self.iceberg_conn_id = iceberg_conn_id
        self.create_table = arguments.flag("create_table", create_table)
        self.partition_by_day = arguments.flag("partition_by_day", partition_by_day)

    def destination_of(self, context: Context) -> Destination:
        """Return the table that the rows go to."""
        from hyperoru_provider.export.destinations.iceberg import IcebergDestination
        from hyperoru_provider.hooks.iceberg import catalog_of

        return IcebergDestination(
            partial(catalog_of, arguments.required("iceberg_conn_id", self.iceberg_conn_id)),
            arguments.iceberg_table("table", self.table),
            create_table=self.create_table,
            partition_by_day=self.partition_by_day,
        )

    def table_dataset(self) -> Dataset:
        """Return the table, as OpenLineage names it."""
        from hyperoru_provider.hooks.openlineage import iceberg_dataset

        return iceberg_dataset(self.summary["location"], self.table)

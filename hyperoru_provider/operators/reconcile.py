"""Read windows that were exported once more, and put right what has changed at the server since."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from hyperoru_provider.hooks.hyperoru import HyperoruHook
from hyperoru_provider.hooks.task_state import TaskState
from hyperoru_provider.hooks.tasks import failing_at_once
from hyperoru_provider.operators.base import ROWS_PER_PART, for_xcom, unless_skipped
from hyperoru_provider.operators.export import HyperoruExportOperator, HyperoruToSqlOperator
from hyperoru_provider.params import arguments
from hyperoru_provider.params.arguments import INTERVAL_END, INTERVAL_START
from hyperoru_provider.params.choices import DEFAULT_FORMAT
from hyperoru_provider.params.lists import LISTS

if TYPE_CHECKING:
    from airflow.sdk import Context

    from hyperoru_provider.params.window import Window

log = logging.getLogger(__name__)

_STATE_NAME = "hyperoru_reconcile"


class HyperoruReconcileOperator(HyperoruExportOperator):
    """Read the last windows of an export again, and export those again whose rows have changed at the server.

    Rows may come late, be corrected or be removed after their window was exported. The windows are those of the last
    exports at the destination, of this list and these filters. Each is read whole, with all the proofs of an export,
    and compared with its manifest by hash; where it is the same, nothing is written. Otherwise it is exported again
    as by :class:`~hyperoru_provider.operators.export.HyperoruExportOperator`: all of it, or the earlier export stays.
    Windows go one after the other, the oldest first: where one fails, those before it are put right.
    Returns how many ``windows`` were compared and were the ``same``, and of each one that was ``changed`` its
    ``window``, its ``rows``, how many were ``added``, ``removed`` and ``changed``, and its ``manifest``; ``gaps`` are
    the times between the windows of which there is no export.

    Parameters have to be those of the export. All but ``start`` and ``max_xcom_bytes`` of ``HyperoruExportOperator``
    are known here, too.

    .. seealso:: ``docs/reconcile.md``

    :param resource: the list, such as ``trades``; one that is read by time. (templated)
    :param destination: object-storage URL or local path of the exports. (templated)
    :param windows: how many exports to compare at most, the last ones. Default: 7.
    :param end: windows that end later are skipped: a datetime, date or ISO 8601 text, in UTC if it has no offset.
        Default: the end of the run's data interval, or none if it has none. (templated)
    :param filters: what else limits the rows, such as ``{"account_id": 1}``. Default: all rows. (templated)
    :param storage_conn_id: the storage's connection. Default: the storage's own. (templated)
    :param file_format: ``jsonl`` (the default), ``csv`` or ``parquet``. (templated)
    :param compression: as for the export. (templated)
    :param on_empty: what to do with a window without rows: ``succeed``, ``skip`` (as ``succeed``, but it is an error if
        there were rows) or ``fail``. Default: an error if there were rows.
    :param hyperoru_conn_id: the connection. Default: ``hyperoru_default``. (templated)
    :raises HyperoruConfigError: an argument or the connection is wrong, or the files are of another format.
    :raises HyperoruContractError: the server's pages can't be proved right and complete, or a window has no rows
        where that is an error. Of this window and those after it nothing was committed.
    :raises HyperoruApiError: the server refused a request or could not be reached; likewise.
    """

    template_fields: Sequence[str] = (
        "resource",
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
        destination: str,
        windows: int = 7,
        end: datetime | str | None = INTERVAL_END,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            resource=resource,
            start=INTERVAL_START,
            end=end,
            destination=destination,
            max_xcom_bytes=1,
            **kwargs,
        )
        arguments.early(arguments.required, "destination", destination)
        arguments.early(_windowed, "resource", resource)
        self.windows = arguments.positive("windows", windows)

    @failing_at_once()
    def execute(self, context: Context) -> Any:
        """Compare the windows, and export those that differ."""
        from hyperoru_provider.export.destinations.reconciled import ReconciledStorage, exported_windows
        from hyperoru_provider.export.run import export_list
        from hyperoru_provider.hooks.lineage import source_of
        from hyperoru_provider.hooks.storage import storage_path
        from hyperoru_provider.params.window import parse_moment

        resource = _windowed("resource", self.resource)
        filters = arguments.filters(self.given_filters())
        root = storage_path(arguments.required("destination", self.destination), self.storage_conn_id)
        end = parse_moment("end", self.end) if self.end or self._has_window else None
        windows = exported_windows(root, resource, filters, end, self.windows)
        gaps = _gaps(windows)
        if not windows:
            log.warning("There is no export of %s below %s to compare: do the filters match?", resource, root)
        for gap in gaps:
            log.warning(
                "There is no export of the time from %(start)s to %(end)s, between those compared: export it", gap
            )
        hook = HyperoruHook(self.hyperoru_conn_id)
        with _Report(context) as report, hook.get_conn() as client:
            self.source = source_of(client, resource)
            for window in windows:
                destination = ReconciledStorage(
                    root,
                    self.file_format or DEFAULT_FORMAT,
                    self.compression,
                    rows_per_part=self.rows_per_part or ROWS_PER_PART,
                    bytes_per_part=self.bytes_per_part,
                    note=report.note,
                )
                export_list(
                    client, resource, window, filters, destination, concurrency=self.concurrency, on_empty=self.on_empty
                )
            self.summary = {**report.finish(windows), "gaps": gaps}
            result = for_xcom(self.summary)
            self.announce(context, hook, result, self.summary["changed"])
            return result


class HyperoruReconcileSqlOperator(HyperoruToSqlOperator):
    """Read windows that were loaded into a table again, and put right the rows that have changed at the server.

    The windows are the given one and those before it, each of its length. They are read as one, with all the proofs of
    an export, and compared with the table's rows of their time and of the filters by key and value. Rows that are gone
    are deleted, rows that differ replaced and new ones inserted, in one transaction; all others are not touched.
    Returns how many ``windows`` were compared and were the ``same``, and of each one that was ``changed`` its
    ``window``, its ``rows``, and how many were ``added``, ``removed`` and ``changed``.

    All parameters but ``mode`` and ``create_table`` of
    :class:`~hyperoru_provider.operators.export.HyperoruToSqlOperator` are known here, too.

    .. seealso:: ``docs/reconcile.md``

    :param resource: the list, such as ``trades``; one that is read by time. (templated)
    :param sql_conn_id: the database's connection. (templated)
    :param table: the table, or ``schema.table``, exactly as the database has it. (templated)
    :param windows: how many windows to compare. Default: 7.
    :param start: start of the last window, inclusive: a datetime, date or ISO 8601 text, in UTC if it has no offset.
        Default: the start of the run's data interval. (templated)
    :param end: end of the last window, exclusive; likewise. Default: the end of the run's data interval. (templated)
    :param filters: what else limits the rows, such as ``{"account_id": 1}``. Default: all rows. (templated)
    :param on_empty: what to do with a window without rows: ``succeed``, ``skip`` (as ``succeed``, but it is an error if
        there were rows; the task is skipped if there are none at all) or ``fail``. Default: an error if there were
        rows.
    :param hyperoru_conn_id: the connection. Default: ``hyperoru_default``. (templated)
    :raises HyperoruConfigError: an argument or a connection is wrong, or the table is missing or does not fit.
    :raises HyperoruContractError: the server's pages can't be proved right and complete, or a window has no rows
        where that is an error. Nothing was changed.
    :raises HyperoruApiError: the server refused a request or could not be reached. Nothing was changed.
    """

    template_fields: Sequence[str] = (
        "resource",
        "sql_conn_id",
        "table",
        "start",
        "end",
        "filters",
        "hyperoru_conn_id",
    )

    @failing_at_once()
    def __init__(self, *, resource: str, windows: int = 7, **kwargs: Any) -> None:
        super().__init__(resource=resource, mode="replace", create_table=False, **kwargs)
        arguments.early(_windowed, "resource", resource)
        self.windows = arguments.positive("windows", windows)

    @failing_at_once()
    def execute(self, context: Context) -> Any:
        """Compare the windows, and write the rows that differ."""
        from hyperoru_provider.export.destinations.reconciled import ReconciledTable
        from hyperoru_provider.export.run import export_list
        from hyperoru_provider.hooks.lineage import source_of
        from hyperoru_provider.params.window import Window

        resource = _windowed("resource", self.resource)
        filters = arguments.filters(self.given_filters())
        windows = arguments.window(self.start, self.end).with_earlier(self.windows)
        whole = Window(windows[0].start, windows[-1].end)
        hook = HyperoruHook(self.hyperoru_conn_id)
        with _Report(context) as report, hook.get_conn() as client:
            self.source = source_of(client, resource)
            destination = ReconciledTable(
                *self.connect_and_table(),
                windows=windows,
                batch_rows=self.batch_rows,
                on_nul=self.on_nul,
                on_empty=self.on_empty,
                note=report.note,
            )
            found = export_list(
                client, resource, whole, filters, destination, concurrency=self.concurrency, on_empty=self.on_empty
            )
            unless_skipped(found, resource)
            self.summary = report.finish(windows)
            result = for_xcom(self.summary)
            self.announce(context, hook, result, self.summary["changed"])
            return result


class _Report:
    """What a task has changed, over all its tries: one that was killed has changed it, but has not said so.

    :param context: of the task.
    """

    def __init__(self, context: Context) -> None:
        self._state = TaskState(context)
        noted = self._state.read(_STATE_NAME)
        self._changed: dict[str, dict[str, Any]] = noted if isinstance(noted, dict) else {}

    def __enter__(self) -> Self:
        """Return the report."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Forget what was noted, if no other try follows."""
        if error is None:
            self._state.clear(_STATE_NAME)
        self._state.end(error)

    def note(self, change: dict[str, Any]) -> None:
        """Keep what is about to be committed for a window."""
        self._changed["{start}_{end}".format_map(change["window"])] = change
        self._state.write(_STATE_NAME, self._changed)

    def finish(self, windows: Sequence[Window]) -> dict[str, Any]:
        """Return what has changed in these windows."""
        names = ["{start}_{end}".format_map(window.as_dict()) for window in windows]
        changed = [self._changed[name] for name in names if name in self._changed]
        same = len(windows) - len(changed)
        log.info("Compared %d windows: %d the same, %d put right", len(windows), same, len(changed))
        return {"windows": len(windows), "same": same, "changed": changed}


def _windowed(name: str, value: object) -> str:
    """Return the name of a list that is read by time.

    :raises HyperoruConfigError: it is another one.
    """
    resource = arguments.choice(name, arguments.required(name, value), LISTS)
    if not LISTS[resource].windowed:
        from hyperoru_provider.client.errors import HyperoruConfigError

        raise HyperoruConfigError(
            f"{resource} is not read by time, so there are no windows to compare: export it again."
        )
    return resource


def _gaps(windows: Sequence[Window]) -> list[dict[str, str]]:
    """Return the times between windows that are in none of them."""
    from hyperoru_provider.params.window import Window

    found, covered = [], None
    for window in sorted(windows, key=lambda each: each.start):
        if covered is not None and covered < window.start:
            found.append(Window(covered, window.start).as_dict())
        covered = max(covered or window.end, window.end)
    return found

"""The base of all operators that export."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, BaseOperator

from hyperoru_provider.hooks.compat import AirflowSkipException
from hyperoru_provider.hooks.hyperoru import HyperoruHook
from hyperoru_provider.hooks.tasks import WindowTask, failing_at_once
from hyperoru_provider.params import arguments
from hyperoru_provider.params.arguments import INTERVAL_END, INTERVAL_START
from hyperoru_provider.params.choices import DEFAULT_FORMAT, ON_EMPTY
from hyperoru_provider.params.lists import LISTS

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context
    from openlineage.client.event_v2 import Dataset

    from hyperoru_provider.export.checkpoint import StateStore
    from hyperoru_provider.export.destinations import Destination
    from hyperoru_provider.hooks.lineage import Source
    from hyperoru_provider.params.window import Window

log = logging.getLogger(__name__)

ROWS_PER_PART = 250_000
#: what the event of an outlet says, for the DAGs that it starts
_ON_EVENTS = ("window", "rows", "manifest", "table", "snapshot_id", "windows", "changed")


class ExportOperator(WindowTask, BaseOperator):
    """Exports a list to the destination that a subclass names.

    :param resource: the list.
    :param start: start of the window.
    :param end: end of the window.
    :param filters: what else limits the rows.
    :param concurrency: how many requests to send at the same time; ``None`` to find the best number.
    :param on_empty: what to do with an export without rows.
    :param hyperoru_conn_id: the connection.
    """

    ui_color = "#dfe9f5"
    #: the manifest of the last export that was written, for links
    manifest = ""
    #: what the export returned, for lineage
    summary: Any = None
    #: the list that it read, for lineage
    source: Source

    @failing_at_once()
    def __init__(
        self,
        *,
        resource: str,
        start: datetime | str,
        end: datetime | str | None,
        filters: Mapping[str, Any] | None,
        concurrency: int | None,
        on_empty: str | None,
        hyperoru_conn_id: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        arguments.early_window(start, end)
        if arguments.is_literal(filters):
            arguments.filters(filters)
        self.resource = resource
        self.start = start
        self.end = end
        self._has_window = (start, end) != (INTERVAL_START, INTERVAL_END)
        arguments.early_list(resource, filters, has_window=self._has_window)
        self.filters = filters
        self.concurrency = None if concurrency is None else arguments.positive("concurrency", concurrency)
        self.on_empty = checked_on_empty(on_empty)
        self.hyperoru_conn_id = hyperoru_conn_id

    @failing_at_once()
    def execute(self, context: Context) -> Any:
        """Export the list."""
        from hyperoru_provider.export.run import export_list
        from hyperoru_provider.hooks.lineage import source_of

        resource = arguments.required("resource", self.resource)
        window = self._window(resource)
        filters = arguments.filters(self.given_filters())
        destination = self.destination_of(context)
        hook = HyperoruHook(self.hyperoru_conn_id)
        with hook.get_conn() as client:
            self.summary = export_list(
                client, resource, window, filters, destination, concurrency=self.concurrency, on_empty=self.on_empty
            )
            self.source = source_of(client, resource)
        result = unless_skipped(self.summary, resource)
        if isinstance(result, dict):
            self.announce(context, hook, result, [result])
        return result

    def announce(
        self,
        context: Context,
        hook: HyperoruHook,
        summary: Mapping[str, Any],
        written: Sequence[Mapping[str, Any]],
    ) -> None:
        """Report to Airflow what was read and written: on the events of the outlets, by links, and as lineage.

        The rows are committed by then, so an error of links or lineage is a warning.

        :param summary: what the task returns.
        :param written: the summary of each export that was written, the newest last.
        """
        from hyperoru_provider.hooks.lineage import directory_uri, report_lineage

        manifests = [each["manifest"] for each in written if "manifest" in each]
        self.manifest = manifests[-1] if manifests else ""
        described = {name: summary[name] for name in _ON_EVENTS if name in summary}
        for outlet in self.outlets:
            if isinstance(outlet, Asset):
                context["outlet_events"][outlet].extra.update(described)
        try:
            # Airflow stores an XCom for each link, and needs none for one without an address
            links: Any = self.operator_extra_links
            self.operator_extra_links = [link for link in links if link.get_link(self, ti_key=None)]
            locations = [each["location"] for each in written if "location" in each]
            report_lineage(hook, self.source.uri, [*map(directory_uri, manifests), *locations])
        except Exception:
            log.warning("The task succeeded, but its links or its lineage could not be reported", exc_info=True)

    def _window(self, resource: str) -> Window | None:
        """Return the window, or ``None`` if none is given for a list that has none."""
        windowed = resource in LISTS and LISTS[resource].windowed
        return arguments.window(self.start, self.end) if windowed or self._has_window else None

    def given_filters(self) -> Mapping[str, Any] | None:
        """Return the filters, as templates rendered them."""
        return self.filters

    def destination_of(self, context: Context) -> Destination:
        """Return where the rows go.

        :raises HyperoruConfigError: an argument is wrong.
        """
        raise NotImplementedError

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:
        """Return what OpenLineage hears of the task; ``None`` if it exported nothing."""
        from hyperoru_provider.hooks.openlineage import export_lineage

        if self.summary is None:
            return None
        return export_lineage(self.source, self.given_filters() or {}, self.summary, self.table_dataset())

    def table_dataset(self) -> Dataset | None:
        """Return the table that the rows went to, as OpenLineage names it; ``None`` for files and XCom."""
        return None


def files_or_xcom(
    destination: str | None,
    storage_conn_id: str | None,
    file_format: str | None,
    compression: str | None,
    max_xcom_bytes: int,
    *,
    rows_per_part: int | None = None,
    bytes_per_part: int | None = None,
    store: StateStore | None = None,
) -> Destination:
    """Return the destination of rows that go to files, or, if none is named, to XCom; see the operators' parameters.

    :param store: where the state of an unfinished export is kept; ``None`` for a file beside its parts.
    :raises HyperoruConfigError: the destination is an empty text.
    """
    from hyperoru_provider.export.destinations.storage import StorageDestination
    from hyperoru_provider.export.destinations.xcom import XComDestination
    from hyperoru_provider.hooks.storage import storage_path

    root = arguments.optional("destination", destination)
    if root is None:
        return XComDestination(max_xcom_bytes)
    return StorageDestination(
        storage_path(root, storage_conn_id),
        file_format or DEFAULT_FORMAT,
        compression,
        rows_per_part=rows_per_part or ROWS_PER_PART,
        bytes_per_part=bytes_per_part,
        store=store,
    )


def check_files_early(destination: object, file_format: object, compression: object, **more: object) -> None:
    """Check while the DAG is parsed where files go and what they are, as far as that is no template.

    :param more: further arguments that say something of files, by name; ``None`` for one that is left out.
    :raises HyperoruConfigError: something is wrong, or there is no destination for the files.
    """
    given = {"file_format": file_format, "compression": compression, **more}
    if destination is None:
        arguments.without_files(given)
    elif arguments.is_literal(destination):
        from hyperoru_provider.hooks.storage import check_place

        check_place(arguments.required("destination", destination))
    if arguments.is_literal([file_format, compression]):
        arguments.file_format(DEFAULT_FORMAT if file_format is None else file_format, compression)


def checked_on_empty(value: str | None) -> str | None:
    """Return the argument ``on_empty``.

    :raises HyperoruConfigError: it is not one of its words.
    """
    return None if value is None else arguments.choice("on_empty", value, ON_EMPTY)


def unless_skipped(result: Any, resource: str) -> Any:
    """Return the result of an export for XCom, or skip the task if there is none.

    :param result: what the export returned.
    :param resource: the list, for the message.
    :raises AirflowSkipException: there were no rows, and ``on_empty`` is ``skip``.
    """
    if result is None:
        raise AirflowSkipException(f"The server has no {resource} here, and on_empty is 'skip'.")
    return for_xcom(result)


def for_xcom(result: Any) -> Any:
    """Return a task's result as Airflow's database takes it, and warn if that changes a text of the server."""
    from hyperoru_provider.client.escaping import storable

    stored = storable(result)
    if stored != result:
        log.warning(
            "The result has control characters, lone surrogates or numbers beyond 64 bits, which XCom can't hold: it "
            "has the characters escaped, such as NUL as \\x00, and the numbers as text. Files keep them as they are."
        )
    return stored

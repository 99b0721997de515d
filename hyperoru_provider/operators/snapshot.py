"""Export what traders have at this moment."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from hyperoru_provider.hooks.hyperoru import HyperoruHook
from hyperoru_provider.hooks.tasks import failing_at_once
from hyperoru_provider.operators.base import (
    check_files_early,
    checked_on_empty,
    files_or_xcom,
    for_xcom,
    unless_skipped,
)
from hyperoru_provider.params import arguments
from hyperoru_provider.params.choices import SNAPSHOT_PARTS

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from airflow.sdk import Context

    from hyperoru_provider.hooks.lineage import Source

log = logging.getLogger(__name__)


class HyperoruSnapshotOperator(BaseOperator):
    """Export the state of a trader, or of each trader, at one moment: overview, balance, positions, orders.

    Each part is a list of the service, exported as by
    :class:`~hyperoru_provider.operators.export.HyperoruExportOperator`, to
    ``<destination>/<resource>/latest,account_id-<id>/``; all manifests, and the rows of lists without a key, have the
    same ``as_of``, when reading began. Each part is exported all or not at all, one after the other: where one fails,
    those before it are there.
    Returns a dict with ``as_of`` and ``accounts``: by trader and part, the summary of its export, or without a
    destination its rows.

    :param account_id: the trader. Default: each of the user's traders, hidden ones included. (templated)
    :param parts: what to export: of ``account_overview``, ``balances``, ``positions`` and ``orders``. Default: all.
    :param destination: object-storage URL or local path. Default: the rows go to XCom. (templated)
    :param storage_conn_id: the storage's connection. Default: the storage's own. (templated)
    :param file_format: ``jsonl`` (the default), ``csv`` or ``parquet``. (templated)
    :param compression: as for the export. (templated)
    :param max_xcom_bytes: how much JSON of each part may go to XCom. Default: 1,000,000.
    :param on_empty: what becomes of a snapshot where the server lists no traders: ``succeed`` (with a warning),
        ``skip`` (the task is skipped) or ``fail``. Default: ``succeed``.
    :param hyperoru_conn_id: the connection. Default: ``hyperoru_default``. (templated)
    :raises HyperoruConfigError: an argument or the connection is wrong.
    :raises HyperoruContractError: the server's answers can't be proved right and complete.
    :raises HyperoruApiError: the server refused a request or could not be reached.
    """

    template_fields: Sequence[str] = (
        "account_id",
        "destination",
        "storage_conn_id",
        "file_format",
        "compression",
        "hyperoru_conn_id",
    )
    ui_color = "#dfe9f5"
    #: what each part read and what came of it, by trader, for lineage
    exported: Sequence[tuple[Source, Sequence[Any]]] = ()

    @failing_at_once()
    def __init__(
        self,
        *,
        account_id: int | str | None = None,
        parts: Sequence[str] = SNAPSHOT_PARTS,
        destination: str | None = None,
        storage_conn_id: str | None = None,
        file_format: str | None = None,
        compression: str | None = None,
        max_xcom_bytes: int = 1_000_000,
        on_empty: str | None = None,
        hyperoru_conn_id: str = HyperoruHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        arguments.early(arguments.optional, "account_id", account_id)
        check_files_early(destination, file_format, compression, storage_conn_id=storage_conn_id)
        self.account_id = account_id
        self.parts = arguments.choices("parts", parts, SNAPSHOT_PARTS)
        self.destination = destination
        self.storage_conn_id = storage_conn_id
        self.file_format = file_format
        self.compression = compression
        self.max_xcom_bytes = arguments.positive("max_xcom_bytes", max_xcom_bytes)
        self.on_empty = checked_on_empty(on_empty)
        self.hyperoru_conn_id = hyperoru_conn_id

    @failing_at_once()
    def execute(self, context: Context) -> Any:
        """Export the parts of each trader."""
        from datetime import UTC, datetime

        from hyperoru_provider.client.times import format_time
        from hyperoru_provider.export.run import export_list
        from hyperoru_provider.hooks.lineage import source_of

        account_id = arguments.optional("account_id", self.account_id)
        as_of = datetime.now(UTC).replace(microsecond=0)
        found: dict[str, dict[str, Any]] = {}
        with HyperoruHook(self.hyperoru_conn_id).get_conn() as client:
            accounts = [trader.id for trader in client.list_traders()] if account_id is None else [account_id]
            if not accounts:
                self._check_empty()
            for account in map(str, accounts):
                found[account] = {
                    part: export_list(
                        client,
                        part,
                        None,
                        {"account_id": account},
                        files_or_xcom(
                            self.destination,
                            self.storage_conn_id,
                            self.file_format,
                            self.compression,
                            self.max_xcom_bytes,
                        ),
                        on_empty="succeed",
                        as_of=as_of,
                    )
                    for part in self.parts
                }
            self.exported = [
                (source_of(client, part), [parts[part] for parts in found.values()]) for part in self.parts
            ]
        return for_xcom({"as_of": format_time(as_of), "accounts": found})

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any] | None:
        """Return what OpenLineage hears of the task."""
        from hyperoru_provider.hooks.openlineage import snapshot_lineage

        return snapshot_lineage(self.exported)

    def _check_empty(self) -> None:
        """Raise if a snapshot of nobody is an error or no success, and warn if it may be a wrong one.

        :raises HyperoruContractError: ``on_empty`` is ``fail``.
        :raises AirflowSkipException: ``on_empty`` is ``skip``.
        """
        from hyperoru_provider.client.errors import HyperoruContractError

        if self.on_empty == "fail":
            raise HyperoruContractError(
                "The server has no traders, which on_empty='fail' makes an error. Nothing was exported."
            )
        if self.on_empty == "skip":
            unless_skipped(None, "traders")
        log.warning(
            "The server has no traders, so nothing was exported. Check the login, and what it is allowed to see."
        )

"""What OpenLineage hears of an export. Imported where its provider asks for that, so that nobody else needs it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attr
from airflow.providers.openlineage.extractors import OperatorLineage
from openlineage.client.event_v2 import Dataset, InputDataset, OutputDataset
from openlineage.client.facet_v2 import (
    RunFacet,
    base_subset_dataset,
    data_quality_metrics_input_dataset,
    output_statistics_output_dataset,
    schema_dataset,
    symlinks_dataset,
)

from hyperoru_provider.hooks.lineage import directory_uri, openlineage_name
from hyperoru_provider.version import __version__

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook
    from airflow.sdk import Connection

    from hyperoru_provider.hooks.lineage import Source

_SOURCE_CODE = "https://raw.githubusercontent.com/hyperoru/airflow-provider-hyperoru"
#: schemes that have another name in OpenLineage
_SCHEMES = {"s3a": "s3", "gcs": "gs"}
#: what a summary says of files, and other facets do, too
_FILES = {"bytes", "prefix", "keys", "files"}


@attr.define
class HyperoruExportRunFacet(RunFacet):
    """What an export was of, and what it says of itself.

    :param resource: the list.
    :param filters: what else limited the rows, as text, by name.
    :param result: what the task returned, without its files: window, rows, manifest or table, and counts.
    """

    resource: str
    filters: dict[str, str]
    result: dict[str, Any]

    @staticmethod
    def _get_schema() -> str:
        schema = "docs/openlineage/HyperoruExportRunFacet.json#/$defs/HyperoruExportRunFacet"
        return f"{_SOURCE_CODE}/v{__version__}/{schema}"


def export_lineage(
    source: Source, filters: Mapping[str, Any], result: Any, table: Dataset | None
) -> OperatorLineage[Any, Any]:
    """Return the lineage of a task that exports one list.

    :param source: the list.
    :param filters: what else limited the rows; ``None`` values don't.
    :param result: what the task returned: a summary, a report of windows that were compared, or rows.
    :param table: the table that the rows went to; ``None`` for files and XCom.
    """
    summary: dict[str, Any] = result if isinstance(result, dict) else {"rows": len(result)}
    compared = "changed" in summary
    written = write(source, summary["changed"] if compared else [summary], table)
    limits = {name: str(value) for name, value in filters.items() if value is not None}
    told = {name: value for name, value in summary.items() if name not in _FILES}
    return OperatorLineage(
        inputs=[read(source, None if compared else summary["rows"])],
        outputs=[written] if written else [],
        run_facets={"hyperoru_export": HyperoruExportRunFacet(source.resource, limits, told)},
    )


def snapshot_lineage(exported: Iterable[tuple[Source, Sequence[Any]]]) -> OperatorLineage[Any, Any]:
    """Return the lineage of a task that exports several lists, each for several traders.

    :param exported: each list, and what each of its exports returned: a summary, or rows.
    """
    lineage: OperatorLineage[Any, Any] = OperatorLineage()
    for source, results in exported:
        lineage.inputs.append(read(source, None))
        written = write(source, [result for result in results if isinstance(result, dict)])
        if written:
            lineage.outputs.append(written)
    return lineage


def read(source: Source, rows: int | None) -> InputDataset:
    """Return a list that was read.

    :param source: the list.
    :param rows: how many rows it has, each with a key of its own, as one export has proved; ``None`` if none has.
    """
    namespace, name = openlineage_name(source.uri)
    if rows is None:
        return InputDataset(namespace, name)
    key = source.schema.key
    metrics = data_quality_metrics_input_dataset.DataQualityMetricsInputDatasetFacet(
        columnMetrics={
            field: data_quality_metrics_input_dataset.ColumnMetrics(
                nullCount=0, distinctCount=rows if len(key) == 1 else None, count=rows
            )
            for field in key
        },
        rowCount=rows,
    )
    return InputDataset(namespace, name, inputFacets={"dataQualityMetrics": metrics})


def write(source: Source, summaries: Sequence[Mapping[str, Any]], table: Dataset | None = None) -> OutputDataset | None:
    """Return what exports of a list wrote together; ``None`` if they wrote no files and no table.

    Files are the list's directory of the destination, and in it those of the exports.

    :param source: the list.
    :param summaries: what each export says of itself.
    :param table: the table that the rows went to; ``None`` for files and XCom.
    """
    directories = [_directory_of(summary["manifest"]) for summary in summaries if "manifest" in summary]
    written = table
    if directories:
        written = Dataset(directories[0].namespace, directories[0].name.rpartition("/")[0])
    if written is None:
        return None
    known = {name: [summary[name] for summary in summaries if name in summary] for name in ("bytes", "files")}
    columns = source.schema.columns
    subset = base_subset_dataset.LocationSubsetCondition([_url(directory) for directory in directories])
    return OutputDataset(
        written.namespace,
        written.name,
        facets={
            **(written.facets or {}),
            "schema": schema_dataset.SchemaDatasetFacet(
                [schema_dataset.SchemaDatasetFacetFields(column.name, column.type) for column in columns]
            ),
        },
        outputFacets={
            "outputStatistics": output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
                rowCount=sum(summary["rows"] for summary in summaries),
                size=sum(known["bytes"]) if known["bytes"] else None,
                fileCount=sum(map(len, known["files"])) if known["files"] else None,
            ),
            **({"subset": base_subset_dataset.OutputSubsetOutputDatasetFacet(subset)} if directories else {}),
        },
    )


def table_dataset(connection: Connection, table: str) -> Dataset:
    """Return a table as OpenLineage names those of its database.

    A database that has no such names, as SQLite, is named by its connection's type and place.

    :param connection: of the database.
    :param table: the table, or ``schema.table``.
    """
    from sqlalchemy import inspect

    from hyperoru_provider.export.sql_engine import open_database

    hook: DbApiHook = connection.get_hook()  # type: ignore[no-untyped-call]
    database = hook.get_openlineage_database_info(connection)
    if database is None:
        return Dataset(f"{connection.conn_type}://{connection.host or ''}", table)
    namespace = f"{database.scheme}://{database.authority}" if database.authority else database.scheme
    # the hook's own way to ask for the schema fails where the connection's cursors return dicts
    schema = "" if "." in table else f"{inspect(open_database(hook.get_conn).engine).default_schema_name}."
    of_database = f"{database.database}." if database.database else ""  # in MySQL, schemas are databases
    return Dataset(namespace, f"{of_database}{schema}{table}")


def iceberg_dataset(location: str, table: str) -> Dataset:
    """Return a table of Iceberg as OpenLineage names those: by its place, with its name beside that.

    :param location: where its files are.
    :param table: its namespace, a dot, and its name.
    """
    place = _directory_of(f"{location}/")
    name = symlinks_dataset.Identifier(namespace=place.namespace, name=table, type="TABLE")
    return Dataset(place.namespace, place.name, facets={"symlinks": symlinks_dataset.SymlinksDatasetFacet([name])})


def _directory_of(manifest: str) -> Dataset:
    """Return the directory of a manifest as OpenLineage names it."""
    scheme, _, place = directory_uri(manifest).partition("://")
    bucket, _, path = place.partition("/")
    return Dataset(f"{_SCHEMES.get(scheme, scheme)}://{bucket}", path) if bucket else Dataset("file", f"/{path}")


def _url(dataset: Dataset) -> str:
    """Return the URL of a directory."""
    return f"{dataset.namespace}/{dataset.name}" if "://" in dataset.namespace else f"file://{dataset.name}"

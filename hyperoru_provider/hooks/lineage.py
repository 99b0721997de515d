"""Which list of which server rows come from, as an asset: ``hyperoru://<host>/<list>``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.sdk import Asset, BaseHook

    from hyperoru_provider.client import HyperoruClient
    from hyperoru_provider.export.columns import ColumnSchema

_ADVICE = "an asset of Hyperoru must be like hyperoru://api.example.com/trades, with a host and a list"


class Source(NamedTuple):
    """A list that a task has read.

    :param uri: which it is.
    :param schema: the columns of its rows.
    """

    uri: str
    schema: ColumnSchema

    @property
    def resource(self) -> str:
        """The name of the list."""
        return self.uri.rpartition("/")[2]


def source_of(client: HyperoruClient, resource: str) -> Source:
    """Return a list of a client's server."""
    from hyperoru_provider.client.api.resources import RESOURCES
    from hyperoru_provider.export.columns import ColumnSchema

    schema = ColumnSchema(RESOURCES[resource].model, client.contract.lists[resource])
    return Source(list_uri(client.base_url, resource), schema)


def list_uri(base_url: str, resource: str) -> str:
    """Return the URI of a list of a server."""
    return f"hyperoru://{urlsplit(base_url).netloc}/{resource}"


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Return an asset's URI, with its host in lower case.

    :raises ValueError: it has no host, or names no list.
    """
    resource = uri.path.strip("/")
    if not uri.netloc or not resource or "/" in resource:
        raise ValueError(f"{uri.geturl()}: {_ADVICE}")
    return uri._replace(netloc=uri.netloc.lower(), path=f"/{resource}")


def create_asset(*, host: str, resource: str, extra: dict[str, Any] | None = None) -> Asset:
    """Return the asset of a list of a server."""
    from airflow.sdk import Asset

    return Asset(uri=f"hyperoru://{host}/{resource}", extra=extra)


def convert_asset_to_openlineage(asset: Asset, lineage_context: Any) -> Dataset:
    """Return an asset as a dataset of OpenLineage."""
    from airflow.providers.common.compat.openlineage.facet import Dataset

    namespace, name = openlineage_name(asset.uri)
    return Dataset(namespace=namespace, name=name)


def openlineage_name(uri: str) -> tuple[str, str]:
    """Return the namespace and the name that OpenLineage has for a list of a server."""
    namespace, _, name = uri.rpartition("/")
    return namespace, name


def directory_uri(manifest: str) -> str:
    """Return the URI of the directory of an export, without the connection of its storage.

    :param manifest: the address of its manifest.
    """
    protocol, _, path = manifest.rpartition("://")
    bucket, slash, path = path.partition("/")
    return f"{protocol or 'file'}://{bucket.rpartition('@')[2]}{slash}{path}".rpartition("/")[0]


def report_lineage(hook: BaseHook, source: str, targets: Iterable[str]) -> None:
    """Report to Airflow what was read, and where it was written.

    :param source: the URI of a list.
    :param targets: the URIs of directories.
    """
    from hyperoru_provider.hooks.compat import get_hook_lineage_collector

    collector = get_hook_lineage_collector()
    if collector is None:
        return
    collector.add_input_asset(hook, uri=source)
    for target in targets:
        collector.add_output_asset(hook, uri=target)

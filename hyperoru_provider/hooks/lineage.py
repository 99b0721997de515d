"""Which list of which server rows come from, as an asset: ``hyperoru://<host>/<list>``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

if TYPE_CHECKING:
    from airflow.providers.common.compat.openlineage.facet import Dataset
    from airflow.sdk import Asset, BaseHook

_ADVICE = "an asset of Hyperoru must be like hyperoru://api.example.com/trades, with a host and a list"


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

    uri = urlsplit(asset.uri)
    return Dataset(namespace=f"hyperoru://{uri.netloc}", name=uri.path.strip("/"))


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
    collector.add_input_asset(hook, uri=source)
    for target in targets:
        collector.add_output_asset(hook, uri=target)

"""Catalogs of Apache Iceberg, by the connections of Airflow's provider."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airflow.sdk.log import mask_secret

from hyperoru_provider.client.errors import HyperoruConfigError

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog

_PASSWORD = re.compile("//[^:/@]*:([^@]+)@")


def catalog_of(conn_id: str) -> Catalog:
    """Return the catalog of a connection.

    :raises HyperoruConfigError: Airflow's provider of Iceberg is not installed.
    """
    try:
        from airflow.providers.apache.iceberg.hooks.iceberg import IcebergHook
        from pyiceberg.catalog import load_catalog
    except ImportError:
        raise HyperoruConfigError(
            "Tables of Iceberg need apache-airflow-providers-apache-iceberg and pyiceberg: "
            "pip install 'airflow-provider-hyperoru[iceberg]'."
        ) from None
    connection = IcebergHook.get_connection(conn_id)
    # PyIceberg logs what it takes for the address of a REST catalog, and names it in errors
    if password := _PASSWORD.search(str(connection.extra_dejson.get("uri"))):
        mask_secret(password[1])
    if hasattr(IcebergHook, "catalog"):
        return IcebergHook(conn_id).catalog
    # before 2.0 the hook has tokens, and no catalog
    properties: dict[str, Any] = {"type": "rest", **connection.extra_dejson}
    if connection.host:
        properties["uri"] = connection.host.rstrip("/")
    if properties["type"] == "rest" and connection.login and connection.password:
        properties["credential"] = f"{connection.login}:{connection.password}"
    return load_catalog(conn_id, **properties)

"""Paths of any storage that Airflow knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath
    from upath import UPath


def storage_path(destination: str, conn_id: str | None) -> UPath | ObjectStoragePath:
    """Return a path in object storage, or on local disk.

    A local path is a plain ``UPath``. Airflow's ``ObjectStoragePath`` would import the storage of every provider that
    is installed (boto3, ...), and record the names of files, which here are temporary, for lineage.

    :param destination: a URL, or a local path.
    :param conn_id: the storage's connection; ``None`` for the storage's own credentials.
    """
    from airflow.sdk import ObjectStoragePath
    from upath import UPath

    path = ObjectStoragePath(destination, conn_id=conn_id)
    local = path.conn_id is None and path.protocol in ("", "file", "local")  # its URL may name a connection, too
    return UPath(path.path, protocol=path.protocol) if local else path

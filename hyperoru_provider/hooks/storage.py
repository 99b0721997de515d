"""Paths of any storage that Airflow knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath


def storage_path(destination: str, conn_id: str | None) -> ObjectStoragePath:
    """Give a path in object storage, or on local disk.

    :param destination: its URL, or a local path.
    :param conn_id: the storage's connection; ``None`` for the storage's own.
    """
    from airflow.sdk import ObjectStoragePath
    from airflow.sdk.io import attach
    from fsspec.implementations.local import LocalFileSystem

    path = ObjectStoragePath(destination, conn_id=conn_id)
    if conn_id is None and path.protocol in ("", "file", "local"):
        # else Airflow would import the storage of every installed provider (boto3, ...) to find that of local disk
        attach(path.protocol or "file", fs=LocalFileSystem())
    return path

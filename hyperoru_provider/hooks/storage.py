"""Paths of any storage that Airflow knows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hyperoru_provider.client.errors import HyperoruConfigError

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath
    from upath import UPath

#: a scheme, a connection, and a place
_URL = re.compile(r"(?:([a-z][a-z0-9+.-]*)://(?:[^/@]*@)?|file:|local:)?(.*)", re.IGNORECASE | re.DOTALL)


def storage_path(destination: str, conn_id: str | None, name: str = "destination") -> UPath | ObjectStoragePath:
    """Return a path in object storage, or on local disk.

    A local path is a plain ``UPath``. Airflow's ``ObjectStoragePath`` would import the storage of every provider that
    is installed (boto3, ...), and record the names of files, which here are temporary, for lineage.

    :param destination: a URL, or a local path, which is absolute: where a worker runs is not for its user to know.
    :param conn_id: the storage's connection; ``None`` for the storage's own credentials.
    :param name: the argument's name, for errors.
    :raises HyperoruConfigError: the destination is something else, or of a storage that is not known.
    """
    from upath import UPath

    from hyperoru_provider.hooks.compat import object_storage_path

    check_place(destination, name)
    try:
        scheme, colon, rest = destination.partition(":")
        path, connection = object_storage_path(scheme.lower() + colon + rest if colon else destination, conn_id)
    except ValueError as error:
        raise HyperoruConfigError(f"{name} {destination!r} can't be used: {error}.") from None
    local = connection is None and path.protocol in ("", "file", "local")
    return UPath(path.path, protocol=path.protocol) if local else path


def check_place(destination: str, name: str = "destination") -> None:
    """Check that a destination is a URL of a storage or an absolute path; what storages there are is not asked.

    :param name: the argument's name, for errors.
    :raises HyperoruConfigError: it is something else.
    """
    match = _URL.fullmatch(destination)
    scheme, place = match.groups() if match else (None, destination)
    if (scheme or "file").lower() in ("file", "local") and not place.startswith("/"):
        raise HyperoruConfigError(
            f"{name} {destination!r} is neither an absolute path nor a storage URL: it would depend on the directory "
            "in which the worker happens to run. Write /data/exports, file:///data/exports or s3://bucket/exports."
        )

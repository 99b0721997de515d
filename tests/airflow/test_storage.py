"""Paths of storage: on local disk none of Airflow's, which import every provider's storage."""

from __future__ import annotations

import pytest
from airflow.sdk import ObjectStoragePath

from hyperoru_provider.hooks.storage import storage_path


@pytest.mark.parametrize(
    "destination",
    [
        "/data/x",
        "data/x",
        "~/x",
        "/a b",
        "file:///data/x",
        "file:///a%20b",
        "file://x/y",
        "FILE:///x",
        "local:///data/x",
    ],
)
def test_a_local_path_is_none_of_airflows_and_reads_the_same(destination: str) -> None:
    path = storage_path(destination, None)
    airflows = ObjectStoragePath(destination)
    assert not isinstance(path, ObjectStoragePath)
    assert (str(path / "part"), path.path, path.protocol) == (str(airflows / "part"), airflows.path, airflows.protocol)


@pytest.mark.parametrize(
    ("destination", "conn_id", "found"),
    [
        ("s3://bucket/x", None, None),
        ("s3://bucket/x", "s3", "s3"),
        ("/x", "disk", "disk"),
        ("file://disk@/x", None, "disk"),
    ],
)
def test_any_other_is_airflows_with_its_connection(destination: str, conn_id: str | None, found: str | None) -> None:
    path = storage_path(destination, conn_id)
    assert isinstance(path, ObjectStoragePath)
    assert path.conn_id == found

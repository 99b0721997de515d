"""What differs between the versions of Airflow, from 3.1 on: each difference is told by the feature, not by a version.

Where Airflow keeps the state of tasks and assets is in :mod:`hyperoru_provider.hooks.task_state`, and what it knows of
retry policies in :mod:`hyperoru_provider.hooks.retries`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

try:
    from airflow.sdk.configuration import conf
except ImportError:  # before Airflow 3.2
    from airflow.configuration import conf

try:
    from airflow.sdk.exceptions import (
        AirflowFailException,
        AirflowRescheduleException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
        TaskDeferralTimeout,
        TaskDeferred,
    )
except ImportError:  # before Airflow 3.2
    from airflow.exceptions import (  # type: ignore[no-redef]
        AirflowFailException,
        AirflowRescheduleException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
        TaskDeferralTimeout,
        TaskDeferred,
    )

if TYPE_CHECKING:
    from airflow.sdk import ObjectStoragePath
    from airflow.sdk.lineage import HookLineageCollector

__all__ = [
    "AirflowFailException",
    "AirflowRescheduleException",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "TaskDeferralTimeout",
    "TaskDeferred",
    "conf",
    "get_hook_lineage_collector",
    "object_storage_path",
]


def object_storage_path(url: str, conn_id: str | None) -> tuple[ObjectStoragePath, str | None]:
    """Return a path in object storage, and its connection, which its URL may name, too.

    :param url: the URL.
    :param conn_id: the connection; ``None`` for that of the URL, or none.
    :raises ValueError: no such storage is known.
    """
    from airflow.sdk import ObjectStoragePath

    given: dict[str, Any] = {} if conn_id is None else {"conn_id": conn_id}
    path = ObjectStoragePath(url, **given)
    if hasattr(path, "conn_id"):
        return path, path.conn_id
    path.fs  # noqa: B018 - before Airflow 3.2 a storage that is not known shows when it is used
    return path, path.storage_options.get("conn_id")


def get_hook_lineage_collector() -> HookLineageCollector | None:
    """Return what collects which assets a task reads and writes; ``None`` where no plugin reads that.

    Airflow's own collector for that case imports the hooks of all providers that have assets.
    """
    try:
        from airflow.sdk.lineage import get_hook_lineage_collector as get
        from airflow.sdk.plugins_manager import get_hook_lineage_readers_plugins as get_readers
    except ImportError:  # before Airflow 3.2
        from airflow.lineage.hook import get_hook_lineage_collector as get  # type: ignore

        return get()
    return get() if get_readers() else None

"""The Airflow connection that is examined: read, and written to. The one place of the doctor that knows Airflow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from hyperoru_provider.client.errors import HyperoruConfigError
from hyperoru_provider.doctor.report import merged

_FACTS = ("conn_type", "host", "schema", "login", "password", "port", "extra")


def client_options(conn_id: str) -> dict[str, Any]:
    """Return the arguments of a client for a connection.

    :raises HyperoruConfigError: the connection has a wrong value, or there is none.
    """
    from hyperoru_provider.hooks.hyperoru import HyperoruHook

    class Hook(HyperoruHook):
        @classmethod
        def get_connection(cls, conn_id: str) -> Any:
            return _found(conn_id)

    return Hook(conn_id).get_client_options()


def check_can_be_written(conn_id: str) -> None:
    """Raise an error if tasks read a connection from elsewhere than Airflow's database, where it can't be written.

    :raises HyperoruConfigError: it is in the environment or in a secrets backend, or the database can't be read.
    """
    from airflow.configuration import ensure_secrets_loaded
    from airflow.secrets.metastore import MetastoreBackend

    _found(conn_id)
    for backend in ensure_secrets_loaded():
        if isinstance(backend, MetastoreBackend):
            break
        elsewhere = None
        with suppress(Exception):  # after which Airflow asks the next one, too
            elsewhere = backend.get_connection(conn_id)
        if elsewhere is not None:
            raise HyperoruConfigError(
                f"The connection {conn_id} is read from {type(backend).__name__}, and not from Airflow's database: "
                "--write can't put a contract there. Run the doctor without it, and do so by hand."
            )
    write_overrides(conn_id, {})


def write_overrides(conn_id: str, overrides: Mapping[str, Mapping[str, Any]]) -> None:
    """Put overrides into the contract of a connection in Airflow's database; all else in its extra stays.

    :param overrides: what each resource's contract has to say beside what it says already.
    :raises HyperoruConfigError: it is not the connection that tasks read, or the database can't be used.
    """
    from airflow.models import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import select
    from sqlalchemy.exc import SQLAlchemyError

    read = _found(conn_id)
    try:
        with create_session() as session:
            stored = session.scalar(select(Connection).where(Connection.conn_id == conn_id))
            if stored is None or any(getattr(stored, name) != getattr(read, name) for name in _FACTS):
                raise HyperoruConfigError(
                    f"The connection {conn_id} of Airflow's database is not the one that was read: put the contract "
                    "where that one is by hand."
                )
            extra = json.loads(stored.extra) if stored.extra else {}
            contract = extra.get("contract") or {}
            contract = json.loads(contract) if isinstance(contract, str) else contract
            for resource, override in overrides.items():
                contract = merged(contract, resource, override)
            if overrides:
                stored.extra = json.dumps({**extra, "contract": contract})
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or type(error).__name__)
        raise HyperoruConfigError(f"Airflow's database can't be used: {reason}. Is it migrated?") from None


def _found(conn_id: str) -> Any:
    """Return a connection as tasks read it; outside of them, only this way looks into the database.

    :raises HyperoruConfigError: there is none.
    """
    from airflow.models import Connection
    from airflow.sdk.exceptions import AirflowException

    try:
        return Connection.get_connection_from_secrets(conn_id)
    except AirflowException as error:
        raise HyperoruConfigError(f"The connection {conn_id} can't be read: {error}") from None

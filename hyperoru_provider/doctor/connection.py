"""The Airflow connection that is examined: read, and written to. The one place of the doctor that knows Airflow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hyperoru_provider.client.errors import HyperoruConfigError


def client_options(conn_id: str) -> dict[str, Any]:
    """Return the arguments of a client for a connection.

    :raises HyperoruConfigError: the connection has a wrong value, or there is none.
    """
    from airflow.models import Connection
    from airflow.sdk.exceptions import AirflowException

    from hyperoru_provider.hooks.hyperoru import HyperoruHook

    class Hook(HyperoruHook):
        @classmethod
        def get_connection(cls, conn_id: str) -> Any:  # outside of tasks, only this one looks into the database
            return Connection.get_connection_from_secrets(conn_id)

    try:
        return Hook(conn_id).get_client_options()
    except AirflowException as error:
        raise HyperoruConfigError(f"The connection {conn_id} can't be read: {error}") from None


def write_contract(conn_id: str, contract: Mapping[str, Any]) -> None:
    """Put a contract into the extra of a connection in Airflow's database.

    :raises HyperoruConfigError: the connection is not there, but in the environment or in a secrets backend.
    """
    from airflow.models import Connection
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        connection = session.scalar(select(Connection).where(Connection.conn_id == conn_id))
        if connection is None:
            raise HyperoruConfigError(
                f"The connection {conn_id} is not in Airflow's database, but in the environment or in a secrets "
                "backend: put the contract there by hand."
            )
        extra = json.loads(connection.extra) if connection.extra else {}
        connection.extra = json.dumps({**extra, "contract": dict(contract)})

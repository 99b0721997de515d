"""Session tokens in an Airflow Variable, so that one login serves a fleet."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow.sdk.log import mask_secret

if TYPE_CHECKING:
    from hyperoru_provider.client.http.tokens import Token

log = logging.getLogger(__name__)


class VariableTokenStore:
    """Keeps a connection's session token in an Airflow Variable, which Airflow encrypts and hides by its name.

    What fails here costs a warning, never the task.

    :param hyperoru_conn_id: the connection.
    """

    def __init__(self, hyperoru_conn_id: str) -> None:
        self._key = f"hyperoru_session_token__{hyperoru_conn_id}"

    def read(self, binding: str) -> Token | None:
        """Give the stored token if it was issued for this binding."""
        from airflow.sdk import Variable

        from hyperoru_provider.client.http.tokens import Token
        from hyperoru_provider.client.times import parse_time

        try:
            stored = Variable.get(self._key, default=None, deserialize_json=True)
            if stored is None:
                return None
            mask_secret(stored["token"])
            if stored["bound_to"] != binding:
                return None
            return Token(stored["token"], parse_time(stored["expires_at"]), binding)
        except Exception as error:  # noqa: BLE001
            self._warn("read", error)
            return None

    def write(self, token: Token) -> None:
        """Keep a token for all tasks."""
        from airflow.sdk import Variable

        from hyperoru_provider.client.times import format_time

        value = {"token": token.value, "expires_at": format_time(token.expires_at), "bound_to": token.binding}
        try:
            Variable.set(self._key, value, description="Session token of the Hyperoru provider", serialize_json=True)
        except Exception as error:  # noqa: BLE001
            self._warn("written", error)

    def _warn(self, what: str, error: Exception) -> None:
        # the error's text may hold the value
        log.warning(
            "The Variable %s can't be %s (%s); tasks may log in more often.", self._key, what, type(error).__name__
        )

"""Keeps session tokens in Airflow Variables, so that one login serves all workers and triggerers.

A token store of :mod:`hyperoru_provider.client.http.tokens`, which itself must not know Airflow.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow.sdk.log import mask_secret

if TYPE_CHECKING:
    from hyperoru_provider.client.http.tokens import Token

log = logging.getLogger(__name__)


class VariableTokenStore:
    """Keeps a connection's session token in an Airflow Variable, which Airflow encrypts and masks by its name.

    A store that fails costs a warning, and perhaps a login more, but not the task.

    :param hyperoru_conn_id: the connection.
    """

    def __init__(self, hyperoru_conn_id: str) -> None:
        self._key = f"hyperoru_session_token__{hyperoru_conn_id}"

    def read(self, binding: str) -> Token | None:
        """Return the stored token, or ``None`` if there is none or it was issued for another binding.

        :param binding: identifies the server and the credentials; see
            :class:`~hyperoru_provider.client.http.tokens.Token`.
        """
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
        """Store a token for all tasks, in place of the earlier one."""
        from airflow.sdk import Variable

        from hyperoru_provider.client.times import format_time

        value = {"token": token.value, "expires_at": format_time(token.expires_at), "bound_to": token.binding}
        try:
            Variable.set(self._key, value, description="Session token of the Hyperoru provider", serialize_json=True)
        except Exception as error:  # noqa: BLE001
            self._warn("written", error)

    def _warn(self, what: str, error: Exception) -> None:
        # without the error's text, which may hold the token
        log.warning(
            "The Variable %s can't be %s (%s); tasks may log in more often.", self._key, what, type(error).__name__
        )

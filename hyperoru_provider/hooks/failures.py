"""The errors of this package that fail a task at once: retrying can't fix them, so Airflow does not retry.

They are what the client raised, and Airflow's too: a callback or a policy that knows either of both finds it.
"""

from __future__ import annotations

from hyperoru_provider.client.errors import HyperoruAuthenticationError, HyperoruConfigError, HyperoruError
from hyperoru_provider.hooks.compat import AirflowFailException

#: what retrying can't fix: somebody has to correct an argument, the connection or the login
PERMANENT = (HyperoruConfigError, HyperoruAuthenticationError)


class HyperoruConfigFailure(HyperoruConfigError, AirflowFailException):
    """An argument or the connection is wrong."""


class HyperoruAuthenticationFailure(HyperoruAuthenticationError, AirflowFailException):
    """The login, or the session token, is refused."""


def final(error: HyperoruError) -> Exception | None:
    """Return the error that fails the task at once in place of another one; ``None`` if a retry may help."""
    if isinstance(error, AirflowFailException) or not isinstance(error, PERMANENT):
        return None
    if isinstance(error, HyperoruAuthenticationError):
        return error.as_type(HyperoruAuthenticationFailure, error.message)
    return HyperoruConfigFailure(str(error))

"""When Airflow tries a task again: what retrying can't fix fails at once, and a server is waited for as it asked.

Apart from :mod:`hyperoru_provider.hooks.compat`, as Airflow's policies cost each DAG file milliseconds.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

try:
    from airflow.sdk import RetryPolicy
except ImportError:  # before Airflow 3.3, which asks no policy
    RetryPolicy = object  # type: ignore[assignment, misc]

if TYPE_CHECKING:
    from airflow.sdk import Context, RetryDecision

_LONGEST_DELAY = timedelta(days=1)


class HyperoruRetryPolicy(RetryPolicy):
    """Decides by the error whether and when a task is tried again; for ``retry_policy`` of tasks, or ``default_args``.

    A wrong argument or connection, or a refused login, fails the task at once. If the server said how long to wait,
    the next try comes then, but within a day. A minute or less does not shorten ``retry_delay``, though, as the
    client has already waited that long. Anything else is left to ``retries`` and ``retry_delay`` of the task.

    Airflow 3.1 and 3.2 have no policies: they ignore one in ``default_args``, and reject the argument ``retry_policy``.

    .. seealso:: ``docs/retries.md``
    """

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Return what follows from an error.

        :param exception: the error that ended the try.
        :param try_number: which try it was; of no account.
        :param max_tries: how many tries there are; of no account, as a policy can't add any.
        :param context: of the task; ``None`` if its ``retry_delay`` is not known.
        """
        from airflow.sdk import RetryDecision

        from hyperoru_provider.client.errors import HyperoruApiError
        from hyperoru_provider.client.http.retry import RetryPolicy as ClientPolicy
        from hyperoru_provider.hooks.failures import PERMANENT

        if isinstance(exception, PERMANENT):
            return RetryDecision.fail(f"{type(exception).__name__}: retrying can't fix it")
        seconds = exception.retry_after if isinstance(exception, HyperoruApiError) else None
        asked = timedelta(seconds=min(seconds or 0.0, _LONGEST_DELAY.total_seconds()))
        own = context["task"].retry_delay if context else timedelta()
        if asked <= min(own, timedelta(seconds=ClientPolicy.max_delay)):
            return RetryDecision.default()
        return RetryDecision.retry(asked, f"the server asked to wait {asked.total_seconds():.0f} s")

    def __repr__(self) -> str:
        """Return the same text in each process: before Airflow 3.3 it becomes a part of the stored DAG."""
        return f"{type(self).__name__}()"

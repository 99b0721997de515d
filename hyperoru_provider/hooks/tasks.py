"""What all operators and sensors have in common as tasks of Airflow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def failing_at_once() -> Iterator[None]:
    """Turn an error that asking again can't mend into one after which Airflow does not retry; also a decorator.

    :raises HyperoruConfigFailure: an argument or the connection is wrong.
    :raises HyperoruAuthenticationFailure: the login is refused.
    """
    try:
        yield
    except Exception as error:
        from hyperoru_provider.client.errors import HyperoruError

        if isinstance(error, HyperoruError):
            from hyperoru_provider.hooks.failures import final

            if failure := final(error):
                raise failure.with_traceback(error.__traceback__) from None
        raise

"""What all operators and sensors have in common as tasks of Airflow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator as _Task
else:
    _Task = object


@contextmanager
def failing_at_once() -> Iterator[None]:
    """Turn an error that retrying can't fix into one after which Airflow does not retry; also a decorator.

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


class WindowTask(_Task):
    """Mixed into tasks that have a window: a template of a data interval, which not every run has, is explained."""

    def render_template(self, content: Any, *args: Any, **kwargs: Any) -> Any:
        """Return a template as Airflow renders it.

        :raises HyperoruConfigFailure: it names a bound of the data interval, and the run has none.
        """
        try:
            return super().render_template(content, *args, **kwargs)
        except Exception as error:
            from jinja2 import UndefinedError

            if not isinstance(error, UndefinedError) or "data_interval" not in str(error):
                raise
            from hyperoru_provider.hooks.failures import HyperoruConfigFailure
            from hyperoru_provider.params.window import INTERVAL_ADVICE

            raise HyperoruConfigFailure(f"{content}: this run has no data interval. {INTERVAL_ADVICE}") from None

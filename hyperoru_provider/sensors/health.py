"""Wait until the service is healthy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator

from hyperoru_provider.hooks.hyperoru import HyperoruHook

if TYPE_CHECKING:
    from airflow.sdk import Context


class HyperoruHealthSensor(BaseSensorOperator):
    """Wait until the service calls itself healthy.

    A server that can't be reached, is overloaded or answers 5xx is not healthy yet, and the log says why; an
    answer that asking again can't mend, such as 404, fails the task at once. Needs no login.

    :param hyperoru_conn_id: the connection. Default: ``hyperoru_default``. (templated)
    :raises HyperoruApiError: the server refuses, or its answer can't be understood.
    """

    template_fields: Sequence[str] = ("hyperoru_conn_id",)
    ui_color = "#e3f2e1"

    def __init__(self, *, hyperoru_conn_id: str = HyperoruHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hyperoru_conn_id = hyperoru_conn_id

    def poke(self, context: Context) -> bool:
        """Ask once."""
        from hyperoru_provider.client.errors import HyperoruApiError

        with HyperoruHook(self.hyperoru_conn_id).get_conn() as client:
            try:
                health = client.health()
            except HyperoruApiError as error:
                if not error.transient:
                    raise
                self.log.info("Not healthy: %s", error)
                return False
        self.log.info("The service is %s", health.status)
        return health.healthy

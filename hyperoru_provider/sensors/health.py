"""Wait until the service is healthy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hyperoru_provider.hooks.tasks import failing_at_once
from hyperoru_provider.params import arguments
from hyperoru_provider.sensors.base import HyperoruSensor

if TYPE_CHECKING:
    from hyperoru_provider.waiting.conditions import Condition


class HyperoruHealthSensor(HyperoruSensor):
    """Wait until the service reports that it is healthy, perhaps several times in a row.

    A server that can't be reached, is overloaded or answers 5xx is not healthy yet, and the log says why; an
    answer that retrying can't fix, such as 404, fails the task at once. Needs no login.

    .. seealso:: ``docs/health.md``

    :param checks: how many checks in a row must find it healthy, ``poke_interval`` apart. Default: 1.
    :param deferrable: whether to wait in the triggerer, without a worker slot. Default: Airflow's
        ``[operators] default_deferrable``.
    :param hyperoru_conn_id: the connection. Default: ``hyperoru_default``. (templated)
    :raises HyperoruConfigError: an argument or the connection is wrong.
    :raises HyperoruApiError: the server refuses, or its answer can't be understood.
    """

    @failing_at_once()
    def __init__(self, *, checks: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.checks = arguments.positive("checks", checks)

    def condition(self) -> Condition:
        """Return the condition to wait for."""
        from hyperoru_provider.waiting.conditions import Healthy

        return Healthy(self.checks)

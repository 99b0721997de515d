"""Wait for candles."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hyperoru_provider.hooks.tasks import failing_at_once
from hyperoru_provider.params import arguments
from hyperoru_provider.params.arguments import INTERVAL_END, INTERVAL_START
from hyperoru_provider.sensors.base import HyperoruSensor

if TYPE_CHECKING:
    from hyperoru_provider.waiting.conditions import Condition


class HyperoruKlineCoverageSensor(HyperoruSensor):
    """Wait until the service's candles of a symbol cover a time range, without gaps as far as it reports them.

    .. seealso:: ``docs/kline-coverage-sensor.md``

    :param symbol: such as ``BTC``. (templated)
    :param interval: length of a candle, such as ``1m``, ``1h`` (the default) or ``1d``. (templated)
    :param start: start of the range: a datetime, date or ISO 8601 text, in UTC if it has no offset.
        Default: the start of the run's data interval. (templated)
    :param end: end of the range; likewise. Default: the end of the run's data interval. (templated)
    :param deferrable: whether to wait in the triggerer, without a worker slot. Default: Airflow's
        ``[operators] default_deferrable``.
    :param hyperoru_conn_id: the connection. Default: ``hyperoru_default``. (templated)
    :raises HyperoruConfigError: an argument or the connection is wrong, or the range is empty.
    :raises HyperoruApiError: the server refuses, or its answer can't be understood.
    """

    template_fields: Sequence[str] = ("symbol", "interval", "start", "end", "hyperoru_conn_id")

    @failing_at_once()
    def __init__(
        self,
        *,
        symbol: str,
        interval: str = "1h",
        start: datetime | str = INTERVAL_START,
        end: datetime | str = INTERVAL_END,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        arguments.early(arguments.required, "symbol", symbol)
        arguments.early(arguments.interval, "interval", interval)
        arguments.early_window(start, end)
        self.symbol = symbol
        self.interval = interval
        self.start = start
        self.end = end

    def condition(self) -> Condition:
        """Return the condition to wait for."""
        from hyperoru_provider.params.window import Window
        from hyperoru_provider.waiting.conditions import KlinesCover

        interval = arguments.interval("interval", self.interval)
        window = Window.parse(self.start, self.end)
        return KlinesCover(arguments.required("symbol", self.symbol), interval, **window.as_dict())

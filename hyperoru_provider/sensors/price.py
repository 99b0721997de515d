"""Wait for a price."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hyperoru_provider.hooks.tasks import failing_at_once
from hyperoru_provider.params import arguments
from hyperoru_provider.sensors.base import HyperoruSensor

if TYPE_CHECKING:
    from hyperoru_provider.waiting.conditions import Condition


class HyperoruPriceSensor(HyperoruSensor):
    """Wait until a symbol's price is above or below a level, or crosses it.

    Prices are compared exactly, as decimals. Returns the price that was seen, as ``{"symbol", "price"}``.

    .. seealso:: ``docs/price-sensor.md``

    :param symbol: such as ``BTC``. (templated)
    :param above: wait until the price is higher: a number or its text. (templated)
    :param below: wait until the price is lower; likewise. (templated)
    :param crosses: wait until the price has been on one side of this and then at it or on the other; likewise.
        Exactly one of the three is given. (templated)
    :param deferrable: whether to wait in the triggerer, without a worker slot. Default: Airflow's
        ``[operators] default_deferrable``.
    :param hyperoru_conn_id: the connection. Default: ``hyperoru_default``. (templated)
    :raises HyperoruConfigError: an argument or the connection is wrong.
    :raises HyperoruApiError: the server refuses, or its answer can't be understood.
    """

    template_fields: Sequence[str] = ("symbol", "above", "below", "crosses", "hyperoru_conn_id")

    @failing_at_once()
    def __init__(
        self,
        *,
        symbol: str,
        above: Decimal | int | float | str | None = None,
        below: Decimal | int | float | str | None = None,
        crosses: Decimal | int | float | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        arguments.early(arguments.required, "symbol", symbol)
        levels = {"above": above, "below": below, "crosses": crosses}
        if arguments.is_literal(levels):
            arguments.one_amount(levels)
        self.symbol = symbol
        self.above = above
        self.below = below
        self.crosses = crosses

    def condition(self) -> Condition:
        """Return the condition to wait for."""
        from hyperoru_provider.waiting.conditions import PriceReached

        way, level = arguments.one_amount({"above": self.above, "below": self.below, "crosses": self.crosses})
        return PriceReached(arguments.required("symbol", self.symbol), way, level)

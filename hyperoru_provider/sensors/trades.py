"""Wait for trades."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hyperoru_provider.hooks.tasks import failing_at_once
from hyperoru_provider.params import arguments
from hyperoru_provider.params.arguments import INTERVAL_START
from hyperoru_provider.sensors.base import HyperoruSensor

if TYPE_CHECKING:
    from hyperoru_provider.waiting.conditions import Condition


class HyperoruTradesSensor(HyperoruSensor):
    """Wait until there are at least a number of trades in a window or since a time.

    Each trade counts once, and no more are read than that number.

    .. seealso:: ``docs/trades-sensor.md``

    :param start: start of the window, inclusive: a datetime, date or ISO 8601 text, in UTC if it has no offset.
        Default: the start of the run's data interval. (templated)
    :param end: end of the window, exclusive; likewise. Default: the time of the request. (templated)
    :param account_id: only this trader's. Default: all. (templated)
    :param symbol: only this symbol's, such as ``BTC``. Default: all. (templated)
    :param at_least: the number of trades. Default: 1. (templated)
    :param deferrable: whether to wait in the triggerer, without a worker slot. Default: Airflow's
        ``[operators] default_deferrable``.
    :param hyperoru_conn_id: the connection. Default: ``hyperoru_default``. (templated)
    :raises HyperoruConfigError: an argument or the connection is wrong, or the window is empty.
    :raises HyperoruContractError: the server's pages can't be proved right and complete.
    :raises HyperoruApiError: the server refuses, or its answer can't be understood.
    """

    template_fields: Sequence[str] = ("start", "end", "account_id", "symbol", "at_least", "hyperoru_conn_id")

    @failing_at_once()
    def __init__(
        self,
        *,
        start: datetime | str = INTERVAL_START,
        end: datetime | str | None = None,
        account_id: int | str | None = None,
        symbol: str | None = None,
        at_least: int | str = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        arguments.early(arguments.optional, "account_id", account_id)
        arguments.early(arguments.optional, "symbol", symbol)
        arguments.early(arguments.positive, "at_least", at_least)
        if end is not None:
            arguments.early_window(start, end)
        self.start = start
        self.end = end
        self.account_id = account_id
        self.symbol = symbol
        self.at_least = at_least

    def condition(self) -> Condition:
        """Return the condition to wait for."""
        from hyperoru_provider.client.times import format_time
        from hyperoru_provider.params.window import Window, parse_moment
        from hyperoru_provider.waiting.conditions import TradesThere

        if self.end is None:
            start, end = parse_moment("start", self.start), None
        else:
            window = Window.parse(self.start, self.end)
            start, end = window.start, format_time(window.end)
        return TradesThere(
            format_time(start),
            end,
            account_id=arguments.optional("account_id", self.account_id),
            symbol=arguments.optional("symbol", self.symbol),
            at_least=arguments.positive("at_least", self.at_least),
        )

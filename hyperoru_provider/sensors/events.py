"""Wait for an event of the stream."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseSensorOperator

from hyperoru_provider.hooks.hyperoru import HyperoruHook

if TYPE_CHECKING:
    from airflow.sdk import Context


class HyperoruEventSensor(BaseSensorOperator):
    """Wait for one event of the stream. Always deferred, as a worker would have to hold a socket open.

    All sensors and watchers of a connection share one socket of the triggerer. The task returns a summary of the event,
    as :class:`~hyperoru_provider.triggers.events.HyperoruEventTrigger` describes it. Its ``kind`` is ``gap`` if the
    event may have been missed, as the socket was lost meanwhile.

    :param channel: ``trades``, ``positions``, ``model_chat`` or ``asset_curve``. Default: ``trades``. (templated)
    :param account_id: only of this trader, or of these. Default: all. (templated)
    :param symbol: only of this symbol, or of these; upper or lower case. Default: all. (templated)
    :param side: only this side, or these, such as ``BUY`` or ``long``, or for ``model_chat`` the operation; upper or
        lower case. Default: all. (templated)
    :param min_notional: only an event of this amount or more. Default: any. (templated)
    :param hyperoru_conn_id: the connection. Default: ``hyperoru_default``. (templated)
    :raises HyperoruConfigError: there is no such channel, or its events have no such field.
    :raises AirflowSensorTimeout: none came within ``timeout``.
    """

    template_fields: Sequence[str] = ("channel", "account_id", "symbol", "side", "min_notional", "hyperoru_conn_id")
    ui_color = "#e3f2e1"

    def __init__(
        self,
        *,
        channel: str = "trades",
        account_id: int | str | Sequence[int | str] | None = None,
        symbol: str | Sequence[str] | None = None,
        side: str | Sequence[str] | None = None,
        min_notional: Decimal | int | float | str | None = None,
        hyperoru_conn_id: str = HyperoruHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.channel = channel
        self.account_id = account_id
        self.symbol = symbol
        self.side = side
        self.min_notional = min_notional
        self.hyperoru_conn_id = hyperoru_conn_id

    def execute(self, context: Context) -> NoReturn:
        """Check the filter, and defer until an event passes it."""
        from hyperoru_provider.client.times import format_time
        from hyperoru_provider.triggers.events import HyperoruEventTrigger
        from hyperoru_provider.waiting.event_summary import EventFilter

        event_filter: dict[str, Any] = {
            "channel": self.channel,
            "account_id": self.account_id,
            "symbol": self.symbol,
            "side": self.side,
            "min_notional": self.min_notional,
        }
        EventFilter(**event_filter)
        self.log.info("Waiting for an event of %s", self.channel)
        self.defer(
            trigger=HyperoruEventTrigger(
                **event_filter, hyperoru_conn_id=self.hyperoru_conn_id, since=format_time(datetime.now(UTC))
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout),
        )

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Return the summary of the event."""
        self.log.info("There is an event: %s", event)
        return event

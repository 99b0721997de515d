"""Wait for an event of the stream."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseSensorOperator

from hyperoru_provider.hooks.compat import AirflowSensorTimeout, AirflowSkipException, AirflowTaskTimeout
from hyperoru_provider.hooks.hyperoru import HyperoruHook
from hyperoru_provider.hooks.tasks import failing_at_once
from hyperoru_provider.params import arguments

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

_FILTER = ("channel", "account_id", "symbol", "side", "min_notional")


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

    @failing_at_once()
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
        event_filter = dict(zip(_FILTER, (channel, account_id, symbol, side, min_notional), strict=True))
        if arguments.is_literal(event_filter):
            _check_filter(event_filter)
        self.channel = channel
        self.account_id = account_id
        self.symbol = symbol
        self.side = side
        self.min_notional = min_notional
        self.hyperoru_conn_id = hyperoru_conn_id

    @failing_at_once()
    def execute(self, context: Context) -> NoReturn:
        """Check the filter, and defer until an event passes it."""
        from hyperoru_provider.client.times import format_time
        from hyperoru_provider.triggers.events import HyperoruEventTrigger

        event_filter = {name: getattr(self, name) for name in _FILTER}
        _check_filter(event_filter)
        limit = min(timedelta(seconds=self.timeout), self.execution_timeout or timedelta.max)
        wanted = ", ".join(f"{name} {value}" for name, value in event_filter.items() if value is not None)
        log.info("Waiting for an event, for up to %s: %s", limit, wanted)
        self.defer(
            trigger=HyperoruEventTrigger(
                **event_filter, hyperoru_conn_id=self.hyperoru_conn_id, since=format_time(datetime.now(UTC))
            ),
            method_name="execute_complete",
            timeout=limit,
        )

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after the trigger's event, its timeout or its failure."""
        limit = self.execution_timeout
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowSensorTimeout as error:
            if limit and limit.total_seconds() < self.timeout:
                raise AirflowTaskTimeout(f"The try took longer than the execution_timeout of {limit}.") from None
            if self.soft_fail:  # before Airflow 3.3 nobody else does
                raise AirflowSkipException(f"Skipped, because soft_fail is set: {error}") from error
            raise

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:
        """Return the summary of the event."""
        log.info("Received an event: %s", event)
        return event


def _check_filter(event_filter: dict[str, Any]) -> None:
    """Raise an error if no event can pass a filter.

    :raises HyperoruConfigError: none can.
    """
    from hyperoru_provider.client.stream.event_filter import EventFilter

    EventFilter(**event_filter)

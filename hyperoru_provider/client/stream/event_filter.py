"""Which events of the stream somebody is interested in.

Light, as DAG files check the filters of their watchers while they are parsed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyperoru_provider.client.errors import HyperoruConfigError
    from hyperoru_provider.client.stream.messages import Event

#: channel -> fields that its events can be filtered by
FILTERS: Mapping[str, tuple[str, ...]] = {
    "trades": ("account_id", "symbol", "side", "notional"),
    "positions": ("account_id", "symbol", "side", "notional"),
    "model_chat": ("account_id", "symbol", "side"),
    "asset_curve": ("account_id",),
}


class EventFilter:
    """Selects the events that a trigger is interested in.

    :param channel: the channel.
    :param account_id: one or several; ``None`` for all.
    :param symbol: one or several, in upper or lower case; ``None`` for all.
    :param side: one or several, in upper or lower case; ``None`` for all.
    :param min_notional: the least notional; ``None`` for any.
    :raises HyperoruConfigError: there is no such channel, its events have no such field, or no event can have a value.
    """

    def __init__(
        self,
        channel: str,
        account_id: int | str | Sequence[int | str] | None = None,
        symbol: str | Sequence[str] | None = None,
        side: str | Sequence[str] | None = None,
        min_notional: Decimal | int | float | str | None = None,
    ) -> None:
        if channel not in FILTERS:
            raise _error(f"unknown channel {channel!r}; known are {', '.join(FILTERS)}.")
        given = {"account_id": account_id, "symbol": symbol, "side": side}
        for name, value in (given | {"notional": min_notional}).items():
            if value is not None and name not in FILTERS[channel]:
                raise _error(f"Events of {channel} have no {name} to filter by, only {', '.join(FILTERS[channel])}.")
        for name, value in given.items():
            values = normalize(value)
            if values is not None and (not values or {"", "None"} & {str(each).strip() for each in values}):
                raise _error(f"{name} is {value!r}, which no event can have: give a value, or leave it out.")
            if any(isinstance(each, str) and set(each) & set(",[(") for each in values or ()):
                raise _error(
                    f"{name} is {value!r}, a text of several values that no event has: give a list; a template of one "
                    "needs the DAG's render_template_as_native_obj=True."
                )
        self.channel = channel
        self.account_ids = normalize(account_id)
        self.symbols = normalize(symbol)
        self._accepted = {
            name: {str(each).strip().casefold() for each in values}
            for name, value in given.items()
            if (values := normalize(value)) is not None
        }
        self._min_notional = _amount(min_notional)

    def passes(self, event: Event) -> bool:
        """Whether an event is one of those."""
        if event.channel != self.channel:
            return False
        for name, accepted in self._accepted.items():
            if str(getattr(event, name)).casefold() not in accepted:
                return False
        return self._min_notional is None or (event.notional is not None and event.notional >= self._min_notional)


def normalize(value: Any) -> list[Any] | None:
    """Return one or several values as a sorted list without duplicates, or ``None`` for ``None``."""
    if value is None:
        return None
    values = [value] if isinstance(value, (str, int)) else value
    return sorted(set(values), key=lambda each: (str(each), type(each).__name__))


def _amount(value: Any) -> Decimal | None:
    from hyperoru_provider.client.amounts import parse_amount

    try:
        return None if value is None else parse_amount(value)
    except ValueError as error:
        raise _error(f"min_notional {value!r} is not an amount: {error}.") from None


def _error(message: str) -> HyperoruConfigError:
    from hyperoru_provider.client.errors import HyperoruConfigError

    return HyperoruConfigError(message)

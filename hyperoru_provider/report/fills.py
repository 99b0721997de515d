"""The trades of all exports, each once and in order of time, on disk: however many they are, memory is not theirs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from typing import NamedTuple

from hyperoru_provider.client.api.endpoints import WindowedEndpoint
from hyperoru_provider.client.api.models import Trade
from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.escaping import shorten
from hyperoru_provider.client.lists.rows import Key, parts_of
from hyperoru_provider.report.exports import Export

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: for sums and products of amounts of at most 400 digits on each side, of which none is rounded
EXACT = Context(prec=2_500)
ZERO = Decimal(0)
_LONGEST_TEXT = 100


class Fill(NamedTuple):
    """What a report shows of a trade.

    :param time: when it was, in UTC.
    :param account_id: the trader's; ``None`` if neither the row nor its export names one.
    :param account_name: the trader's name.
    :param notional: what it was worth: as the server says, or price times quantity.
    :param commission: the fee, negative for a rebate; ``None`` if the server does not say.
    :param realized_pnl: profit or loss before the fee, of what it closed; ``None`` if the server does not say.
    """

    time: datetime
    account_id: str | None
    account_name: str | None
    symbol: str
    side: str
    direction: str | None
    price: Decimal
    quantity: Decimal
    notional: Decimal
    commission: Decimal | None
    realized_pnl: Decimal | None

    @property
    def fee(self) -> Decimal:
        """The fee; none that is not known."""
        return ZERO if self.commission is None else self.commission

    @property
    def profit(self) -> Decimal:
        """Profit or loss before the fee; none that is not known."""
        return ZERO if self.realized_pnl is None else self.realized_pnl


class FillStore:
    """Keeps trades in a temporary file, and refuses one that two exports show differently.

    :param endpoint: how the server names what is in JSON lines.
    :param account_id: the trader whose trades are kept; ``None``: all.
    """

    def __init__(self, endpoint: WindowedEndpoint, account_id: str | None) -> None:
        self._endpoint = endpoint
        self._account_id = account_id
        self._database = sqlite3.connect("", isolation_level=None)  # "" is a file that has no name and does not last
        self._database.execute(
            "CREATE TABLE fills (key TEXT PRIMARY KEY, moment INTEGER, account_id, account_name, symbol, side, "
            "direction, price, quantity, notional, commission, realized_pnl) WITHOUT ROWID"
        )
        self._database.execute("BEGIN")

    def add(self, export: Export) -> None:
        """Keep the trades of an export that are not there yet.

        :raises HyperoruContractError: one is there with other content; the text names it.
        """
        for key, trade in export.trades(self._endpoint):
            if self._account_id in (None, str(trade.account_id)):
                values = _values(trade)
                added = self._database.execute(
                    f"INSERT OR IGNORE INTO fills VALUES ({', '.join('?' * 12)})",  # noqa: S608
                    (repr(parts_of(key)), *values),
                )
                if not added.rowcount:
                    self._compare(key, values, export)

    def _compare(self, key: Key, values: Sequence[int | str | None], export: Export) -> None:
        query = "SELECT * FROM fills WHERE key = ?"
        (_, *before) = self._database.execute(query, (repr(parts_of(key)),)).fetchone()
        # a trader may have got another name since
        if before[:2] + before[3:] != [*values[:2], *values[3:]]:
            raise HyperoruContractError(
                f"The trade {shorten('/'.join(map(str, parts_of(key))))} in {export.directory} is not as in another "
                "export: its time, trader or an amount differs, so one of the two is out of date. Export their "
                "windows again."
            )

    def __iter__(self) -> Iterator[Fill]:
        """Yield the trades, in order of time and key."""
        query = "SELECT * FROM fills ORDER BY moment, length(key), key"
        for _, moment, account_id, name, symbol, side, direction, *amounts in self._database.execute(query):
            time = _EPOCH + timedelta(microseconds=moment)
            yield Fill(time, account_id, name, symbol, side, direction, *map(_decimal, amounts))  # type: ignore[arg-type]

    def close(self) -> None:
        """Remove the file."""
        self._database.close()


def _values(trade: Trade) -> tuple[int | str | None, ...]:
    """Return a trade as it is kept: texts of others escaped, and equal amounts as equal texts."""
    notional = EXACT.multiply(trade.price, trade.quantity) if trade.notional is None else trade.notional
    amounts = (trade.price, trade.quantity, notional, trade.commission, trade.realized_pnl)
    texts = (trade.account_id, trade.account_name, trade.symbol, trade.side, trade.direction)
    return (
        (trade.trade_time - _EPOCH) // timedelta(microseconds=1),
        *(None if text is None else shorten(str(text), _LONGEST_TEXT) for text in texts),
        *(None if amount is None else str(EXACT.plus(EXACT.normalize(amount))) for amount in amounts),
    )


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)

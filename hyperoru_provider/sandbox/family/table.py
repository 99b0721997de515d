"""The rows that the server has under one trading mode, as it sends them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from hyperoru_provider.sandbox.book import Book
from hyperoru_provider.sandbox.records import CURVE_STEPS, Record, Records
from hyperoru_provider.sandbox.rows import DAY, SECOND, TIME_FIELDS, Row, iso

__all__ = ["Table", "epoch", "naive", "trade_record"]

_HISTORY = 60 * DAY  # of trades
_SUMS = ("quantity", "notional", "commission", "realized_pnl")


def naive(time: int) -> str:
    """Return a time as most lists have it: in ISO 8601, without an offset."""
    return iso(time)[:-1]


def epoch(time: int) -> int:
    """Return a time as seconds since 1970."""
    return time // SECOND


class Table:
    """The rows of one trading mode; newest first.

    :param book: its trades
    :param records: what there is beside trades
    """

    def __init__(self, book: Book, records: Records) -> None:
        self.book = book
        self.records = records

    def trades(self, start: int, end: int, account_id: int | None = None, symbol: str | None = None) -> list[Record]:
        """Return the trades of a window: one for each order, however many fills it had."""
        return _merged(self._fills(start, end, account_id, symbol))

    def newest_trades(self, limit: int, account_id: int | None, symbol: str | None) -> list[Record]:
        """Return what is left of the newest ``limit`` fills when those of one order are merged into one row.

        A stop-loss or take-profit is a fill too; it is nested under its order if both are among those taken.
        """
        taken: list[Record] = []
        for fill in self._fills(0, self.records.now + 1, account_id, symbol):
            limit -= 1 + len(_related(fill))
            if limit < 0:
                break
            taken.append(fill)
        return _merged(taken)

    def texts(
        self,
        resource: str,
        start: int,
        end: int,
        *,
        account_id: int | None = None,
        symbol: str | None = None,
        timeframe: str = "1h",
    ) -> list[str]:
        """Return the rows of a window as JSON text.

        :param resource: ``trades``, ``decisions``, ``program_runs``, ``closed_trades``, ``signal_triggers``,
            ``account_snapshots`` or ``asset_curve``
        :param account_id: of one account, or of all
        :param symbol: of one symbol, or of all
        :param timeframe: of the asset curve
        :raises ValueError: for another resource
        """
        accounts = [int(str(trader["id"])) for trader in self.book.traders if account_id in (None, trader["id"])]
        if resource == "trades":
            return [each.text(naive) for each in self.trades(start, end, account_id, symbol)]
        if resource == "account_snapshots":
            made = [each for one in accounts for each in self.records.account_snapshots(one, start, end)]
        elif resource == "asset_curve":
            step = CURVE_STEPS[timeframe]
            made = [each for one in accounts for each in self.records.asset_curve(one, step, start, end)]
        elif resource in ("decisions", "program_runs", "closed_trades", "signal_triggers"):
            found = getattr(self.records, resource)(start, end)
            made = [
                each
                for each in found
                if account_id in (None, each.fields.get("account_id")) and symbol in (None, each.fields.get("symbol"))
            ]
        else:
            raise ValueError(f"There are no rows of {resource!r} by time here")
        moment = epoch if resource == "asset_curve" else naive
        return [each.text(moment) for each in sorted(made, key=lambda each: each.time)[::-1]]

    def _fills(self, start: int, end: int, account_id: int | None, symbol: str | None) -> Iterator[Record]:
        oldest = min(self.book.window()[0], self.records.now - _HISTORY)
        with self.book.lock:
            rows = list(self.book.select(account_id, symbol, max(start, oldest), end))
        return map(trade_record, reversed(rows))


def trade_record(row: Row) -> Record:
    """Return a trade of a book, with its numbers and times as this server has them."""
    fields = json.loads(row.body)
    for each in (fields, *(fields.get("related_orders") or ())):
        for name in TIME_FIELDS:
            if name in each:
                each[name] = naive(row.time)
    return Record(row.time, fields)


def _related(fill: Record) -> list[object]:
    related = fill.fields.get("related_orders")
    return related if isinstance(related, list) else []


def _merged(fills: Iterable[Record]) -> list[Record]:
    """Return fills, in their order, with those of one order summed up in the first of them."""
    orders: dict[object, list[Record]] = {}
    for fill in fills:
        order = fill.fields.get("order_id")
        orders.setdefault(id(fill) if order is None else (fill.time, order), []).append(fill)
    return [_summed(parts) for parts in orders.values()]


def _summed(parts: list[Record]) -> Record:
    """Return one trade of the fills of an order."""
    first = parts[0]
    if len(parts) == 1:
        return first
    fields = dict(first.fields)
    for name in _SUMS:
        amounts = [part.fields[name] for part in parts if part.fields.get(name) is not None]
        fields[name] = sum(float(str(amount)) for amount in amounts) if amounts else None
    related = [each for part in parts for each in _related(part)]
    return Record(first.time, {**fields, "related_orders": related} if related else fields)

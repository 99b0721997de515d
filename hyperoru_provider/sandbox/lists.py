"""The lists of trades and of orders: which rows a query selects, and the answer that shows them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from hyperoru_provider.sandbox.book import Book, WindowTooLong
from hyperoru_provider.sandbox.envelopes import ListAnswer, list_answer
from hyperoru_provider.sandbox.errors import Refusal
from hyperoru_provider.sandbox.faults import Faults
from hyperoru_provider.sandbox.orders import OrderBook
from hyperoru_provider.sandbox.pages import PAGING_PARAMETERS, Page, is_further, with_repeats
from hyperoru_provider.sandbox.queries import integer, moment, read_window, text
from hyperoru_provider.sandbox.row_faults import with_key
from hyperoru_provider.sandbox.rows import DAY, Listing, Row, iso

__all__ = ["OrderList", "TradeList", "hiding_parameter", "is_hidden"]

_FILTERS: dict[str, Callable[[str], Any]] = {
    "account_id": integer,
    "symbol": text,
    "start": moment,
    "end": moment,
}


class TradeList:
    """``GET /api/arena/trades``.

    :param book: the trades
    :param clock: the present, in microseconds since 1970
    """

    def __init__(self, book: Book, clock: Callable[[], int]) -> None:
        self._book = book
        self._clock = clock
        self._new_ids = count(900_000_000_000_001)
        self._requests = count(1)

    @staticmethod
    def parameters(faults: Faults) -> dict[str, Callable[[str], Any]]:
        """Return the query parameters of the list, with their parsers."""
        return _FILTERS | PAGING_PARAMETERS[faults.paging] | hiding_parameter(faults)

    def answer(self, query: Mapping[str, Any], faults: Faults) -> ListAnswer:
        """Return the answer with one page.

        :param query: the parameters, already of the right type
        :param faults: how the answer goes wrong
        :raises Refusal: if there is no such trader, page or window
        """
        start, end = read_window(query, self._book, faults)
        try:
            with self._book.lock:
                page = Page.of(self._select(query, start, end, faults), query, faults, faults.paging)
                bodies = page.bodies(random.Random(next(self._requests) if faults.order == "changing" else 0))
                total = page.total_field(len(bodies), lambda: self._book.select(None, None, start - DAY, end + DAY))
        except WindowTooLong as error:
            raise Refusal(422, "WINDOW_TOO_LONG", str(error)) from None
        name, before, after = "items" if faults.envelope == "default" else faults.envelope, None, {}
        if faults.beside_accounts:
            name = "trades"
            before = {"accounts": [trader for trader in self._book.traders if trader["show_on_dashboard"]]}
            after = {"generated_at": iso(self._clock(), "milliseconds")}
        return list_answer(
            bodies,
            faults,
            name=name,
            before=before,
            after=total | page.paging_fields() | after,
            is_further=is_further(query, faults),
        )

    def _select(self, query: Mapping[str, Any], start: int, end: int, faults: Faults) -> Listing:
        account_id, symbol = query.get("account_id"), query.get("symbol")
        if account_id is not None and all(trader["id"] != account_id for trader in self._book.traders):
            raise Refusal(404, "ACCOUNT_NOT_FOUND", "Account not found")
        if is_hidden(query, faults):
            return Listing(())
        listing = self._book.select(account_id, symbol, start, end)
        if faults.unstable and is_further(query, faults) and len(listing):
            self._arrive(listing.newest(), faults.unstable)
            listing = self._book.select(account_id, symbol, start, end)
        return with_repeats(listing, faults)

    def _arrive(self, newest: Row, rows: int) -> None:
        for _ in range(rows):
            self._book.arrive(newest._replace(body=with_key(newest.body, next(self._new_ids))))


class OrderList:
    """``GET /api/orders/account/{account_id}``: all orders of an account, without a window or pages.

    :param orders: the orders
    """

    def __init__(self, orders: OrderBook) -> None:
        self._orders = orders
        self._requests = count(1)

    @staticmethod
    def parameters(faults: Faults) -> dict[str, Callable[[str], Any]]:
        """Return the query parameters of the list, with their parsers."""
        return hiding_parameter(faults)

    def answer(self, account_id: int, query: Mapping[str, Any], faults: Faults) -> ListAnswer:
        """Return the answer with all orders of an account.

        :param account_id: the account
        :param query: the parameters, already of the right type
        :param faults: how the answer goes wrong
        :raises Refusal: if there is no such account
        """
        try:
            listing = self._orders.select(account_id)
        except KeyError:
            raise Refusal(404, "ACCOUNT_NOT_FOUND", "Account not found") from None
        if is_hidden(query, faults):
            listing = Listing(())
        page = Page.of(with_repeats(listing, faults), {}, faults, "none")
        bodies = page.bodies(random.Random(next(self._requests) if faults.order == "changing" else 0))
        name = "bare" if faults.envelope == "default" else faults.envelope
        return list_answer(bodies, faults, name=name, after=page.total_field(len(bodies), lambda: listing))


def hiding_parameter(faults: Faults) -> dict[str, Callable[[str], Any]]:
    """Return the parameter that ``hidden_by_default`` names, with its parser."""
    return {} if faults.hiding_parameter is None else {faults.hiding_parameter[0]: text}


def is_hidden(query: Mapping[str, Any], faults: Faults) -> bool:
    """Return whether the list is empty because a parameter is not what ``hidden_by_default`` needs."""
    if faults.hiding_parameter is None:
        return False
    name, value = faults.hiding_parameter
    return bool(query.get(name) != value)

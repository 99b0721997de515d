"""Asks for a list: with a contract that is still being found out, as a request or as a reader does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from hyperoru_provider.client import HyperoruClient, calls
from hyperoru_provider.client.api.endpoints import ListEndpoint, Target
from hyperoru_provider.client.api.resources import RESOURCES
from hyperoru_provider.client.decoding import canonical
from hyperoru_provider.client.lists.page import Page, parse_page
from hyperoru_provider.client.lists.paginator import paginator_for
from hyperoru_provider.client.lists.readers import list_reader
from hyperoru_provider.client.lists.rows import Key
from hyperoru_provider.client.lists.window_reader import Learned
from hyperoru_provider.client.times import parse_time
from hyperoru_provider.doctor.looks import ListLook
from hyperoru_provider.doctor.state import State
from hyperoru_provider.doctor.windows import Window


class ListProbe:
    """Asks for a list.

    :param state: what is known of the server.
    :param name: the list.

    :ivar look: fits the contract to the answers.
    :ivar filters: what is asked with, by our names.
    """

    def __init__(self, state: State, name: str) -> None:
        self.state = state
        self.resource = RESOURCES[name]
        self.look = ListLook(name, state.contract)
        self.filters: dict[str, Any] = {}
        #: the first answer, which spares a reader the same request
        self._first: tuple[Target, bytes] | None = None
        self._learned = Learned()

    @property
    def endpoint(self) -> ListEndpoint:
        """What the contract says of the list so far."""
        return self.look.endpoint

    def client(self) -> HyperoruClient:
        """Return a client with the contract so far."""
        return self.state.client(self.resource.name, self.look.override)

    @contextmanager
    def trying(self, override: Mapping[str, Any]) -> Iterator[None]:
        """Say more in the contract meanwhile."""
        before, self.look.override = self.look.override, {**self.look.override, **override}
        try:
            yield
        finally:
            self.look.override = before

    def page(self, **values: Any) -> Page:
        """Return what the list shows.

        :param values: parameters, by our names, beside the filters and the size of a page.
        :raises HyperoruApiError: the server refuses, or its rows can't be told.
        """
        return self.look.page(self._body(self._values(values)))

    def first_page(self) -> Page:
        """Return what the list shows without a window, and without a number of the page.

        :raises HyperoruApiError: the server refuses, or its rows can't be told.
        """
        body = self._body(self._values({}))
        page = self.look.page(body)
        self._first = self.endpoint.target(self._values({})), body
        return page

    def _values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        position = paginator_for(self.endpoint, self.endpoint.page_size, 1).position()
        return {**self.filters, **position, "page": None, **values}

    def _body(self, values: Mapping[str, Any]) -> bytes:
        return self.client().run(calls.body_of(self.endpoint, values))

    def read(self, client: HyperoruClient, window: Window | None = None) -> list[Key]:
        """Return the keys of all rows, read as an export reads them.

        :param client: reads them.
        :param window: their time; ``None`` of a list without one.
        :raises HyperoruApiError: the answers don't prove to be right and complete.
        """
        start, end = window or (None, None)
        reader = list_reader(client.contract, self.resource.name, start, end, self.filters, learned=self._learned)
        keys: list[Key] = []
        while (values := reader.query()) is not None:
            if self._first is not None and self._first[0] == reader.endpoint.target(values):
                keys += reader.accept(parse_page(self._first[1], reader.endpoint)).keys
                self._first = None
            else:
                keys += client.read_page(reader, values).keys
        return keys

    def times(self, page: Page) -> list[datetime]:
        """Return the times of rows."""
        endpoint = self.endpoint
        return [parse_time(canonical(row, endpoint)[endpoint.time or ""], endpoint.time_format) for row in page.rows]

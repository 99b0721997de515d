"""Asks for a list: with a contract that is still being found out, as a request or as a reader does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from hyperoru_provider.client import HyperoruClient, calls
from hyperoru_provider.client.api.endpoints import ListEndpoint, Target
from hyperoru_provider.client.api.resources import RESOURCES
from hyperoru_provider.client.decoding import canonical
from hyperoru_provider.client.errors import REFUSALS
from hyperoru_provider.client.lists.checks import FieldExtractor, RowCollector
from hyperoru_provider.client.lists.editing import editor_for
from hyperoru_provider.client.lists.page import Page, parse_page
from hyperoru_provider.client.lists.paginator import paginator_for
from hyperoru_provider.client.lists.readers import list_reader
from hyperoru_provider.client.lists.rows import Key, TimeSlice
from hyperoru_provider.client.lists.window_reader import Learned
from hyperoru_provider.client.times import parse_time
from hyperoru_provider.doctor.looks import ListLook
from hyperoru_provider.doctor.openapi import Operation
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
        #: what the document says of its address
        self.operation: Operation | None = None
        #: answers by what was asked, which spare another reader the same request
        self._bodies: dict[str, bytes] = {}
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
        """Override more of the contract meanwhile."""
        before, self.look.override = self.look.override, {**self.look.override, **override}
        try:
            yield
        finally:
            self.look.override = before

    def page(self, *, again: bool = True, **values: Any) -> Page:
        """Return what the list shows, without a number of the page.

        :param again: whether to ask for what was asked for already.
        :param values: parameters, by our names, beside the filters and the size of a page.
        :raises HyperoruApiError: the server refuses, or its rows can't be told.
        """
        position = paginator_for(self.endpoint, self.endpoint.page_size, 1).position()
        asked = {**self.filters, **position, "page": None, **values}
        known = None if again else self._bodies.get(_name(self.endpoint.target(asked)))
        body = known or self.client().run(calls.body_of(self.endpoint, asked))
        page = self.look.page(body)
        self._bodies[_name(self.endpoint.target(asked))] = body  # with what the look of it has added
        return page

    def read(self, client: HyperoruClient, window: Window | None = None) -> list[Key]:
        """Return the keys of all rows, read as an export reads them.

        What a reader asks twice is asked twice: it wants to see whether the list has changed.

        :param client: reads them.
        :param window: their time; ``None`` of a list without one.
        :raises HyperoruApiError: the answers don't prove to be right and complete.
        """
        start, end = window or (None, None)
        reader = list_reader(client.contract, self.resource.name, start, end, self.filters, learned=self._learned)
        keys, seen = list[Key](), set[str]()
        with client.explaining(reader.endpoint):
            while (values := reader.query()) is not None:
                target = _name(reader.endpoint.target(values))
                try:
                    if target in seen or target not in self._bodies:
                        self._bodies[target] = client.run(calls.body_of(reader.endpoint, values))
                    rows = reader.accept(parse_page(self._bodies[target], reader.endpoint))
                except REFUSALS as error:
                    rows = reader.accept_refusal(error)
                seen.add(target)
                keys += rows.keys
        return keys

    def slice(self, window: Window) -> dict[str, Any]:
        """Return the parameters that ask for a window as a reader does, by our names."""
        return TimeSlice(self.endpoint, self.filters, *window).values()

    def keys(self, page: Page, window: Window) -> set[Key]:
        """Return the keys of those rows of an answer that are in a window.

        :raises HyperoruContractError: a row has none.
        """
        texts = [
            text for text, time in zip(page.texts, self.times(page), strict=True) if window.start <= time < window.end
        ]
        if not texts:
            return set()
        time_slice = TimeSlice(self.endpoint, self.filters, *window)
        collector = RowCollector(time_slice, FieldExtractor(self.endpoint, self.filters))
        collector.add(editor_for(self.resource, self.endpoint, self.filters, None, mask=False).edit(Page(texts)))
        return set(collector.rows.keys)

    def times(self, page: Page) -> list[datetime]:
        """Return the times of rows."""
        endpoint = self.endpoint
        return [parse_time(canonical(row, endpoint)[endpoint.time or ""], endpoint.time_format) for row in page.rows]


def _name(target: Target) -> str:
    """Return a text for what is asked, whatever order its parameters have."""
    return json.dumps([target.path, sorted(target.query.items())])

"""Whether a list can be read so that its rows are proved to be all, and what else to say of it if not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hyperoru_provider.client import HyperoruClient
from hyperoru_provider.client.errors import HyperoruApiError
from hyperoru_provider.client.lists.page import Page
from hyperoru_provider.client.lists.rows import TimeSlice
from hyperoru_provider.doctor.probe import ListProbe
from hyperoru_provider.doctor.server import OutOfRequestsError
from hyperoru_provider.doctor.vocabulary import PARAMETERS
from hyperoru_provider.doctor.windows import Window, around, halves, newest, time_filter_of

#: requests that reading a window of a few rows may take
_MOST_REQUESTS = 12
_SMALL_PAGE = 10


class ListProof:
    """Reads a few rows of a list as an export does.

    :param probe: asks for the list.
    :param shown: its first rows.

    :ivar unproved: what is believed of the list although nothing proves it.
    """

    def __init__(self, probe: ListProbe, shown: Page) -> None:
        self.unproved: list[str] = []
        self._probe = probe
        self._shown = shown

    def problem(self) -> str | None:
        """Return why the list can't be read, whatever else is said of it; ``None`` if it can, as is said then."""
        problem = self._problem_with({})
        if problem is None:
            return None
        for override in self._refinements():
            if self._problem_with(override) is None:
                self._probe.look.override = {**self._probe.look.override, **override}
                return None
        return problem

    def _problem_with(self, override: Mapping[str, Any]) -> str | None:
        """Return what is wrong with what is read, if this is said of the list, too."""
        server = self._probe.state.server
        try:
            with server.at_most(_MOST_REQUESTS), self._probe.trying(override):
                return self._problem_of_rows()
        except OutOfRequestsError:
            if not server.left:
                raise
            return f"Reading a window of a few rows takes more than {_MOST_REQUESTS} requests."
        except HyperoruApiError as error:
            return error.message

    def _problem_of_rows(self) -> str | None:
        """Return what is wrong with the rows of a window, or with all."""
        probe = self._probe
        if not probe.resource.windowed:
            probe.read(self._client_of_small_pages(len(self._shown.texts)))
            return None
        times, time_filter = probe.times(self._shown), probe.endpoint.time_filter
        window = newest(times) if time_filter == "none" else around(times)
        if window is None:
            self.unproved.append("it has too few rows to show that a window of it can be read")
            return None
        answered = Window(*TimeSlice(probe.endpoint, {}, *window).accepted_range)
        rows = len(times) if time_filter == "none" else sum(answered.start <= time <= answered.end for time in times)
        whole = probe.read(self._client_of_small_pages(rows), window)
        if not whole and any(window.start <= time < window.end for time in times):
            return "Rows that it shows are missing from a window of their time."
        if time_filter != "instant" or "account_id" not in probe.resource.filters:
            return None
        client = probe.client()
        parts = [key for half in halves(window) for key in probe.read(client, half)]
        return None if whole == parts else "A window of it has other rows than its two halves."

    def _client_of_small_pages(self, rows: int) -> HyperoruClient:
        """Return a client that reads so many rows in some pages, to see that they go on where they should."""
        probe = self._probe
        if probe.endpoint.paging == "none" or probe.endpoint.page_size is None:
            return probe.client()
        size = min(max(-(-rows // 2), _SMALL_PAGE), probe.endpoint.page_size)
        with probe.trying({"page_size": size}):
            return probe.client()

    def _refinements(self) -> Iterator[dict[str, Any]]:
        """Yield what may have to be said further, the likeliest first."""
        if self._probe.resource.windowed and self._probe.endpoint.time_filter != "none":
            yield from self._time_filters()
        yield from self._pagings()
        if self._shown.total is not None:
            yield {"total": []}

    def _time_filters(self) -> Iterator[dict[str, Any]]:
        probe = self._probe
        window = around(probe.times(self._shown))
        page = self._within(window, {})
        kind = self._filter_seen(window, page)
        size = probe.endpoint.page_size
        if (
            page is not None
            and kind == "instant"
            and (page.total or 0) > len(page.texts)
            and len(page.texts) < (size or 0)
        ):
            yield {"total": []}
        if kind == "none":
            yield from self._other_names(window)
        if kind not in (None, probe.endpoint.time_filter):
            yield {"time_filter": kind}
        if kind == "none":
            yield {"time_filter": kind, "paging": "none", "page_size": size}
            yield {"time_filter": kind, "paging": "none", "page_size": None}

    def _within(self, window: Window, override: Mapping[str, Any]) -> Page | None:
        """Return what the list shows of a window; ``None`` if it refuses."""
        try:
            with self._probe.trying(override):
                return self._probe.page(start=window.start, end=window.end)
        except HyperoruApiError:
            return None

    def _filter_seen(self, window: Window, page: Page | None) -> str | None:
        """Return what the time filter compares, as far as it shows."""
        if page is None:
            return None
        times = self._probe.times
        return time_filter_of(self._probe.endpoint, window, times(self._shown), times(page))

    def _other_names(self, window: Window) -> Iterator[dict[str, Any]]:
        """Yield names of a window's parameters that the server turns out to know."""
        params = self._probe.endpoint.params
        if self._probe.state.document is not None:
            return
        for names in zip(PARAMETERS["start"], PARAMETERS["end"], strict=True):
            override = {"params": {**params, "start": names[0], "end": names[1]}}
            if names != (params.get("start", "start"), params.get("end", "end")):
                kind = self._filter_seen(window, self._within(window, override))
                if kind in ("instant", "day"):
                    yield {**override, "time_filter": kind}

    def _pagings(self) -> Iterator[dict[str, Any]]:
        endpoint, size = self._probe.endpoint, self._probe.endpoint.page_size
        if not self._second_page_differs:
            asked = size or len(self._shown.texts)
            yield from (
                {"paging": style, "page_size": asked} for style in ("offset", "cursor") if style != endpoint.paging
            )
        if endpoint.paging != "none":
            yield {"paging": "none", "page_size": size}
            yield {"paging": "none", "page_size": None}

    @property
    def _second_page_differs(self) -> bool:
        """Whether a numbered page has rows that the first one does not have."""
        size = min(_SMALL_PAGE, len(self._shown.texts) // 2)
        if self._probe.endpoint.paging != "page" or not size:
            return False
        try:
            with self._probe.trying({"page_size": size}):
                first, second = (set(self._probe.page(page=number).rows) for number in (None, 2))
        except HyperoruApiError:
            return False
        return not second <= first

"""Whether a list can be read so that its rows are proved to be all, and what else to say of it if not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from hyperoru_provider.client import HyperoruClient
from hyperoru_provider.client.errors import (
    HyperoruApiError,
    HyperoruContractError,
)
from hyperoru_provider.client.lists.page import Page
from hyperoru_provider.client.times import format_time
from hyperoru_provider.doctor.inference import override_by_document, passes_over_pages, passes_over_window
from hyperoru_provider.doctor.openapi import Operation
from hyperoru_provider.doctor.probe import ListProbe
from hyperoru_provider.doctor.report import REFUSED_PARAMETERS, is_busy
from hyperoru_provider.doctor.server import OutOfRequestsError
from hyperoru_provider.doctor.vocabulary import PARAMETERS
from hyperoru_provider.doctor.windows import Window, around, halves, newest, oldest_start, time_filter_of

#: requests that reading a window of a few rows may take, and the two halves of it
_MOST_OF_WHOLE, _MOST_OF_HALVES = 24, 24
_SMALL_PAGE = 10
_MISSING = "Rows that it shows are missing from a window of their time."
_UNEQUAL = "A window of it has other rows than its two halves."


class ListProof:
    """Reads a few rows of a list as an export does.

    :param probe: asks for the list.
    :param shown: its first rows.

    :ivar unproved: what is believed of the list although nothing proves it.
    :ivar limits: what can't be read of it.
    """

    def __init__(self, probe: ListProbe, shown: Page) -> None:
        self.unproved: list[str] = []
        self.limits: list[str] = []
        self._probe = probe
        self._shown = shown
        self._times = probe.times(shown) if probe.resource.windowed else []
        if self._times:  # of a list that shows all at once, so many that a server might thin them out
            all_at_once = probe.endpoint.paging == "none" and probe.endpoint.page_size is None
            self._window = around(self._times, *([len(self._times)] if all_at_once else []))
        #: what the list shows of a window
        self._within = shown

    def problem(self) -> str | None:
        """Return why the list can't be read, whatever else is said of it; ``None`` if it can, as is said then.

        :raises OutOfRequestsError: it takes more requests than there are.
        """
        endpoint, operation = self._probe.endpoint, self._probe.operation
        has_filter = self._probe.resource.windowed and endpoint.time_filter != "none"
        is_open = operation is not None and (passes_over_window(operation) or self._formats_of_window())
        if operation is not None and passes_over_pages(operation, endpoint):
            self._say(self._paging_as_seen(operation))
        if has_filter and (endpoint.paging != "none" or is_open):  # pages are made so small that there are some
            self._say(self._window_as_seen())
        problem = self._problem_with({})
        if problem and has_filter and endpoint.paging == "none" and not is_open and (seen := self._window_as_seen()):
            self._say(seen)
            problem = self._problem_with({})
        if problem is None and self._is_cut and self._problem_with_full_pages():
            self._say({"page_size": len(self._shown.texts)})
        if problem is None or problem in (_MISSING, _UNEQUAL):  # by the window's length: no other paging helps
            return problem
        for override in self._refinements():
            with suppress(OutOfRequestsError):
                if self._problem_with(override) is None:
                    self._say(override)
                    return None
        return problem

    def _say(self, override: Mapping[str, Any]) -> None:
        self._probe.look.override = {**self._probe.look.override, **override}

    def _paging_as_seen(self, operation: Operation) -> dict[str, Any]:
        """Return what has to be said of a list of whose pages the document says nothing: is the second the first?"""
        rows = min(len(self._shown.texts) - 1, _SMALL_PAGE)
        if rows < 1:
            return {}
        given = self._probe.state.endpoint(self._probe.resource.name).model_copy(update={"paging": "none"})
        documented = override_by_document(operation, given, self._probe.resource)
        no_pages = {"page_size": given.page_size, "params": {}, **documented, "paging": "none"}
        second: dict[str, Any] = {"page": 2} if self._probe.endpoint.paging == "page" else {"offset": rows}
        try:
            with self._probe.trying({"page_size": rows}):
                page = self._probe.page(**second)
        except HyperoruApiError as error:
            if is_busy(error):
                raise
            return no_pages
        return no_pages if page.rows[:1] == self._shown.rows[:1] else {}

    def _formats_of_window(self) -> list[dict[str, Any]]:
        """Return how else a window may be written, if the document says that it is a number."""
        start = self._probe.operation.named("start") if self._probe.operation else None
        return _EPOCHS if start is not None and start.is_number else []

    def _window_as_seen(self) -> dict[str, Any]:
        """Return what has to be said of the list's window, as far as it shows."""
        window, params, operation = self._window, self._probe.endpoint.params, self._probe.operation
        known = params.get("start", "start"), params.get("end", "end")
        for override in self._formats_of_window():
            if (kind := self._filter_seen(window, override)) in ("instant", "day"):
                return {**override, "time_filter": kind}
        kind = self._filter_seen(window, {})
        if kind == "refused":
            for override in _EPOCHS:
                if (written := self._filter_seen(window, override)) in ("instant", "day"):
                    return {**override, "time_filter": written}
        if kind != "none" or (operation is not None and operation.parameters):
            return {} if kind in (None, "refused", self._probe.endpoint.time_filter) else {"time_filter": kind}
        for start, end in zip(PARAMETERS["start"], PARAMETERS["end"], strict=True):
            override = {"params": {**params, "start": start, "end": end}}
            if (start, end) != known and (kind := self._filter_seen(window, override)) in ("instant", "day"):
                return {**override, "time_filter": kind}
        if all(window.start.date() <= time.date() <= window.end.date() for time in self._times):
            self.unproved.append("that it has no time filter, as all that it shows is of the days that were asked for")
        return {"time_filter": "none"}

    def _filter_seen(self, window: Window, override: Mapping[str, Any]) -> str | None:
        """Return what the time filter compares, ``refused``, or ``None`` if that does not show.

        :raises HyperoruApiError: the server could not be asked.
        """
        try:
            with self._probe.trying(override):
                days = self._probe.endpoint.time_filter == "day"  # of which a reader asks for one more
                asked = self._probe.slice(window) if days else {"start": window.start, "end": window.end}
                within = self._probe.page(**asked)
                kind = time_filter_of(self._probe.endpoint, window, self._times, self._probe.times(within))
        except REFUSED_PARAMETERS:
            return "refused"
        except HyperoruApiError as error:
            if is_busy(error):
                raise
            return None
        self._within = within
        return kind

    def _problem_with(self, override: Mapping[str, Any]) -> str | None:
        """Return what is wrong with what is read, if this is said of the list, too.

        :raises OutOfRequestsError: it takes too many requests.
        :raises HyperoruApiError: the server could not be asked.
        """
        try:
            with self._probe.trying(override):
                return self._problem_of_rows()
        except HyperoruApiError as error:
            if is_busy(error):
                raise
            return error.message

    def _problem_of_rows(self) -> str | None:
        """Return what is wrong with the rows of a window, or with all."""
        probe, time_filter = self._probe, self._probe.endpoint.time_filter
        client = self._client_of_small_pages()
        at_most = probe.state.server.at_most
        if not probe.resource.windowed:
            with at_most(_MOST_OF_WHOLE):
                probe.read(client)
            return None
        window = newest(self._times) if time_filter == "none" else self._window
        if time_filter == "none" and window is not None:
            self.limits = [
                f"windows that begin before {format_time(oldest_start(self._times))} can't be proved any more"
            ]
        if window is None:
            self.unproved.append("it has too few rows to show that a window of it can be read")
            return None
        with at_most(_MOST_OF_WHOLE):
            whole = probe.read(client, window)
        if not probe.keys(self._shown, window) <= set(whole):
            return _MISSING
        if time_filter == "none":
            return None  # the server is asked for no time by which it could choose
        with at_most(_MOST_OF_HALVES):
            parts = halves(window)
            shown = [(probe.page(again=False, **probe.slice(half)), half) for half in parts]
            if set(whole) == {key for page, half in shown for key in probe.keys(page, half)}:
                return None  # else an answer may have been cut, which a reader mends
            read = [key for half in parts for key in probe.read(probe.client(), half)]
        return None if whole == read else _UNEQUAL

    @property
    def _is_cut(self) -> bool:
        """Whether pages have fewer rows than were asked for, and are not the last."""
        endpoint, page = self._probe.endpoint, self._shown
        is_short = endpoint.paging in ("page", "offset") and len(page.texts) < (endpoint.page_size or 0)
        return is_short and bool(self._times) and (page.more is True or (page.total or 0) > len(page.texts))

    def _problem_with_full_pages(self) -> str | None:
        """Return what is wrong with pages as large as an export asks for, of more rows than one of them shows."""
        oldest, newest = min(self._times), max(self._times)
        window = Window(oldest - 2 * (newest - oldest), newest)
        try:
            with self._probe.state.server.at_most(_MOST_OF_WHOLE):
                self._probe.read(self._probe.client(), window)
        except HyperoruContractError as error:
            return error.message
        return None

    def _client_of_small_pages(self) -> HyperoruClient:
        """Return a client that reads in some pages, to see that they go on where they should."""
        probe, rows = self._probe, len(self._within.texts)
        if probe.endpoint.paging == "none" or probe.endpoint.page_size is None:
            return probe.client()
        with probe.trying({"page_size": min(max(-(-rows // 2), _SMALL_PAGE), probe.endpoint.page_size)}):
            return probe.client()

    def _refinements(self) -> Iterator[dict[str, Any]]:
        """Yield what may have to be said further, the likeliest first."""
        endpoint, size = self._probe.endpoint, self._probe.endpoint.page_size
        if self._within.total not in (None, len(self._within.texts)) and len(self._within.texts) < (size or 0):
            yield {"total": []}
        if endpoint.paging != "none":
            yield {"paging": "none", "page_size": size}
            yield {"paging": "none", "page_size": None}


_EPOCHS: list[dict[str, Any]] = [{"window_format": "seconds"}, {"window_format": "milliseconds"}]

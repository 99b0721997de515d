"""Whether a list can be read so that its rows are proved to be all, and what else to say of it if not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from hyperoru_provider.client import HyperoruClient
from hyperoru_provider.client.errors import HyperoruApiError
from hyperoru_provider.client.lists.page import Page
from hyperoru_provider.client.times import format_time
from hyperoru_provider.doctor.probe import ListProbe
from hyperoru_provider.doctor.report import is_busy
from hyperoru_provider.doctor.server import OutOfRequestsError
from hyperoru_provider.doctor.vocabulary import PARAMETERS
from hyperoru_provider.doctor.windows import Window, around, halves, newest, oldest_start, time_filter_of

#: requests that reading a window of a few rows may take
_MOST_REQUESTS = 16
#: requests of a window whose halves would show nothing new
_ENOUGH = 6
_SMALL_PAGE = 10


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
        #: what the list shows of a window
        self._within = shown

    def problem(self) -> str | None:
        """Return why the list can't be read, whatever else is said of it; ``None`` if it can, as is said then."""
        endpoint = self._probe.endpoint
        has_filter = self._probe.resource.windowed and endpoint.time_filter != "none"
        if has_filter and endpoint.paging != "none":  # pages are made so small that there are some
            self._say(self._window_as_seen())
        try:
            problem = self._problem_with({})
            if problem and has_filter and endpoint.paging == "none" and (seen := self._window_as_seen()):
                self._say(seen)
                problem = self._problem_with({})
        except OutOfRequestsError:
            if not self._probe.state.server.left:
                raise
            self.unproved.append(f"reading a few rows takes more than {_MOST_REQUESTS} requests")
            return None
        if problem is None:
            return None
        for override in self._refinements():
            with suppress(OutOfRequestsError):
                if self._problem_with(override) is None:
                    self._say(override)
                    return None
        return problem

    def _say(self, override: Mapping[str, Any]) -> None:
        self._probe.look.override = {**self._probe.look.override, **override}

    def _window_as_seen(self) -> dict[str, Any]:
        """Return what has to be said of the list's window, as far as it shows."""
        window, params = around(self._times), self._probe.endpoint.params
        known = params.get("start", "start"), params.get("end", "end")
        kind = self._filter_seen(window, {})
        if kind != "none" or self._probe.state.document is not None:
            return {} if kind in (None, self._probe.endpoint.time_filter) else {"time_filter": kind}
        for start, end in zip(PARAMETERS["start"], PARAMETERS["end"], strict=True):
            override = {"params": {**params, "start": start, "end": end}}
            if (start, end) != known and (kind := self._filter_seen(window, override)) in ("instant", "day"):
                return {**override, "time_filter": kind}
        return {"time_filter": "none"}

    def _filter_seen(self, window: Window, override: Mapping[str, Any]) -> str | None:
        """Return what the time filter compares; ``None`` if that does not show.

        :raises HyperoruApiError: the server could not be asked.
        """
        try:
            with self._probe.trying(override):
                self._within = self._probe.page(start=window.start, end=window.end)
                return time_filter_of(self._probe.endpoint, window, self._times, self._probe.times(self._within))
        except HyperoruApiError as error:
            if is_busy(error):
                raise
            return None

    def _problem_with(self, override: Mapping[str, Any]) -> str | None:
        """Return what is wrong with what is read, if this is said of the list, too.

        :raises OutOfRequestsError: it takes too many requests.
        :raises HyperoruApiError: the server could not be asked.
        """
        try:
            with self._probe.state.server.at_most(_MOST_REQUESTS), self._probe.trying(override):
                return self._problem_of_rows()
        except HyperoruApiError as error:
            if is_busy(error):
                raise
            return error.message

    def _problem_of_rows(self) -> str | None:
        """Return what is wrong with the rows of a window, or with all."""
        probe, time_filter = self._probe, self._probe.endpoint.time_filter
        if not probe.resource.windowed:
            probe.read(self._client_of_small_pages())
            return None
        window = newest(self._times) if time_filter == "none" else around(self._times)
        if time_filter == "none" and window is not None:
            self.limits = [
                f"windows that begin before {format_time(oldest_start(self._times))} can't be proved any more"
            ]
        if window is None:
            self.unproved.append("it has too few rows to show that a window of it can be read")
            return None
        before = probe.state.server.requests
        whole = probe.read(self._client_of_small_pages(), window)
        if not whole and any(window.start <= time < window.end for time in self._times):
            return "Rows that it shows are missing from a window of their time."
        was_long = probe.state.server.requests - before > _ENOUGH
        if was_long or time_filter != "instant" or probe.endpoint.paging == "none" or probe.resource.name != "trades":
            return None  # what is read by many requests is read in parts anyhow
        client = probe.client()
        parts = [key for half in halves(window) for key in probe.read(client, half)]
        return None if whole == parts else "A window of it has other rows than its two halves."

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

"""Run an export: check what is asked for, read it, and commit all of it or nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from datetime import datetime
from itertools import chain
from typing import Any, TypeAlias

from hyperoru_provider.client import HyperoruClient
from hyperoru_provider.client.api.resources import RESOURCES
from hyperoru_provider.client.lists.readers import SpacingCheck
from hyperoru_provider.client.lists.rows import Row, Rows
from hyperoru_provider.client.lists.window_reader import WindowReader
from hyperoru_provider.export.checkpoint import ExportState
from hyperoru_provider.export.destinations import Destination
from hyperoru_provider.export.fetch import fetch
from hyperoru_provider.export.manifest import ExportSpec
from hyperoru_provider.export.on_empty import WHAT_TO_LOOK_AT, check_empty
from hyperoru_provider.export.progress import Progress
from hyperoru_provider.params import arguments
from hyperoru_provider.params.window import Window

log = logging.getLogger(__name__)

#: reads the rows that are not in an earlier try's parts, in order, and counts pages
ReadRows: TypeAlias = Callable[[ExportState, Progress], Iterable[Rows]]


def export_list(
    client: HyperoruClient,
    resource: str,
    window: Window | None,
    filters: Mapping[str, Any],
    destination: Destination,
    *,
    concurrency: int | None = None,
    on_empty: str | None = None,
    as_of: datetime | None = None,
) -> Any:
    """Export the rows of a list, each once and none missing, or nothing at all.

    :param client: asks the server.
    :param resource: the list, one of :data:`~hyperoru_provider.client.api.resources.RESOURCES`.
    :param window: the rows' time; ``None`` for a list without a window.
    :param filters: what else limits the rows, by name; ``None`` values don't.
    :param destination: where the rows go.
    :param concurrency: how many requests to send at the same time, at least 1; ``None`` to find the best number, up to
        32.
    :param on_empty: what to do with a list without rows; see :func:`export_rows`.
    :param as_of: when reading began, where several lists are read as one; ``None``: now, for a list without a key.
    :return: what the destination makes of it, or ``None`` for no rows where ``on_empty`` is ``skip``.
    :raises HyperoruConfigError: the list, the window, a filter or the destination is wrong. Nothing was asked.
    :raises HyperoruContractError: the server's answers can't be proved right and complete, or are empty where that
        is an error. Nothing was committed.
    :raises HyperoruApiError: the server refused a request or could not be reached. Nothing was committed.
    """
    start, end = (window.start, window.end) if window else (None, None)
    readers = client.list_readers(resource, start, end, filters, mask=True, as_of=as_of)
    first = next(readers)
    row = RESOURCES[resource]
    spec = ExportSpec(resource, window, filters, row.model, first.endpoint, client.user, as_of or first.as_of)

    reading = ExitStack()  # no further request is sent where the rows can't be written

    def read(state: ExportState, progress: Progress) -> Iterable[Rows]:
        if window is not None:
            progress.cover(window)
        rest = _after(state.last, chain([first], readers))
        rows = fetch(client, rest, concurrency, progress, state.keys, prepare=destination.prepare)
        reading.enter_context(closing(rows))
        return rows if row.spacing is None else SpacingCheck(row, filters).record(rows)

    with client.explaining(first.endpoint), reading:
        return export_rows(spec, read, destination, on_empty=on_empty)


def _after(last: Row | None, readers: Iterable[WindowReader]) -> Iterator[WindowReader]:
    """Yield readers of those rows that come after one of them, of readers in order; ``None`` for all rows."""
    for reader in readers:
        if last is None:
            yield reader
        elif not reader.ends_by(last.time):
            yield reader.after(last)


def export_rows(spec: ExportSpec, read: ReadRows, destination: Destination, *, on_empty: str | None = None) -> Any:
    """Export rows from wherever they come, all of them or none.

    :param spec: what they are.
    :param read: reads them, after the destination was opened.
    :param destination: where they go.
    :param on_empty: what to do with an export without rows. ``None``: a success, but an error where it would take
        away the rows of an earlier one of the same window and filters. ``succeed``: a success in any case. ``skip``:
        nothing is committed, and an error where ``None`` is one. ``fail``: an error in any case.
    :return: what the destination makes of them, or ``None`` for no rows where ``on_empty`` is ``skip``.
    """
    state = destination.open(spec)
    progress = Progress()
    if state.last is not None:
        progress.resume(state.rows, state.first, state.last.time)
    destination.write(progress.record(read(state, progress)))
    if not progress.rows:
        _check_empty(spec, destination, on_empty)
        if on_empty == "skip":
            return None
    result = destination.commit(progress)
    progress.finish(destination.describe(spec.describe(progress.rows)))
    return result


def _check_empty(spec: ExportSpec, destination: Destination, on_empty: str | None) -> None:
    """Raise if an export without rows is an error, and warn if it may be a wrong one.

    :raises HyperoruContractError: it is an error.
    """
    earlier = destination.earlier()
    check_empty(spec, earlier.replaced, on_empty)
    found = f"The server has {spec.describe(0)}"
    if hint := arguments.case_hint(spec.filters.get("symbol") or spec.filters.get("symbols")):
        log.warning("%s.%s", found, hint)
    if not earlier.of_resource:
        log.warning("%s, and no earlier rows are known there. %s", found, WHAT_TO_LOOK_AT)

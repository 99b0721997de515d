"""One reading of a span: which rows its pages hold, and what proves them right. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Protocol

from hyperoru_provider.client.api.endpoints import ListEndpoint
from hyperoru_provider.client.decoding import canonical
from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.lists.page import FieldExtractor, Page
from hyperoru_provider.client.lists.paginator import Course, UnsteadyError
from hyperoru_provider.client.lists.rows import Key, Row, Span
from hyperoru_provider.client.times import format_time, parse_time, parse_times


class Bulk(Protocol):
    """Reads all pages of a list at once."""

    def read(self, pages: list[Page], span: Span) -> Sequence[Row] | None:
        """Give the rows inside the window, in order; ``None`` if anything at all is odd about one of them."""


class Reading:
    """A span's rows, each once, as its pages come.

    With ``bulk``, pages are only counted until the end, and then read at once. If anything is odd by then, they are
    gone through again, row by row, as without it.

    :param span: what is asked for.
    :param picker: reads the rows' key, time and verified_fields.
    :param start: begins the way through the list.
    :param bulk: reads all pages at once.
    :param bulk_rows: rows to read at once at most.
    """

    def __init__(
        self, span: Span, picker: FieldExtractor, start: Callable[[Span], Course], bulk: Bulk | None, bulk_rows: int
    ) -> None:
        self.span = span
        self.course = start(span)
        self._start = start
        self._bulk = bulk
        self._bulk_rows = bulk_rows
        self._pages: list[Page] = []
        self._checks = RowChecks(span, picker)
        #: the rows in the window
        self.rows: Sequence[Row] = self._checks.rows
        #: rows in the window that the list showed without a page number, and the first page had not
        self.besides: Sequence[Row] = ()

    def accept(self, page: Page) -> None:
        """Check a page, keep its rows that are new and inside the window, and move on.

        :raises HyperoruContractError: the page proves that rows would be lost, doubled or changed.
        """
        if self._bulk is not None:
            self._pages.append(page)
            if self._in_bulk(page, self._bulk):
                return
            self._bulk = None
            self.course = self._start(self.span)
            for earlier in self._pages:
                self._by_row(earlier)
        elif self.course.unnumbered:
            self._compare_unnumbered(page)
        else:
            self._by_row(page)

    def _in_bulk(self, page: Page, bulk: Bulk) -> bool:
        """Move on as if all rows were right, and read them at the end; gives whether nothing odd was found."""
        course = self.course
        try:
            course.check_size(page)
            course.advance(page, new=len(page.texts), inside=0)
        except HyperoruContractError:
            return False
        if course.unnumbered:
            return False
        if not course.ended:
            return max(course.total or 0, course.seen) <= self._bulk_rows
        rows = bulk.read(self._pages, self.span)
        if rows is None:
            return False
        self.rows = rows
        return True

    def _by_row(self, page: Page) -> None:
        self.course.check_size(page)
        new = self._checks.add(page)
        self.course.advance(page, new=new, inside=len(self.rows))

    def _compare_unnumbered(self, page: Page) -> None:
        """Compare how the list begins without a page number with the page that was taken for its first."""
        self.course.unnumbered = False
        new, self.besides = self._checks.new(page)
        if page.texts and new == len(page.texts):
            raise UnsteadyError(
                f"Without a page number the list begins with other rows than on page {self.course.first_page}. If "
                "the server counts its pages from 0, set the contract's first_page to 0."
            )


@dataclass
class RowChecks:
    """Checks rows against what was asked, and keeps those in the window.

    :param span: what was asked for.
    :param picker: reads the rows' key, time and verified_fields.
    """

    span: Span
    picker: FieldExtractor

    def __post_init__(self) -> None:
        self._endpoint = self.span.endpoint
        self._seen: dict[Key, bytes] = {}
        self.rows: list[Row] = []

    def add(self, page: Page) -> int:
        """Check a page's rows, and keep those that are new and inside the window; gives how many are new.

        :raises HyperoruContractError: a row is not what was asked for, or has no key or time.
        """
        before = len(self._seen)
        rows = self._all_new(page)
        if rows is None:  # something is odd: find out what, row by row
            rows = [row for raw in page.rows if (row := self._new(raw))]
        start, end = self.span.start, self.span.end
        if rows and not (start <= min(map(_time, rows)) and max(map(_time, rows)) < end):
            rows = [row for row in rows if start <= row.time < end]
        self.rows += rows
        return len(self._seen) - before

    def new(self, page: Page) -> tuple[int, list[Row]]:
        """Check a page's rows, and give how many are new, and those of them inside the window, but keep none."""
        checks = RowChecks(self.span, self.picker)
        checks._seen = dict(self._seen)
        return checks.add(page), checks.rows

    def _all_new(self, page: Page) -> list[Row] | None:
        """Check all rows of a page at once against what was asked; ``None`` if not all of them are new and right."""
        columns = self.picker.columns(page)
        if not columns or not page.texts:
            return None
        parts = len(self._endpoint.key)
        first, last = self.span.slack
        keys = list(zip(*columns[:parts], strict=True))
        try:
            times = parse_times(columns[parts])
            fresh = dict(zip(keys, page.rows, strict=True))
            right = (
                all(set(map(type, part)) <= {int, str} and "" not in part for part in columns[:parts])
                and len(fresh) == len(keys)
                and self._seen.keys().isdisjoint(fresh)
                and first <= min(times)
                and max(times) <= last
                and all(
                    self.span.verified_fields(field, sent)
                    for field, column in zip(self._endpoint.verified_fields, columns[parts + 1 :], strict=True)
                    for sent in set(column)
                )
            )
        except (ValueError, TypeError, KeyError):
            return None
        if not right:
            return None
        self._seen.update(fresh)
        return list(map(Row, times, keys, page.rows))

    def _new(self, raw: bytes) -> Row | None:
        """Check a row against what was asked; ``None`` if it was seen before."""
        data = canonical(raw, self._endpoint)
        key = tuple(self._part(data, field) for field in self._endpoint.key)
        known = self._seen.get(key)
        if known is not None:
            if known != raw and canonical(known, self._endpoint) != data:
                raise HyperoruContractError(
                    f"The key {_named(self._endpoint, key)} came twice, with other content. If more fields are "
                    "needed to tell such rows apart, name them in the contract's key."
                )
            return None
        self._seen[key] = raw
        named = _named(self._endpoint, key)
        try:
            moment = parse_time(data.get(self._endpoint.time))
        except ValueError as error:
            raise HyperoruContractError(
                f"The row {named} has no usable {self._endpoint.time}: {error}. Correct the contract's time and fields."
            ) from None
        first, last = self.span.slack
        if not first <= moment <= last:
            raise HyperoruContractError(
                f"The row {named} is of {format_time(moment)}, but {format_time(self.span.start)} to "
                f"{format_time(self.span.end)} was asked for: the server seems to ignore its time filter. Correct the "
                "contract's params start and end; if it filters by whole days, set its time_filter to 'day'."
            )
        for field in self._endpoint.verified_fields:
            if not self.span.verified_fields(field, data.get(field)):
                raise HyperoruContractError(
                    f"The row {named} has {field} {data[field]}, but {self.span.filters[field]} was asked for: the "
                    f"server seems to ignore this filter. Correct the contract's params {field}."
                )
        return Row(moment, key, raw)

    def _part(self, data: Mapping[str, Any], field: str) -> int | str:
        value = data.get(field)
        if value is None or value == "" or isinstance(value, (dict, list)):
            raise HyperoruContractError(
                f"A row has no {field}, which the contract names as its key: "
                f"its fields are {', '.join(data)}. Correct the contract's key or fields."
            )
        return value if type(value) is int else str(value)


_time = attrgetter("time")


def _named(endpoint: ListEndpoint, key: Key) -> str:
    return ", ".join(f"{field}={value}" for field, value in zip(endpoint.key, key, strict=True))

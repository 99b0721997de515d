"""What strangers send or damage, as pure functions of bytes: each raises if what comes of them is not documented."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
from upath import UPath

from hyperoru_provider.client import calls
from hyperoru_provider.client.amounts import parse_amount
from hyperoru_provider.client.api.contract import Contract, load_contract
from hyperoru_provider.client.api.endpoints import WindowedEndpoint
from hyperoru_provider.client.api.resources import RESOURCES
from hyperoru_provider.client.backfills import Backfill
from hyperoru_provider.client.decoding import NOT_JSON, canonical
from hyperoru_provider.client.errors import HyperoruError, from_status
from hyperoru_provider.client.escaping import storable
from hyperoru_provider.client.http.auth import SessionAuth
from hyperoru_provider.client.http.body import Reply
from hyperoru_provider.client.http.library import httpx
from hyperoru_provider.client.http.retry import RetryPolicy, parse_retry_after
from hyperoru_provider.client.http.tokens import Credentials, can_be_token
from hyperoru_provider.client.lists.checks import FieldExtractor, Fields, RowCollector
from hyperoru_provider.client.lists.page import PAST_THE_END, Page, parse_page
from hyperoru_provider.client.lists.readers import list_reader
from hyperoru_provider.client.lists.rows import Row, Rows, TimeSlice
from hyperoru_provider.client.stream.event_filter import EventFilter
from hyperoru_provider.client.stream.messages import EventReader, read_message, read_refusal, server_channels
from hyperoru_provider.client.times import (
    TimeFormat,
    interval_length,
    parse_moment,
    parse_time,
    parse_times,
    write_time,
)
from hyperoru_provider.export.checkpoint import FileStateStore, ResumableExportState
from hyperoru_provider.export.columns import ColumnSchema
from hyperoru_provider.export.directory import MANIFEST, ExportDirectory
from hyperoru_provider.export.formats.arrow_tables import ArrowTableBuilder, read_one_by_one
from hyperoru_provider.export.formats.csv import CsvEncoder
from hyperoru_provider.waiting.event_summary import EventBatch, summarize
from tests.exports import committed
from tests.fuzz.outcomes import check_error, check_storable, documented

START, END = datetime(2026, 1, 15, tzinfo=UTC), datetime(2026, 1, 16, tzinfo=UTC)
SECRET = "tok-5ecret-0f-the-fuzzer"
FINGERPRINT = {"export": "fuzzed"}
PART_ROWS = b'{"trade_id":1}\n{"trade_id":2}\n'
_FORMATS: tuple[TimeFormat, ...] = ("iso", "seconds", "milliseconds")
_FILTERS: Mapping[str, Mapping[str, Any]] = {
    "orders": {"account_id": 1},
    "klines": {"symbol": "BTC", "interval": "1m"},
    "trades": {"account_id": 1},
}
_CONTRACTS = (
    load_contract(),
    load_contract(
        {
            "trades": {"paging": "cursor", "time_format": "milliseconds", "key": ["trade_id", "symbol"]},
            "traders": {"paging": "offset", "page_size": 2},
        }
    ),
)
_CREDENTIALS = Credentials("https://hyperoru.example", "me", SECRET)
_STATUSES = (302, 400, 401, 404, 407, 418, 422, 429, 503)


def answers(data: bytes) -> None:
    """Read an answer's body as that of each list, call, login and error."""
    for contract in _CONTRACTS:
        for resource in RESOURCES:
            with documented():
                _read_list(contract, resource, data)
    contract = _CONTRACTS[0]
    wanted = Backfill("BTC", "1m", START, END)
    for call in (
        calls.health(contract),
        calls.profile(contract),
        calls.price(contract, "BTC"),
        calls.backfill_job(contract, 7),
        calls.backfill_klines(contract, wanted),
    ):
        with documented():
            check_storable(storable(calls.dumped(call.read(data))))
    for status in _STATUSES:
        error = from_status(status, {}, data, method="GET", path="/x")
        assert error.status == status
        check_error(error)
    with documented():
        _log_in(contract, data)


def _read_list(contract: Contract, resource: str, body: bytes) -> None:
    """Read a list whose first page is the body, and whose others are empty, and write its rows in each format."""
    filters = _FILTERS.get(resource, {})
    start, end = (START, END) if RESOURCES[resource].windowed else (None, None)
    reader = list_reader(contract, resource, start, end, filters)
    page = parse_page(body, reader.endpoint)
    time_slice = TimeSlice(reader.endpoint, filters, start, end)
    with documented():  # what is not looked at, such as a number of 5,000 digits, need not be readable
        _ = [canonical(row, reader.endpoint) for row in page.rows]
        assert _collected(time_slice, page, FieldExtractor) == _collected(time_slice, page, _BlindExtractor)
    reader.query()
    rows = [*reader.accept(page)]
    for _ in range(30):
        if reader.query() is None:
            break
        rows += reader.accept(PAST_THE_END)
    if rows:
        _write_rows(contract, resource, rows, filters)


def _collected(time_slice: TimeSlice, page: Page, extractor: type[FieldExtractor]) -> object:
    """Return the rows that are taken from a page, or the class of error that refuses them."""
    collector = RowCollector(time_slice, extractor(time_slice.endpoint, time_slice.filters))
    try:
        collector.add(page)
    except HyperoruError as error:
        check_error(error)
        return type(error)
    return collector.rows.times, collector.rows.keys, [*map(bytes, collector.rows.texts)]


class _BlindExtractor(FieldExtractor):
    """Leaves all rows to be looked at one by one."""

    def read(self, page: Page) -> Fields | None:
        return None


def _write_rows(contract: Contract, resource: str, rows: list[Row], filters: Mapping[str, Any]) -> None:
    batch = Rows([row.time for row in rows], [row.key for row in rows], [row.raw for row in rows])
    schema = ColumnSchema(RESOURCES[resource].model, contract.lists[resource])
    with documented():
        for model in calls.models(contract, resource, rows, filters):
            check_storable(storable(calls.dumped(model)))
    with documented(), tempfile.TemporaryFile() as file, CsvEncoder(schema, "none").open(file) as append:
        append([batch])
    arrow = ArrowTableBuilder(schema)
    assert _table(lambda: arrow.prepare(batch)) == _table(lambda: read_one_by_one(schema, arrow.schema, batch))


def _table(read: Callable[[], Any]) -> object:
    """Return what rows are as a table, or the class of error that says why they are none."""
    try:
        table = read()
    except HyperoruError as error:
        check_error(error)
        return type(error)
    table.validate(full=True)
    return table.to_pylist()


def _log_in(contract: Contract, body: bytes) -> None:
    tokens: list[str] = []
    flow = SessionAuth(_CREDENTIALS, contract.login, httpx.Request, (), tokens.append).sync_login_flow()
    next(flow)
    try:
        flow.send(Reply(200, httpx.Headers(), body))
    except StopIteration:
        (token,) = tokens
        assert can_be_token(token)


def frames(data: bytes) -> None:
    """Read a message of the stream as answer, refusal and events."""
    with documented():
        message = read_message(data)
        refusal = read_refusal(message, [SECRET])
        if refusal is not None:
            assert all(text.isprintable() and SECRET not in text for text in refusal)
        channels = server_channels(_CONTRACTS[0], _CONTRACTS[0].stream.channels)
        events = EventReader(_CONTRACTS[0], channels).read(message, START)
        batch = EventBatch(frozenset(channels.values()))
        for event in events:
            assert event.time.tzinfo is UTC and event.time <= START + timedelta(minutes=1)
            batch.add(event)
        for event_filter in (*map(EventFilter, channels.values()), EventFilter("trades", 1, "BTC", "BUY", 1)):
            if summary := summarize(event_filter, batch):
                check_storable(storable(summary.merge(summary).as_dict()))


def retry_after(data: bytes) -> None:
    """Read a ``Retry-After`` header."""
    pause = parse_retry_after(data.decode("latin-1"), START)
    error = from_status(503, {}, b"", method="GET", path="/x", retry_after=pause)
    check_error(error)
    policy = RetryPolicy()
    wait = policy.wait(error, attempts=1, elapsed=0, idempotent=True, jitter=1)
    assert wait is not None and policy.initial_delay <= wait <= policy.max_delay * 1.25


def times(data: bytes) -> None:
    """Read a time, an amount and an interval, as text and as the JSON value that it may be."""
    values: list[object] = [data.decode(errors="replace")]
    try:
        values.append(msgspec.json.decode(data, strict=True))
        values.append(msgspec.json.Decoder(float_hook=Decimal).decode(data))
    except NOT_JSON:
        pass
    for value in values:
        for time_format in _FORMATS:
            _read_time(value, time_format)
        with documented():
            assert parse_moment("start", value).tzinfo is UTC
        with documented(ValueError):
            amount = parse_amount(value)
            assert Decimal(f"{amount:f}") == amount
        if isinstance(value, str):
            with documented():
                assert interval_length(value) > timedelta(0)


def _read_time(value: object, time_format: TimeFormat) -> None:
    try:
        moment: datetime | None = parse_time(value, time_format)
    except ValueError:
        moment = None
    if moment is not None:
        assert type(moment) is datetime and moment.tzinfo is UTC
        whole = moment.replace(microsecond=0)
        assert parse_time(write_time(whole, time_format), time_format) == whole
    with documented(ValueError, TypeError):
        found = parse_times([value, value], time_format)
        assert found == [moment, moment]
        return
    assert moment is None or not isinstance(value, str)


def contract(data: bytes) -> None:
    """Load overrides of the contract, and ask with them."""
    try:
        overrides = json.loads(data)
    except (ValueError, RecursionError):
        return
    with documented():
        loaded = load_contract(overrides)
        dumped = loaded.model_dump(mode="json")
        assert load_contract({**dumped, **dumped.pop("lists")}) == loaded
        for endpoint in (loaded.health, loaded.login, loaded.profile, loaded.backfill, loaded.stream):
            _check_path(endpoint.path)
        with documented():
            _check_path(calls.backfill_job(loaded, "../7").request.path)
        for resource, endpoint in loaded.lists.items():
            _ask_for_list(loaded, resource, windowed=isinstance(endpoint, WindowedEndpoint))


def _ask_for_list(loaded: Contract, resource: str, *, windowed: bool) -> None:
    with documented():
        start, end = (START, END) if windowed else (None, None)
        reader = list_reader(loaded, resource, start, end, _FILTERS.get(resource, {}))
        query = reader.query()
        assert query is not None
        target = reader.endpoint.target(query)
        _check_path(target.path)
        reader.accept(parse_page(b"[]", reader.endpoint))


def _check_path(path: str) -> None:
    """Fail if a path of the contract leads to another host, or is none."""
    with documented(httpx.InvalidURL):
        url = httpx.URL(f"https://hyperoru.example{path}")
        assert (url.host, url.query, url.fragment) == ("hyperoru.example", b"", "")


def manifests(data: bytes) -> None:
    """Export to a directory that has these bytes for a manifest."""
    with _directory() as where:
        (where / MANIFEST).write_bytes(data)
        with documented():
            directory = ExportDirectory(UPath(where))
            assert type(directory.committed_rows) is int
            _commit_one_part(directory, where)


def checkpoints(data: bytes) -> None:
    """Resume an export whose state is these bytes: it goes on after all that was written, or starts over."""
    resumed_parts(data)


def resumed_parts(data: bytes) -> int:
    """Return after how many parts an export goes on whose state is these bytes, once it has ended well."""
    with _directory() as where:
        directory = ExportDirectory(UPath(where))
        part = directory.add(io.BytesIO(PART_ROWS), "part-00000.jsonl", 2)
        directory.write_temporary(f"keys-{part.sha256[:16]}", bytes.fromhex(part.sha256) + bytes(16))
        directory.write_temporary("hyperoru_export.json", data)
        state = ResumableExportState(directory, FileStateStore(directory), FINGERPRINT)
        found = len(state.parts)
        assert [part] * found == state.parts
        assert bool(found) == (state.last is not None)
        added = directory.add(io.BytesIO(b'{"trade_id":3}\n'), f"part-{found:05d}.jsonl", 1)
        state.add(added, Row(START, 3, b""), Row(START, 3, b""))
        directory.commit({"rows": state.rows}, state.parts)
        files = committed(where)
        assert sum(text.count(b"\n") for name, text in files.items() if name != MANIFEST) == state.rows
        return found


def _commit_one_part(directory: ExportDirectory, where: Path) -> None:
    part = directory.add(io.BytesIO(PART_ROWS), "part-00000.jsonl", 2)
    directory.commit({"rows": 2}, [part])
    assert set(committed(where)) == {MANIFEST, "part-00000.jsonl"}


@contextmanager
def _directory() -> Iterator[Path]:
    """Yield a directory of its own for an input."""
    with tempfile.TemporaryDirectory(prefix="hyperoru-fuzz-") as where:
        yield Path(where)


def saved_state() -> bytes:
    """Return the state of an export which has closed the part that :func:`checkpoints` finds."""
    with _directory() as where:
        directory = ExportDirectory(UPath(where))
        state = ResumableExportState(directory, FileStateStore(directory), FINGERPRINT)
        first, last = Row(START, 1, b""), Row(START + timedelta(seconds=1), 2, b"")
        state.add(directory.add(io.BytesIO(PART_ROWS), "part-00000.jsonl", 2), first, last)
        return directory.read_temporary("hyperoru_export.json") or b""


TARGETS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each for each in (answers, frames, retry_after, times, contract, manifests, checkpoints)
}

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hyperoru_provider.client import HyperoruClient
from hyperoru_provider.client.api.contract import load_contract
from hyperoru_provider.client.errors import HyperoruConfigError, HyperoruContractError, HyperoruServerError
from hyperoru_provider.client.http.concurrency import ConcurrencyController, Flight
from hyperoru_provider.client.http.retry import RetryPolicy
from hyperoru_provider.client.lists.duplicates import DuplicateDetector
from hyperoru_provider.client.lists.rows import Key, Rows
from hyperoru_provider.client.lists.window_reader import WindowReader
from hyperoru_provider.export.destinations.xcom import XComDestination
from hyperoru_provider.export.fetch import fetch
from hyperoru_provider.export.progress import Progress
from hyperoru_provider.export.run import export_list
from hyperoru_provider.params.window import Window
from hyperoru_provider.sandbox import Sandbox
from tests.conftest import FAST

START = datetime(2026, 1, 15, tzinfo=UTC)
END = START + timedelta(hours=1)
Make = Callable[..., HyperoruClient]

ROWS = [
    {
        "trade_id": number,
        "account_id": 1,
        "symbol": "BTC",
        "side": "BUY",
        "price": 1.5,
        "quantity": 2,
        "trade_time": (START + timedelta(seconds=number // 5)).isoformat(),
    }
    for number in range(3000)
]


@pytest.fixture
def sandbox() -> Any:
    with Sandbox(rows=ROWS) as running:
        yield running


def reader(slice_rows: int = 200, *, end: datetime = END, **trades: Any) -> WindowReader:
    endpoint = load_contract({"trades": {"page_size": 50, **trades}}).trades
    return WindowReader(endpoint, START, end, {}, slice_rows)


def ids(batches: Iterable[Rows]) -> list[Key]:
    return [key for rows in batches for key in rows.keys]


def call_with_slices(monkeypatch: pytest.MonkeyPatch, client: HyperoruClient, call: Callable[[Rows], None]) -> None:
    """Have something called with every slice, in the thread that has read it, before anyone else has it."""
    read_page = client.read_page

    def read(*args: Any, **options: Any) -> Rows:
        if rows := read_page(*args, **options):
            call(rows)
        return rows

    monkeypatch.setattr(client, "read_page", read)


@pytest.mark.parametrize("concurrency", [1, 2, 8])
@pytest.mark.parametrize("total", ["right", "none"])
@pytest.mark.parametrize("slice_rows", [200, 100_000])
def test_the_rows_are_those_of_one_reader(
    client_of: Make, sandbox: Sandbox, concurrency: int, total: str, slice_rows: int
) -> None:
    sandbox.set_faults(total=total, latency=0.005)
    assert ids(fetch(client_of(sandbox), [reader(slice_rows)], concurrency)) == list(range(3000))
    assert sandbox.stats()["max_in_flight"] <= concurrency


@pytest.mark.parametrize("paging", ["offset", "cursor", "none"])
def test_any_paging_is_read_at_once(client_of: Make, sandbox: Sandbox, paging: str) -> None:
    sandbox.set_faults(paging=paging, latency=0.01, **({"cap": 100, "total": "none"} if paging == "none" else {}))
    batches = fetch(client_of(sandbox), [reader(paging=paging, page_size=None if paging == "none" else 50)], 4)
    assert ids(batches) == list(range(3000))
    assert sandbox.stats()["max_in_flight"] > 1


@pytest.mark.parametrize("concurrency", [1, 8])
def test_every_page_is_counted(client_of: Make, sandbox: Sandbox, concurrency: int) -> None:
    progress = Progress()
    assert len(ids(fetch(client_of(sandbox), [reader()], concurrency, progress))) == 3000
    assert progress.pages == sandbox.stats()["requests"] - 1  # the login


@pytest.mark.parametrize("slice_rows", [200, 100_000])
def test_the_rest_of_a_window_is_what_comes_after_a_row(client_of: Make, sandbox: Sandbox, slice_rows: int) -> None:
    client = client_of(sandbox)
    rows = [row for batch in fetch(client, [reader(slice_rows)], 4) for row in batch]
    for number in (0, 1, 4, 1234, 2998, 2999):
        rest = fetch(client, [reader(slice_rows).after(rows[number])], 4)
        assert ids(rest) == list(range(number + 1, 3000))


def test_latency_is_shared(client_of: Make, sandbox: Sandbox) -> None:
    sandbox.set_faults(latency=0.03)
    took = {}
    for concurrency in (1, 8):
        begun = time.monotonic()
        assert len(ids(fetch(client_of(sandbox), [reader()], concurrency))) == 3000
        took[concurrency] = time.monotonic() - begun
    assert took[8] < took[1] / 1.5
    assert sandbox.stats()["max_in_flight"] >= 4


def test_a_higher_level_is_used_before_the_first_slice_has_ended(
    client_of: Make, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else many slices would wait for the slowest one, whatever level was found."""
    crowd = threading.Event()

    class Climbing(ConcurrencyController):
        @property
        def level(self) -> int:
            return 2 if self._ended < 10 else 8

        _ended = 0

        def end(self, flight: Flight, now: float, *, refused: bool | None) -> None:
            self._ended += 1
            super().end(flight, now, refused=refused)

    def count(rows: Rows) -> None:
        held.append(rows)
        if len(held) >= 8:
            crowd.set()
        if rows.keys[0] == 0:
            assert crowd.wait(60), "no further slice was read while the first one was under way"

    held: list[Rows] = []
    monkeypatch.setattr("hyperoru_provider.export.fetch.ConcurrencyController", Climbing)
    full = reader(end=START + timedelta(minutes=10))
    client = client_of(sandbox)
    call_with_slices(monkeypatch, client, count)
    assert ids(fetch(client, [full], None)) == list(range(3000))


def test_parts_that_are_too_large_are_divided_before_the_first_slice_has_ended(
    client_of: Make, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else only the parts of one would be under way where a busy time fills them all: these rows fill a sixth."""
    sandbox.set_faults(total="right")
    beyond = threading.Event()

    def hold_the_first(rows: Rows) -> None:
        if set(rows.keys) & set(range(945, 1890)):  # of the second of nineteen parts
            beyond.set()
        elif rows.keys[0] == 0:
            assert beyond.wait(30), "the second part was not read while the first one was under way"

    client = client_of(sandbox)
    call_with_slices(monkeypatch, client, hold_the_first)
    assert ids(fetch(client, [reader()], 8)) == list(range(3000))


def test_nothing_is_an_answer(client_of: Make) -> None:
    with Sandbox(rows=[]) as empty:
        assert ids(fetch(client_of(empty), [reader()], 4)) == []


def test_a_failure_ends_it_all(client_of: Make, sandbox: Sandbox) -> None:
    client = client_of(sandbox)
    batches = fetch(client, [reader()], 4)
    next(batches)
    sandbox.set_faults(error_rate=1.0)
    with pytest.raises(HyperoruServerError):
        list(batches)


def test_a_reader_that_stops_stops_the_requests(client_of: Make, sandbox: Sandbox) -> None:
    sandbox.set_faults(latency=0.02)
    batches = fetch(client_of(sandbox), [reader()], 4)
    next(batches)
    assert isinstance(batches, Generator)
    batches.close()
    asked = sandbox.stats()["requests"]
    time.sleep(0.2)
    assert sandbox.stats()["requests"] == asked


@pytest.mark.parametrize("fault", ["error_rate", "rate_limit_rate"])
def test_a_timeout_waits_for_no_thread_that_would_ask_again(
    client_of: Make, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    """Airflow's ``execution_timeout`` is such a signal; asking again may take ten minutes."""
    patient = client_of(sandbox, retry_policy=RetryPolicy(max_retries=1, initial_delay=60.0))
    batches = fetch(patient, [reader()], 4)
    next(batches)
    timed_out: list[float] = []

    class TimeOut(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "Retrying" in record.getMessage() and not timed_out:
                timed_out.append(time.monotonic())
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    def time_out(*_: object) -> None:
        raise TimeoutError

    handler, logger = TimeOut(), logging.getLogger("hyperoru_provider.client.http.transport")
    caplog.set_level("INFO", logger.name)
    logger.addHandler(handler)
    sandbox.set_faults(**{fault: 1.0})
    before = signal.signal(signal.SIGUSR1, time_out)
    try:
        with pytest.raises(TimeoutError):
            list(batches)
    finally:
        signal.signal(signal.SIGUSR1, before)
        logger.removeHandler(handler)
    assert time.monotonic() - timed_out[0] < 60


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # of a thread that just starts
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_at_any_moment_ends_it_all(client_of: Make, sandbox: Sandbox) -> None:
    """What a signal's handler raises comes between any two steps, also where a lock was just taken."""
    client, steps, last = client_of(sandbox), 1, 1

    def step(_: object, event: str, __: object) -> None:
        nonlocal steps
        steps += event in ("call", "c_return")  # where Python looks for signals
        if steps == last:
            sys.setprofile(None)
            raise TimeoutError

    def read() -> None:
        window, detector = reader(end=START + timedelta(minutes=2)), DuplicateDetector()
        batches = fetch(client, [window], None, detector=detector, prepare=len)
        with suppress(TimeoutError, RuntimeError):  # where a thread starts, Python may have released its lock before
            try:
                sys.setprofile(step)
                list(batches)
            finally:
                sys.setprofile(None)

    while steps >= last:
        last += 1 + last // 60  # most locks are taken at the beginning
        steps = 0
        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        thread.join(60)
        assert not thread.is_alive(), f"step {last}"
    assert last > 300
    asked = sandbox.stats()["requests"]
    time.sleep(0.2)
    assert sandbox.stats()["requests"] == asked


def test_rows_that_can_not_be_written_end_the_requests(client_of: Make) -> None:
    rows = [{**row, "trade_id": number} for number, row in enumerate(row for row in ROWS for _ in range(3))]
    with Sandbox(rows=rows) as large:
        client = client_of(large)
        large.set_faults(latency=0.02)
        with pytest.raises(HyperoruConfigError, match="max_xcom_bytes") as failed:
            export_list(client, "trades", Window(START, END), {}, XComDestination(1000), concurrency=2)
        asked = large.stats()["requests"]
        time.sleep(0.3)
        assert large.stats()["requests"] == asked
    assert failed.tb  # all that its frames hold is there still, as where a task logs it


def test_faults_are_mended_and_a_429_slows_everyone(client_of: Make, sandbox: Sandbox) -> None:
    sandbox.set_faults(error_rate=0.2, rate_limit_rate=0.1, drop_rate=0.05)
    client = client_of(sandbox, retry_policy=replace(FAST, max_retries=30))
    assert ids(fetch(client, [reader()], 8)) == list(range(3000))
    assert sandbox.stats()["repeated_refusals"] == 0


def test_a_key_that_comes_at_two_times_is_an_error(client_of: Make) -> None:
    rows = [*ROWS, {**ROWS[0], "trade_time": ROWS[-1]["trade_time"]}]
    with Sandbox(rows=rows) as twice, pytest.raises(HyperoruContractError, match="different times"):
        list(fetch(client_of(twice), [reader()], 4))


def test_one_busy_minute_of_a_long_window_is_read_slice_by_slice(client_of: Make) -> None:
    rows = [
        {**ROWS[0], "trade_id": number, "trade_time": (START + timedelta(seconds=1800 + number // 100)).isoformat()}
        for number in range(3000)
    ]
    with Sandbox(rows=rows) as busy:
        batches = list(fetch(client_of(busy), [reader(200)], 4))
    assert ids(batches) == list(range(3000))
    assert max(map(len, batches)) <= 200

"""What the log tells of an export."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import pytest

from hyperoru_provider.client.lists.rows import Rows
from hyperoru_provider.export.progress import Progress
from hyperoru_provider.params.window import Window

START = datetime(2026, 1, 15, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(hours=10))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("hyperoru_provider.export.progress.time", clock)
    return clock


def rows(*hours: float) -> Rows:
    return Rows([START + timedelta(hours=hour) for hour in hours], [(1,)] * len(hours), [b""] * len(hours))


def covering(window: Window = WINDOW) -> Progress:
    progress = Progress()
    progress.cover(window)
    return progress


def test_a_long_export_logs_a_line_every_ten_seconds(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    caplog.set_level(logging.INFO)
    progress = covering()
    for batch in progress.record(rows(hour, hour + 0.5) for hour in range(10)):
        for _ in range(3):
            clock.now += 1.5
            progress.count_page(0, None)
        assert len(batch) == 2
    progress.finish("Exported 20 trades, to XCom")
    assert caplog.messages == [
        "6 rows, 7 pages, 0.6 rows/s so far, 25% of the window, about 32 s left",
        "10 rows, 14 pages, 0.5 rows/s so far, 45% of the window, about 26 s left",
        "14 rows, 21 pages, 0.4 rows/s so far, 65% of the window, about 17 s left",
        "20 rows, 28 pages, 0.5 rows/s so far, 95% of the window, about 2 s left",
        "Exported 20 trades, to XCom; 30 requests in 45.0 s",
    ]


def test_a_short_export_logs_its_result_alone(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    caplog.set_level(logging.INFO)
    progress = covering()
    for _ in progress.record([rows(1), rows(9)]):
        clock.now += 4.9
        progress.count_page(0, None)
    progress.finish("Exported 2 trades, to XCom")
    assert caplog.messages == ["Exported 2 trades, to XCom; 2 requests in 9.8 s"]


def test_rows_of_an_earlier_try_are_counted_and_not_timed(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    caplog.set_level(logging.INFO)
    progress = Progress()
    progress.resume(1000, START, START + timedelta(hours=5))
    progress.cover(WINDOW)
    clock.now += 10
    list(progress.record([rows(*[6] * 10)]))
    progress.count_page(0, None)
    progress.finish("Exported 1010 trades, to XCom")
    assert caplog.messages == [
        "1010 rows, 1.0 rows/s so far, 60% of the window, about 40 s left",
        "Exported 1010 trades, to XCom; 1 request in 10.0 s, after 1000 rows of an earlier try",
    ]
    assert (progress.first, progress.last) == (START, START + timedelta(hours=6))


def test_rows_without_a_time_have_no_share(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    caplog.set_level(logging.INFO)
    progress = Progress()
    clock.now += 10
    list(progress.record([Rows([None] * 12, [(1,)] * 12, [b""] * 12)]))
    progress.finish("Exported 12 orders, to XCom")
    assert caplog.messages == ["12 rows, 1.2 rows/s so far", "Exported 12 orders, to XCom; in 10.0 s"]
    assert progress.times() == {"first_time": None, "last_time": None}


@pytest.mark.parametrize(
    ("total", "told"),
    [
        (None, ""),
        (0, ""),
        (2500, ", 20% of 2500 rows, about 40 s left"),
        (500, ", 100% of 500 rows"),
        (499, ""),
        (10**6, ", 0% of 1000000 rows"),
    ],
)
def test_what_is_listed_and_not_proved_yet_is_measured_by_the_server_s_total(
    total: int | None, told: str, caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    caplog.set_level(logging.INFO)
    progress = Progress()
    clock.now += 10
    progress.count_page(500, total)
    assert caplog.messages == [f"500 rows listed, 1 pages, 50 rows/s so far{told}"]


def test_the_total_of_a_slice_says_nothing_of_a_window(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    caplog.set_level(logging.INFO)
    progress = covering()
    clock.now += 10
    progress.count_page(500, 1000)
    assert caplog.messages == ["500 rows listed, 1 pages, 50 rows/s so far"]


@pytest.mark.parametrize(
    ("hours", "left"),
    [(0.05, ""), (0.2, ", about 8 min left"), (5, ", about 10 s left"), (0.11, ", about 15 min left")],
)
def test_what_is_left_is_not_told_of_too_little(
    hours: float, left: str, caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    caplog.set_level(logging.INFO)
    progress = covering()
    clock.now += 10
    list(progress.record([rows(hours)]))
    assert caplog.messages[0].partition(" of the window")[2] == left


def test_an_export_of_days_is_told_in_hours(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    caplog.set_level(logging.INFO)
    progress = covering()
    clock.now += 3600
    list(progress.record([rows(2)]))
    assert caplog.messages == ["1 rows, 0.0 rows/s so far, 20% of the window, about 4.0 h left"]


def test_rows_that_are_written_are_counted(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    caplog.set_level(logging.INFO)
    progress = Progress()
    list(progress.record([rows(1, 2, 3, 4)]))
    for _ in progress.record_written([[1], [2], [3], [4]]):
        clock.now += 6
    assert caplog.messages == [
        "2 of 4 rows written, 0.2 rows/s so far, about 12 s left",
        "4 of 4 rows written, 0.2 rows/s so far",
    ]

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


def test_lines_come_every_few_seconds(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    caplog.set_level(logging.INFO)
    progress = Progress(WINDOW)
    for batch in progress.record(rows(hour, hour + 0.5) for hour in range(10)):
        progress.pages += 3
        clock.now += 2
        assert len(batch) == 2
    progress.finish("Exported 20 trades, to XCom")
    assert caplog.messages == [
        "8 rows, 9 pages, 1 rows/s so far, 35% of the window",
        "14 rows, 18 pages, 1 rows/s so far, 65% of the window",
        "20 rows, 27 pages, 1 rows/s so far, 95% of the window",
        "Exported 20 trades, to XCom; 30 requests in 20.0 s",
    ]


def test_rows_of_an_earlier_try_are_counted_and_not_timed(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    caplog.set_level(logging.INFO)
    progress = Progress(WINDOW)
    progress.resume(1000, START, START + timedelta(hours=5))
    list(progress.record([rows(*[6] * 10)]))
    progress.pages += 1
    clock.now += 10
    progress.finish("Exported 1010 trades, to XCom")
    assert caplog.messages == ["Exported 1010 trades, to XCom; 1 request in 10.0 s, after 1000 rows of an earlier try"]
    assert (progress.first, progress.last) == (START, START + timedelta(hours=6))


def test_rows_without_a_time_have_no_share(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    caplog.set_level(logging.INFO)
    progress = Progress()
    clock.now += 6
    list(progress.record([Rows([None] * 12, [(1,)] * 12, [b""] * 12)]))
    progress.finish("Exported 12 orders, to XCom")
    assert caplog.messages == ["12 rows, 2 rows/s so far", "Exported 12 orders, to XCom; in 6.0 s"]
    assert progress.times() == {"first_time": None, "last_time": None}

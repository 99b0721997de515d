from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import pytest

from hyperoru_provider.client.lists.rows import Row
from hyperoru_provider.export import progress as module
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
    monkeypatch.setattr(module, "time", clock)
    return clock


def row(hour: float) -> Row:
    return Row(START + timedelta(hours=hour), (1,), b"")


def test_lines_come_every_few_seconds(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    caplog.set_level(logging.INFO)
    progress = Progress(WINDOW)
    for span in progress.watch([row(hour), row(hour + 0.5)] for hour in range(10)):
        progress.pages += 3
        clock.now += 2
        assert len(span) == 2
    progress.finish()
    assert caplog.messages == [
        "8 rows, 9 pages, 1 rows/s so far, 35% of the window",
        "14 rows, 18 pages, 1 rows/s so far, 65% of the window",
        "20 rows, 27 pages, 1 rows/s so far, 95% of the window",
        "20 rows, 30 pages, 1 rows/s, in 20.0 s",
    ]


def test_rows_of_an_earlier_try_are_counted_and_not_timed(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    caplog.set_level(logging.INFO)
    progress = Progress(WINDOW)
    progress.resume(1000, START, START + timedelta(hours=5))
    list(progress.watch([[row(6)] * 10]))
    clock.now += 10
    progress.finish()
    assert caplog.messages == ["1010 rows, 1 rows/s, in 10.0 s"]
    assert (progress.first, progress.last) == (START, START + timedelta(hours=6))

"""What may come of bytes that anybody wrote: a value that can be kept, or a documented error, soon."""

from __future__ import annotations

import json
import math
import pickle
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hyperoru_provider.client.errors import HyperoruApiError, HyperoruError
from hyperoru_provider.waiting.payloads import failed

CPU_SECONDS = 1.0
PEAK_BYTES = 200_000_000
_LONGEST_TEXT = 17_000  # 4,000 characters, each escaped


@contextmanager
def documented(*classes: type[Exception]) -> Iterator[None]:
    """Take the package's own errors, and those of the given classes, for an outcome; any other error is a find."""
    try:
        yield
    except HyperoruError as error:
        check_error(error)
    except classes:
        pass


def check_error(error: HyperoruError) -> None:
    """Fail if an error can't be logged, stored, sent to another process, or told by a trigger."""
    text = str(error)
    assert text.isprintable() and len(text) <= _LONGEST_TEXT
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (type(error), text)
    check_storable(failed(error))
    if isinstance(error, HyperoruApiError) and error.retry_after is not None:
        assert error.retry_after >= 0 and not math.isnan(error.retry_after)


def check_storable(value: Any) -> None:
    """Fail if a value is no JSON that a database takes: PostgreSQL's refuses NUL and halves of characters."""
    text = json.dumps(value, allow_nan=False)
    assert "\\u0000" not in text.replace("\\\\", "")
    assert json.dumps(json.loads(text), allow_nan=False) == text
    json.dumps(value, ensure_ascii=False).encode()


def within_bounds(target: Callable[[bytes], None], data: bytes) -> None:
    """Run a target, and fail if it takes long each time, or much memory: a collection of garbage may fall into one."""
    before = _peak()
    assert any(_seconds(target, data) < CPU_SECONDS for _ in range(3))
    assert _peak() - before < PEAK_BYTES


def _seconds(target: Callable[[bytes], None], data: bytes) -> float:
    """Return how long a target takes by the clock of its own thread."""
    began = time.thread_time()
    target(data)
    return time.thread_time() - began


def _peak() -> int:
    """Return the most bytes of memory that this process had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

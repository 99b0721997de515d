"""Keeps out of the logs of httpcore and httpx what a server may repeat a token in: headers, and a status's reason."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_is_ours = ContextVar("hyperoru_request", default=False)


class _WithoutHeads(logging.Filter):
    """Drops what is said of the head of an answer to one of our requests; others use these libraries, too."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record may be written."""
        if not _is_ours.get():
            return True
        if record.name == "httpx" and isinstance(record.args, tuple):
            *told, _ = record.args  # the reason
            record.args = (*told, "")
        return "headers.complete return_value" not in record.getMessage()


_filter = _WithoutHeads()


@contextmanager
def without_heads() -> Iterator[None]:
    """Return a context in which requests leave nothing of an answer's head in a log but its status."""
    for name in ("httpcore.http11", "httpcore.http2", "httpx"):
        logging.getLogger(name).addFilter(_filter)  # a logger takes it once
    before = _is_ours.set(True)
    try:
        yield
    finally:
        _is_ours.reset(before)

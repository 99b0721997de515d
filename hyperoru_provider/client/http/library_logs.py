"""Keeps out of the logs of httpcore and httpx what a server may repeat a token in: headers, and a status's reason."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_is_ours = ContextVar("hyperoru_request", default=False)

_LOGGERS = ("httpcore.http11", "httpcore.http2", "httpx", "httpcore2.http11", "httpcore2.http2", "httpx2")
#: what httpcore writes when it has read a head, or could not
_HEAD = re.compile(r"headers\.(complete return_value|failed exception)|receive_response\w*\.failed")


class _WithoutHeads(logging.Filter):
    """Drops what is said of the head of an answer to one of our requests; others use these libraries, too."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record may be written."""
        if not _is_ours.get():
            return True
        text = record.getMessage()
        if record.name in ("httpx", "httpx2") and text.startswith("HTTP Request: ") and isinstance(record.args, tuple):
            record.args = (*record.args[:-1], "")  # the reason
        return not _HEAD.search(text)


_filter = _WithoutHeads()


@contextmanager
def without_heads() -> Iterator[None]:
    """Return a context in which requests leave nothing of an answer's head in a log but its status."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_filter)  # a logger takes it once
    before = _is_ours.set(True)
    try:
        yield
    finally:
        _is_ours.reset(before)

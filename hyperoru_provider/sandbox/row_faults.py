"""Rows that are changed in their text, so that their numbers keep it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from zlib import crc32

from hyperoru_provider.sandbox.faults import Faults

__all__ = ["changed", "is_merged", "spoiled", "with_key", "with_other_price"]

_KEY = re.compile(rb'"(trade_id|id)"\s*:\s*(-?\d+|"[^"]*")')
_TIME_NAME = rb'"(?:trade_time|executed_at|timestamp|created_at)"\s*:\s*'
_TIME = re.compile(_TIME_NAME + rb'"[^"]*"')
_ZONED_TIME = re.compile(rb"(" + _TIME_NAME + rb'"[^"]*?)(?:Z|\+00:00)"')
_PRICE = re.compile(rb'("price"\s*:\s*)(?:null|(?=\d))')


def changed(bodies: Sequence[bytes], faults: Faults) -> list[bytes]:
    """Return rows as the faults have them, in lists and in events."""
    changes = list(bodies)
    if faults.naive_times:
        changes = [_ZONED_TIME.sub(rb'\1"', body) for body in changes]
    if faults.colliding_ids:
        changes = [_collide(body) for body in changes]
    if faults.recurring_ids:
        changes = [_recur(body, faults.recurring_ids) for body in changes]
    return changes


def spoiled(body: bytes, faults: Faults) -> bytes:
    """Return a row without what ``bad_rows`` takes away."""
    if faults.bad_rows == "none":
        return body
    member = _KEY.pattern if faults.bad_rows == "no_key" else _TIME.pattern
    return re.sub(rb"(?:%b)\s*,\s*|,\s*(?:%b)" % (member, member), b"", body, count=1)


def is_merged(body: bytes, share: float) -> bool:
    """Return whether a row is one of those that ``merge_after_limit`` merges into others."""
    return crc32(body) < share * 2**32


def with_key(body: bytes, key: int) -> bytes:
    """Return a row with another key."""
    return _KEY.sub(rb'"\1":%d' % key, body, count=1)


def with_other_price(body: bytes) -> bytes:
    """Return a row with another price."""
    return _PRICE.sub(rb"\g<1>1", body, count=1)


def _collide(body: bytes) -> bytes:
    """Two neighbours get one id, and the tables that they come from."""
    key = _KEY.search(body)
    if key is None or key[2].startswith(b'"'):
        return body
    shared, table = divmod(int(key[2]), 2)
    member = b'"%b":%d,"source":"%b"' % (key[1], shared, (b"orders", b"programs")[table])
    return body[: key.start()] + member + body[key.end() :]


def _recur(body: bytes, after: int) -> bytes:
    key = _KEY.search(body)
    if key is None or key[2].startswith(b'"'):
        return body
    return body[: key.start(2)] + b"%d" % (int(key[2]) % after) + body[key.end(2) :]

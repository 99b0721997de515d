"""The body of an answer, as it is collected."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable

import pytest

from hyperoru_provider.client.http.body import ReplyReader
from hyperoru_provider.client.http.library import httpx

SIZE = 20_000_000
PLAIN = bytes(SIZE)


@pytest.mark.parametrize(("encoding", "packed"), [("identity", bytes), ("gzip", gzip.compress)])
def test_a_body_is_held_once(encoding: str, packed: Callable[[bytes], bytes]) -> None:
    body = packed(PLAIN)
    response = httpx.Response(200, headers={"Content-Encoding": encoding}, stream=httpx.ByteStream(b""))
    tracemalloc.start()
    try:
        reader = ReplyReader(response, SIZE)
        for start in range(0, len(body), 30_000):
            reader.add(body[start : start + 30_000])
        assert reader.reply().body == PLAIN
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert SIZE < peak < 1.3 * SIZE

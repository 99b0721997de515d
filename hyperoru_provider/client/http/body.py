"""Answers within bounds: a server may send without end, or a little that unpacks to much. Pure: no I/O."""

from __future__ import annotations

import zlib
from io import BytesIO
from typing import NamedTuple

from hyperoru_provider.client.errors import HyperoruContractError, HyperoruNetworkError
from hyperoru_provider.client.http.library import httpx

#: what a server is told that it may pack bodies with: only these are unpacked within bounds
ACCEPT_ENCODING = "gzip, deflate"

#: bytes of an error's body that are read: its status says what it means, and this is enough to say why
_MAX_ERROR_BYTES = 2**18
#: packed bytes that are unpacked at once, in a few milliseconds of an event loop at most
_QUICK_BYTES = 2**12
#: packed bytes that are handed over at once, as what is left of them is copied for each piece; bytes of a piece
_SLICE_BYTES, _PIECE_BYTES = 2**16, 2**20
_UNPACKED = ("gzip", "x-gzip", "deflate")
#: what a body may be packed as; other words in its place, such as a charset, are none, and are passed over
_PACKINGS = (*_UNPACKED, "br", "zstd", "compress", "x-compress")
#: how a further piece of a body begins, which no server is known to send
_GZIP_MEMBER = b"\x1f\x8b"
#: where zlib looks for a header: of gzip or of zlib, or nowhere
_WINDOWS = (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS)


def limit_packing(message: httpx.Request) -> None:
    """Let a request ask for nothing that can't be unpacked within bounds, whatever else the HTTP client knows."""
    if message.headers.get("Accept-Encoding") != ACCEPT_ENCODING:
        message.headers["Accept-Encoding"] = ACCEPT_ENCODING


class Reply(NamedTuple):
    """An answer of any status, with its body."""

    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is one of success."""
        return 200 <= self.status < 300

    def __repr__(self) -> str:
        """Leave out what a server may repeat a secret in: variables show in some tracebacks."""
        return f"Reply({self.status}, {len(self.body)} bytes)"


class ReplyReader:
    """Collects the body of an answer of which the head was read, and takes no more of it than is allowed.

    The body of an error is cut there: however long it is, the status means the same.

    :param response: the answer.
    :param max_bytes: the most bytes that a body may have, both before and after it is unpacked.
    :raises HyperoruContractError: it says that it has more.
    """

    def __init__(self, response: httpx.Response, max_bytes: int) -> None:
        self._response = response
        self._max_bytes = max_bytes if response.is_success else min(max_bytes, _MAX_ERROR_BYTES)
        # holds a body once; chunks, and what is joined of them, would take twice as much
        self._body = BytesIO()
        named = [name.strip().lower() for name in response.headers.get("content-encoding", "").split(",")]
        self._packing = [name for name in named if name in _PACKINGS]
        #: whether no further chunk is needed
        self.complete = False
        claimed = response.headers.get("content-length", "")
        if claimed.isdecimal() and response.is_success and int(claimed[:20]) > max_bytes:
            raise self._too_large()
        if response.is_stream_consumed:  # by a transport that reads, and unpacks, for itself
            self._packing = []
            self.add(response.content)
            self.complete = True

    def add(self, chunk: bytes) -> None:
        """Take the next bytes, as they were sent.

        :raises HyperoruContractError: there are too many.
        """
        self._body.write(chunk)
        if self._body.tell() > self._max_bytes:
            if self._response.is_success:
                raise self._too_large()
            self.complete = True

    @property
    def takes_long(self) -> bool:
        """Whether :meth:`reply` may take longer than an event loop should wait."""
        return bool(self._packing) and self._body.tell() > _QUICK_BYTES

    def reply(self) -> Reply:
        """Return the answer with its body, unpacked.

        :raises HyperoruContractError: it unpacks to too many bytes, or is packed in a way that was not asked for.
        :raises HyperoruNetworkError: it is damaged, or was cut off.
        """
        try:
            body = self._unpack(self._body.getvalue())
        except (HyperoruContractError, HyperoruNetworkError):
            if self._response.is_success:
                raise
            body = b""
        return Reply(self._response.status_code, self._response.headers, body)

    def _unpack(self, body: bytes) -> bytes:
        if not self._packing or not body:
            return body
        if len(self._packing) > 1 or self._packing[0] not in _UNPACKED:
            raise HyperoruContractError(
                f"The answer is compressed with {', '.join(self._packing)}, but only gzip or deflate was requested."
            )
        for window in _WINDOWS:
            unpacker = zlib.decompressobj(window)
            try:
                unpacked = self._unpack_with(unpacker, body)
            except zlib.error:
                continue
            if not unpacker.eof and self._response.is_success:
                raise HyperoruNetworkError("The answer was cut off before all of it was decompressed")
            if unpacker.unused_data.startswith(_GZIP_MEMBER) and self._response.is_success:
                raise HyperoruContractError(
                    "The answer consists of several compressed pieces, of which only the first can be read."
                )
            return unpacked
        raise HyperoruNetworkError(f"The answer is compressed with {self._packing[0]}, and damaged")

    def _unpack_with(self, unpacker: zlib._Decompress, body: bytes) -> bytes:
        """Return the unpacked body.

        :raises HyperoruContractError: there are too many bytes.
        """
        unpacked = BytesIO()
        for start in range(0, len(body), _SLICE_BYTES):
            left = body[start : start + _SLICE_BYTES]
            while not unpacker.eof and (piece := unpacker.decompress(left, _PIECE_BYTES)):
                unpacked.write(piece)
                left = unpacker.unconsumed_tail
                if unpacked.tell() > self._max_bytes:
                    if self._response.is_success:
                        raise self._too_large(" when decompressed")
                    return unpacked.getvalue()
        return unpacked.getvalue()

    def _too_large(self, when: str = "") -> HyperoruContractError:
        return HyperoruContractError(
            f"The answer has more than {self._max_bytes:,} bytes{when}, so reading it was stopped. If it is meant to "
            "be that large, raise max_answer_bytes."
        )

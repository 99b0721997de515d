"""What formats of text lines have in common: they are compressed from outside."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import IO, Any, ClassVar, cast

from hyperoru_provider.client.lists.rows import Rows
from hyperoru_provider.export.columns import ColumnSchema
from hyperoru_provider.export.formats.encoder import Append, WrittenRow

_ENDINGS = {"gzip": ".gz", "zstd": ".zst", "none": ""}


class TextEncoder:
    """Writes lines of text, compressed or not; see :class:`~hyperoru_provider.export.formats.encoder.Encoder`.

    A format says by :meth:`begin` how a file begins and how rows become text.
    """

    file_format: ClassVar[str]
    compressions: ClassVar[tuple[str, ...]]
    prepare: Callable[[Rows], Any] | None = None

    def __init__(self, schema: ColumnSchema, compression: str) -> None:
        self.schema = schema
        self.compression = compression

    @property
    def requires(self) -> str | None:
        """The package that must be installed."""
        return "zstandard" if self.compression == "zstd" else None

    @property
    def extra(self) -> str | None:
        """The extra that installs it."""
        return "zstd" if self.requires else None

    @property
    def extension(self) -> str:
        """The end of a file's name."""
        return self.file_format + _ENDINGS[self.compression]

    @contextmanager
    def open(self, file: IO[bytes]) -> Iterator[Append]:
        """Begin a file, and return what appends rows to it."""
        with self._compressed(file) as stream:
            yield self.begin(stream)

    def begin(self, stream: IO[bytes]) -> Append:
        """Write what a file begins with, and return what appends rows to it."""
        raise NotImplementedError

    def read(self, file: IO[bytes], only: Sequence[str] | None = None) -> Iterator[WrittenRow]:
        """Yield the rows of a file, with these fields or those of their key."""
        with self._unpacked(file) as stream:
            yield from self.parse(stream, self.schema.key if only is None else only)

    def parse(self, stream: IO[bytes], names: Sequence[str]) -> Iterator[WrittenRow]:
        """Yield the rows of a file that is not compressed."""
        raise NotImplementedError

    def _unpacked(self, file: IO[bytes]) -> AbstractContextManager[IO[bytes]]:
        if self.compression == "gzip":
            return cast("IO[bytes]", gzip.GzipFile(fileobj=file))
        if self.compression == "zstd":
            import zstandard

            return io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(file, closefd=False))
        return nullcontext(file)

    def _compressed(self, file: IO[bytes]) -> AbstractContextManager[IO[bytes]]:
        if self.compression == "gzip":
            packed = gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0)
            return cast("IO[bytes]", packed)
        if self.compression == "zstd":
            import zstandard

            return cast("IO[bytes]", zstandard.ZstdCompressor().stream_writer(file, closefd=False))
        return nullcontext(file)

"""JSON lines: each row as the server sent it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, ClassVar

from hyperoru_provider.client.decoding import canonical
from hyperoru_provider.export.formats.encoder import Append, WrittenRow
from hyperoru_provider.export.formats.text import TextEncoder
from hyperoru_provider.export.parts import Batch
from hyperoru_provider.params.choices import COMPRESSIONS


class JsonLinesEncoder(TextEncoder):
    """Writes each row as the server sent it, in a line."""

    file_format = "jsonl"
    compressions: ClassVar[tuple[str, ...]] = COMPRESSIONS["jsonl"]

    def begin(self, stream: IO[bytes]) -> Append:
        """Return what appends rows to a file."""

        def append(batch: Batch) -> None:
            for rows in batch:
                stream.write(b"\n".join([*rows.texts, b""]))

        return append

    def parse(self, stream: IO[bytes]) -> Iterator[WrittenRow]:
        """Yield the rows of a file that is not compressed."""
        for line in stream:
            yield WrittenRow(canonical(line, self.schema.endpoint), line)

"""JSON lines: each row as the server sent it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO, ClassVar

from hyperoru_provider.client.decoding import NOT_JSON, rename, row_error
from hyperoru_provider.client.surrogates import replace_halves
from hyperoru_provider.export.columns import decode_fields, decode_raw
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

    def parse(self, stream: IO[bytes], names: Sequence[str]) -> Iterator[WrittenRow]:
        """Yield the rows of a file that is not compressed."""
        for line in stream:
            try:
                fields = decode_fields(rename(decode_raw(replace_halves(line)), self.schema.endpoint), names)
            except NOT_JSON as error:
                raise row_error(line, error) from None
            yield WrittenRow(fields, line)

"""JSON lines: each row as the server sent it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import IO, Any, ClassVar

import msgspec

from hyperoru_provider.client.decoding import rename
from hyperoru_provider.client.surrogates import replace_halves
from hyperoru_provider.export.columns import decode_raw
from hyperoru_provider.export.formats.encoder import Append, WrittenRow
from hyperoru_provider.export.formats.text import TextEncoder
from hyperoru_provider.export.parts import Batch
from hyperoru_provider.params.choices import COMPRESSIONS

_decode_value = msgspec.json.Decoder(Any, float_hook=Decimal).decode


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
            sent = rename(decode_raw(replace_halves(line)), self.schema.endpoint)
            yield WrittenRow({name: _decode_value(sent[name]) for name in self.schema.key if name in sent}, line)

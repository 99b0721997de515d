"""CSV: a line with the columns' names, then one for each row."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import IO, Any, ClassVar

from hyperoru_provider.client.times import format_time
from hyperoru_provider.export.columns import fields_of_columns
from hyperoru_provider.export.formats.encoder import Append, WrittenRow
from hyperoru_provider.export.formats.text import TextEncoder
from hyperoru_provider.export.parts import Batch
from hyperoru_provider.params.choices import COMPRESSIONS

_TEXT_OF: dict[str, Callable[[Any], str]] = {
    "boolean": lambda value: str(value).lower(),
    "decimal": lambda value: format(value, "f"),
    "timestamp": format_time,
}


class CsvEncoder(TextEncoder):
    """Writes columns as CSV does: nothing for a null, and quotes where they are needed."""

    file_format = "csv"
    compressions: ClassVar[tuple[str, ...]] = COMPRESSIONS["csv"]

    def begin(self, stream: IO[bytes]) -> Append:
        """Write the columns' names, and return what appends rows."""
        columns = self.schema.columns
        stream.write((",".join(column.name for column in columns) + "\r\n").encode())
        text_of = [_TEXT_OF.get(column.type, str) for column in columns]

        def append(batch: Batch) -> None:
            text = io.StringIO()
            csv.writer(text, lineterminator="\r\n").writerows(
                [None if value is None else write(value) for write, value in zip(text_of, values, strict=True)]
                for values in self.schema.values(chain(*batch))
            )
            stream.write(text.getvalue().encode())

        return append

    def parse(self, stream: IO[bytes], names: Sequence[str]) -> Iterator[WrittenRow]:
        """Yield the rows of a file that is not compressed."""
        csv.field_size_limit(sys.maxsize)  # of this process; by default 131,072 characters
        for row in csv.DictReader(io.TextIOWrapper(stream, newline="", encoding="utf-8")):
            yield WrittenRow(fields_of_columns(row, names), row)

"""What a file format is to an export."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import IO, Any, ClassVar, NamedTuple, Protocol, TypeAlias

from hyperoru_provider.client.lists.rows import Rows
from hyperoru_provider.export.columns import ColumnSchema
from hyperoru_provider.export.parts import Batch

#: appends rows to a file
Append: TypeAlias = Callable[[Batch], None]


class WrittenRow(NamedTuple):
    """A row of a file.

    :param fields: the fields that were asked for, by our names, without those that are null; those of CSV are text.
    :param content: all that was read of it; the same row has content of the same ``repr``.
    """

    fields: dict[str, Any]
    content: object


class Encoder(Protocol):
    """Writes files of one format: the same rows in the same batches give the same bytes.

    :param schema: the rows' columns, for formats that have columns.
    :param compression: one of :attr:`compressions`.
    """

    #: the format's name
    file_format: ClassVar[str]
    #: what a file may be compressed with; the first is the default
    compressions: ClassVar[tuple[str, ...]]
    compression: str

    def __init__(self, schema: ColumnSchema, compression: str) -> None: ...

    @property
    def requires(self) -> str | None:
        """The package that must be installed, and whose version shows in the files."""

    @property
    def extra(self) -> str | None:
        """The extra of this distribution which installs that package."""

    @property
    def extension(self) -> str:
        """The end of a file's name."""

    @property
    def prepare(self) -> Callable[[Rows], Any] | None:
        """What is done with rows while others are fetched, or ``None``; its result stays with the rows."""

    def open(self, file: IO[bytes]) -> AbstractContextManager[Append]:
        """Begin a file, and return what appends rows to it."""

    def read(self, file: IO[bytes], only: Sequence[str] | None = None) -> Iterator[WrittenRow]:
        """Yield the rows of a file, in their order.

        :param only: the fields to return, where the rest of a row need not be read; ``None`` for whole rows, with the
            fields of their key.
        :raises HyperoruContractError: a row is not a JSON object.
        """

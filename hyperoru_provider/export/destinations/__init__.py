"""Where exported rows go. A further destination is a file here, with a class that does what :class:`Destination` says.

An export opens its destination, gives it the rows, and commits it:

1. :meth:`Destination.open`, before the server is asked: what is wrong with the destination is an error here.
2. :meth:`Destination.write`: the rows arrive, and nobody sees them yet. If reading fails, that is all.
3. :meth:`Destination.earlier`, if there was no row: whether this would hide rows that are there.
4. :meth:`Destination.commit`: all rows are there, in place of the earlier ones of the same window and filters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from hyperoru_provider.client.lists.rows import Rows
from hyperoru_provider.export.checkpoint import ExportState
from hyperoru_provider.export.manifest import ExportSpec
from hyperoru_provider.export.progress import Progress


@dataclass(frozen=True)
class Earlier:
    """What a destination holds from before.

    :param replaced: rows that the commit of an export without rows would take away.
    :param of_resource: whether it holds any row of the resource, as far as it knows.
    """

    replaced: int
    of_resource: bool


class Destination(Protocol):
    """Takes the rows of one export: all of them, or none."""

    @property
    def prepare(self) -> Callable[[Rows], Any] | None:
        """What is done with rows while others are fetched, or ``None``; its result stays with the rows."""

    def open(self, spec: ExportSpec) -> ExportState:
        """Check that the rows can go here, and return what an earlier try has left of the same export.

        :raises HyperoruConfigError: they can't.
        """

    def write(self, batches: Iterable[Rows]) -> None:
        """Take the rows, in their order and in batches of any length, and show none of them yet."""

    def earlier(self) -> Earlier:
        """Return what is here from before."""

    def commit(self, progress: Progress) -> Any:
        """Show the rows, in place of the earlier ones.

        :param progress: counted the rows.
        :return: a summary, ready for XCom.
        """

    def describe(self, rows: str) -> str:
        """Return what was done, for the log: ``Exported 100 trades, in 1 file of 4.3 kB to s3://bucket/trades``.

        :param rows: what the rows are: ``100 trades``.
        """

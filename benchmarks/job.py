"""What a contender is told, and what is read back of what it wrote."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from decimal import Context, Decimal
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.rows import END, START
from benchmarks.server import PAGE

AMOUNT = "notional"
WINDOW = {"start": f"{START:%Y-%m-%dT%H:%M:%SZ}", "end": f"{END:%Y-%m-%dT%H:%M:%SZ}"}
_EXACT = Context(prec=60)
_VARIABLE = "BENCH_JOB"


class Landed(NamedTuple):
    """How many rows came, and what their ``notional`` adds up to; ``None`` if nobody looked."""

    rows: int | None = None
    total: Decimal | None = None


#: what a contender's function gives: how to find out, after the clock has stopped, what landed
Check = Callable[[], Landed]


@dataclass(frozen=True)
class Job:
    """What to fetch, and where to put it.

    :param port: of the server, on this machine.
    :param rows: how many there are.
    :param directory: an empty one, for all that a contender writes.
    """

    port: int
    rows: int
    directory: str

    @property
    def url(self) -> str:
        """The server."""
        return f"http://127.0.0.1:{self.port}"

    def as_environment(self) -> dict[str, str]:
        """The job for another process, which finds it with :func:`given`."""
        return {_VARIABLE: json.dumps(asdict(self))}


def given() -> Job:
    """Give this process's job."""
    return Job(**json.loads(os.environ[_VARIABLE]))


def query(page: int = 1) -> dict[str, str | int]:
    """Give the parameters of a page."""
    return {**WINDOW, "page": page, "per_page": PAGE}


def counted(amounts: Iterable[Any]) -> Landed:
    """Count and add up; a float counts as the shortest decimal number that it stands for."""
    rows, total = 0, Decimal(0)
    for amount in amounts:
        rows, total = rows + 1, _EXACT.add(total, amount if isinstance(amount, Decimal) else Decimal(repr(amount)))
    return Landed(rows, total)


def in_parquet(directory: Path) -> Landed:
    """Read what landed in a directory's Parquet files."""
    import pyarrow.parquet as pq

    files = sorted(directory.rglob("*.parquet"))
    return counted(amount for file in files for amount in pq.read_table(file, columns=[AMOUNT])[AMOUNT].to_pylist())


def in_json_lines(directory: Path) -> Landed:
    """Read what landed in a directory's files of JSON lines."""

    def amounts() -> Iterator[Decimal]:
        for file in sorted(directory.rglob("*.jsonl*")):
            with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as lines:
                yield from (json.loads(line, parse_float=Decimal)[AMOUNT] for line in lines)

    return counted(amounts())

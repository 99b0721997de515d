"""Results as Markdown, which a terminal shows well, too."""

from __future__ import annotations

import os
import platform
import textwrap
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from benchmarks.contenders import CONTENDERS
from benchmarks.imports import Cost
from benchmarks.measure import Group
from benchmarks.results import MB, Results, verdicts

_HEAD = ("contender", "--only", "seconds", "rows/s", "CPU s", "peak MB", "above SDK", "Parquet is")
_PACKAGES = (
    *("airflow-provider-hyperoru", "apache-airflow", "apache-airflow-providers-http", "httpx", "msgspec"),
    *("pyarrow", "requests", "dlt", "orjson"),
)
_PAGE = """\
# How fast it is, and how much memory it takes

`make bench` wrote this page; `make bench ARGS=--help` lists its other options. Every contender fetches the same
trades from the same local server, 500 a page, in a fresh process of its own. What it wrote is read back: as many rows
as the server has, with exactly the same sum of one amount. Contenders take turns, and each round begins with another
one. Only ratios within one run mean something, as machines differ and drift.
{picture}
{circumstances}

{tables}

- seconds: from the call of the task to its return. What a DAG file has at its top is loaded before. What is imported
  within a task (pyarrow, requests, dlt, and what this provider loads late) counts, as Airflow runs every task in a
  process of its own. CPU s: user and system, children included.
- peak MB: the process's largest resident size; above SDK: without that of a process that only loads Airflow's SDK,
  which all of them do.
- Parquet is: how many times as fast our typed Parquet is, as the median of the rounds' ratios. All of ours run with
  default settings: an export finds by itself how many requests to send at once.
- "-": not installed, or left out, as it would take too long or too much memory.
- This provider and the loop by hand keep amounts as exact decimals and times in UTC; dlt and the HttpOperator keep
  amounts as floats. This provider also proves that the pages are complete, orders the rows, and commits all or
  nothing; the others don't.
- Through XCom, a second task reads the rows and writes them, by `dag.test()` with SQLite. Its API server is started
  before the clock, but shares the process, and so counts as memory.
- The decode floor and the bytes alone write nothing and check nothing: nobody who makes Python objects of the rows one
  page after the other is faster than the first, and the second is what the server can give.

## What an import costs

Milliseconds, and modules loaded, over what `from airflow.sdk import DAG, BaseHook, BaseOperator` has loaded already:
what a DAG file pays whenever it is parsed.

{imports}

## Targets

{targets}
"""


def table(lines: Iterable[Iterable[str]], texts: int) -> str:
    """Write a Markdown table with its columns aligned; the first ones are text, the others numbers."""
    rows = [list(line) for line in lines]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = ["-" * width if column < texts else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    for row in rows:
        row[:texts] = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)][:texts]
    return "\n".join(
        f"| {' | '.join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))} |"
        for row in (rows[0], rule, *rows[1:])
    )


def tables(results: Results, names: list[str]) -> str:
    """Write a table for each latency and number of rows."""
    return "\n\n".join(
        f"## {group}\n\n" + table([_HEAD, *(_line(results, group, name) for name in names)], 2)
        for group in results.samples
    )


def _line(results: Results, group: Group, name: str) -> list[str]:
    cell = results.cell(group, name)
    if cell is None:
        return [CONTENDERS[name].title, name, *["-"] * 6]
    speed = ["-"] * 3 if cell.seconds < 0.001 else [f"{cell.seconds:.2f}", f"{cell.rate:,.0f}", f"{cell.cpu:.2f}"]
    above, ratio = results.above_bare(group, name), results.ratio(group, name)
    memory = [f"{cell.peak / MB:.0f}", "-" if above is None else f"{above / MB:.0f}"]
    compared = "-" if ratio is None or cell.seconds < 0.001 else f"{ratio:.2f} x"
    return [CONTENDERS[name].title, name, *speed, *memory, compared]


def targets(results: Results) -> str:
    """Write the targets, and whether they are met."""
    lines = ((verdict.target, verdict.mark, verdict.measured) for verdict in verdicts(results))
    return table([("target", "", "measured"), *lines], 2)


def imports(costs: list[Cost]) -> str:
    """Write what imports cost."""
    lines = ((cost.module, f"{cost.milliseconds:.1f}", str(cost.modules)) for cost in costs)
    return table([("module", "ms", "modules"), *lines], 1)


def circumstances(rounds: int, load: float) -> str:
    """Say on what and with what was measured."""
    cores = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, load {load:.1f} at the beginning"
    packages = ", ".join(f"{name} {_version(name)}" for name in _PACKAGES)
    text = f"Medians of {rounds} round(s). {cores}. Python {platform.python_version()}, {packages}."
    return textwrap.fill(text, 120, break_on_hyphens=False)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "(none)"


def page(results: Results, names: list[str], costs: list[Cost], circumstance: str, picture: str | None) -> str:
    """Write all of it as a page."""
    return _PAGE.format(
        picture=f"\n![Rows per second and peak memory of each contender]({picture})\n" if picture else "",
        circumstances=circumstance,
        tables=tables(results, names),
        imports=imports(costs),
        targets=targets(results),
    )

"""The page of a report: one file that needs no network and no script, whatever a server has written into its rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple

from hyperoru_provider.client.escaping import shorten
from hyperoru_provider.params.window import Window
from hyperoru_provider.report import numbers
from hyperoru_provider.report.charts import largest_with_rest
from hyperoru_provider.report.coverage import Coverage, period_start
from hyperoru_provider.report.figures import Figures, Totals
from hyperoru_provider.version import __version__

_MOST_GROUPS = 100
_MOST_GAPS = 20
_DAY = timedelta(days=1)


class Day(NamedTuple):
    """A day with trades, or some days in a row without.

    :param window: the day or days.
    :param totals: what its trades add up to; ``None`` without trades.
    :param exported: whether it was exported.
    """

    window: Window
    totals: Totals | None
    exported: str


def write_page(figures: Figures, charts: Mapping[str, Mapping[str, str]], title: str | None, exports: int) -> str:
    """Return the page.

    :param figures: what it shows.
    :param charts: its charts, by name and width.
    :param title: its title; ``None`` for whose trades they are.
    :param exports: how many exports it was made of.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = ("amount", "exact", "plain", "percent", "basis_points", "moment", "day", "window")
    trader = partial(trader_label, figures)
    environment.filters.update({name: getattr(numbers, name) for name in names}, count="{:,}".format, trader=trader)
    traders = {trader(account_id): totals for account_id, totals in figures.traders.items()}
    return environment.get_template("page.html.jinja").render(
        title=shorten(title) if title else f"Trades of {next(iter(traders)) if len(traders) == 1 else 'all traders'}",
        figures=figures,
        charts=charts,
        symbols=largest_with_rest(figures.symbols, _MOST_GROUPS),
        traders=largest_with_rest(traders, _MOST_GROUPS),
        days=[*days(figures)],
        exports=exports,
        most_gaps=_MOST_GAPS,
        version=__version__,
    )


def trader_label(figures: Figures, account_id: str | None) -> str:
    """Return what a trader is called: ``Atlas (1)``."""
    if account_id is None:
        return "no trader named"
    name = figures.names.get(account_id)
    return f"{name} ({account_id})" if name else f"trader {account_id}"


def days(figures: Figures) -> Iterator[Day]:
    """Yield each day with trades, and between them the days without, as many in a row as there are."""
    coverage = figures.coverage
    reached = period_start(coverage.span.start, "day")
    for day, totals in sorted(figures.days.items()):
        if reached < day:
            yield _day(coverage, reached, day, None)
        reached = day + _DAY
        yield _day(coverage, day, reached, totals)
    if reached < coverage.span.end:
        last = period_start(coverage.span.end - timedelta.resolution, "day") + _DAY
        yield _day(coverage, reached, last, None)


def _day(coverage: Coverage, start: datetime, end: datetime, totals: Totals | None) -> Day:
    is_whole = coverage.span.start <= start and end <= coverage.span.end and not coverage.has_gap(start, end)
    return Day(Window(start, end), totals, "whole" if is_whole else "in part")

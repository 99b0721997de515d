"""The charts of a report, drawn by Matplotlib as SVG that belongs into a page: its text, its colours, its widths.

Text stays text in the page's own font, and colours are the page's variables, so that a chart is dark where the page
is. Each chart is drawn twice, for a phone and for a desk, as text that is scaled down can't be read.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import escape
from typing import Any, NamedTuple, TypeAlias

from hyperoru_provider.report import numbers
from hyperoru_provider.report.figures import Figures, Totals, sum_of

Axes: TypeAlias = Any  # Matplotlib's types don't know times
Figure: TypeAlias = Any
#: width in pixels, and how many marks of time fit into it
WIDTHS = {"narrow": (340, 4), "wide": (720, 8)}
#: what Matplotlib is told, and the page's variable that takes its place
COLOURS = {
    "#000001": "ink",
    "#000002": "muted",
    "#000003": "rule",
    "#000004": "accent",
    "#000005": "gain",
    "#000006": "loss",
    "#000007": "fee",
    "#000008": "gap",
}
_INK, _MUTED, _RULE, _ACCENT, _GAIN, _LOSS, _FEE, _GAP = COLOURS
_FONT_SIZE = 11
_LARGEST_FLOAT = Decimal("1e200")
_SYMBOLS = 8
#: how a mark of the axis of time is written that is the start of a year, month, day, hour, minute or second
_TIMES = ["%Y", "%b", "%-d %b", "%H:%M", "%H:%M", "%S.%f"]
_LONGEST_LABEL = 12
_LENGTHS = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": _FONT_SIZE,
    "text.color": _INK,
    "axes.edgecolor": _RULE,
    "axes.facecolor": "none",
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": _FONT_SIZE,
    "axes.titlecolor": _MUTED,
    "axes.titlelocation": "left",
    "grid.color": _RULE,
    "grid.linewidth": 0.75,
    "xtick.color": _RULE,
    "ytick.color": _RULE,
    "xtick.labelcolor": _MUTED,
    "ytick.labelcolor": _MUTED,
    "ytick.major.size": 0,
    "figure.facecolor": "none",
    "hatch.color": _GAP,
    "hatch.linewidth": 1.0,
    "lines.solid_joinstyle": "round",
}


class _Drawing(NamedTuple):
    """What is drawn.

    :param name: what it is called in the page.
    :param title: what it is of.
    :param description: what it shows, in words.
    :param draw: draws it, with so many marks of time.
    :param heights: by name of the width, in pixels.
    """

    name: str
    title: str
    description: str
    draw: Callable[[Figure, Figures, int], None]
    heights: Mapping[str, int]


def draw_charts(figures: Figures) -> dict[str, dict[str, str]]:
    """Return the charts by name, each as an SVG for a narrow and one for a wide screen; without trades there are none.

    :param figures: what they show.
    """
    if not figures.totals.trades:
        return {}
    return {
        drawing.name: {size: _svg(drawing, figures, size) for size in WIDTHS}
        for drawing in (_equity(figures), _periods(figures), _symbols(figures), _rows(figures))
    }


def _equity(figures: Figures) -> _Drawing:
    low, high = min(point.net for point in figures.curve), max(point.net for point in figures.curve)
    return _Drawing(
        "equity",
        "Net realized PnL over time, and its drawdown",
        f"{numbers.window(figures.coverage.span)}, UTC: between {numbers.amount(low)} and {numbers.amount(high)}, at "
        f"the end {numbers.amount(figures.totals.net)}; deepest drawdown {numbers.amount(figures.drawdown.amount)}.",
        _draw_equity,
        {"narrow": 290, "wide": 340},
    )


def _periods(figures: Figures) -> _Drawing:
    totals = figures.totals
    return _Drawing(
        "periods",
        f"Realized PnL and fees per {figures.period}",
        f"{numbers.window(figures.coverage.span)}, UTC: {numbers.amount(totals.profit)} before fees of "
        f"{numbers.amount(totals.fees)}.",
        _draw_periods,
        {"narrow": 250, "wide": 290},
    )


def _symbols(figures: Figures) -> _Drawing:
    best, totals = largest_with_rest(figures.symbols, _SYMBOLS)[0]
    height = 34 + 26 * min(len(figures.symbols), _SYMBOLS + 1)
    return _Drawing(
        "symbols",
        "Volume by symbol",
        f"{len(figures.symbols):,} in all; {_label(best)} has {numbers.amount(totals.volume)} of "
        f"{numbers.amount(figures.totals.volume)}.",
        _draw_symbols,
        {"narrow": height, "wide": height},
    )


def _rows(figures: Figures) -> _Drawing:
    return _Drawing(
        "rows",
        f"Trades per {figures.period}, and gaps",
        f"{figures.totals.trades:,} trades; {len(figures.coverage.gaps):,} gaps in what was exported.",
        _draw_rows,
        {"narrow": 150, "wide": 170},
    )


def _svg(drawing: _Drawing, figures: Figures, size: str) -> str:
    """Return a drawing as an element of a page; no name in it is one of another drawing."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    name, file = f"{drawing.name}-{size}", io.StringIO()
    (width, marks), height = WIDTHS[size], drawing.heights[size]
    with _style(name):
        figure = Figure(figsize=(width / 72, height / 72), layout="constrained")  # so that a unit is a pixel
        drawing.draw(figure, figures, marks)
        FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("</defs>", text.index("</metadata>")) + len("</defs>") :]
    text = re.sub(r'(?<= id=")|(?<=href="#)|(?<=url\(#)', f"{name}-", text)
    text = re.sub(r" font-family: [^;\"]+;?", "", text)
    text = re.sub("|".join(COLOURS), lambda found: f"var(--{COLOURS[found[0]]})", text)
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(drawing.title)}</title>'
        f'<desc id="{name}-desc">{escape(drawing.description)}</desc>{text}'
    )


@contextmanager
def _style(name: str) -> Iterator[None]:
    """Let Matplotlib draw in the report's style, whatever a user has set, and the same drawing each time."""
    from matplotlib import style

    with style.context(["default", _STYLE | {"svg.hashsalt": name}]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)  # the page's font has it, or a box
        yield


def _draw_equity(figure: Figure, figures: Figures, marks: int) -> None:
    net, fall = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.2))
    span, points = figures.coverage.span, [*figures.curve]
    times = [span.start, *(point.time for point in points), span.end]
    for values, colour, width, style in (
        ([point.profit for point in points], _MUTED, 1.0, (0, (3, 2))),
        ([point.net for point in points], _ACCENT, 1.8, "solid"),
    ):
        net.plot(
            times,
            _floats([Decimal(0), *values, values[-1]]),
            color=colour,
            linewidth=width,
            linestyle=style,
            drawstyle="steps-post",
        )
    net.axhline(0, color=_MUTED, linewidth=0.75)
    net.set_title("Net realized PnL, and before fees (dashed)")
    depths = _floats([Decimal(0), *(-point.fall for point in points), -points[-1].fall])
    fall.fill_between(times, depths, step="post", color=_LOSS, alpha=0.3, linewidth=0)
    fall.plot(times, depths, color=_LOSS, linewidth=1.2, drawstyle="steps-post")
    fall.set_title("Drawdown")
    _finish(fall, figures, marks)
    _amounts(net, 4)
    _amounts(fall, 2)


def _draw_periods(figure: Figure, figures: Figures, marks: int) -> None:
    profit, fees = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    _bars(profit, figures, lambda totals: totals.profit, lambda value: _GAIN if value > 0 else _LOSS)
    profit.axhline(0, color=_MUTED, linewidth=0.75)
    profit.set_title("Realized PnL, before fees")
    _bars(fees, figures, lambda totals: totals.fees, lambda _: _FEE)
    fees.set_title("Fees")
    _finish(fees, figures, marks)
    _amounts(profit, 4)
    _amounts(fees, 2)


def _draw_rows(figure: Figure, figures: Figures, marks: int) -> None:
    axes = figure.subplots()
    _bars(axes, figures, lambda totals: Decimal(totals.trades), lambda _: _ACCENT)
    for window in {gap.window for gap in figures.coverage.gaps}:
        axes.axvspan(window.start, window.end, facecolor="none", edgecolor=_GAP, hatch="///", linewidth=0)
    _finish(axes, figures, marks)
    _amounts(axes, 3)


def _draw_symbols(figure: Figure, figures: Figures, marks: int) -> None:
    volumes = largest_with_rest(figures.symbols, _SYMBOLS)
    axes = figure.subplots()
    places = range(len(volumes), 0, -1)
    bars = axes.barh(places, _floats([totals.volume for _, totals in volumes]), height=0.62, color=_ACCENT)
    axes.bar_label(bars, [numbers.compact(totals.volume) for _, totals in volumes], padding=4, color=_INK)
    axes.set_yticks(places, [_label(symbol) for symbol, _ in volumes])
    axes.tick_params(axis="y", labelcolor=_INK)
    axes.xaxis.set_visible(False)
    axes.grid(visible=False)
    axes.spines.bottom.set_visible(False)
    axes.margins(x=0.16 if marks < 6 else 0.08, y=0.02)


def largest_with_rest(groups: Mapping[str, Totals], number: int) -> list[tuple[str, Totals]]:
    """Return the groups with the most volume, the largest first, and what all others add up to, if there are some."""
    ordered = sorted(groups.items(), key=lambda item: (-item[1].volume, item[0]))
    if len(ordered) <= number + 1:
        return ordered
    rest = sum_of(totals for _, totals in ordered[number:])
    return [*ordered[:number], (f"{len(ordered) - number:,} others", rest)]


def _bars(axes: Axes, figures: Figures, value: Callable[[Totals], Decimal], colour: Callable[[Decimal], str]) -> None:
    """Draw a bar for each period that has trades, as wide as the period but for a gap."""
    values = [value(totals) for totals in figures.periods.values()]
    starts = [*figures.periods]
    widths = [_length(start, figures.period) * 0.8 for start in starts]
    axes.bar(starts, _floats(values), widths, color=[*map(colour, values)], align="edge", linewidth=0)


def _length(start: datetime, period: str) -> timedelta:
    return _LENGTHS.get(period) or timedelta(days=365 if period == "year" else 28)


def _finish(axes: Axes, figures: Figures, marks: int) -> None:
    """Let the axis of time be that of the report, with marks that have room."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    span = figures.coverage.span
    axes.set_xlim(span.start, span.end)
    locator = AutoDateLocator(tz=UTC, minticks=2, maxticks=marks)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(
        ConciseDateFormatter(
            locator, tz=UTC, formats=_TIMES, zero_formats=["", "%Y", *_TIMES[2:3] * 2, *_TIMES[4:]], show_offset=False
        )
    )
    axes.tick_params(axis="x", length=3)


def _amounts(axes: Axes, marks: int) -> None:
    """Let the axis of amounts have few marks, which are written shortly."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(marks, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: numbers.compact(Decimal(repr(float(value))))))


def _floats(values: Sequence[Decimal]) -> list[float]:
    """Return amounts as a screen can show them."""
    return [float(max(-_LARGEST_FLOAT, min(_LARGEST_FLOAT, value))) for value in values]


def _label(text: str) -> str:
    return text if len(text) <= _LONGEST_LABEL else text[: _LONGEST_LABEL - 1] + "\N{HORIZONTAL ELLIPSIS}"

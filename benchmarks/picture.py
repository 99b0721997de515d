"""Results as a picture: for each latency, bars of rows per second and of peak memory."""

from __future__ import annotations

from html import escape

from benchmarks.contenders import BARE, CONTENDERS
from benchmarks.results import MB, Cell, Results

_WIDTH, _SPEED, _MEMORY, _LONGEST, _STEP = 1000, 260, 645, 280, 24
_LEFT_OUT = ("wire", BARE)
_INK, _PALE, _OURS, _OTHERS = "#1f2933", "#616e7c", "#2f6fb0", "#b8c2cc"


def svg(results: Results) -> str:
    """Draw the numbers of rows that the targets are about."""
    top, shapes = 0, []
    for latency in dict.fromkeys(group.latency for group in results.samples):
        group = results.target_group(latency)
        names = [name for name in results.samples.get(group, ()) if name not in _LEFT_OUT]
        cells = {name: cell for name in names if (cell := results.cell(group, name))}
        if cells:
            title = f"{group.rows:,} rows, {latency:g} ms added to each request"
            shapes += [_text(16, top + 28, title, "bold"), *_bars(cells, top + 46)]
            top += _STEP * len(cells) + 76
    size = f'viewBox="0 0 {_WIDTH} {top}" font-family="sans-serif" font-size="12"'
    paper = f'<rect width="{_WIDTH}" height="{top}" fill="white"/>'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', paper, *shapes, "</svg>\n"])


def _bars(cells: dict[str, Cell], top: int) -> list[str]:
    """Draw a line for each contender, the fastest first."""
    fastest = max(cell.rate for cell in cells.values())
    largest = max(cell.peak for cell in cells.values())
    shapes = [_text(_SPEED, top, "rows per second", color=_PALE), _text(_MEMORY, top, "peak memory, MB", color=_PALE)]
    for number, (name, cell) in enumerate(sorted(cells.items(), key=lambda item: -item[1].rate)):
        y = top + 8 + number * _STEP
        ours = CONTENDERS[name].function.startswith("provider.")
        shapes.append(_text(16, y + 12, CONTENDERS[name].title, "bold" if ours else "normal"))
        for x, share, label in (
            (_SPEED, cell.rate / fastest, f"{cell.rate:,.0f}"),
            (_MEMORY, cell.peak / largest, f"{cell.peak / MB:,.0f}"),
        ):
            length = round(share * _LONGEST, 1)
            color = _OURS if ours else _OTHERS
            shapes.append(f'<rect x="{x}" y="{y}" width="{length}" height="16" rx="2" fill="{color}"/>')
            shapes.append(_text(x + length + 6, y + 12, label))
    return shapes


def _text(x: float, y: float, text: str, weight: str = "normal", color: str = _INK) -> str:
    return f'<text x="{x:g}" y="{y:g}" font-weight="{weight}" fill="{color}">{escape(text)}</text>'

"""Sums over time in as many points as a screen can show, whichever number of trades they are of. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from hyperoru_provider.params.window import Window

_STRETCHES = 400


class Point(NamedTuple):
    """What trades up to the end of a moment add up to.

    :param time: the moment.
    :param net: profit or loss after fees.
    :param profit: before fees.
    :param fall: how far ``net`` is below the highest that it was.
    """

    time: datetime
    net: Decimal
    profit: Decimal
    fall: Decimal


class Curve:
    """Of each stretch of time, keeps the first and the last point, the highest, the lowest and the deepest fall.

    :param span: the time that is cut into stretches.
    """

    def __init__(self, span: Window) -> None:
        self._span = span
        self._stretches: dict[int, list[Point]] = {}

    def add(self, time: datetime, net: Decimal, profit: Decimal, fall: Decimal) -> None:
        """Add a point, which is later than those before."""
        point = Point(time, net, profit, fall)
        stretch = int(self._span.share(time) * _STRETCHES)
        first, high, low, deep, _ = self._stretches.get(stretch, [point] * 5)
        self._stretches[stretch] = [
            first,
            max(high, point, key=lambda each: each.net),
            min(low, point, key=lambda each: each.net),
            max(deep, point, key=lambda each: each.fall),
            point,
        ]

    def __iter__(self) -> Iterator[Point]:
        """Yield the points, in order of time."""
        for points in self._stretches.values():
            yield from sorted(set(points))

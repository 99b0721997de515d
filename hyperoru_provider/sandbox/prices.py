"""Prices and candles: a smooth function of the seed, the symbol and the time."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from hyperoru_provider.sandbox.rows import SECOND, iso

__all__ = ["INTERVALS", "SYMBOLS", "Prices", "number"]

INTERVALS = {
    name: minutes * 60 * SECOND
    for name, minutes in {"1m": 1, "5m": 5, "15m": 15, "1h": 60, "4h": 240, "1d": 1440}.items()
}

# The usual price of each symbol, and the decimals that a price has.
SYMBOLS = {
    "BTC": (64_000.0, 0),
    "ETH": (3_100.0, 1),
    "SOL": (148.0, 2),
    "HYPE": (24.0, 3),
    "@107": (23.5, 3),
    "kPEPE": (0.0125, 7),
    "PURR/USDC": (0.21, 5),
    "DOGE": (0.17, 5),
}

# Between two knots a price moves in a straight line, so the extremes of a candle lie at knots or at its ends.
_KNOT = 300 * SECOND
_SWING = 29 * 3_600 * SECOND  # of the volume
_WAVES = ((0.003, 70), (0.015, 590), (0.07, 6_600), (0.3, 104_000))  # amplitude, period in knots


def number(value: Decimal) -> str:
    """Return the JSON text of an amount, with every digit and no spare ones; tiny ones have an exponent."""
    value = value.normalize()
    if value and abs(value) < Decimal("0.0001"):
        return f"{value:E}"
    return f"{value:f}" if value else "0"


@dataclass(frozen=True)
class _Curve:
    level: float
    decimals: int
    waves: tuple[tuple[float, float, float], ...]

    def knot(self, index: int) -> float:
        return self.level * math.exp(sum(a * math.sin(index * speed + p) for a, speed, p in self.waves))

    def at(self, time: int) -> Decimal:
        index, rest = divmod(time, _KNOT)
        value = self.knot(index)
        if rest:
            value += (self.knot(index + 1) - value) * rest / _KNOT
        return self.rounded(value)

    def rounded(self, value: float) -> Decimal:
        return Decimal(round(value * 10**self.decimals)).scaleb(-self.decimals)


class Prices:
    """The prices of a market, at any time.

    :param seed: the same seed gives the same prices
    :param symbols: what can be asked for
    """

    def __init__(self, seed: int, symbols: Iterable[str]) -> None:
        self._curves = {symbol: _curve(seed, symbol) for symbol in symbols}

    @property
    def symbols(self) -> list[str]:
        """What can be asked for."""
        return list(self._curves)

    def at(self, symbol: str, time: int) -> Decimal:
        """Return the price of a symbol at a time (microseconds since 1970).

        :raises KeyError: for an unknown symbol
        """
        return self._curves[symbol].at(time)

    def candles(self, symbol: str, interval: str, start: int, end: int) -> Iterator[bytes]:
        """Yield the JSON text of each candle that starts in ``start <= time < end``, oldest first."""
        step = INTERVALS[interval]
        curve = self._curves[symbol]
        for time in range(-(-start // step) * step, end, step):
            first, last = curve.at(time), curve.at(time + step)
            knots = range(time // _KNOT + 1, -(-(time + step) // _KNOT))
            prices = [first, last, *(curve.rounded(curve.knot(index)) for index in knots)]
            volume = Decimal(round(step / SECOND * (120 + 80 * math.sin(time / _SWING)))).scaleb(-2)
            yield (
                f'{{"timestamp":"{iso(time)}","open":{number(first)},"high":{number(max(prices))},'
                f'"low":{number(min(prices))},"close":{number(last)},"volume":{number(volume)}}}'
            ).encode()


def _curve(seed: int, symbol: str) -> _Curve:
    rng = random.Random(f"{seed}:{symbol}")
    level, decimals = SYMBOLS.get(symbol, (10 ** rng.uniform(-1, 2), 4))
    waves = tuple(
        (
            amplitude * rng.uniform(0.7, 1.3),
            math.tau / (period * rng.uniform(0.8, 1.2)),
            rng.uniform(0, math.tau),
        )
        for amplitude, period in _WAVES
    )
    return _Curve(level, decimals, waves)

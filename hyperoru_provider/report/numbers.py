"""Numbers and times as people read them. Pure; no sum is made of what is rounded here."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal

from hyperoru_provider.params.window import Window

MINUS = "\N{MINUS SIGN}"
_EXACT = Context(prec=2_500, rounding=ROUND_HALF_EVEN)
_CENT = Decimal("0.01")
_LARGEST = Decimal(10) ** 15
_SMALLEST = Decimal(10) ** -9
_UNITS = ((Decimal(10) ** 12, "T"), (Decimal(10) ** 9, "B"), (Decimal(10) ** 6, "M"), (Decimal(10) ** 3, "k"))


def amount(value: Decimal) -> str:
    """Return an amount with two decimals, or two digits where it is smaller: ``1,234.50``, ``0.0031``."""
    size = abs(value)
    if size >= _LARGEST or 0 < size < _SMALLEST:
        return _signed(f"{value:.2e}")
    if 0 < size < _CENT:
        return _signed(f"{Context(prec=2).plus(value):f}")
    return _signed(f"{value.quantize(_CENT, context=_EXACT):,}")


def exact(value: Decimal) -> str:
    """Return an amount with each of its digits: ``1,234.503126``."""
    return _signed(f"{_EXACT.normalize(value):,f}")


def plain(value: Decimal) -> str:
    """Return an amount with each of its digits, for machines: ``-1234.503126``."""
    return f"{_EXACT.normalize(value):f}"


def compact(value: Decimal) -> str:
    """Return an amount in few characters, for a chart: ``1.2M``."""
    size = abs(value)
    if size >= _LARGEST or 0 < size < _SMALLEST:
        return _signed(f"{value:.0e}")
    unit, name = next(((unit, name) for unit, name in _UNITS if size >= unit), (Decimal(1), ""))
    return _signed(f"{Context(prec=3).divide(value, unit).normalize():f}{name}")


def percent(share: Decimal | None) -> str:
    """Return a share as percent with one decimal, or a dash where there is none."""
    return "\N{EN DASH}" if share is None else _signed(f"{share * 100:,.1f}\N{NO-BREAK SPACE}%")


def basis_points(share: Decimal | None) -> str:
    """Return a share in hundredths of a percent, or a dash where there is none."""
    return "\N{EN DASH}" if share is None else _signed(f"{share * 10_000:,.2f}\N{NO-BREAK SPACE}bp")


def moment(value: datetime) -> str:
    """Return a time in UTC to the second: ``2026-01-15 08:36``, or ``2026-01-15 08:36:07``."""
    return f"{value:%Y-%m-%d %H:%M:%S}".removesuffix(":00")


def day(value: datetime) -> str:
    """Return the date of a time in UTC."""
    return value.date().isoformat()


def window(value: Window) -> str:
    """Return a time from and to: whole days by their dates, the last one included."""
    if any(bound.timetz().replace(tzinfo=None).isoformat() != "00:00:00" for bound in (value.start, value.end)):
        return f"{moment(value.start)} to {moment(value.end)}"
    first, last = day(value.start), day(value.end - timedelta(days=1))
    return first if first == last else f"{first} to {last}"


def _signed(text: str) -> str:
    return text.replace("-", MINUS) if text.strip("-0.\N{NO-BREAK SPACE}%bp") else text.removeprefix("-")

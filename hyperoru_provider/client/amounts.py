"""Amounts as users and servers write them: exact, finite, and of a length that can be written out."""

from __future__ import annotations

from decimal import Decimal

#: most digits before, and most digits after, the decimal point; every float has fewer
_MAX_DIGITS = 400


def is_blank(value: object) -> bool:
    """Return whether a value is an empty text, which is no amount: some servers write it for null."""
    return isinstance(value, str) and not value.strip()


def parse_amount(value: object) -> Decimal:
    """Return the exact value of a number or of its text.

    The result is safe to format without an exponent (``f"{amount:f}"``), which takes a byte for each digit.

    :param value: a number, or its text, which may have an exponent; a float is what it is written as.
    :raises ValueError: it is not a number (a bool is not), not finite, or has more than 400 digits on one side of
        the decimal point.
    """
    try:
        amount = Decimal(str(value))
    except (ArithmeticError, ValueError):  # the latter comes from an int of thousands of digits
        raise ValueError("a number is expected") from None
    if not amount.is_finite():
        raise ValueError("a finite number is expected")
    if amount.adjusted() >= _MAX_DIGITS or int(amount.as_tuple().exponent) < -_MAX_DIGITS:
        raise ValueError(f"a number of at most {_MAX_DIGITS} digits on each side of the decimal point is expected")
    return amount

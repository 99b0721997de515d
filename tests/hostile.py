"""JSON values that a hostile or broken server may send for any field."""

from __future__ import annotations

import os

#: name -> JSON text; ``nan`` and ``infinity`` are no JSON, but Python's own writer sends them
VALUES: dict[str, bytes] = {
    "nul": rb'"a\u0000b"',
    "controls": rb'"a\u001b[2J\u0007\r\n\u009b"',
    "half_an_emoji": rb'"a\ud83d"',
    "bidi": '"a\u202e\u2066b"'.encode(),
    "a_megabyte": b'"%b"' % (b"x" * 1_000_000),
    "deep": b"[" * 300 + b"]" * 300,
    "too_deep": b"[" * 100_000 + b"]" * 100_000,
    "huge_exponent": b"1e99999999",
    "many_digits": b"9" * 5000,
    "negative_zero": b"-0.0",
    "nan": b"NaN",
    "infinity": b"-Infinity",
    "text_nan": b'"NaN"',
    "object": rb'{"\u0000":{"a":[1e400]}}',
    "true": b"true",
    "null": b"null",
    "empty": b'""',
}

#: those that broke something once; all of them with HYPERORU_HOSTILE=all
WORST = list(VALUES)
if os.environ.get("HYPERORU_HOSTILE") != "all":
    WORST = ["nul", "half_an_emoji", "a_megabyte", "deep", "huge_exponent", "many_digits", "object", "true"]

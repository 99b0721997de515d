r"""Halves of characters in JSON: ``\ud83d`` without its other half, as a server writes that cuts a text in an emoji.

Python's ``json`` and JavaScript write and read them, but they are no Unicode, and most decoders refuse them.
"""

from __future__ import annotations

import re

import msgspec

_HIGH, _LOW = rb"u[dD][89abAB][0-9a-fA-F]{2}", rb"u[dD][c-fC-F][0-9a-fA-F]{2}"
_ESCAPE = re.compile(rb"\\(?:%s\\%s|(%s|%s)|.)" % (_HIGH, _LOW, _HIGH, _LOW), re.DOTALL)
_REPLACEMENT = rb"\ufffd"
#: stands for the backslash of a half: a code point which is no character, so that no text holds it
_MARK = "\ufdd0".encode()


def replace_halves(text: bytes) -> bytes:
    """Return JSON with the replacement character in place of each half of a character."""
    if b"\\ud" not in text and b"\\uD" not in text:
        return text
    return _ESCAPE.sub(lambda found: _REPLACEMENT if found[1] else found[0], text)


def mark_halves(text: bytes) -> bytes:
    """Return JSON that any decoder reads, and of which :func:`unmark_halves` makes what it was."""
    if _MARK in text:
        return text
    return _ESCAPE.sub(lambda found: _MARK + found[1] if found[1] else found[0], text)


def unmark_halves(text: bytes) -> bytes:
    """Return JSON, or a part of it, as it was before :func:`mark_halves`."""
    return text.replace(_MARK, b"\\")


def in_one_line(text: bytes) -> bytes:
    """Return JSON without blanks and breaks between its values.

    :raises msgspec.DecodeError: it is no JSON.
    """
    try:
        return msgspec.json.format(text, indent=-1)
    except msgspec.DecodeError:
        if (marked := mark_halves(text)) == text:
            raise
        return unmark_halves(msgspec.json.format(marked, indent=-1))

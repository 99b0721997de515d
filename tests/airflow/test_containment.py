"""What a trigger raises: Airflow stores its traceback, in a database that refuses some characters."""

from __future__ import annotations

import json
from traceback import format_exception

import pytest

from hyperoru_provider.client.errors import HyperoruError
from hyperoru_provider.triggers.containment import contained
from hyperoru_provider.waiting import payloads


def raised(error: Exception) -> Exception:
    """Return an error as it is caught: with a traceback, and with what led to it."""
    try:
        try:
            raise ValueError("close reason a\0b\ud83d")
        except ValueError as cause:
            raise error from cause
    except Exception as caught:
        return caught


@pytest.mark.parametrize("error", [HyperoruError("a\0b\ud83d"), KeyError("a\0b\ud83d"), RuntimeError("a\0b\ud83d")])
def test_no_traceback_of_a_trigger_holds_what_a_server_wrote(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    kept = contained(raised(error))
    text = "".join(format_exception(kept))
    assert "close reason" not in text
    assert text.replace("\n", "").isprintable()
    stored = json.dumps(payloads.failed(kept), ensure_ascii=False).encode()
    assert b"a\\\\x00b" in stored
    assert "\0" not in caplog.text
    assert ("close reason a\\x00b\\ud83d" in caplog.text) == (not isinstance(error, HyperoruError))

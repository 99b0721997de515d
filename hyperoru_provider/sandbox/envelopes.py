"""What stands around the rows of a list, and the errors that can stand beside them in an answer of 200."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from hyperoru_provider.sandbox.faults import Faults

__all__ = ["ListAnswer", "join_rows", "list_answer"]

_MESSAGE = "The list could not be read"
_ERRORS: dict[str, dict[str, object]] = {
    "error_object": {"error": {"code": "LIST_FAILED", "message": _MESSAGE}},
    "error_text": {"error": _MESSAGE},
    "errors": {"errors": [{"code": "LIST_FAILED", "message": _MESSAGE}]},
    "ok": {"ok": False},
    "status": {"status": "error"},
    "success_text": {"success": "false"},
    "success_zero": {"success": 0},
    "code": {"code": "LIST_FAILED", "message": _MESSAGE},
}


class ListAnswer(NamedTuple):
    """The JSON text of an answer, and how many rows it holds."""

    body: bytes
    rows: int


def list_answer(
    bodies: Sequence[bytes],
    faults: Faults,
    *,
    name: str = "bare",
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
    is_further: bool = False,
) -> ListAnswer:
    """Return the answer with a list.

    :param bodies: the JSON text of each row
    :param faults: may put an error in their place or beside them
    :param name: the member that holds the list; ``bare`` for an array and nothing else, as long as there is no error
    :param before: members that come before the list
    :param after: members that come after it
    :param is_further: whether the list is a page after the first one
    """
    if faults.false_success:
        return ListAnswer(json.dumps({"success": False, "message": _MESSAGE}).encode(), 0)
    error = _ERRORS.get(faults.error_beside) if is_further == (faults.error_beside_page == "further") else None
    if error is not None and not faults.error_beside_rows:
        bodies, after = (), None
    rows = join_rows(bodies)
    if name == "bare":
        if error is None:
            return ListAnswer(rows, len(bodies))
        name, after = "items", None
    if not bodies and faults.null_when_empty:
        rows = b"null"
    members = [_members(before), b'"%b":%b' % (name.encode(), rows), _members(after), _members(error)]
    return ListAnswer(b"{%b}" % b",".join(filter(None, members)), len(bodies))


def join_rows(bodies: Sequence[bytes]) -> bytes:
    """Return the JSON array of rows that are JSON text already."""
    return b"[" + b",".join(bodies) + b"]"


def _members(fields: Mapping[str, object] | None) -> bytes:
    """Return the members of a JSON object without its braces, nothing if there are none."""
    return json.dumps(fields).encode()[1:-1] if fields else b""

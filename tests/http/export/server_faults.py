"""Faults of the sandbox, and contracts, that several tests of whole exports name."""

from __future__ import annotations

from typing import Any

#: how an answer of success says that it is none
ERRORS_BESIDE = ("error_object", "error_text", "errors", "ok", "status", "success_text", "success_zero", "code")
#: nothing tells how many rows there are
UNSIGNED: dict[str, Any] = {"total": "none", "has_more": False}
#: the contract of a list that is read in slices of time
NO_PAGES: dict[str, Any] = {"paging": "none", "page_size": None}

"""How the end of a wait crosses from the triggerer to the worker: as JSON, its errors with their class and facts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeGuard

from hyperoru_provider.client import errors
from hyperoru_provider.client.errors import HyperoruApiError, HyperoruConfigError, HyperoruContractError, HyperoruError
from hyperoru_provider.waiting.conditions import Verdict

_LIMIT = 2_000
_TEXTS = ("method", "path", "code", "request_id")


def done(verdict: Verdict) -> dict[str, Any]:
    """Say that what was waited for is there."""
    return {"status": "done", "says": verdict.says, "result": verdict.result}


def timed_out(says: str) -> dict[str, Any]:
    """Say that it was not there in time, and why not."""
    return {"status": "timeout", "says": says}


def failed(error: HyperoruError) -> dict[str, Any]:
    """Say that waiting on is of no use."""
    facts = {name: value for name, value in vars(error).items() if name in (*_TEXTS, "status")}
    if _is_number(pause := getattr(error, "retry_after", None)):
        facts["retry_after"] = pause
    known = next(cls for cls in type(error).__mro__ if vars(errors).get(cls.__name__) is cls)
    text = error.message if isinstance(error, HyperoruApiError) else str(error)
    return {
        "status": "failed",
        "error": {"class": known.__name__, "message": text[:_LIMIT], **facts},
    }


def parse_event(event: object) -> Verdict:
    """Read an event, which may be of another version of this package or somebody else's.

    :return: whether the wait ended well, or in a timeout.
    :raises HyperoruError: it failed, with the error of the triggerer; or this is no such event.
    """
    match event:
        case {"status": "done", "says": str(says), "result": None | str() | dict() as result}:
            return Verdict(True, says[:_LIMIT], result=result)
        case {"status": "timeout", "says": str(says)}:
            return Verdict(False, says[:_LIMIT])
        case {"status": "failed", "error": {"class": str(name), "message": str(message)} as facts}:
            raise _error(name, message[:_LIMIT], facts)
    raise HyperoruContractError(f"The trigger sent no event that can be understood, but a {type(event).__name__}.")


def _error(name: str, message: str, facts: Mapping[str, Any]) -> HyperoruError:
    if name in (HyperoruError.__name__, HyperoruConfigError.__name__):
        return (HyperoruError if name == HyperoruError.__name__ else HyperoruConfigError)(message)
    found = getattr(errors, name, None)
    cls = found if isinstance(found, type) and issubclass(found, HyperoruApiError) else HyperoruApiError
    texts = {field: value[:_LIMIT] for field in _TEXTS if isinstance(value := facts.get(field), str)}
    status, pause = facts.get("status"), facts.get("retry_after")
    return cls(
        message,
        **texts,
        status=status if _is_number(status) and isinstance(status, int) else None,
        retry_after=pause if _is_number(pause) else None,
    )


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)

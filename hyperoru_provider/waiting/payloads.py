"""The payload by which a trigger tells the worker how a wait ended: JSON, with an error's class and facts.

It is stored in Airflow's database, where a character that this refuses would end the triggerer of all DAGs: so whatever
a server sent is escaped here.

Its keys and words are read by workers of other versions of this package, so they can't be renamed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeGuard, cast

from hyperoru_provider.client import errors
from hyperoru_provider.client.errors import HyperoruApiError, HyperoruConfigError, HyperoruContractError, HyperoruError
from hyperoru_provider.client.escaping import storable
from hyperoru_provider.waiting.conditions import Verdict

_LIMIT = 2_000
_TEXTS = ("method", "path", "code", "request_id")
_WITHOUT_FACTS = {cls.__name__: cls for cls in (HyperoruError, HyperoruConfigError)}


def done(verdict: Verdict) -> dict[str, Any]:
    """Return the payload of a wait that ended well."""
    return _stored({"status": "done", "says": verdict.message, "result": verdict.result})


def timed_out(message: str) -> dict[str, Any]:
    """Return the payload of a wait whose deadline came first.

    :param message: why the condition was not met.
    """
    return _stored({"status": "timeout", "says": message})


def failed(error: HyperoruError) -> dict[str, Any]:
    """Return the payload of a wait that an error ended."""
    facts = {name: value for name, value in vars(error).items() if name in (*_TEXTS, "status")}
    if _is_number(pause := getattr(error, "retry_after", None)):
        facts["retry_after"] = pause
    known = next(cls for cls in type(error).__mro__ if vars(errors).get(cls.__name__) is cls)
    text = error.message if isinstance(error, HyperoruApiError) else str(error)
    return _stored({"status": "failed", "error": {"class": known.__name__, "message": text[:_LIMIT], **facts}})


def parse_event(event: object) -> Verdict:
    """Return how a wait ended.

    :param event: the payload of a trigger, perhaps of another version of this package, or anything else.
    :return: a verdict that is done, or after a timeout one that is not.
    :raises HyperoruError: the error that ended the wait in the triggerer.
    :raises HyperoruContractError: the event is no such payload.
    """
    match event:
        case {"status": "done", "says": str(message), "result": None | str() | dict() as result}:
            return Verdict(True, message[:_LIMIT], result=result)
        case {"status": "timeout", "says": str(message)}:
            return Verdict(False, message[:_LIMIT])
        case {"status": "failed", "error": {"class": str(name), "message": str(message)} as facts}:
            raise _error(name, message[:_LIMIT], facts)
    raise HyperoruContractError(f"The trigger sent an event that can't be understood: a {type(event).__name__}.")


def _error(name: str, message: str, facts: Mapping[str, Any]) -> HyperoruError:
    if name in _WITHOUT_FACTS:
        return _WITHOUT_FACTS[name](message)
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


def _stored(payload: dict[str, Any]) -> dict[str, Any]:
    """Return a payload as Airflow's database takes it."""
    return cast("dict[str, Any]", storable(payload))


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)

"""Models as JSON that any database, log and message can hold: XCom and Airflow's state are rows of a database."""

from __future__ import annotations

import re
from typing import Any

from hyperoru_provider.client.api.models import Model
from hyperoru_provider.client.calls import name_of
from hyperoru_provider.client.errors import HyperoruContractError, printable

#: control characters but for those that lay out text, and lone surrogates: PostgreSQL refuses some of each
_UNSTORABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_INT64 = range(-(2**63), 2**63)


def plain_json(item: Model) -> dict[str, Any]:
    """Return a model as JSON: amounts as text, and so are numbers beyond 64 bits; control characters are escaped.

    :raises HyperoruContractError: it is nested too deeply; the text names it.
    """
    try:
        fields = item.model_dump(mode="json")
    except ValueError as error:
        name = name_of(type(item), dict(item))
        raise HyperoruContractError(f"The {name} can't be written as JSON: {error}. Export it as jsonl.") from None
    plain: dict[str, Any] = _plain(fields)
    return plain


def _plain(value: Any) -> Any:
    match value:
        case str():
            return _UNSTORABLE.sub(lambda match: printable(match[0]), value)
        case dict():
            return {_plain(name): _plain(inner) for name, inner in value.items()}
        case list():
            return [_plain(inner) for inner in value]
        case int() if value not in _INT64:
            return str(value)
    return value

"""Finds the object in an answer that is only one, whatever a server wraps it in. Pure: no I/O."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeAlias

import msgspec

from hyperoru_provider.client.api.endpoints import OBJECT_ROWS, ListEndpoint
from hyperoru_provider.client.api.resource import Resource
from hyperoru_provider.client.decoding import ERROR_FIELDS
from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.escaping import shorten
from hyperoru_provider.client.surrogates import mark_halves, unmark_halves

#: what an envelope says of the request, and no object of itself
_BESIDE = frozenset(
    (*ERROR_FIELDS, "detail", "success", "ok", "status", "code", "message", "msg", "request_id", "generated_at")
)

_Fields: TypeAlias = dict[str, msgspec.Raw]
_decode = msgspec.json.Decoder(_Fields).decode
_decode_any = msgspec.json.Decoder(_Fields | list[_Fields] | None).decode


@dataclass(frozen=True)
class ObjectFinder:
    """Finds the object.

    :param telling: the server's names of the fields that only the object itself has; none of a model that knows none.
    :param fields: its names of all fields: what an envelope says of them, the object gets if it lacks it.
    :param envelopes: keys under which it may stand.
    """

    telling: frozenset[str]
    fields: frozenset[str]
    envelopes: frozenset[str]

    def find(self, text: bytes) -> list[msgspec.Raw]:
        """Return the object, byte for byte where nothing is around it; nothing if the server says that it has none.

        :raises HyperoruContractError: there is no object with a field of the model, or several.
        """
        marked = mark_halves(text)
        outer = _decode(marked)
        found = self._find(outer)
        if found is None:
            raise HyperoruContractError(
                f"The answer has none of the fields {', '.join(sorted(self.telling))}: it has only the keys "
                f"{shorten(', '.join(outer))}. If they are under one of these, name it in the contract's rows; if "
                "the server uses other names, set them in its fields."
            )
        if len(found) > 1:
            raise HyperoruContractError(
                f"The answer has {len(found)} objects, but one was expected. Correct the contract's path or shape."
            )
        if found == [outer]:
            return [msgspec.Raw(text)]
        return [msgspec.Raw(unmark_halves(msgspec.json.encode(each))) for each in found]

    def _find(self, outer: _Fields) -> list[_Fields] | None:
        """Return the objects in another one, or itself; ``None`` if it is no such object, and none is in it."""
        own = len(self.telling & outer.keys())
        inner = self._inside(outer)
        if inner is None or (own and all(len(self.telling & each.keys()) <= own for each in inner)):
            return [outer] if own or not self.telling else None
        around = {name: value for name, value in outer.items() if name in self.fields}
        found = [self._find({**each, **{name: around[name] for name in around if name not in each}}) for each in inner]
        return None if None in found else [each for objects in found for each in objects or ()]

    def _inside(self, outer: _Fields) -> list[_Fields] | None:
        """Return the objects that stand under the key of an envelope; ``None`` if there is no such key, or several."""
        names = [name for name in outer if name in self.envelopes]
        if len(names) != 1 or not (self.telling or outer.keys() - names <= _BESIDE | self.fields):
            return None
        try:
            inner = _decode_any(outer[names[0]])
        except msgspec.ValidationError:
            return None
        return [inner] if isinstance(inner, dict) else inner or []


def object_finder(row: Resource[Any], endpoint: ListEndpoint) -> ObjectFinder | None:
    """Return what finds the object of a list that is one; ``None`` of other lists."""
    if endpoint.shape != "object":
        return None
    fields = row.model.model_fields.keys() - {"as_of"}
    named = {field: frozenset((field, *endpoint.names_of(field))) for field in (*fields, *row.filters)}
    telling = frozenset(chain(*(names for field, names in named.items() if field not in row.filters)))
    envelopes = {part for name in (*endpoint.rows, *OBJECT_ROWS) for part in name.replace("[]", "").split(".")}
    return ObjectFinder(telling, frozenset(chain(*named.values())), frozenset(envelopes) - telling)

"""What a server's ``/openapi.json`` says of its addresses. Pure: no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from hyperoru_provider.client.errors import HyperoruConfigError
from hyperoru_provider.doctor.vocabulary import HIDING, PARAMETERS, SHOWING, SWITCHES

_LARGEST = 1_000_000
_ALL = ("", "all", "any", "*")
_PLACE = re.compile(r"\{([^{}]+)\}")
_ALTERNATIVES = re.compile(r"\^?\(?(\w+(?:\|\w+)+)\)?\$?")


@dataclass(frozen=True)
class Parameter:
    """A parameter of an address.

    :param name: the server's.
    :param place: ``path`` or ``query``.
    :param required: whether a request without it is refused.
    :param schema: what its value may be.
    """

    name: str
    place: str
    required: bool
    schema: Mapping[str, Any]

    @property
    def maximum(self) -> int | None:
        """The largest number that it takes."""
        limits = (self.schema.get("maximum"), _number(self.schema.get("exclusiveMaximum")) - 1)
        return next((int(number) for number in map(_number, limits) if number >= 1), None)

    @property
    def is_day(self) -> bool:
        """Whether it takes a day, and no moment."""
        return self.schema.get("format") == "date"

    @property
    def is_number(self) -> bool:
        """Whether it takes a number, as times since 1970 are."""
        return self.schema.get("type") in ("integer", "number")

    @property
    def choices(self) -> tuple[str, ...]:
        """The values that it takes, if it names them."""
        if values := _items(self.schema.get("enum")):
            return tuple(value for value in values if isinstance(value, str) and value and value.isprintable())
        found = _ALTERNATIVES.fullmatch(str(self.schema.get("pattern", "")))
        return tuple(found[1].split("|")) if found else ()

    @property
    def may_hide(self) -> bool:
        """Whether a request without it may leave something out."""
        default = self.schema.get("default")
        return self.name in HIDING if default is None else str(default) not in _ALL

    @property
    def is_switch(self) -> bool:
        """Whether it may choose which rows there are: it says so by its name, or by a default among its values."""
        if self.place != "query" or not self.may_hide:
            return False
        if self.name in SWITCHES:
            return True
        known = any(self.name in names for names in PARAMETERS.values())
        words = self.name.lower().split("_")
        shows = any(word.startswith(part) for word in words for part in SHOWING)
        return not known and not shows and len(self.choices) > 1 and self.schema.get("default") in self.choices


@dataclass(frozen=True)
class Operation:
    """What can be read from an address.

    :param path: of the address, with the server's names of its places.
    :param parameters: by the server's names.
    """

    path: str
    parameters: Mapping[str, Parameter]

    def named(self, name: str) -> Parameter | None:
        """Return the parameter that our name means there, or ``None`` if there is none."""
        found = (self.parameters.get(theirs) for theirs in PARAMETERS.get(name, (name,)))
        return next((each for each in found if each is not None), None)

    @property
    def switches(self) -> dict[str, tuple[str, ...]]:
        """The parameters with a default of their own that choose what there is, and their values."""
        return {name: each.choices or SWITCHES[name] for name, each in self.parameters.items() if each.is_switch}


class Document:
    """An OpenAPI document.

    :param data: the document, as JSON.
    :raises HyperoruConfigError: it is none.
    """

    def __init__(self, data: object) -> None:
        if not isinstance(data, Mapping) or not isinstance(data.get("paths"), Mapping):
            raise HyperoruConfigError("It is no OpenAPI document: a JSON object with paths is expected.")
        self._data = data
        self._paths: Mapping[str, Any] = data["paths"]

    @classmethod
    def parse(cls, text: bytes) -> Document:
        """Return the document that a text is.

        :raises HyperoruConfigError: it is none.
        """
        try:
            return cls(msgspec.json.decode(text))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise HyperoruConfigError(f"It is no OpenAPI document: {error}") from None

    def operation(self, path: str) -> Operation | None:
        """Return what can be read from an address, whatever its places are named and whether it ends in a slash."""
        wanted = _shape(path)
        found = next((each for each in self._paths if _shape(each) == wanted and self._can_be_read(each)), None)
        return None if found is None else Operation(found, {each.name: each for each in self._parameters(found)})

    def _can_be_read(self, path: str) -> bool:
        return isinstance(self._paths[path], Mapping) and isinstance(self._paths[path].get("get"), Mapping)

    def _parameters(self, path: str) -> Iterator[Parameter]:
        entry = self._paths[path]
        for each in [*_items(entry.get("parameters")), *_items(entry["get"].get("parameters"))]:
            given = self._resolved(each)
            if given.get("in") in ("path", "query") and isinstance(given.get("name"), str):
                schema = self._plain(given.get("schema", {}))
                yield Parameter(given["name"], given["in"], bool(given.get("required")), schema)

    def _plain(self, schema: Any) -> Mapping[str, Any]:
        """Return a schema without what only says that it may be missing."""
        schema = self._resolved(schema)
        options = [self._resolved(each) for each in (*_items(schema.get("anyOf")), *_items(schema.get("allOf")))]
        real = [each for each in options if each.get("type") != "null"]
        return {**real[0], **schema} if len(real) == 1 else schema

    def _resolved(self, value: Any) -> Mapping[str, Any]:
        """Return an object in place of a reference to it; an empty one if it leads nowhere."""
        for _ in range(10):
            if not isinstance(value, Mapping):
                return {}
            reference = value.get("$ref")
            if not isinstance(reference, str):
                return value
            value = self._data
            for step in reference.removeprefix("#/").split("/"):
                value = value.get(step, {}) if isinstance(value, Mapping) else {}
        return {}


def _items(value: object) -> list[Any]:
    """Return a list, or an empty one in place of what is none: nobody checks what a server says of itself."""
    return value if isinstance(value, list) else []


def _number(value: object) -> float:
    """Return a number of rows, or zero in place of what is none."""
    return value if isinstance(value, (int, float)) and 0 < value < _LARGEST and value is not True else 0


def _shape(path: str) -> str:
    return _PLACE.sub("{}", path).rstrip("/")


def with_our_names(theirs: str, ours: list[str]) -> str | None:
    """Return a path with our names of its places, or ``None`` if one can't be told, or is no place of a contract.

    :param theirs: the path with the server's names.
    :param ours: our names of what may stand in it, in the order of the contract's own path.
    """
    places = _PLACE.findall(theirs)
    if len(places) == len(ours) == 1:
        return theirs.replace(f"{{{places[0]}}}", f"{{{ours[0]}}}")
    for place in places:
        name = next((each for each in ours if place in PARAMETERS.get(each, (each,))), None)
        if name is None:
            return None
        theirs = theirs.replace(f"{{{place}}}", f"{{{name}}}")
    return theirs if sorted(_PLACE.findall(theirs)) == sorted(ours) else None

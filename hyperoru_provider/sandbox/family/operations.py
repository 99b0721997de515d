"""Operations of the API: what they are sent, declared once for the requests and for ``/openapi.json``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from starlette.responses import Response

from hyperoru_provider.sandbox.errors import Refusal
from hyperoru_provider.sandbox.incoming import Incoming
from hyperoru_provider.sandbox.queries import boolean, integer
from hyperoru_provider.sandbox.rows import DAY, micros

__all__ = ["Operation", "Parameter", "day", "flag", "instant", "number", "switch", "text"]

Schema = dict[str, Any]


@dataclass(frozen=True)
class Parameter:
    """A parameter of a path or a query.

    :param name: its name
    :param parse: makes a value of its text; raises ValueError
    :param schema: its JSON schema, which is also checked: ``minimum``, ``maximum``, ``enum``, ``pattern``
    :param default: its value where it is not sent
    :param required: whether it has to be sent
    """

    name: str
    parse: Callable[[str], Any]
    schema: Schema
    default: Any = None
    required: bool = False

    def read(self, sent: str | None, where: str) -> Any:
        """Return the value.

        :param sent: its text; None if it was not sent
        :param where: ``path`` or ``query``
        :raises Refusal: if it is missing or can't be that
        """
        if sent is None:
            if self.required:
                raise invalid([where, self.name], "Field required", "missing")
            return self.default
        try:
            value = self.parse(sent)
        except ValueError as error:
            raise invalid([where, self.name], str(error), f"{self.schema['type']}_parsing") from None
        if problem := self._problem(value):
            raise invalid([where, self.name], *problem)
        return value

    def document(self, where: str) -> Schema:
        """Return what ``/openapi.json`` says of it."""
        title = self.name.replace("_", " ").title()
        if self.required or self.default is not None or where == "path":
            schema = {**self.schema, "title": title}
        else:
            schema = {"anyOf": [self.schema, {"type": "null"}], "title": title}
        if self.default is not None:
            schema["default"] = self.default
        return {"name": self.name, "in": where, "required": self.required or where == "path", "schema": schema}

    def _problem(self, value: Any) -> tuple[str, str] | None:
        """Return what is wrong with a value of the right type, and the machine's word for it."""
        low, high, choices = (self.schema.get(name) for name in ("minimum", "maximum", "enum"))
        if low is not None and value < low:
            return f"Input should be greater than or equal to {low}", "greater_than_equal"
        if high is not None and value > high:
            return f"Input should be less than or equal to {high}", "less_than_equal"
        if choices is not None and value not in choices:
            return f"Input should be {' or '.join(map(repr, choices))}", "literal_error"
        pattern = self.schema.get("pattern")
        if pattern is not None and not re.search(pattern, value):
            return f"String should match pattern '{pattern}'", "string_pattern_mismatch"
        return None


def text(name: str, *, required: bool = False) -> Parameter:
    """Return a parameter that is any text."""
    return Parameter(name, str, {"type": "string"}, required=required)


def flag(name: str) -> Parameter:
    """Return a parameter that is ``true`` or ``false``, and false where it is not sent."""
    return Parameter(name, boolean, {"type": "boolean"}, default=False)


def number(name: str, low: int | None = None, high: int | None = None, default: int | None = None) -> Parameter:
    """Return a parameter that is a whole number, of a range."""
    limits = {name: limit for name, limit in (("maximum", high), ("minimum", low)) if limit is not None}
    return Parameter(name, integer, {"type": "integer", **limits}, default)


def switch(name: str, *choices: str, default: str | None = None, as_pattern: bool = False) -> Parameter:
    """Return a parameter that is one of some words."""
    shown = {"pattern": f"^({'|'.join(choices)})$"} if as_pattern else {"enum": list(choices)}
    return Parameter(name, str, {"type": "string", **shown}, default)


def instant(name: str) -> Parameter:
    """Return a parameter that is a time in ISO 8601, as microseconds since 1970; without an offset it is UTC."""
    return Parameter(name, micros, {"type": "string", "format": "date-time"})


def day(name: str) -> Parameter:
    """Return a parameter that is a day, as the microseconds of its start since 1970."""
    return Parameter(name, _midnight, {"type": "string", "format": "date"})


@dataclass(frozen=True)
class Operation:
    """What can be done at an address.

    :param method: of HTTP
    :param path: its template
    :param handle: takes the parameters by name, and the ``body`` if there is one; returns a response, the JSON text of
        an answer, or what can be written as JSON; or None to close the connection without an answer
    :param parameters: those of the query, and those of the path that are no text
    :param body: the name of the body's schema
    :param answer: the schema of the answer; of most nothing is known
    """

    method: str
    path: str
    handle: Callable[..., Response | str | Mapping[str, Any] | Sequence[Any] | None]
    parameters: tuple[Parameter, ...] = ()
    body: str | None = None
    answer: Schema | None = None

    def parameters_in(self, where: str) -> list[Parameter]:
        """Return the parameters of the path or of the query."""
        names = re.findall(r"\{(\w+)\}", self.path)
        declared = {parameter.name: parameter for parameter in self.parameters}
        if where == "path":
            return [declared.get(name) or text(name) for name in names]
        return [parameter for parameter in self.parameters if parameter.name not in names]

    def __call__(self, incoming: Incoming, **path: str) -> Response | None:
        """Answer a request; unknown parameters of the query are ignored, and of those sent twice the last one counts.

        :raises Refusal: if a parameter is missing or wrong
        """
        values = {each.name: each.read(path[each.name], "path") for each in self.parameters_in("path")}
        query = {each.name: each.read(incoming.query.get(each.name), "query") for each in self.parameters_in("query")}
        body = {"body": incoming.json()} if self.body else {}
        answer = self.handle(**values, **query, **body)
        if answer is None or isinstance(answer, Response):
            return answer
        if not isinstance(answer, str):
            answer = json.dumps(answer, separators=(",", ":"), ensure_ascii=False)
        return Response(answer, media_type="application/json")


def invalid(where: Sequence[str], message: str, kind: str) -> Refusal:
    """Return the refusal of a request whose parameter or field is wrong, as FastAPI words it."""
    return Refusal(422, kind, message, detail=[{"type": kind, "loc": list(where), "msg": message}])


def _midnight(value: str) -> int:
    """Return the start of a day."""
    return (date.fromisoformat(value) - date(1970, 1, 1)).days * DAY

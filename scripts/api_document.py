"""Write what the sandbox serves as ``/openapi.json``: the contract's addresses and the models, as OpenAPI says them.

The sandbox and the client don't know each other, so the document is a file of the sandbox; a test holds it up to date.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from hyperoru_provider.client.api.contract import DEFAULT_CONTRACT
from hyperoru_provider.client.api.endpoints import Endpoint, ListEndpoint
from hyperoru_provider.client.api.models import BackfillJob, Health, Model, Price, Profile
from hyperoru_provider.client.api.resource import Resource
from hyperoru_provider.client.api.resources import RESOURCES
from hyperoru_provider.version import __version__

PLACE = Path(__file__).resolve().parents[1] / "hyperoru_provider" / "sandbox" / "openapi.json"
WHOLE = {"type": "integer", "minimum": -(10**18) + 1, "maximum": 10**18 - 1}
TEXT = {"type": "string", "minLength": 1}
TIME = {"type": "string", "format": "date-time"}
#: what the values of parameters are, by our names; any other is a text
VALUES: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("account_id", "user_id", "decision_id", "pool_id", "signal_id", "program_id"), WHOLE),
    "include_hidden": {"type": "boolean"},
    "interval": {"type": "string", "enum": ["1m", "5m", "15m", "1h", "4h", "1d"]},
    "timeframe": {"type": "string", "enum": ["5m", "1h", "1d"]},
    "days": {"type": "integer", "minimum": 1, "maximum": 365},
    "page": {"type": "integer", "minimum": 1, "maximum": 10**6},
    "offset": {"type": "integer", "minimum": 0, "maximum": 10**6},
    "cursor": {"type": "integer", "minimum": 0, "maximum": 10**6},
}
PAGING = {"page": ("page", "per_page"), "offset": ("offset", "limit"), "cursor": ("cursor", "limit")}
TIMES: dict[str, dict[str, Any]] = {"iso": TIME, "seconds": {"type": "integer", "minimum": 10**8, "maximum": 10**10}}
DAY = {"type": "string", "format": "date"}
#: a NUL or half a character can't stand in an address, and a slash would be another one
PATH_TEXT = {**TEXT, "pattern": r"^[A-Za-z0-9_.@-]+$", "maxLength": 100}


def document() -> dict[str, Any]:
    """Return the OpenAPI document of the default profile."""
    schemas: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    for resource in RESOURCES.values():
        add_list(paths, schemas, resource)
    others: dict[str, type[Model]] = {
        "health": Health,
        "profile": Profile,
        "price": Price,
        "backfill_status": BackfillJob,
    }
    for name, model in others.items():
        endpoint: Endpoint = getattr(DEFAULT_CONTRACT, name)
        needed = ("symbol",) if name == "price" else ()
        parameters = [
            parameter(endpoint, each, each in endpoint.path_names or each in needed)
            for each in (*endpoint.path_names, *needed)
        ]
        paths[endpoint.path] = {"get": operation(name, parameters, schema_of(model, endpoint, schemas))}
    paths[DEFAULT_CONTRACT.health.path]["get"]["security"] = []
    paths[DEFAULT_CONTRACT.login.path] = {"post": login()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Hyperoru (sandbox)", "version": __version__},
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def add_list(paths: dict[str, Any], schemas: dict[str, Any], resource: Resource[Any]) -> None:
    """Add the address of a list; of two lists of one address, the answer has both."""
    endpoint = resource.endpoint
    names = [*endpoint.path_names, *(name for name in resource.filters if name not in endpoint.path_names)]
    if resource.name == "backfill_jobs":  # its filters are compared, and not sent
        names = []
    if resource.windowed and endpoint.time_filter != "none":
        names += ["start", "end"]
    names += PAGING.get(endpoint.paging, ("limit",) if endpoint.page_size else ())
    required = {*endpoint.path_names, *(["symbol"] if resource.spacing else [])}
    parameters = [
        parameter(endpoint, name, name in required) for name in names if endpoint.params.get(name, name) is not None
    ]
    paged = operation(resource.name, parameters, answer_of(endpoint, schema_of(resource.model, endpoint, schemas)))
    if endpoint.path in paths:
        both = [_answer(each) for each in (paths[endpoint.path]["get"], paged)]
        paged["responses"]["200"]["content"]["application/json"]["schema"] = {"allOf": both}
    paths[endpoint.path] = {"get": paged}


def answer_of(endpoint: ListEndpoint, row: dict[str, Any]) -> dict[str, Any]:
    """Return what a list answers: an array, or an object with it under one of its names."""
    if endpoint.shape == "object":
        return {"anyOf": [row, {"type": "null"}]}
    rows = {"type": "array", "items": row if endpoint.shape == "list" else {"type": ["string", "number"]}}
    wrapped = [
        {"type": "object", "required": [name], "properties": {name: {"anyOf": [rows, {"type": "null"}]}}}
        for name in endpoint.rows
    ]
    return {"anyOf": [rows, *wrapped]}


def _answer(get: dict[str, Any]) -> Any:
    return get["responses"]["200"]["content"]["application/json"]["schema"]


def operation(name: str, parameters: list[dict[str, Any]], answer: dict[str, Any]) -> dict[str, Any]:
    """Return a GET: what it is sent, and its answers."""
    error = {"description": "An error", "content": {"application/json": {"schema": {"type": "object"}}}}
    return {
        "operationId": name,
        "parameters": parameters,
        "responses": {
            "200": {"description": "OK", "content": {"application/json": {"schema": answer}}},
            **dict.fromkeys(("400", "401", "404", "422"), error),
        },
        "security": [{"token": []}],
    }


def login() -> dict[str, Any]:
    """Return the login: an email or a user name, and a password."""
    bodies = [
        {"type": "object", "required": [name, "password"], "properties": {name: TEXT, "password": TEXT}}
        for name in ("email", "username")
    ]
    token = {"type": "object", "required": ["session_token"], "properties": {"session_token": TEXT, "expires_at": TIME}}
    return {
        **operation("login", [], token),
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"anyOf": bodies}}}},
        "security": [],
    }


def parameter(endpoint: Endpoint, name: str, required: bool) -> dict[str, Any]:
    """Return a parameter under the server's name."""
    in_path = name in endpoint.path_names
    schema: Mapping[str, Any] = VALUES.get(name, PATH_TEXT if in_path else TEXT)
    if name in ("start", "end") and isinstance(endpoint, ListEndpoint):
        schema = DAY if endpoint.time_filter == "day" else TIMES[endpoint.window_format or endpoint.time_format]
    elif name in ("limit", "per_page") and isinstance(endpoint, ListEndpoint):
        schema = {**WHOLE, "minimum": 1, "maximum": endpoint.page_size}
    sent = name if in_path else endpoint.params.get(name, name)
    return {"name": sent, "in": "path" if in_path else "query", "required": required, "schema": schema}


def schema_of(model: type[Model], endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    """Return a reference to what the server sends of a model, under its names; the fields that are ours are none."""
    described = TypeAdapter(model).json_schema(mode="validation", ref_template="#/components/schemas/{model}")
    seconds = isinstance(endpoint, ListEndpoint) and endpoint.time_format != "iso"
    properties: dict[str, Any] = {}
    required: list[str] = []
    filled = (
        {*endpoint.path_names, *getattr(endpoint, "key", ())}
        if isinstance(endpoint, ListEndpoint)
        else {*endpoint.path_names}
    )
    for name, field in described["properties"].items():
        if name in ("as_of", "meaning"):
            continue
        for sent in endpoint.names_of(name):
            properties[sent] = _as_sent(field, seconds=seconds)
        if name in described.get("required", ()) and name not in filled and len(endpoint.names_of(name)) == 1:
            required.append(endpoint.names_of(name)[0])
    name = model.__name__
    schemas[name] = {"type": "object", "description": described.get("description", ""), "properties": properties}
    if required:
        schemas[name]["required"] = required
    return {"$ref": f"#/components/schemas/{name}"}


def _as_sent(field: Any, *, seconds: bool) -> Any:
    """Return the schema of a field as servers send it: amounts are numbers or texts, times texts or counts."""
    if isinstance(field, list):
        return [_as_sent(each, seconds=seconds) for each in field]
    if not isinstance(field, dict):
        return field
    if field.get("format") == "date-time":
        return {"type": "integer"} if seconds else {"type": "string"}
    return {
        key: _as_sent(value, seconds=seconds)
        for key, value in field.items()
        if key not in ("pattern", "title", "default")
    }


def text() -> str:
    """Return the document as it stands in its file."""
    return json.dumps(document(), indent=1, ensure_ascii=False, sort_keys=False) + "\n"


if __name__ == "__main__":
    PLACE.write_text(text())

"""``/openapi.json``, as FastAPI writes it of its operations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hyperoru_provider.sandbox.family.operations import Operation, Schema

__all__ = ["SCHEMAS", "document", "reference"]


def _model(*required: str, **fields: Any) -> Schema:
    """Return the schema of an object; the value of a field is its type, or a schema."""
    properties = {name: {"type": kind} if isinstance(kind, str) else kind for name, kind in fields.items()}
    return {"type": "object", "properties": properties, "required": list(required or fields)}


def reference(name: str) -> Schema:
    """Return a reference to one of :data:`SCHEMAS`."""
    return {"$ref": f"#/components/schemas/{name}"}


_TIME = {"type": "string", "format": "date-time"}
_NULLABLE_TEXT = {"anyOf": [{"type": "string"}, {"type": "null"}]}
_USER = {"id": "integer", "username": "string", "email": _NULLABLE_TEXT, "is_active": "boolean"}
SCHEMAS: dict[str, Schema] = {
    "UserLogin": {**_model(username="string", password="string"), "additionalProperties": False},
    "UserOut": _model(**_USER),
    "UserAuthResponse": _model(user=reference("UserOut"), session_token="string", expires_at=_TIME),
    "AssetCurvePoint": _model(
        account_id="integer", timestamp="integer", total_assets="number", cash="number", positions_value="number"
    ),
    "PriceResponse": _model(symbol="string", price="number", market="string"),
    "BackfillRequest": _model(
        "symbols",
        symbols={"type": "array", "items": {"type": "string"}},
        start_time={"anyOf": [_TIME, {"type": "null"}]},
        end_time={"anyOf": [_TIME, {"type": "null"}]},
        period={"type": "string", "default": "1m"},
    ),
    "BackfillTask": _model("task_id", "status", "progress", task_id="string", status="string", progress="integer"),
    "ValidationError": _model(loc={"type": "array", "items": {}}, msg="string", type="string"),
    "HTTPValidationError": _model(detail={"type": "array", "items": reference("ValidationError")}),
}


def document(operations: Iterable[Operation]) -> dict[str, Any]:
    """Return the document of an API."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation)
    schemas = {name: {**schema, "title": name} for name, schema in SCHEMAS.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Hyperoru sandbox, family dialect", "version": "0.1.0"},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _described(operation: Operation) -> dict[str, Any]:
    name = operation.path.strip("/").replace("/", "_").replace("{", "").replace("}", "")
    parameters = [each.document(where) for where in ("path", "query") for each in operation.parameters_in(where)]
    responses = {"200": {"description": "Successful Response", "content": _json(operation.answer or {})}}
    described: dict[str, Any] = {"operationId": f"{name}_{operation.method.lower()}"}
    if parameters:
        described["parameters"] = parameters
    if operation.body:
        described["requestBody"] = {"required": True, "content": _json(reference(operation.body))}
    if parameters or operation.body:
        responses["422"] = {"description": "Validation Error", "content": _json(reference("HTTPValidationError"))}
    return {**described, "responses": responses}


def _json(schema: Schema) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}

"""Refusals, and the bodies that an error answer can have."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import HTMLResponse, JSONResponse, Response

__all__ = ["Refusal", "error_response"]


class Refusal(Exception):
    """A request that is answered with an error.

    :param status: the HTTP status
    :param code: the machine code
    :param message: what went wrong, for people
    :param headers: further headers of the answer
    :param detail: what FastAPI says of it; the message without it
    """

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None, *, detail: object = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers
        self.detail = message if detail is None else detail


def error_response(refusal: Refusal, request_id: str, shape: str = "default") -> Response:
    """Return the answer to a refused request.

    :param refusal: what to say
    :param request_id: the id of the request
    :param shape: the fault ``error_body``
    """
    status, headers = refusal.status, refusal.headers
    if shape == "empty":
        return Response(status_code=status, headers=headers)
    if shape == "html":
        page = f"<html><body><h1>{status}</h1><p>{refusal.message}</p><hr>proxy</body></html>"
        return HTMLResponse(page, status, headers=headers)
    body: dict[str, object]
    match shape:
        case "details":
            body = {"code": refusal.code, "details": {}, "message": refusal.message}
        case "detail":
            body = {"detail": refusal.detail}
        case "detail_list":
            body = {"detail": [{"loc": ["query"], "msg": refusal.message, "type": refusal.code.lower()}]}
        case _:
            body = {"error": refusal.message, "code": refusal.code, "request_id": request_id}
    return JSONResponse(body, status, headers=headers)

"""Which override follows from what a server's document says of a list. Pure: no I/O."""

from __future__ import annotations

from typing import Any

from hyperoru_provider.client.api.endpoints import ListEndpoint
from hyperoru_provider.client.api.resource import Resource
from hyperoru_provider.doctor.openapi import Operation


def override_by_document(operation: Operation, endpoint: ListEndpoint, resource: Resource[Any]) -> dict[str, Any]:
    """Return what the contract of a list has to say beside what it says already.

    :param operation: what the document says of the list's address.
    :param endpoint: what the contract says of it.
    :param resource: the list.
    """
    override: dict[str, Any] = {}
    override |= _paging(operation, endpoint)
    if resource.windowed and endpoint.time_filter != "none":
        override |= _time_filter(operation, endpoint)
    names = [name for name in resource.filters if name not in endpoint.path_names]
    if resource.windowed and override.get("time_filter", endpoint.time_filter) != "none":
        names += ["start", "end"]
    paging = override.get("paging", endpoint.paging)
    names += {"page": ["page", "per_page"], "offset": ["offset", "limit"], "cursor": ["cursor", "limit"]}.get(
        paging, ["limit"]
    )
    params = {name: theirs.name for name in names if (theirs := operation.named(name)) is not None}
    changed = {name: theirs for name, theirs in params.items() if endpoint.params.get(name, name) != theirs}
    return {**override, "params": changed} if changed else override


def _paging(operation: Operation, endpoint: ListEndpoint) -> dict[str, Any]:
    if endpoint.paging == "cursor" or endpoint.params.get("cursor"):
        return {}
    styles = [style for style in ("page", "offset", "cursor") if style in operation.parameters]
    style = endpoint.paging if endpoint.paging in styles else next(iter(styles), "none")
    size = operation.named("per_page")
    override: dict[str, Any] = {} if style == endpoint.paging else {"paging": style}
    if size is None:
        wanted = None
    else:
        asked = endpoint.page_size or size.maximum
        wanted = min(asked, size.maximum) if asked and size.maximum else asked
    if wanted is None and style == "offset":
        wanted = 100
    return override if wanted == endpoint.page_size else {**override, "page_size": wanted}


def _time_filter(operation: Operation, endpoint: ListEndpoint) -> dict[str, Any]:
    start, end = operation.named("start"), operation.named("end")
    if start is None or end is None:
        return {"time_filter": "none"}
    kind = "day" if start.is_day and end.is_day else endpoint.time_filter
    return {} if kind == endpoint.time_filter else {"time_filter": kind}

"""Which override follows from what a server's document says of a list: names, and never that there is none.

A document may be a stub, or pass over what a handler reads by itself. Pure: no I/O.
"""

from __future__ import annotations

from typing import Any

from hyperoru_provider.client.api.endpoints import ListEndpoint
from hyperoru_provider.client.api.resource import Resource
from hyperoru_provider.doctor.openapi import Operation

_STYLES = ("page", "offset", "cursor")


def override_by_document(operation: Operation, endpoint: ListEndpoint, resource: Resource[Any]) -> dict[str, Any]:
    """Return what the contract of a list has to say beside what it says already.

    :param operation: what the document says of the list's address.
    :param endpoint: what the contract says of it.
    :param resource: the list.
    """
    override = _paging(operation, endpoint)
    if resource.windowed and endpoint.time_filter == "instant":
        ends = operation.named("start"), operation.named("end")
        override |= {"time_filter": "day"} if all(each is not None and each.is_day for each in ends) else {}
    names = [name for name in resource.filters if name not in endpoint.path_names]
    if resource.windowed and endpoint.time_filter != "none":
        names += ["start", "end"]
    paging = override.get("paging", endpoint.paging)
    names += {"page": ["page", "per_page"], "offset": ["offset", "limit"], "cursor": ["cursor", "limit"]}.get(
        paging, ["limit"]
    )
    params = {name: theirs.name for name in names if (theirs := operation.named(name)) is not None}
    changed = {name: theirs for name, theirs in params.items() if endpoint.params.get(name, name) != theirs}
    return {**override, "params": changed} if changed else override


def passes_over_pages(operation: Operation, endpoint: ListEndpoint) -> bool:
    """Return whether a document names no way through the pages that the contract says there are."""
    return endpoint.paging in _STYLES[:2] and not any(style in operation.parameters for style in _STYLES)


def passes_over_window(operation: Operation) -> bool:
    """Return whether a document names no parameters of a window."""
    return operation.named("start") is None or operation.named("end") is None


def _paging(operation: Operation, endpoint: ListEndpoint) -> dict[str, Any]:
    if endpoint.paging == "cursor" or endpoint.params.get("cursor"):
        return {}
    styles = [style for style in _STYLES if style in operation.parameters]
    style = endpoint.paging if endpoint.paging in styles else next(iter(styles), endpoint.paging)
    size = operation.named("per_page")
    wanted, most = endpoint.page_size, size.maximum if size else None
    if most:
        wanted = min(wanted or most, most)
    if wanted is None and style == "offset":
        wanted = 100
    override: dict[str, Any] = {} if style == endpoint.paging else {"paging": style}
    return override if wanted == endpoint.page_size else {**override, "page_size": wanted}

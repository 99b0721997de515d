"""The contract: all that the client asks, as data that can be overridden.

Nobody could check these defaults against the live service, so each can be overridden by a JSON object of resources,
for example::

    {"trades": {"path": "/api/trades", "paging": "offset", "params": {"start": "from"}, "key": ["table", "trade_id"]}}

What is given is merged over the default: ``params``, ``query``, ``fields``, ``channels`` and ``payloads`` entry by
entry, anything else as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from hyperoru_provider.client.api.endpoints import (
    Endpoint,
    JobEndpoint,
    ListEndpoint,
    LoginEndpoint,
    StreamEndpoint,
    WindowedEndpoint,
)
from hyperoru_provider.client.api.models import BackfillJob, Health, Price, Profile
from hyperoru_provider.client.api.resources import BACKFILL_FIELDS, BACKFILL_PARAMS, RESOURCES
from hyperoru_provider.client.errors import HyperoruConfigError

#: keys whose entries are merged over the default's; any other key is overridden as a whole
ENTRY_BY_ENTRY = ("params", "query", "fields", "channels", "payloads")
_PAGING_PARAMS = ("page", "per_page", "offset", "limit", "cursor")


class Contract(BaseModel):
    """All that the client asks. The defaults are the default profile; see :func:`load_contract`.

    :param lists: the endpoint of each of :data:`~hyperoru_provider.client.api.resources.RESOURCES`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    health: Endpoint = Endpoint(path="/api/health")
    login: LoginEndpoint = LoginEndpoint(
        path="/api/users/login",
        fields={"session_token": ("session_token",), "expires_at": ("expires_at",)},
    )
    profile: Endpoint = Endpoint(path="/api/users/profile")
    price: Endpoint = Endpoint(path="/api/crypto/price")
    backfill: Endpoint = Endpoint(path="/api/klines/backfill", params={"interval": "period"}, fields=BACKFILL_FIELDS)
    backfill_status: JobEndpoint = JobEndpoint(path="/api/klines/backfill/status/{task_id}", fields=BACKFILL_FIELDS)
    stream: StreamEndpoint = StreamEndpoint(
        path="/ws",
        fields={
            "side": ("side", "operation"),
            "quantity": ("quantity", "size"),
            "price": ("price", "entry_price"),
            "time": ("time", "taken_at", "created_at", "timestamp"),
        },
        channels={name: name for name in ("trades", "positions", "model_chat", "asset_curve")},
        payloads=dict.fromkeys(("trades", "positions", "model_chat", "asset_curve"), "data"),
    )
    lists: dict[str, ListEndpoint] = {name: resource.endpoint for name, resource in RESOURCES.items()}

    @property
    def trades(self) -> WindowedEndpoint:
        """The list of trades."""
        return cast("WindowedEndpoint", self.lists["trades"])

    @property
    def klines(self) -> WindowedEndpoint:
        """The list of candles."""
        return cast("WindowedEndpoint", self.lists["klines"])

    @property
    def traders(self) -> ListEndpoint:
        """The list of traders."""
        return self.lists["traders"]

    @property
    def coverage(self) -> ListEndpoint:
        """The list of what candles there are."""
        return self.lists["coverage"]

    @property
    def backfill_jobs(self) -> ListEndpoint:
        """The list of backfill jobs."""
        return self.lists["backfill_jobs"]


DEFAULT_CONTRACT = Contract()

#: our names of the parameters and fields of what is no list
_NAMES: dict[str, tuple[Iterable[str], Iterable[str]]] = {
    "health": ((), Health.model_fields),
    "login": (("email", "username", "password"), ("session_token", "expires_at")),
    "profile": ((), Profile.model_fields),
    "price": (("symbol",), Price.model_fields),
    "backfill": (BACKFILL_PARAMS, BackfillJob.model_fields),
    "backfill_status": (("task_id",), BackfillJob.model_fields),
    "stream": (("session_token",), ("account_id", "symbol", "side", "quantity", "price", "notional", "time")),
}


def load_contract(overrides: Mapping[str, Any] | None = None) -> Contract:
    """Return the default profile with overrides merged over it.

    :param overrides: resource -> what differs there.
    :raises HyperoruConfigError: an override names nothing or has the wrong type; the text names its key.
    """
    if not overrides:
        return DEFAULT_CONTRACT
    if not isinstance(overrides, Mapping):
        raise HyperoruConfigError("contract: a JSON object of resources is expected.")
    endpoints = {**{name: getattr(DEFAULT_CONTRACT, name) for name in _NAMES}, **DEFAULT_CONTRACT.lists}
    for resource, given in overrides.items():
        if resource not in endpoints:
            raise HyperoruConfigError(f"contract.{resource}: unknown resource; known are {_listed(endpoints)}.")
        if not isinstance(given, Mapping):
            raise HyperoruConfigError(f"contract.{resource}: a JSON object is expected.")
        endpoints[resource] = _overridden(f"contract.{resource}", endpoints[resource], given)
        _check_names(resource, endpoints[resource])
    lists = {name: endpoints.pop(name) for name in DEFAULT_CONTRACT.lists}
    return DEFAULT_CONTRACT.model_copy(update={**endpoints, "lists": lists})


def _overridden(where: str, default: Endpoint, given: Mapping[str, Any]) -> Endpoint:
    values = default.model_dump()
    for name in given:
        if name not in values:
            raise HyperoruConfigError(f"{where}.{name}: unknown key; known are {_listed(values)}.")
    nested = {name: {**values[name], **given[name]} for name in ENTRY_BY_ENTRY if isinstance(given.get(name), Mapping)}
    try:
        return type(default).model_validate({**values, **given, **nested})
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join([where, *map(str, problem['loc'])])}: {problem['msg']}" for problem in error.errors()
        )
        raise HyperoruConfigError(problems) from None
    except UnicodeEncodeError:
        raise HyperoruConfigError(f"{where}: a text contains a lone surrogate (half a character).") from None


def _check_names(resource: str, endpoint: Endpoint) -> None:
    """Raise an error if a name is used that nothing here knows: misspelt, it would change nothing.

    :raises HyperoruConfigError: there is one.
    """
    params, fields = _known_names(resource)
    checks: dict[str, tuple[Iterable[str], Iterable[str]]] = {
        "params": (endpoint.params, params),
        "path": (endpoint.path_names, params),
    }
    if isinstance(endpoint, ListEndpoint):
        fields = {*fields, *endpoint.key, *filter(None, [endpoint.time])}
        default = DEFAULT_CONTRACT.lists[resource].verified_fields
        checks["verified_fields"] = (endpoint.verified_fields, {*params, *default})
    if isinstance(endpoint, StreamEndpoint):
        checks["channels"] = (endpoint.channels, DEFAULT_CONTRACT.stream.channels)
        checks["payloads"] = (endpoint.payloads, DEFAULT_CONTRACT.stream.channels)
    checks["fields"] = (endpoint.fields, fields)
    _check_query(resource, endpoint, params)
    for where, (used, known) in checks.items():
        for name in sorted({*used} - {*known}):
            raise HyperoruConfigError(
                f"contract.{resource}.{where}.{name}: unknown name; known are {_listed(known) or 'none'}."
            )


def _check_query(resource: str, endpoint: Endpoint, params: Iterable[str]) -> None:
    """Raise an error if a parameter that each request has is one that we send otherwise.

    :raises HyperoruConfigError: one is, or a session is to be shown where there is none.
    """
    ours = {endpoint.params.get(name, name): name for name in params}
    for name in sorted({*endpoint.query} & {*filter(None, ours)}):
        raise HyperoruConfigError(
            f"contract.{resource}.query.{name}: {ours[name]} has this name. Give its value where the list is read "
            "(page_size for the limit of a list), or set it to null in params."
        )
    where = f"contract.{resource}.token_param"
    if endpoint.token_param is not None and resource in ("health", "login", "stream"):
        raise HyperoruConfigError(
            f"{where}: health and login have no session, and the stream's auth says where its token goes."
        )
    if endpoint.token_param in {*ours, *endpoint.query} - {None}:
        raise HyperoruConfigError(f"{where}: {endpoint.token_param} is the name of another parameter.")


def _known_names(resource: str) -> tuple[Iterable[str], Iterable[str]]:
    """Return our names of a resource's parameters and fields."""
    row = RESOURCES.get(resource)
    if row is None:
        return _NAMES[resource]
    window = ("start", "end") if row.windowed else ()
    return (*row.filters, *window, *_PAGING_PARAMS), row.model.model_fields


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))

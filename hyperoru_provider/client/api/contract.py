"""The API as data: what is asked where, and how an answer is read.

Nobody could check these defaults against the live service, so each can be overridden from the connection's
``contract`` extra, a JSON object of resources, for example::

    {"trades": {"path": "/api/trades", "paging": "offset", "params": {"start": "from"}, "key": ["table", "trade_id"]}}

What is given is merged over the default: ``params``, ``fields`` and ``channels`` entry by entry, anything else as a
whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from hyperoru_provider.client.api.models import BackfillJob, Coverage, Health, Kline, Price, Profile, Trade, Trader
from hyperoru_provider.client.errors import HyperoruConfigError, HyperoruContractError

Names = Annotated[
    tuple[str, ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
]
Path = Annotated[str, Field(pattern=r"^/[^?#\s]*$")]


class Endpoint(BaseModel):
    """One address of the API.

    :param path: from the host on, ``{name}`` stands for a value of the request.
    :param params: our name of a parameter -> the server's; ``null`` if the server has none, then it is not sent.
    :param fields: our name of a field -> the name or names under which a server may send it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path
    params: dict[str, str | None] = {}
    fields: dict[str, Names] = {}

    def names_of(self, field: str) -> tuple[str, ...]:
        """Give the names under which a server may send a field."""
        return self.fields.get(field, (field,))

    def query(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Name the values as the server does; what is ``None``, or has no name there, is not sent."""
        named = {self.params.get(name, name): value for name, value in values.items() if value is not None}
        return {name: _wire(value) for name, value in named.items() if name is not None}


class LoginEndpoint(Endpoint):
    """The login.

    :param identity: what the login is sent as; ``auto``: an email if it holds an ``@``, else a user name.
    """

    identity: Literal["auto", "email", "username"] = "auto"


class JobEndpoint(Endpoint):
    """The state of a job; what its words mean is compared without regard to case.

    :param running: words for a job that is not over.
    :param finished: words for one that did all it was to do.
    :param failed: words for one that ended otherwise.
    """

    running: Names = ("pending", "queued", "created", "accepted", "started", "running", "processing", "in_progress")
    finished: Names = ("completed", "complete", "finished", "done", "succeeded", "success")
    failed: Names = ("failed", "failure", "error", "cancelled", "canceled", "aborted", "timeout")

    @model_validator(mode="after")
    def _words_mean_one_thing(self) -> JobEndpoint:
        words = [word.casefold() for words in (self.running, self.finished, self.failed) for word in {*words}]
        twice = sorted({word for word in words if words.count(word) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} can't mean two of running, finished and failed")
        return self

    def meaning(self, status: str) -> Literal["running", "finished", "failed"]:
        """Tell what a job's status means.

        :raises HyperoruContractError: the contract does not say.
        """
        word = status.casefold()
        if word in map(str.casefold, self.running):
            return "running"
        if word in map(str.casefold, self.finished):
            return "finished"
        if word in map(str.casefold, self.failed):
            return "failed"
        raise HyperoruContractError(
            f"It is not known what the status {status!r} of a job means. Add it to the running, finished or failed of "
            "the contract's backfill_status."
        )


class ListEndpoint(Endpoint):
    """A list of rows.

    :param rows: keys under which the list may stand in an object; a bare array is always understood.
    :param paging: ``page`` (numbered), ``offset``, ``cursor``, or ``none``: one answer, perhaps capped.
    :param first_page: number of the first page (``page``); ``null``: 1, which is proved where there is no total.
    :param page_size: rows to ask for at once; ``null`` to leave it to the server.
    :param cap: an answer of so many rows or more may have been cut; ``null``: only one that is shorter than
        another, or very short, is believed whole.
    :param key: fields which together name a row.
    :param time: field with the row's time.
    :param time_filter: what the server's time filter compares: ``instant``, or ``day`` for whole UTC days.
    :param verified_fields: fields by which a row shows that it belongs to what was asked for.
    :param total: keys of the number of all rows; empty to ignore what the server says.
    :param has_more: keys of the statement that there are more pages (boolean).
    :param next_page: keys of the next page's number or address, ``null`` on the last.
    :param next_cursor: keys of the cursor of the next page, ``null`` on the last.
    """

    rows: Names = ("items", "trades", "data", "results", "orders", "positions", "accounts")
    paging: Literal["page", "offset", "cursor", "none"] = "none"
    first_page: int | None = None
    page_size: int | None = Field(default=None, ge=1)
    cap: int | None = Field(default=None, ge=1)
    key: Names = ()
    time: str | None = None
    time_filter: Literal["instant", "day"] = "instant"
    verified_fields: Names = ()
    total: Names = ("total", "total_count")
    has_more: Names = ("has_more",)
    next_page: Names = ("next_page",)
    next_cursor: Names = ("next_cursor",)


class WindowedEndpoint(ListEndpoint):
    """A list whose rows have a key and a time, and which can be read window by window."""

    key: Annotated[Names, Field(min_length=1)]
    time: str

    @model_validator(mode="after")
    def _pages_have_a_size(self) -> WindowedEndpoint:
        if self.paging == "offset" and self.page_size is None:
            raise ValueError("paging 'offset' needs a page_size")
        return self


class StreamEndpoint(Endpoint):
    """The WebSocket. Its fields are those of all channels but ``trades``, whose rows are the trades' own.

    :param auth: how the token is sent: ``query``, in the address, or ``message``, in a first message ``connect``.
    :param channels: our name of a channel -> the server's; ``null`` if the server has none.
    :param refused_codes: codes with which the server closes a socket whose token it refuses.
    """

    auth: Literal["query", "message"] = "query"
    channels: dict[str, str | None] = {}
    refused_codes: tuple[int, ...] = (4401, 1008)


_TRADE_FIELDS: dict[str, Any] = {
    "trade_id": ("trade_id", "id"),
    "commission": ("commission", "fee"),
    "trade_time": ("trade_time", "executed_at", "timestamp", "created_at"),
}


_BACKFILL = ("symbol", "interval", "start", "end", "exchange", "environment")
_BACKFILL_FIELDS: dict[str, Any] = {
    "id": ("id", "task_id"),
    "interval": ("period", "interval"),
    "start": ("start", "start_date"),
    "end": ("end", "end_date"),
    "error": ("error", "error_message", "message"),
}


class Contract(BaseModel):
    """All that the client asks. The defaults are the default profile; see :func:`load_contract`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    health: Endpoint = Endpoint(path="/api/health")
    login: LoginEndpoint = LoginEndpoint(
        path="/api/users/login",
        fields={"session_token": ("session_token",), "expires_at": ("expires_at",)},
    )
    profile: Endpoint = Endpoint(path="/api/users/profile")
    traders: ListEndpoint = ListEndpoint(path="/api/account/list", fields={"id": ("id", "account_id")})
    price: Endpoint = Endpoint(path="/api/crypto/price")
    klines: WindowedEndpoint = WindowedEndpoint(
        path="/api/klines/data",
        key=("timestamp",),
        time="timestamp",
        verified_fields=("symbol", "interval"),
    )
    coverage: ListEndpoint = ListEndpoint(path="/api/klines/coverage")
    backfill: Endpoint = Endpoint(path="/api/klines/backfill", params={"interval": "period"}, fields=_BACKFILL_FIELDS)
    backfill_status: JobEndpoint = JobEndpoint(path="/api/klines/backfill/status/{task_id}", fields=_BACKFILL_FIELDS)
    backfill_jobs: ListEndpoint = ListEndpoint(
        path="/api/klines/backfill-tasks",
        fields=_BACKFILL_FIELDS,
        rows=("items", "tasks", "data", "results"),
        verified_fields=_BACKFILL,
    )
    trades: WindowedEndpoint = WindowedEndpoint(
        path="/api/arena/trades",
        fields=_TRADE_FIELDS,
        paging="page",
        page_size=500,
        key=("trade_id",),
        time="trade_time",
        verified_fields=("account_id", "symbol"),
    )
    stream: StreamEndpoint = StreamEndpoint(
        path="/ws",
        fields={
            "side": ("side", "operation"),
            "quantity": ("quantity", "size"),
            "price": ("price", "entry_price"),
            "time": ("time", "taken_at", "created_at", "timestamp"),
        },
        channels={name: name for name in ("trades", "positions", "model_chat", "asset_curve")},
    )


DEFAULT_CONTRACT = Contract()

_PAGING = ("page", "per_page", "offset", "limit", "cursor")

#: The names that each resource uses: of parameters, and of fields.
_NAMES: dict[str, tuple[tuple[str, ...], Iterable[str]]] = {
    "health": ((), Health.model_fields),
    "login": (("email", "username", "password"), ("session_token", "expires_at")),
    "profile": ((), Profile.model_fields),
    "traders": (("include_hidden",), Trader.model_fields),
    "price": (("symbol",), Price.model_fields),
    "klines": (("symbol", "interval", "start", "end", *_PAGING), Kline.model_fields),
    "coverage": ((), Coverage.model_fields),
    "backfill": (_BACKFILL, BackfillJob.model_fields),
    "backfill_status": (("task_id",), BackfillJob.model_fields),
    "backfill_jobs": (_BACKFILL, BackfillJob.model_fields),
    "trades": (("account_id", "symbol", "start", "end", *_PAGING), Trade.model_fields),
    "stream": (("session_token",), ("account_id", "symbol", "side", "quantity", "price", "notional", "time")),
}


def load_contract(overrides: Mapping[str, Any] | None = None) -> Contract:
    """Merge overrides over the default profile.

    :param overrides: resource -> what differs there, as in the connection's ``contract`` extra.
    :raises HyperoruConfigError: an override that names nothing or has the wrong type; the text gives the key.
    """
    if not overrides:
        return DEFAULT_CONTRACT
    if not isinstance(overrides, Mapping):
        raise HyperoruConfigError("contract: a JSON object of resources is expected.")
    merged = DEFAULT_CONTRACT.model_dump()
    for resource, given in overrides.items():
        if resource not in merged:
            raise HyperoruConfigError(f"contract.{resource}: no such resource; there are {_listed(merged)}.")
        if not isinstance(given, Mapping):
            raise HyperoruConfigError(f"contract.{resource}: a JSON object is expected.")
        merged[resource] = _merge(f"contract.{resource}", merged[resource], given)
    try:
        contract = Contract.model_validate(merged)
    except ValidationError as error:
        problems = "; ".join(
            f"contract.{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()
        )
        raise HyperoruConfigError(problems) from None
    for resource in overrides:
        _check_names(resource, getattr(contract, resource))
    return contract


def _merge(where: str, default: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    for name in given:
        if name not in default:
            raise HyperoruConfigError(f"{where}.{name}: no such key; there are {_listed(default)}.")
    nested = {
        name: {**default[name], **given[name]}
        for name in ("params", "fields", "channels")
        if isinstance(given.get(name), Mapping)
    }
    return {**default, **given, **nested}


def _check_names(resource: str, endpoint: Endpoint) -> None:
    """Find names that nothing here uses: misspelt, they would change nothing."""
    params, fields = _NAMES[resource]
    checks: dict[str, tuple[Iterable[str], Iterable[str]]] = {"params": (endpoint.params, params)}
    if isinstance(endpoint, ListEndpoint):
        fields = {*fields, *endpoint.key, *filter(None, [endpoint.time])}
        checks["verified_fields"] = (endpoint.verified_fields, params)
    if isinstance(endpoint, StreamEndpoint):
        checks["channels"] = (endpoint.channels, DEFAULT_CONTRACT.stream.channels)
    checks["fields"] = (endpoint.fields, fields)
    for where, (used, known) in checks.items():
        for name in sorted({*used} - {*known}):
            raise HyperoruConfigError(
                f"contract.{resource}.{where}.{name}: no such name; there are {_listed(known) or 'none'}."
            )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _wire(value: Any) -> str:
    """Write a value as a query parameter."""
    return str(value).lower() if isinstance(value, bool) else str(value)

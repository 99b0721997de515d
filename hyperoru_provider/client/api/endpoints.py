"""What can be said of an address of the API: its path, its names of parameters and fields, and how its list pages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import quote

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from hyperoru_provider.client.errors import HyperoruConfigError, HyperoruContractError
from hyperoru_provider.client.times import TimeFormat, format_time, write_time

_TEMPLATE = re.compile(r"\{([a-z_]+)\}")


def _encodable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("printable text is expected")
    return text


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_one_or_more)]
#: a path from the host on, in which ``{name}`` stands for a value; no other brace can be meant
Path = Annotated[str, Field(pattern=r"^/([^?#\s{}]|\{[a-z_]+\})*$")]


#: the key of a list, or of one in each object of another: ``accounts[].positions[]``
ListName = Annotated[str, Field(pattern=r"^([^\[\]]+|[^\[\]]+(\[\]\.[^\[\]]+)+\[\])$")]
#: a text that can be put into an address
WireText = Annotated[str, Field(min_length=1), AfterValidator(_encodable)]


#: keys of a list that say nothing of what is in it
GENERAL_ROWS = ("items", "data", "results")
#: keys under which a server may send any list
ROWS = (*GENERAL_ROWS, "trades", "orders", "positions", "accounts")
#: keys under which a server may send any object
OBJECT_ROWS = (*GENERAL_ROWS, "item", "result")


class Target(NamedTuple):
    """Where a request goes: a path, and query parameters as the server names them."""

    path: str
    query: dict[str, str]


class Endpoint(BaseModel):
    """One address of the API.

    :param path: from the host on; ``{name}`` stands for a value of the request, by our name of the parameter.
    :param params: our name of a parameter -> the server's; ``null`` if the server has none, then it is not sent.
    :param query: parameters that each request has, by the server's names: a switch such as
        ``{"trading_mode": "mainnet"}``, under whose default the rows would be others.
    :param token_param: query parameter in which the server wants the session token, beside the header; ``null``: none.
    :param fields: our name of a field -> the name or names under which a server may send it.
    :param success_words: what may stand under ``status``, ``success``, ``ok``, ``result``, ``state`` or ``code`` in
        an answer that is a success, compared without regard to case; true, and the numbers 200 to 299, are always
        understood.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Path
    params: dict[str, str | None] = {}
    query: dict[WireText, WireText | bool | int] = {}
    token_param: WireText | None = None
    fields: dict[str, Names] = {}
    success_words: Names = ("ok", "success", "successful", "succeeded", "complete", "completed", "done")

    @property
    def path_names(self) -> list[str]:
        """The names that the path has a place for."""
        return _TEMPLATE.findall(self.path)

    def names_of(self, field: str) -> tuple[str, ...]:
        """Return the names under which a server may send a field."""
        return self.fields.get(field, (field,))

    def sent(self, values: Mapping[str, Any]) -> dict[str, str]:
        """Return all parameters of a request under the server's names, with those that each request has.

        :param values: by our names of the parameters; what is ``None``, or has no name there, is left out.
        """
        named = {self.params.get(name, name): value for name, value in values.items() if value is not None}
        return {**self.constants, **{name: self.wire(value) for name, value in named.items() if name is not None}}

    @property
    def constants(self) -> dict[str, str]:
        """The parameters that each request has, as they are sent."""
        return {name: self.wire(value) for name, value in self.query.items()}

    def target(self, values: Mapping[str, Any]) -> Target:
        """Return the path with its values filled in and quoted, and the query with all that the path does not hold.

        The one place where a path is put together.

        :param values: by our names of the parameters.
        :raises HyperoruConfigError: the path has a place for a value that is not there.
        """
        names = self.path_names
        missing = [name for name in names if values.get(name) in (None, "")]
        if missing:
            raise HyperoruConfigError(f"{', '.join(missing)} is needed for {self.path}.")
        path = _TEMPLATE.sub(lambda match: quote(self.wire(values[match[1]]), safe=""), self.path)
        return Target(path, self.sent({name: value for name, value in values.items() if name not in names}))

    def wire(self, value: Any) -> str:
        """Return a value as text of a request."""
        if isinstance(value, datetime):
            return format_time(value)
        return str(value).lower() if isinstance(value, bool) else str(value)


class LoginEndpoint(Endpoint):
    """The login.

    :param identity: what the login is sent as; ``auto``: an email if it holds an ``@``, else a user name.
    """

    identity: Literal["auto", "email", "username"] = "auto"


class JobEndpoint(Endpoint):
    """The state of a job; the words for it are compared without regard to case.

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
        """Return what a job's status means.

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
            f"The job status {status!r} is not known. Add it to running, finished or failed in the contract's "
            "backfill_status."
        )


class ListEndpoint(Endpoint):
    """A list of rows.

    :param rows: keys under which the list may stand in an object, its own name first, which tells it from lists of
        something else beside it; a bare array is always understood. ``accounts[].positions[]`` are the lists in each
        object of another one, whose fields a row has, too, but for its lists; ``data.list`` is one in an object. Of
        the shape ``object``: keys of envelopes around it, beside :data:`OBJECT_ROWS`.
    :param shape: what the answer is: a ``list`` of objects; an ``object``, which is the only row; or a list of plain
        ``values``, of which each is the key of a row.
    :param paging: ``page`` (numbered), ``offset``, ``cursor``, or ``none``: one answer, perhaps capped.
    :param first_page: number of the first page (``page``); ``null``: 0 or 1, which is found out before reading.
    :param page_size: rows to ask for at once; ``null`` to leave it to the server.
    :param cap: an answer of so many rows or more may have been cut; ``null``: found out, or not believed.
    :param key: fields which together name a row.
    :param time: field with the row's time.
    :param time_filter: what the server's time filter compares: ``instant``, ``day`` for whole days, of whichever time
        zone, or ``none``: it has no such filter, and its list is read from the newest row back to before the window.
    :param time_format: how the server reads and writes times: ``iso``, or ``seconds`` or ``milliseconds`` since 1970.
    :param window_format: how it reads those of a window, where that is not how it writes them; ``null``: it is.
    :param verified_fields: fields by which a row shows that it belongs to what was asked for.
    :param total: keys of the number of all rows; empty to ignore what the server says.
    :param has_more: keys of the statement that there are more pages (boolean).
    :param next_page: keys of the next page's number or address, ``null`` on the last.
    :param next_cursor: keys of the cursor of the next page, ``null`` on the last.
    :param is_last: keys of the statement that a page is the last (boolean), of a list with cursors.
    :param secret_fields: the server's name of a field -> whether it holds a secret, where its name tells it wrong; of
        a list whose secrets are masked.
    """

    rows: Annotated[tuple[ListName, ...], BeforeValidator(_one_or_more), Field(min_length=1)] = ROWS
    shape: Literal["list", "object", "values"] = "list"
    paging: Literal["page", "offset", "cursor", "none"] = "none"
    first_page: int | None = None
    page_size: int | None = Field(default=None, ge=1)
    cap: int | None = Field(default=None, ge=1)
    key: Names = ()
    time: str | None = None
    time_filter: Literal["instant", "day", "none"] = "instant"
    time_format: TimeFormat = "iso"
    window_format: TimeFormat | None = None
    verified_fields: Names = ()
    total: Names = ("total", "total_count")
    has_more: Names = ("has_more", "hasMore", "has_next", "hasNext")
    next_page: Names = ("next_page", "nextPage", "next", "next_url")
    next_cursor: Names = ("next_cursor",)
    is_last: Names = ()
    secret_fields: dict[str, bool] = {}

    @model_validator(mode="after")
    def _offsets_need_a_page_size(self) -> ListEndpoint:
        if self.paging == "offset" and self.page_size is None:
            raise ValueError("paging 'offset' needs a page_size")
        return self

    @model_validator(mode="after")
    def _shape_fits(self) -> ListEndpoint:
        if self.shape == "object" and self.paging != "none":
            raise ValueError("shape 'object' has no pages: paging must be 'none'")
        if self.shape == "values" and len(self.key) != 1:
            raise ValueError("shape 'values' needs a key of one field, which names the values")
        if self.is_last and self.paging != "cursor":
            raise ValueError("is_last is known only to paging 'cursor'")
        return self

    def wire(self, value: Any) -> str:
        """Return a value as text of a request."""
        if not isinstance(value, datetime):
            return super().wire(value)
        written = self.window_format or self.time_format
        return f"{value:%Y-%m-%d}" if self.time_filter == "day" and written == "iso" else write_time(value, written)


class WindowedEndpoint(ListEndpoint):
    """A list whose rows have a key and a time, and which can be read window by window."""

    key: Annotated[Names, Field(min_length=1)]
    time: str


class StreamEndpoint(Endpoint):
    """The WebSocket. Its fields are those of all channels but ``trades``, whose rows are the trades' own.

    :param auth: how the token is sent: ``query``, in the address, or ``message``, in a first message ``connect``.
    :param user_id: the user whose events are to be sent. With it, all are subscribed to by one message
        ``{"type": "subscribe", "user_id": 1}``, which no answer is expected to; without it, each channel by its name.
    :param channels: our name of a channel -> the server's, which is the type of its messages; ``null`` if the server
        has none.
    :param payloads: our name of a channel -> the key of its messages under which an event, or a list of some, stands;
        ``null`` if the message itself is the event.
    :param refused_codes: codes with which the server closes a socket whose token it refuses.
    """

    auth: Literal["query", "message"] = "query"
    user_id: int | WireText | None = None
    channels: dict[str, str | None] = {}
    payloads: dict[str, str | None] = {}
    refused_codes: tuple[int, ...] = (4401, 1008)

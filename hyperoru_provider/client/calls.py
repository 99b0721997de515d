"""The API's calls, written once for both clients: pure functions that return a request and what reads its answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from hyperoru_provider.client.api.contract import Contract
from hyperoru_provider.client.api.endpoints import Endpoint
from hyperoru_provider.client.api.models import BackfillJob, Health, Model, Price, Profile, Trade
from hyperoru_provider.client.api.resources import RESOURCES
from hyperoru_provider.client.backfills import Backfill
from hyperoru_provider.client.decoding import canonical, parse_object
from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.escaping import shorten
from hyperoru_provider.client.http.request import Request
from hyperoru_provider.client.lists.page import parse_page
from hyperoru_provider.client.lists.rows import Row, Rows
from hyperoru_provider.client.lists.window_reader import WindowReader
from hyperoru_provider.client.times import TimeFormat, interval_length, utc_window

#: parameters that name something which may not be there
_NAMING = ("account_id", "symbol", "task_id")

T = TypeVar("T")
R = TypeVar("R", bound=Model)


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request, and what makes its answer's body a result."""

    request: Request
    read: Callable[[bytes], T]


def _get(endpoint: Endpoint, values: Mapping[str, Any]) -> Request:
    """Return the request of an endpoint with these values, by our names of its parameters."""
    named = [name for name in _NAMING if values.get(name) is not None]
    return Request("GET", *endpoint.target(values), named=named, token_param=endpoint.token_param)


def health(contract: Contract) -> Call[Health]:
    """Return the call for the state of the service; it needs no session, and is not repeated."""
    request = Request("GET", *contract.health.target({}), auth=False, retries=False)
    return Call(request, lambda body: validated(Health, parse_object(body, contract.health, has_status=True)))


def login(contract: Contract) -> Request:
    """Return the request that errors of a login name; it can be repeated, as two tokens do no harm."""
    return Request("POST", contract.login.path, auth=False)


def profile(contract: Contract) -> Call[Profile]:
    """Return the call for the user behind the session."""
    endpoint = contract.profile
    return Call(_get(endpoint, {}), lambda body: validated(Profile, parse_object(body, endpoint)))


def price(contract: Contract, symbol: str) -> Call[Price]:
    """Return the call for a symbol's price."""

    def read(body: bytes) -> Price:
        data = parse_object(body, contract.price)
        sent = data.setdefault("symbol", symbol)
        if str(sent).casefold() != symbol.casefold():
            raise HyperoruContractError(
                f"The price is for {sent}, but {symbol} was requested: the server seems to ignore the symbol. "
                "Correct the contract's price.params."
            )
        return validated(Price, data)

    return Call(_get(contract.price, {"symbol": symbol}), read)


def page(reader: WindowReader, values: Mapping[str, Any]) -> Call[Rows]:
    """Return the call whose answer a reader needs next; its result is the rows of a slice that the answer completes."""
    endpoint = reader.endpoint
    return Call(_get(endpoint, values), lambda body: reader.accept(parse_page(body, endpoint)))


def body_of(endpoint: Endpoint, values: Mapping[str, Any]) -> Call[bytes]:
    """Return the call for an endpoint's answer as it comes, for who looks at what is in it.

    :param values: by our names of the parameters.
    """
    return Call(_get(endpoint, values), lambda body: body)


def backfill_klines(contract: Contract, wanted: Backfill) -> Call[BackfillJob]:
    """Return the call that starts a job which writes candles at the server; sent twice, it would start two.

    :raises HyperoruConfigError: the window is empty, or the interval is not one.
    """
    interval_length(wanted.interval)
    utc_window(wanted.start, wanted.end)
    endpoint = contract.backfill
    request = Request(
        "POST", endpoint.path, body=endpoint.sent(wanted.as_dict()), idempotent=False, token_param=endpoint.token_param
    )
    return Call(request, lambda body: validated(BackfillJob, parse_object(body, endpoint, has_status=True)))


def backfill_job(contract: Contract, task_id: int | str) -> Call[BackfillJob]:
    """Return the call for the state of a job."""
    endpoint = contract.backfill_status

    def read(body: bytes) -> BackfillJob:
        data = parse_object(body, endpoint, has_status=True)
        if str(data.setdefault("id", task_id)) != str(task_id):
            raise HyperoruContractError(
                f"The answer describes job {data['id']}, but {task_id} was requested: the server seems to ignore the "
                "id. Correct the contract's backfill_status: its path, or its params task_id."
            )
        job = validated(BackfillJob, data)
        return job.model_copy(update={"meaning": endpoint.meaning(job.status)})

    return Call(_get(endpoint, {"task_id": task_id}), read)


def trade(contract: Contract, row: Row) -> Trade:
    """Return a row of the list of trades as a model.

    :raises HyperoruContractError: it is not as the model says.
    """
    return validated(Trade, canonical(row.raw, contract.trades), contract.trades.time_format)


def models(contract: Contract, resource: str, rows: Iterable[Row], filters: Mapping[str, Any]) -> list[Model]:
    """Return the rows of a list as models; a field that a row lacks is filled in if the request's path named it.

    :raises HyperoruContractError: one is not as the model says.
    """
    model, endpoint = RESOURCES[resource].model, contract.lists[resource]
    known = {name: filters[name] for name in endpoint.path_names if name in model.model_fields}
    return [validated(model, {**known, **canonical(row.raw, endpoint)}, endpoint.time_format) for row in rows]


def validated(cls: type[R], data: dict[str, Any], time_format: TimeFormat = "iso") -> R:
    """Return decoded JSON as a model.

    :param data: by our names of its fields.
    :param time_format: how its times are written.
    :raises HyperoruContractError: it is not as the model says; the text names the item and its fields.
    """
    try:
        return cls.model_validate(data, context=time_format)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        problems = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in found[:5])
        missing = any(problem["type"] == "missing" for problem in found)
        fields = f"Its fields are {shorten(', '.join(data))}. " if missing else ""
        raise HyperoruContractError(
            f"The {name_of(cls, data)} is not as expected: {problems}. {fields}If the server uses another name for a "
            "field, set it in the contract's fields."
        ) from None


def dumped(item: Model) -> dict[str, Any]:
    """Return a model as JSON, amounts as text.

    :raises HyperoruContractError: it is nested too deeply; the text names it.
    """
    try:
        return item.model_dump(mode="json")
    except ValueError as error:
        raise HyperoruContractError(
            f"The {name_of(type(item), dict(item))} can't be written as JSON: {error}. Export it as jsonl."
        ) from None


def name_of(cls: type[Model], data: Mapping[str, Any]) -> str:
    """Return what an error calls an item: ``trade trade_id=7, symbol=BTC``.

    :param data: by our names of its fields.
    """
    named = ", ".join(f"{name}={data[name]}" for name in ("trade_id", "id", "timestamp", "symbol") if name in data)
    return f"{cls.__name__.lower()} {shorten(named) or '(unnamed)'}"

"""What is changed in rows before anything else looks at them: what the request says of them, and secrets. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from hyperoru_provider.client.api.endpoints import ListEndpoint
from hyperoru_provider.client.api.resource import Resource
from hyperoru_provider.client.decoding import NOT_JSON
from hyperoru_provider.client.errors import HyperoruContractError
from hyperoru_provider.client.lists.objects import ObjectFinder, object_finder
from hyperoru_provider.client.lists.page import Page
from hyperoru_provider.client.lists.rows import key_part
from hyperoru_provider.client.lists.texts import with_fields
from hyperoru_provider.client.redaction import mask_secret_fields
from hyperoru_provider.client.surrogates import mark_halves, unmark_halves
from hyperoru_provider.client.times import write_time

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_value = msgspec.json.Decoder(Any, float_hook=Decimal).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True)
class RowEditor:
    """Changes the rows of a page: no digit of what is left as it was.

    :param known: names and JSON text of fields that a row gets if it lacks them.
    :param secret_fields: see :class:`ListEndpoint`; ``None``: secrets are left in.
    :param finder: finds the object in an answer that is only one; ``None`` of other lists.
    """

    known: Mapping[tuple[str, ...], bytes]
    secret_fields: Mapping[str, bool] | None = None
    finder: ObjectFinder | None = None

    def edit(self, page: Page) -> Page:
        """Return a page with its rows changed.

        :raises HyperoruContractError: they are not what they should be.
        """
        rows = page.texts
        if self.finder is not None:
            rows = [found for row in rows for found in self.finder.find(bytes(row))]
        if self.secret_fields is not None:
            rows = [msgspec.Raw(masked(bytes(row), self.secret_fields)) for row in rows]
        if self.known:
            rows = [msgspec.Raw(with_fields(row, self.known)) for row in rows]
        return page if rows is page.texts else replace(page, texts=rows)


def editor_for(
    row: Resource[Any], endpoint: ListEndpoint, filters: Mapping[str, Any], as_of: datetime | None, *, mask: bool
) -> RowEditor:
    """Return what changes the rows of a list.

    What the path of the request says of fields of its key is known of rows that lack them, and of a snapshot all that
    the path says; what its query says is not, as a server may ignore one that it does not know.

    :param as_of: when reading began, of a snapshot.
    :param mask: whether to mask secrets, where rows may hold some.
    """
    in_path = {*endpoint.path_names} & {*(row.model.model_fields if row.is_snapshot else endpoint.key)}
    names = {*row.filled} | in_path
    known = {endpoint.names_of(name): _json(name, value) for name, value in filters.items() if name in names}
    if as_of is not None:
        moment = write_time(as_of, endpoint.time_format)
        text = json.dumps(moment) if endpoint.time_format == "iso" else moment
        known[endpoint.names_of("as_of")] = text.encode()
    secret_fields = endpoint.secret_fields if mask and row.holds_secrets else None
    return RowEditor(known, secret_fields, object_finder(row, endpoint))


def masked(row: bytes, secret_fields: Mapping[str, bool]) -> bytes:
    """Return the JSON text of a row with the values of its secret fields masked, and all other fields as they were.

    :raises HyperoruContractError: it is not a JSON object.
    """
    marked = mark_halves(row)
    try:
        fields = {name: _masked(name, text, secret_fields) for name, text in _fields(marked).items()}
    except NOT_JSON as error:
        raise HyperoruContractError(f"A row is not a JSON object: {error}") from None
    text = msgspec.json.encode(fields)
    return text if marked == row else unmark_halves(text)


def _masked(name: str, text: msgspec.Raw, secret_fields: Mapping[str, bool]) -> msgspec.Raw:
    data = {name: _value(text)}
    shown = mask_secret_fields(data, secret_fields)
    return text if shown == data else msgspec.Raw(_encode(shown[name]))


def _json(name: str, value: Any) -> bytes:
    """Return a filter as JSON; an id of digits, which is text where it was rendered, is a number."""
    return json.dumps(key_part(str(value)) if name.endswith("id") else str(value)).encode()

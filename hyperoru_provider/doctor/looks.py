"""What the rows of an answer look like, and which override makes them the contract's rows. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, combinations
from typing import Any

import msgspec

from hyperoru_provider.client import calls
from hyperoru_provider.client.api.contract import load_contract
from hyperoru_provider.client.api.endpoints import ListEndpoint
from hyperoru_provider.client.api.models import Model
from hyperoru_provider.client.api.resources import RESOURCES
from hyperoru_provider.client.decoding import canonical
from hyperoru_provider.client.errors import HyperoruConfigError, HyperoruContractError
from hyperoru_provider.client.lists.page import Page, parse_page
from hyperoru_provider.client.surrogates import replace_halves
from hyperoru_provider.client.times import TimeFormat, parse_time
from hyperoru_provider.doctor.report import merged
from hyperoru_provider.doctor.vocabulary import FIELDS, TELLING_APART

_SAMPLE = 50
_PLAUSIBLE_YEARS = range(2009, 2100)


class ListLook:
    """Fits the contract of a list to what its answers look like.

    :param resource: the list.
    :param contract: what overrides there are already.

    :ivar override: what the contract has to say beside that.
    :ivar known: fields that rows need not have, as they were asked for.
    """

    def __init__(self, resource: str, contract: Mapping[str, Any]) -> None:
        self.override: dict[str, Any] = {}
        self.known: dict[str, Any] = {}
        self._resource = resource
        self._contract = contract
        self._model: type[Model] = RESOURCES[resource].model

    @property
    def endpoint(self) -> ListEndpoint:
        """The list, with the override."""
        return load_contract(merged(self._contract, self._resource, self.override)).lists[self._resource]

    @property
    def changes(self) -> dict[str, Any]:
        """What of the override the contract does not say already."""
        before, now = load_contract(self._contract).lists[self._resource].model_dump(), self.endpoint.model_dump()
        return {name: value for name, value in self.override.items() if before[name] != now[name]}

    def page(self, body: bytes) -> Page:
        """Return the rows of an answer, and let the override name the list that holds them.

        :raises HyperoruContractError: it can't be told, or the answer is none of success.
        """
        page: Page | HyperoruContractError
        try:
            page = parse_page(body, self.endpoint)
        except HyperoruContractError as error:
            page = error
        if isinstance(page, Page) and (not page.texts or self._fits(page)):
            return page
        before = self.override
        for name in self._lists(body):
            self.override = {**before, "rows": name}
            with suppress(HyperoruContractError, HyperoruConfigError):  # or it is a name that no contract can hold
                other = parse_page(body, self.endpoint)
                if not other.texts or self._fits(other):
                    return other
        self.override = before
        if isinstance(page, Page):
            return page
        raise page

    def _fits(self, page: Page) -> bool:
        """Return whether a row has what the model's rows have to have."""
        row = canonical(page.rows[0], self.endpoint) if page.texts else {}
        required = (name for name, field in self._model.model_fields.items() if field.is_required())
        return all(name in self.known or any(each in row for each in self._names_of(name)) for name in required)

    def _lists(self, body: bytes) -> list[str]:
        """Return the names of the lists in an answer whose rows look like the model's, the likeliest first."""
        try:
            data = msgspec.json.decode(replace_halves(body))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return []
        known = set(chain(*map(self._names_of, self._model.model_fields)))
        found = _lists_within(data, self._resource)
        scores = {name: len(known & fields) for name, fields in found if name not in self._taken}
        inner = f".{self._resource}[]"  # of its own name, and so the likeliest
        return sorted(filter(scores.get, scores), key=lambda name: (not name.endswith(inner), -scores[name]))

    @property
    def _taken(self) -> set[str]:
        """The lists that are another resource's at the same address."""
        lists, path = load_contract(self._contract).lists, self.endpoint.path
        others = (each for name, each in lists.items() if name != self._resource and each.path == path)
        return {name for each in others for name in each.rows}

    def fit(self, page: Page) -> str | None:
        """Let the override say how rows are read, and return what is wrong with them all the same.

        :param page: with the rows.
        """
        rows = page.rows[:_SAMPLE]
        try:
            self._find_fields(rows)
            self._find_time_format(rows)
        except HyperoruContractError as error:
            return error.message
        return self._find_key([canonical(row, self.endpoint) for row in page.rows])

    def _names_of(self, field: str) -> tuple[str, ...]:
        return (field, *self.endpoint.names_of(field), *FIELDS.get(field, ()))

    def _find_fields(self, rows: Sequence[bytes]) -> None:
        """Let the override name fields that rows have under another name."""
        endpoint, found = self.endpoint, dict[str, str]()
        items = [canonical(row, endpoint) for row in rows]
        for field in dict.fromkeys([*endpoint.key, *filter(None, [endpoint.time]), *self._model.model_fields]):
            if field not in self.known and not any(field in item for item in items):
                others = (name for name in FIELDS.get(field, ()) if name not in self._model.model_fields)
                if name := next((name for name in others if all(name in item for item in items)), None):
                    found[field] = name
        if found:
            self.override = {**self.override, "fields": found}

    def _find_time_format(self, rows: Sequence[bytes]) -> None:
        """Let the override say how times are written.

        :raises HyperoruContractError: rows can't be read, however their times may be written.
        """
        endpoint = self.endpoint
        formats: list[TimeFormat] = [endpoint.time_format, "iso", "seconds", "milliseconds"]
        errors = []
        for time_format in dict.fromkeys(formats):
            try:
                for row in rows:
                    self._read(canonical(row, endpoint), time_format)
            except HyperoruContractError as error:
                errors.append(error)
            else:
                if time_format != endpoint.time_format:
                    self.override = {**self.override, "time_format": time_format}
                return
        raise errors[0]

    def _read(self, row: dict[str, Any], time_format: TimeFormat) -> None:
        """Read a row as the model says.

        :raises HyperoruContractError: it can't be, or its time is none of now.
        """
        item = calls.validated(self._model, {**self.known, **row}, time_format)
        time = self.endpoint.time
        if time is None:
            return
        try:
            moment = parse_time(row.get(time), time_format)
        except ValueError as error:
            raise HyperoruContractError(f"The {time} of a row can't be read: {error}.") from None
        if moment.year not in _PLAUSIBLE_YEARS:
            raise HyperoruContractError(f"The {time} of {calls.name_of(type(item), row)} is of the year {moment.year}.")

    def _find_key(self, rows: Sequence[dict[str, Any]]) -> str | None:
        """Let the override name what tells rows apart, and return what is wrong if nothing does."""
        key = self.endpoint.key
        if not key or not (missing := _ambiguous(rows, key)):
            return None
        present = [name for name in TELLING_APART if name not in key and all(name in row for row in rows)]
        for more in chain.from_iterable(combinations(present, count) for count in (1, 2)):
            if not _ambiguous(rows, (*more, *key)):
                self.override = {**self.override, "key": [*more, *key]}
                return None
        return f"The key {missing} names rows of different content, and no further field tells them apart."


def _lists_within(data: object, own_name: str) -> Iterator[tuple[str, set[str]]]:
    """Yield the lists of objects in an answer, by the names that ``rows`` gives them, with the fields of their rows.

    :param own_name: what a list within rows is called that is meant even where it is empty.
    """
    for name, value in data.items() if isinstance(data, dict) else ():
        if not _is_list_of_objects(value):
            continue
        yield name, set(value[0])
        for inner in value[0]:
            nested = [row for each in value if _is_list_of_objects(each.get(inner)) for row in each[inner]]
            if nested or inner == own_name:
                yield f"{name}[].{inner}[]", {*(nested[0] if nested else ()), *value[0]}


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, dict) for each in value)


def _ambiguous(rows: Sequence[Mapping[str, Any]], key: Sequence[str]) -> str:
    """Return a key of which there are rows of different content; an empty text if there is none."""
    found: dict[str, Mapping[str, Any]] = {}
    for row in rows:
        name = ", ".join(str(row.get(field)) for field in key)
        if found.setdefault(name, row) != row:
            return name
    return ""

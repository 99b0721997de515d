"""What is read from an OpenAPI document, as FastAPI and others write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperoru_provider.client.api.resources import RESOURCES
from hyperoru_provider.client.errors import HyperoruConfigError
from hyperoru_provider.doctor.inference import override_by_document
from hyperoru_provider.doctor.openapi import Document, Operation, with_our_names


def operation(*parameters: dict[str, object], path: str = "/api/x") -> Operation:
    found = Document({"paths": {path: {"get": {"parameters": [*parameters]}}}}).operation(path)
    assert found is not None
    return found


def query(name: str, **schema: object) -> dict[str, object]:
    return {"name": name, "in": "query", "schema": schema}


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"paths": 1}', b"<html>", b"\xff", b"[" * 100_000])
def test_what_is_no_document(text: bytes) -> None:
    with pytest.raises(HyperoruConfigError, match="no OpenAPI document"):
        Document.parse(text)


def test_a_path_is_found_whatever_its_places_are_named_and_with_another_slash() -> None:
    document = Document({"paths": {"/api/orders/{who}/": {"get": {}}, "/api/jobs": {"post": {}}}})
    assert document.operation("/api/orders/{account_id}") == Operation("/api/orders/{who}/", {})
    assert document.operation("/api/jobs") is None


def test_parameters_by_reference_and_types_that_may_be_missing() -> None:
    document = Document(
        {
            "components": {
                "parameters": {"Limit": query("limit", **{"$ref": "#/components/schemas/Limit"})},
                "schemas": {"Limit": {"type": "integer", "maximum": 200}},
            },
            "paths": {
                "/api/x": {
                    "parameters": [query("day", anyOf=[{"type": "string", "format": "date"}, {"type": "null"}])],
                    "get": {"parameters": [{"$ref": "#/components/parameters/Limit"}]},
                }
            },
        }
    )
    found = document.operation("/api/x")
    assert found is not None
    assert found.parameters["limit"].maximum == 200
    assert found.parameters["day"].is_day


def test_a_reference_in_a_circle_ends() -> None:
    circle = {
        "components": {"a": {"$ref": "#/components/a"}},
        "paths": {"/x": {"get": {"parameters": [{"$ref": "#/components/a"}]}}},
    }
    found = Document(circle).operation("/x")
    assert found is not None
    assert found.parameters == {}


@pytest.mark.parametrize(
    ("schema", "values"),
    [
        ({"enum": ["paper", "mainnet"], "default": "paper"}, ("paper", "mainnet")),
        ({"pattern": "^(paper|mainnet)$"}, ("paper", "mainnet")),
        ({"type": "string"}, ("mainnet", "testnet", "paper")),
    ],
)
def test_values_of_a_switch(schema: dict[str, object], values: tuple[str, ...]) -> None:
    assert operation(query("trading_mode", **schema)).switches == {"trading_mode": values}


@pytest.mark.parametrize(
    ("name", "schema", "is_switch"),
    [
        ("network", {"enum": ["mainnet", "testnet"], "default": "testnet"}, True),
        ("network", {"enum": ["mainnet", "testnet"]}, False),
        ("network", {"enum": ["all", "testnet"], "default": "all"}, False),
        ("sort_by", {"enum": ["time", "id"], "default": "time"}, False),
        ("order", {"enum": ["asc", "desc"], "default": "desc"}, False),
        ("interval", {"enum": ["1h", "1d"], "default": "1h"}, False),
        ("symbol", {"enum": ["BTC", "ETH"], "default": "BTC"}, False),
    ],
)
def test_a_default_among_values_makes_a_switch(name: str, schema: dict[str, object], is_switch: bool) -> None:
    assert (name in operation(query(name, **schema)).switches) is is_switch


@pytest.mark.parametrize("schema", [{}, {"enum": ["mainnet"]}, {"default": "all"}, {"default": None}])
def test_what_leaves_nothing_out_is_no_switch(schema: dict[str, object]) -> None:
    assert operation(query("environment", **schema)).switches == {}


@pytest.mark.parametrize(
    ("path", "ours", "expected"),
    [
        ("/api/price/{coin}", ["symbol"], "/api/price/{symbol}"),
        ("/api/price/{x}", ["symbol"], "/api/price/{symbol}"),
        ("/api/{coin}/{period}", ["symbol", "interval"], "/api/{symbol}/{interval}"),
        ("/api/{coin}/{x}", ["symbol", "interval"], None),
        ("/api/all", [], "/api/all"),
        ("/api/{}", ["symbol"], None),
        ("/api/{}/{x}", ["symbol", "interval"], None),
    ],
)
def test_a_path_gets_our_names(path: str, ours: list[str], expected: str | None) -> None:
    assert with_our_names(path, ours) == expected


@pytest.mark.parametrize(
    ("parameters", "override"),
    [
        ([*map(query, ("account_id", "symbol", "start", "end", "page")), query("per_page", maximum=500)], {}),
        (
            [query("after"), query("before"), query("offset"), query("limit", maximum=200)],
            {"paging": "offset", "page_size": 200, "params": {"start": "after", "end": "before"}},
        ),
        ([query("limit", maximum=100)], {"page_size": 100, "params": {"per_page": "limit"}}),
        (
            [query("start_date", format="date"), query("end_date", format="date")],
            {"time_filter": "day", "params": {"start": "start_date", "end": "end_date"}},
        ),
    ],
)  # fmt: skip
def test_the_override_of_trades(parameters: list[dict[str, object]], override: dict[str, object]) -> None:
    trades = RESOURCES["trades"]
    assert override_by_document(operation(*parameters), trades.endpoint, trades) == override


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["#/paths", "query", "path"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["get", "parameters", "schema", "$ref", "in", "name", "anyOf", "enum", "pattern", "maximum", "default"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


ODD_SCHEMA = st.dictionaries(
    st.sampled_from(["type", "format", "enum", "pattern", "maximum", "exclusiveMaximum", "default", "anyOf"]),
    JSON,
    max_size=4,
)
ODD_PARAMETER = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["limit", "page", "offset", "start", "end", "trading_mode", "environment"]) | JSON,
        "in": st.sampled_from(["query", "path"]) | JSON,
        "schema": ODD_SCHEMA | JSON,
        "required": JSON,
    }
)


@given(
    JSON
    | st.fixed_dictionaries({"get": st.fixed_dictionaries({"parameters": st.lists(ODD_PARAMETER, max_size=4) | JSON})})
)
def test_an_odd_document_is_an_error_or_says_something(entry: object) -> None:
    """What a server says of itself is hostile text, too."""
    try:
        found = Document({"paths": {"/x": entry}}).operation("/x")
    except HyperoruConfigError:
        return
    if found is not None:
        trades = RESOURCES["trades"]
        override_by_document(found, trades.endpoint, trades)
        assert isinstance(found.switches, dict)

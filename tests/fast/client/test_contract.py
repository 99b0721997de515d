from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperoru_provider.client.api.contract import DEFAULT_CONTRACT, load_contract
from hyperoru_provider.client.errors import HyperoruConfigError


def test_no_override_is_the_default_profile() -> None:
    assert load_contract(None) is DEFAULT_CONTRACT
    assert load_contract({}) is DEFAULT_CONTRACT
    trades = DEFAULT_CONTRACT.trades
    assert (trades.path, trades.paging, trades.page_size) == ("/api/arena/trades", "page", 500)
    assert trades.sent({"account_id": 1, "symbol": None, "page": 2}) == {"account_id": "1", "page": "2"}


def test_an_override_changes_only_what_it_names() -> None:
    contract = load_contract(
        {"trades": {"path": "/v2/fills", "params": {"start": "from", "symbol": None}, "key": ["table", "trade_id"]}}
    )
    assert contract.trades.path == "/v2/fills"
    assert contract.trades.key == ("table", "trade_id")
    assert contract.trades.paging == "page"
    assert contract.trades.names_of("commission") == ("commission", "fee")
    assert contract.trades.sent({"start": "a", "end": "b", "symbol": "BTC"}) == {"from": "a", "end": "b"}
    assert contract.klines == DEFAULT_CONTRACT.klines


def test_a_key_of_no_column_may_be_named() -> None:
    trades = {"key": ["source", "trade_id"], "time": "at", "fields": {"source": "table", "at": "filled_at"}}
    assert load_contract({"trades": trades}).trades.names_of("source") == ("table",)


def test_the_login_s_names() -> None:
    assert load_contract({"login": {"params": {"email": "mail"}}}).login.sent({"email": "a@b"}) == {"mail": "a@b"}


@pytest.mark.parametrize(
    ("symbol", "path"),
    [("BTC", "/api/price/BTC"), ("PURR/USDC", "/api/price/PURR%2FUSDC"), ("../x?a=1", "/api/price/..%2Fx%3Fa%3D1")],
)
def test_a_path_takes_its_values_quoted(symbol: str, path: str) -> None:
    price = load_contract({"price": {"path": "/api/price/{symbol}"}}).price
    assert price.target({"symbol": symbol, "x": 1}) == (path, {"x": "1"})
    with pytest.raises(HyperoruConfigError, match="symbol is needed"):
        price.target({"symbol": ""})


def test_constants_are_sent_with_every_request() -> None:
    query = {"trading_mode": "mainnet", "include_snapshots": True, "depth": 5}
    endpoint = load_contract({"trades": {"query": query, "params": {"symbol": None}}}).trades
    sent = {"trading_mode": "mainnet", "include_snapshots": "true", "depth": "5"}
    assert endpoint.sent({"page": 2, "symbol": "BTC"}) == {**sent, "page": "2"}
    assert endpoint.target({}).query == sent
    assert load_contract({"trades": {"query": {"symbol": "x"}, "params": {"symbol": None}}}).trades.sent({}) == {
        "symbol": "x"
    }


def test_one_name_need_not_be_a_list() -> None:
    assert load_contract({"trades": {"total": "count", "fields": {"trade_time": "at"}}}).trades.total == ("count",)


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"trade": {}}, "contract.trade:"),
        ({"trades": []}, "contract.trades:"),
        ({"trades": {"pagin": "page"}}, "contract.trades.pagin:"),
        ({"trades": {"paging": "pages"}}, "contract.trades.paging"),
        ({"trades": {"path": "api/trades"}}, "contract.trades.path"),
        ({"trades": {"path": "https://elsewhere/api"}}, "contract.trades.path"),
        ({"trades": {"path": "/api?x=1"}}, "contract.trades.path"),
        ({"trades": {"page_size": 0}}, "contract.trades.page_size"),
        ({"trades": {"paging": "offset", "page_size": None}}, "contract.trades"),
        ({"trades": {"params": {"start": 5}}}, "contract.trades.params.start"),
        ({"trades": {"params": "x"}}, "contract.trades.params"),
        ({"trades": {"params": {"strat": "from"}}}, "contract.trades.params.strat: unknown name; known are account_id"),
        ({"klines": {"params": {"account_id": "id"}}}, "contract.klines.params.account_id"),
        ({"health": {"params": {"x": "y"}}}, "contract.health.params.x: unknown name; known are none"),
        ({"trades": {"fields": {"prize": "px"}}}, "contract.trades.fields.prize: unknown name; known are account_id"),
        ({"login": {"fields": {"token": "t"}}}, "contract.login.fields.token"),
        ({"trades": {"verified_fields": ["acount_id"]}}, "contract.trades.verified_fields.acount_id"),
        ({"trades": {"key": []}}, "contract.trades.key"),
        ({"trades": {"rows": []}}, "contract.trades.rows"),
        ({"price": {"success_words": [1]}}, "contract.price.success_words"),
        ({"price": {"path": "/api/price/{coin}"}}, "contract.price.path.coin: unknown name; known are symbol"),
        ({"price": {"path": "/api/price/{Symbol}"}}, "contract.price.path"),
        ({"price": {"path": "/api/price/{symbol"}}, "contract.price.path"),
        ({"trades": {"time": None}}, "contract.trades.time"),
        ({"login": {"identity": "phone"}}, "contract.login.identity"),
        ({"health": {"rows": ["x"]}}, "contract.health.rows:"),
        ({"trades": {"query": {"symbol": "BTC"}}}, "contract.trades.query.symbol: symbol has this name"),
        (
            {"trades": {"params": {"symbol": "coin"}, "query": {"coin": "BTC"}}},
            "query.coin: symbol has",
        ),
        ({"trades": {"query": {"limit": 500}}}, "page_size"),
        ({"trades": {"query": {"mode": None}}}, "contract.trades.query.mode"),
        ({"trades": {"query": {"mode": ["a"]}}}, "contract.trades.query.mode"),
        ({"trades": {"query": {"": "x"}}}, "contract.trades.query"),
        ({"trades": {"query": {"mode": "\ud83d"}}}, "contract.trades.query.mode"),
        ({"trades": {"token_param": "page"}}, "contract.trades.token_param: page is the name of another parameter"),
        ({"trades": {"token_param": "mode", "query": {"mode": "x"}}}, "token_param: mode is the name of another"),
        ({"trades": {"token_param": ""}}, "contract.trades.token_param"),
        ({"trades": {"token_param": "a\nb"}}, "contract.trades.token_param"),
        ({"health": {"token_param": "token"}}, "contract.health.token_param"),
        ({"stream": {"token_param": "token"}}, "auth says where"),
        (["x"], "contract:"),
    ],
)
def test_a_wrong_key_is_named(overrides: Any, named: str) -> None:
    with pytest.raises(HyperoruConfigError) as caught:
        load_contract(overrides)
    assert named in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("ab/.", max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["path", "params", "paging", "key", "x"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["trades", "login", "x"]), json_values, max_size=2))
def test_no_override_does_more_than_fail_by_name(overrides: dict[str, Any]) -> None:
    try:
        load_contract(overrides)
    except HyperoruConfigError as error:
        assert "contract" in str(error)

"""Where fuzzing begins: honest inputs of each target, and what changes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any

from tests.fuzz.targets import saved_state
from tests.hostile import VALUES

_TRADE: dict[str, Any] = {
    "trade_id": 7, "account_id": 1, "symbol": "BTC", "side": "BUY", "price": 1.5, "quantity": "2.00", "notional": 3,
    "commission": None, "trade_time": "2026-01-15T08:36:00Z", "order_id": "a-7", "related_orders": [{"id": 1}], "x": 1,
}  # fmt: skip
_CANDLE = {"timestamp": "2026-01-15T00:00:00Z", "open": 1, "high": 2, "low": 0.5, "close": 1.5, "volume": "9"}
_JOB = {"task_id": 7, "status": "completed", "symbol": "BTC", "period": "1m", "progress_pct": 100, "rows_written": 5}
_TRADER = {"id": 1, "name": "a", "is_active": True, "current_cash": 10.5, "llm_api_key": "sk"}
_ANSWERS: tuple[Any, ...] = (
    [_TRADE, {**_TRADE, "trade_id": "8"}],
    {"trades": [_TRADE], "accounts": [], "total": 1, "has_more": False, "next_cursor": None},
    {"data": [{**_TRADE, "trade_time": 1768466160000}], "pagination": {"total": 1, "next_cursor": "c"}, "status": "ok"},
    {"klines": [_CANDLE, {**_CANDLE, "timestamp": "2026-01-15T00:01:00Z"}]},
    {"accounts": [_TRADER], "success": True, "code": 0, "message": ""},
    {"tasks": [_JOB]},
    _JOB,
    {"coverage": [{"symbol": "BTC", "interval": "1m", "earliest": "2026-01-15T00:00:00Z", "total_candles": 5}]},
    {"orders": [{"id": 1, "account_id": 1, "symbol": "BTC", "side": "BUY", "price": 1, "status": "new"}]},
    {"symbol": "BTC", "price": 97000.5, "market": "perp"},
    {"id": 1, "username": "me", "email": "me@example.com", "is_active": True, "status": "healthy"},
    {"session_token": "tok-1", "expires_at": "2027-01-15T00:00:00Z"},
    {"error": "no", "code": "NO", "request_id": "r-1"},
    {"error": {"code": "NO", "message": "no", "details": {"a": 1}}},
    {"detail": [{"loc": ["query", "start"], "msg": "field required", "type": "missing"}]},
)
_FRAMES: tuple[Any, ...] = (
    {"type": "trades", "data": [_TRADE]},
    {"type": "positions", "data": {"account_id": 1, "symbol": "BTC", "side": "long", "size": 1, "entry_price": 2}},
    {"type": "model_chat", "data": {"account_id": 1, "operation": "hold", "created_at": "2026-01-15T00:00:00Z"}},
    {"type": "asset_curve", "data": {"account_id": 1, "timestamp": 1768466160000}},
    {"type": "subscribed", "request_id": "1", "data": {}},
    {"type": "error", "request_id": "1", "data": {"code": "UNAUTHORIZED", "message": "tok-5ecret-0f-the-fuzzer"}},
)
_CONTRACTS: tuple[Any, ...] = (
    {"trades": {"path": "/api/trades", "paging": "offset", "params": {"start": "from"}, "key": ["table", "trade_id"]}},
    {"trades": {"paging": "cursor", "time_format": "milliseconds", "cap": 100, "total": [], "first_page": 0}},
    {"orders": {"path": "/api/{account_id}/orders", "rows": "o"}, "price": {"path": "/api/price/{symbol}"}},
    {"stream": {"auth": "message", "channels": {"positions": None, "trades": "fills"}, "refused_codes": [4401]}},
    {"login": {"identity": "username", "fields": {"session_token": "token"}}, "health": {"success_words": ["up"]}},
    {"backfill_status": {"running": ["busy"], "failed": []}, "traders": {"secret_fields": {"note": True}}},
)
_FILE = {"name": "part-00000.jsonl", "rows": 2, "bytes": 30, "sha256": "00" * 32}
_MANIFEST = {
    "format_version": 1,
    "resource": "trades",
    "rows": 2,
    "columns": [["trade_id", "string"]],
    "files": [_FILE],
}
_TIMES = (
    b"2026-01-15T08:36:00Z", b"2026-01-15T08:36:00.123456000+05:30", b"20260115T083600", b"1768466160.25",
    b"2026-01-15", b"1e3", b"-0.0", b"4h", b"now", b"9999-12-31T23:59:59.999999-23:59", b'"0001-01-01T00:00:00+14:00"',
)  # fmt: skip
_RETRY_AFTER = (b"120", b"1.5", b"Wed, 21 Oct 2026 07:28:00 GMT", b"Thu, 1 Jan 1970 00:00:00 -0000", b"inf")

#: target -> honest inputs
SEEDS: dict[str, list[bytes]] = {
    "answers": [json.dumps(each).encode() for each in _ANSWERS],
    "frames": [json.dumps(each).encode() for each in _FRAMES],
    "retry_after": [*_RETRY_AFTER],
    "times": [*_TIMES],
    "contract": [json.dumps(each).encode() for each in _CONTRACTS],
    "manifests": [json.dumps(_MANIFEST).encode()],
    "checkpoints": [saved_state()],
}
_SIZE_LIMIT = 10_000
_HOSTILE = [value for value in VALUES.values() if len(value) < _SIZE_LIMIT] + [
    b"-1", b"1.0", b"1E+2", b"7", b'"7"', b'"-0"', b'"\xc2\xb2"', b"[]", b"{}", b"[null]", b"false", b'"../7"',
    b'"/dev/null"', b'"\\\\"', b'"{a}"', b'"inf"', b'"1e400"', b"18446744073709551616", b'"2026-01-15T00:00:00.5Z"',
]  # fmt: skip


def mutate(data: bytes, random: Random) -> bytes:
    """Return JSON with some of its values replaced, removed, doubled or wrapped; of other bytes, with a few changed."""
    used: list[bytes] = []
    try:
        tree = json.loads(data)
        for _ in range(random.randint(1, 3)):
            tree = _mutate_tree(tree, random, used)
        text = json.dumps(tree).encode()
    except (ValueError, RecursionError):
        return _mutate_bytes(data, random)
    for number, value in enumerate(used):
        text = text.replace(b'"<%d>"' % number, value)
    return text


def _mutate_tree(tree: Any, random: Random, used: list[bytes]) -> Any:
    """Return a tree with one of its values changed.

    :param used: takes the JSON text that stands for ``<0>``, ``<1>`` and so on in the result.
    """
    places = [*_places(tree)]
    if not places or random.random() < 0.1:
        return _hostile(random, used)
    holder, name = random.choice(places)
    value = deepcopy(holder[name])
    match random.randrange(6):
        case 0 | 1:
            holder[name] = _hostile(random, used)
        case 2:
            del holder[name]
        case 3:
            other, key = random.choice(places)
            holder[name] = deepcopy(other[key])
        case 4 if isinstance(holder, list):
            holder.insert(random.randrange(len(holder) + 1), value)
        case 4:
            holder[random.choice([*_names(places)])] = value
        case _:
            holder[name] = [value] if random.random() < 0.5 else {str(name): value}
    return tree


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Return each place of a value in a tree: what holds it, and under which name or number."""
    names = tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
    found = []
    for name in names:
        found += [(tree, name), *_places(tree[name])]
    return found


def _names(places: list[tuple[Any, Any]]) -> list[str]:
    return sorted({name for _, name in places if isinstance(name, str)}) or ["id"]


def _hostile(random: Random, used: list[bytes]) -> str:
    used.append(random.choice(_HOSTILE))
    return f"<{len(used) - 1}>"


def _mutate_bytes(data: bytes, random: Random) -> bytes:
    changes: list[Callable[[bytearray, int], Any]] = [
        lambda text, place: text.insert(place, random.choice(b"0123456789-+:.,TZ eE \x00\xff")),
        lambda text, place: text.__setitem__(slice(place, place + 1), b""),
        lambda text, place: text.__setitem__(slice(place, place), text[:place][:100] * random.randint(1, 50)),
    ]
    text = bytearray(data)
    for _ in range(random.randint(1, 4)):
        random.choice(changes)(text, random.randint(0, len(text)))
    return bytes(text[:_SIZE_LIMIT])

"""The WebSocket over real sockets: its messages, its events, and each of its faults."""

from __future__ import annotations

import gc
import json
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from hyperoru_provider.sandbox import Sandbox
from hyperoru_provider.sandbox.book import FileBook
from hyperoru_provider.sandbox.connection import Connection
from hyperoru_provider.sandbox.live import Live
from hyperoru_provider.sandbox.prices import SYMBOLS, Prices
from tests.http.sandbox.sandbox_caller import Caller, Rows, Serve

WAIT = 20.0  # at most, on a busy machine


RATES = ("socket_malformed_rate", "socket_duplicate_rate", "socket_lose_rate")


def is_json(text: str | bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


class Listener:
    """One open socket, with the frames that came."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.markers: set[int] = set()

    def send(self, kind: str, request_id: Any = None, **data: Any) -> None:
        message = {"type": kind, "data": data} | ({} if request_id is None else {"request_id": request_id})
        self.socket.send(json.dumps(message))

    def next(self, seconds: float = WAIT) -> Any:
        return json.loads(self.socket.recv(seconds))

    def ask(self, kind: str, request_id: Any = None, **data: Any) -> Any:
        """The answer to a message; events that come before it are passed over."""
        self.send(kind, request_id, **data)
        while True:
            frame = self.next()
            if frame["type"] not in ("trades", "positions", "model_chat") and "timestamp" not in frame["data"]:
                return frame

    def subscribe(self, *channels: str) -> Listener:
        for channel in channels:
            assert self.ask("subscribe", channel=channel)["type"] == "subscribed"
        return self

    def frames(self, number: int) -> list[Any]:
        return [self.next() for _ in range(number)]

    def comes(self, seconds: float = 0.4) -> bool:
        """Whether anything comes at all."""
        try:
            self.socket.recv(seconds)
        except TimeoutError:
            return False
        return True

    def until_trade(self, caller: Caller, last: int | None = None) -> list[str | bytes]:
        """What comes before a trade that is made now, or as soon as the trade ``last`` has come.

        Events come in the order of their trades, so nothing of the earlier ones is on its way then.
        """
        found: list[str | bytes] = []
        while last is not None:
            found.append(self.socket.recv(WAIT))
            if str(last) in str(found[-1]) and is_json(found[-1]):
                last = None
        caller.sandbox.set_faults(**dict.fromkeys(RATES, 0))
        (marker,) = caller.sandbox.trade()
        self.markers.add(marker["trade_id"])
        while str(marker["trade_id"]) not in str(frame := self.socket.recv(WAIT)):
            found.append(frame)
        return found

    def ids(self, number: int) -> list[int]:
        """The ids of so many trades."""
        found: list[int] = []
        while len(found) < number:
            data = self.next()["data"]
            found += [row["trade_id"] for row in (data if isinstance(data, list) else [data])]
        return found

    def close_code(self) -> int:
        """The code that the socket is closed with, whatever came before."""
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                self.socket.recv(WAIT)
        return closed.value.rcvd.code if closed.value.rcvd else 1006


#: Opens a socket.
Listen = Callable[..., Listener]


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Open a socket with the token of a caller, or another one, or without a token."""
    with ExitStack() as stack:

        def start(caller: Caller, token: str | None = "", path: str = "/ws", **options: Any) -> Listener:
            address = caller.sandbox.url.replace("http", "ws") + path
            if token == "":
                token = token_of(caller)
            if token is not None:
                address += f"?session_token={token}"
            options = {"compression": None, "close_timeout": 0.2} | options
            return Listener(stack.enter_context(connect(address, **options)))

        yield start


def token_of(caller: Caller) -> str:
    return caller.client.headers["Authorization"].split()[1]


def counts(caller: Caller) -> Any:
    return caller.sandbox.stats()["sockets"]


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture
def quiet(serve: Serve, rows: Rows) -> Caller:
    """A book of old rows, so that nothing happens by itself."""
    return serve(rows=rows)


# Messages


def test_token_in_the_url(quiet: Caller, listen: Listen) -> None:
    frame = listen(quiet).ask("subscribe", "2", channel="trades")
    assert frame == {"type": "subscribed", "request_id": "2", "data": {"channel": "trades"}}
    assert counts(quiet)["tokens_in_url"] == 1


def test_token_in_a_message(quiet: Caller, listen: Listen) -> None:
    listener = listen(quiet, None)
    frame = listener.ask("subscribe", "1", channel="trades")
    assert (frame["type"], frame["request_id"], frame["data"]["code"]) == ("error", "1", "UNAUTHORIZED")
    frame = listener.ask("connect", "2", session_token="nonsense")
    assert (frame["type"], frame["request_id"], frame["data"]["code"]) == ("error", "2", "UNAUTHORIZED")
    frame = listener.ask("connect", "3", session_token=token_of(quiet))
    assert frame == {"type": "connected", "request_id": "3", "data": {}}
    listener.subscribe("trades")
    assert counts(quiet)["tokens_in_url"] == 0
    assert counts(quiet)["messages"] == {"connect": 2, "subscribe": 2}


@pytest.mark.parametrize(("path", "token", "status"), [("/ws", "nonsense", 401), ("/other", "", 404)])
def test_refused_handshake(quiet: Caller, listen: Listen, path: str, token: str, status: int) -> None:
    with pytest.raises(InvalidStatus) as refused:
        listen(quiet, token, path)
    assert refused.value.response.status_code == status
    assert set(json.loads(refused.value.response.body)) == {"error", "code", "request_id"}
    assert {name: counts(quiet)[name] for name in ("opened", "refused")} == {"opened": 0, "refused": 1}


def test_unknown_parameters_of_the_handshake_are_refused(quiet: Caller, listen: Listen) -> None:
    with pytest.raises(InvalidStatus) as refused:
        listen(quiet, f"{token_of(quiet)}&surprise=1")
    assert refused.value.response.status_code == 400


def test_subscriptions_add_up(quiet: Caller, listen: Listen) -> None:
    listener = listen(quiet).subscribe("trades")
    quiet.sandbox.trade()
    assert [frame["type"] for frame in listener.frames(1)] == ["trades"]
    listener.subscribe("positions")
    quiet.sandbox.trade()
    assert [frame["type"] for frame in listener.frames(2)] == ["trades", "positions"]
    assert listener.ask("subscribe", channel="gossip")["data"]["code"] == "UNKNOWN_CHANNEL"
    until(lambda: counts(quiet)["events"] == {"trades": 2, "positions": 1})


def test_bootstrap(quiet: Caller, listen: Listen) -> None:
    made = quiet.sandbox.trade(40)
    data = listen(quiet).ask("bootstrap", "b")["data"]
    assert data["accounts"] == quiet.get("/api/account/list").json()
    assert data["active_orders"] == []
    newest = {(row["account_id"], row["symbol"]): row for row in made}
    opened = {key: row for key, row in newest.items() if not str(row["direction"]).startswith("Close")}
    assert opened
    assert len(data["positions"]) == len(opened)
    for position in data["positions"]:
        row = opened[position["account_id"], position["symbol"]]
        side = "long" if row["side"] == "BUY" else "short"
        assert (position["side"], position["size"], position["entry_price"]) == (side, row["quantity"], row["price"])
        assert isinstance(position["unrealized_pnl"], int | float)
        assert datetime.fromisoformat(position["taken_at"]) >= datetime.fromisoformat(row["trade_time"][:23] + "Z")


def test_snapshot(serve: Serve, listen: Listen) -> None:
    listener = listen(serve())
    frame = listener.ask("get_snapshot", "s", account_id=2)
    assert (frame["type"], frame["request_id"], frame["data"]["account_id"]) == ("snapshot", "s", 2)
    assert frame["data"]["equity"] > 0
    assert {position["account_id"] for position in frame["data"]["positions"]} == {2}
    assert {position["side"] for position in frame["data"]["positions"]} <= {"long", "short"}
    assert all(position["size"] > 0 for position in frame["data"]["positions"])
    assert listener.ask("get_snapshot")["data"]["account_id"] == 1
    assert listener.ask("switch_account", account_id=3) == {"type": "switched", "data": {"account_id": 3}}
    assert listener.ask("get_snapshot")["data"]["account_id"] == 3
    assert listener.ask("get_snapshot", account_id=77)["data"]["code"] == "ACCOUNT_NOT_FOUND"
    assert listener.ask("switch_account", account_id=[])["data"]["code"] == "ACCOUNT_NOT_FOUND"


def test_asset_curve(quiet: Caller, listen: Listen) -> None:
    listener = listen(quiet)
    frame = listener.ask("get_asset_curve", "c", account_id=2, timeframe="7d")
    assert (frame["type"], frame["request_id"]) == ("asset_curve", "c")
    data = frame["data"]
    assert (data["account_id"], data["timeframe"], len(data["points"])) == (2, "7d", 169)
    assert all(set(point) == {"timestamp", "equity"} for point in data["points"])
    assert listener.ask("get_asset_curve", account_id=2, timeframe="7d")["data"]["points"][3] == data["points"][3]
    assert listener.ask("get_asset_curve", timeframe="long")["data"]["code"] == "INVALID_TIMEFRAME"


def test_other_messages(quiet: Caller, listen: Listen) -> None:
    listener = listen(quiet)
    assert listener.ask("switch_user", "u", user_id=1) == {
        "type": "switched",
        "request_id": "u",
        "data": {"user_id": 1},
    }
    assert listener.ask("switch_user", user_id=2)["data"]["code"] == "USER_NOT_FOUND"
    assert listener.ask("place_order", symbol="BTC")["data"]["code"] == "READ_ONLY"
    assert listener.ask("dance", "d")["request_id"] == "d"
    assert counts(quiet)["messages"] == {"switch_user": 2, "place_order": 1, "unknown": 1}


@pytest.mark.parametrize("sent", ["no json", "[]", '{"type":"subscribe","data":[]}', "[" * 100_000, b"{}", "{}", ""])
def test_bad_messages_leave_the_socket_open(quiet: Caller, listen: Listen, sent: str | bytes) -> None:
    listener = listen(quiet)
    listener.socket.send(sent)
    code = "UNKNOWN_MESSAGE" if sent == "{}" else "INVALID_MESSAGE"
    assert listener.next()["data"]["code"] == code
    listener.subscribe("trades")


def test_messages_in_fragments(quiet: Caller, listen: Listen) -> None:
    listener = listen(quiet)
    listener.socket.send(iter(['{"type":"subscribe",', '"data":{"channel":', '"trades"}}']))
    assert listener.next() == {"type": "subscribed", "data": {"channel": "trades"}}


def test_text_that_is_none_closes_the_socket(quiet: Caller, listen: Listen) -> None:
    listener = listen(quiet)
    listener.socket.send(b"\xff", text=True)
    assert listener.close_code() == 1007


def test_a_message_that_is_too_long_closes_the_socket(quiet: Caller, listen: Listen) -> None:
    listener = listen(quiet)
    listener.socket.send("x" * (2**20 + 1))
    assert listener.close_code() == 1009


@pytest.mark.parametrize("token", ["", "nonsense"])
def test_a_client_that_leaves_during_its_handshake(
    quiet: Caller, listen: Listen, caplog: pytest.LogCaptureFixture, token: str
) -> None:
    quiet.sandbox.set_faults(socket_latency=1)
    with pytest.raises(TimeoutError):
        listen(quiet, token, open_timeout=0.1)
    until(lambda: counts(quiet)["tokens_in_url"] == 1)
    quiet.sandbox.set_faults(socket_latency=0)
    listen(quiet).subscribe("trades")
    gc.collect()  # a task that failed is told of when it is gone
    assert counts(quiet)["opened"] == 1
    assert not caplog.records


def test_pings_are_answered(quiet: Caller, listen: Listen) -> None:
    assert listen(quiet).socket.ping().wait(WAIT)


def test_counts_of_sockets(quiet: Caller, listen: Listen) -> None:
    first, _ = listen(quiet), listen(quiet)
    first.socket.close()
    until(lambda: counts(quiet)["open"] == 1)
    assert {name: counts(quiet)[name] for name in ("opened", "most_open")} == {"opened": 2, "most_open": 2}
    quiet.sandbox.reset()
    assert {name: counts(quiet)[name] for name in ("opened", "open", "most_open")} == {
        "opened": 0,
        "open": 1,
        "most_open": 1,
    }


def test_the_token_is_in_no_log(quiet: Caller, listen: Listen, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("uvicorn.error", "uvicorn.access", "uvicorn.asgi", "websockets.server", "asyncio"):
        caplog.set_level(1, logger=name)
    caplog.set_level(1)
    mute = logging.Logger("client")
    listen(quiet, logger=mute).subscribe("trades")
    with pytest.raises(InvalidStatus):
        listen(quiet, "refused-token", logger=mute)
    assert token_of(quiet) not in caplog.text
    assert "refused-token" not in caplog.text


# The end of a token


@pytest.mark.parametrize("auth", ["query", "message"])
def test_revoked_tokens_close_their_sockets(quiet: Caller, listen: Listen, auth: str) -> None:
    if auth == "query":
        listener = listen(quiet)
    else:
        listener = listen(quiet, None)
        listener.ask("connect", session_token=token_of(quiet))
    other = listen(quiet, None)
    quiet.sandbox.revoke_tokens()
    assert listener.close_code() == 4401
    assert other.ask("subscribe", channel="trades")["data"]["code"] == "UNAUTHORIZED"


def test_an_expired_token_closes_its_socket(quiet: Caller, listen: Listen) -> None:
    listener = listen(quiet).subscribe("trades")
    quiet.sandbox.set_faults(token_lifetime=0.001)
    assert listener.close_code() == 4401


# The market


@pytest.mark.slow
def test_every_trade_is_in_the_list_and_an_event_once(serve: Serve, listen: Listen) -> None:
    caller = serve(pace=100)
    listener = listen(caller).subscribe("trades")
    first = caller.sandbox.trade()[0]
    threads = [threading.Thread(target=caller.sandbox.trade, args=(20,), kwargs={"late": late}) for late in range(5)]
    for thread in threads:
        thread.start()
    seen = listener.ids(200)
    for thread in threads:
        thread.join()
    caller.sandbox.set_faults(pace=0)
    for _ in range(2):  # trades that are known late come after others of their tick
        seen += [json.loads(frame)["data"]["trade_id"] for frame in listener.until_trade(caller)]
    listed = [key for page in caller.pages(start=minute_before(first), per_page=500) for key in page]
    assert len(listed) == len(set(listed))
    expected = {key for key in listed if key >= first["trade_id"]} - listener.markers
    assert Counter(seen[seen.index(first["trade_id"]) :]) == Counter(expected)


def minute_before(row: dict[str, Any]) -> str:
    return (datetime.fromisoformat(row["trade_time"]) - timedelta(minutes=1)).isoformat()


def test_events_are_rows_as_the_list_has_them(serve: Serve, listen: Listen) -> None:
    caller = serve()
    listener = listen(caller).subscribe("trades")
    (made,) = caller.sandbox.trade()
    event = listener.next()["data"]
    assert event == made == caller.trades(per_page=1)["items"][0]
    caller.sandbox.set_faults(naive_times=True, colliding_ids=True)
    caller.sandbox.trade()
    assert listener.next()["data"] == caller.trades(per_page=1)["items"][0]


@pytest.mark.slow
def test_seeded_rows_are_events_when_their_time_comes(serve: Serve, listen: Listen, rows: Rows) -> None:
    now = time.time()
    for number, row in enumerate(rows):
        row["trade_time"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now - 2 + number))
    listener = listen(serve(rows=rows)).subscribe("trades")
    first, second = listener.ids(2)
    assert second == first + 1 > 3  # those of the past are no events


def test_trade_on_demand(serve: Serve, listen: Listen) -> None:
    caller = serve()
    listener = listen(caller).subscribe("trades")
    rows = caller.sandbox.trade(2, account_id=3, symbol="ETH", side="SELL", notional="250.5", late=3_600)
    for row in rows:
        assert (row["account_id"], row["symbol"], row["side"], row["notional"]) == (3, "ETH", "SELL", 250.5)
        assert abs(row["quantity"] * row["price"] - 250.5) < 1e-6
        assert 3_599 < time.time() - row["trade_id"] / 1e6 + 3_600 < 3_605
    assert listener.ids(2) == [row["trade_id"] for row in rows]
    assert listener.until_trade(caller) == []
    hour = {"account_id": 3, "symbol": "ETH", "per_page": 500}
    assert {row["trade_id"] for row in rows} <= set(caller.ids(**hour))


@pytest.mark.parametrize(
    "body",
    [
        {"count": 0},
        {"count": 10_001},
        {"count": "1"},
        {"account_id": 77},
        {"account_id": "1"},
        {"symbol": "NOPE"},
        {"side": "buy"},
        {"notional": -1},
        {"notional": "much"},
        {"late": -1},
        {"late": "1"},
        {"nonsense": 1},
    ],
)
def test_trades_that_can_not_be(quiet: Caller, body: Any) -> None:
    answer = quiet.client.post("/__sandbox__/trade", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID_TRADE")
    assert next(iter(body)) in answer.json()["error"]


def test_control_addresses(quiet: Caller, listen: Listen) -> None:
    listener = listen(quiet).subscribe("trades")
    made = quiet.client.post("/__sandbox__/trade", json={"count": 3, "side": "BUY"}).json()
    assert [row["side"] for row in made] == ["BUY"] * 3
    assert listener.ids(3) == [row["trade_id"] for row in made]
    assert quiet.client.put("/__sandbox__/faults", json={"pace": 50}).json()["pace"] == 50
    assert len(listener.ids(5)) == 5
    assert quiet.client.post("/__sandbox__/reset").status_code == 204
    assert quiet.trades()["total"] == 10
    assert quiet.get("/__sandbox__/stats").json()["sockets"]["open"] == 1


def test_pace_needs_no_socket(quiet: Caller) -> None:
    before = time.monotonic()
    quiet.sandbox.set_faults(pace=200)
    time.sleep(0.6)
    quiet.sandbox.set_faults(pace=0)
    seconds = time.monotonic() - before
    until(lambda: quiet.trades()["total"] > 10)
    made = quiet.trades(per_page=500)["total"] - 10
    assert 40 <= made <= 200 * (seconds + 0.2)
    ids = quiet.ids(per_page=500)
    assert len(set(ids)) == len(ids) == made + 10
    assert ids == sorted(ids, reverse=True)


def test_a_book_without_traders_does_not_trade(serve: Serve) -> None:
    caller = serve(rows=[], pace=100)
    with pytest.raises(ValueError, match="account_id"):
        caller.sandbox.trade()
    time.sleep(0.3)
    assert caller.trades()["total"] == 0
    assert caller.get("/api/health").status_code == 200


def test_the_same_seed_trades_alike(serve: Serve) -> None:
    made = [serve(seed=seed).sandbox.trade(20) for seed in (3, 3, 4)]
    first, second, third = ([(row["account_id"], row["symbol"], row["side"]) for row in rows] for rows in made)
    assert first == second != third


def test_ids_are_unique_although_the_clock_stands(rows: Rows) -> None:
    live = Live(7, FileBook(rows), Prices(7, SYMBOLS), clock=lambda: 1_000.0)
    assert len({row.body.split(b",")[0] for row in live.trade(50)}) == 50


def test_decisions_and_positions_belong_to_trades(quiet: Caller, listen: Listen) -> None:
    listener = listen(quiet).subscribe("trades", "positions", "model_chat")
    made = quiet.sandbox.trade(30)
    frames = [json.loads(frame) for frame in listener.until_trade(quiet, made[-1]["trade_id"])]
    while frames[-1]["type"] != "positions":  # that of the last trade, or the decision before the marker
        frames.pop()
    kinds = Counter(frame["type"] for frame in frames)
    assert kinds["trades"] == kinds["positions"] == 30
    assert 5 < kinds["model_chat"] < 25
    for before, frame in zip([None, *frames], frames, strict=False):
        data = frame["data"]
        if frame["type"] == "positions":
            assert before["type"] == "trades"
            assert (data["account_id"], data["symbol"]) == (before["data"]["account_id"], before["data"]["symbol"])
        if before and before["type"] == "model_chat":
            assert frame["type"] == "trades"
            assert before["data"]["operation"] in (data["side"].lower(), "close")
    assert {frame["data"]["trade_id"] for frame in frames if frame["type"] == "trades"} == {
        row["trade_id"] for row in made
    }
    assert len({frame["data"]["id"] for frame in frames if frame["type"] == "model_chat"}) == kinds["model_chat"]


def test_asset_curve_events(quiet: Caller, listen: Listen) -> None:
    quiet.sandbox.set_faults(asset_curve_seconds=0.2)
    frames = listen(quiet).subscribe("asset_curve").frames(4)
    assert Counter(frame["data"]["account_id"] for frame in frames) == {1: 2, 2: 2}
    assert all(frame["type"] == "asset_curve" and "request_id" not in frame for frame in frames)


# Faults


def test_refused_tokens(quiet: Caller, listen: Listen) -> None:
    quiet.sandbox.set_faults(socket_refuse=2)
    for _ in range(2):
        with pytest.raises(InvalidStatus) as refused:
            listen(quiet)
        assert refused.value.response.status_code == 401
    listen(quiet)
    quiet.sandbox.set_faults(socket_refuse=1)
    listener = listen(quiet, None)
    assert listener.ask("connect", session_token=token_of(quiet))["data"]["code"] == "UNAUTHORIZED"
    assert listener.ask("connect", session_token=token_of(quiet))["type"] == "connected"
    assert counts(quiet)["refused"] == 3


def test_dropped_sockets(quiet: Caller, listen: Listen) -> None:
    listener = listen(quiet).subscribe("trades")
    quiet.sandbox.set_faults(socket_drop_rate=1)
    quiet.sandbox.trade()
    with pytest.raises(ConnectionClosedError) as closed:
        listener.next()
    assert closed.value.rcvd is None
    until(lambda: counts(quiet)["open"] == 0)
    assert counts(quiet)["events"] == {}


@pytest.mark.slow
def test_silent_sockets(quiet: Caller, listen: Listen) -> None:
    listener = listen(quiet).subscribe("trades")
    quiet.sandbox.set_faults(socket_silent=True)
    quiet.sandbox.trade(3)
    listener.send("bootstrap")
    pong = listener.socket.ping()
    assert not listener.comes()
    assert not pong.wait(0.1)
    quiet.sandbox.revoke_tokens()
    assert not listener.comes()
    quiet.log_in()
    second = listen(quiet)  # the handshake is answered, nothing else
    second.send("bootstrap")
    assert not second.comes()
    before = time.monotonic()
    second.socket.close()
    assert time.monotonic() - before >= 0.2  # the close frame is not answered either
    until(lambda: counts(quiet)["open"] == 1)
    quiet.sandbox.set_faults(socket_silent=False)
    third = listen(quiet).subscribe("trades")
    made = quiet.sandbox.trade()
    assert third.ids(1) == [made[0]["trade_id"]]


def test_slow_server(quiet: Caller, listen: Listen) -> None:
    quiet.sandbox.set_faults(socket_latency=0.2)
    before = time.monotonic()
    listener = listen(quiet)
    assert time.monotonic() - before >= 0.2
    before = time.monotonic()
    listener.subscribe("trades")
    assert time.monotonic() - before >= 0.2
    before = time.monotonic()
    made = quiet.sandbox.trade(5)
    assert listener.ids(5) == [row["trade_id"] for row in made]
    assert time.monotonic() - before >= 0.2


def test_malformed_frames(quiet: Caller, listen: Listen) -> None:
    listener = listen(quiet).subscribe("trades")
    quiet.sandbox.set_faults(socket_malformed_rate=1)
    made = quiet.sandbox.trade(20)
    frames = listener.until_trade(quiet, made[-1]["trade_id"])
    events, malformed = frames[1::2], frames[::2]
    assert [json.loads(event)["data"]["trade_id"] for event in events] == [row["trade_id"] for row in made]
    for frame in malformed:
        with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
            json.loads(frame)
    assert {type(frame) for frame in malformed} == {str, bytes}
    until(lambda: counts(quiet)["events"] == {"trades": 21})  # with the one that ends the test


def test_duplicate_events(quiet: Caller, listen: Listen) -> None:
    listener = listen(quiet).subscribe("trades")
    quiet.sandbox.set_faults(socket_duplicate_rate=0.5)
    made = [row["trade_id"] for row in quiet.sandbox.trade(40)]
    seen = Counter(json.loads(frame)["data"]["trade_id"] for frame in listener.until_trade(quiet, made[-1]))
    assert set(seen) == set(made)
    assert set(seen.values()) == {1, 2}


def survivors(caller: Caller, listener: Listener, made: list[int]) -> set[int]:
    """Which of some trades come, told as soon as a later one came."""
    found: list[int] = []
    while not found or found[-1] <= made[-1]:
        caller.sandbox.trade()
        with suppress(TimeoutError):
            while True:
                found.append(json.loads(listener.socket.recv(0.2))["data"]["trade_id"])
    return set(made) & set(found)


def test_lost_events(quiet: Caller, listen: Listen) -> None:
    listener = listen(quiet).subscribe("trades")
    quiet.sandbox.set_faults(socket_lose_rate=0.5)
    made = [row["trade_id"] for row in quiet.sandbox.trade(40)]
    came = survivors(quiet, listener, made)
    assert 5 < len(came) < 35
    assert set(made) < set(quiet.ids(per_page=500))


def test_shuffled_events(quiet: Caller, listen: Listen) -> None:
    listener = listen(quiet).subscribe("trades")
    quiet.sandbox.set_faults(socket_shuffle=True)
    first = [row["trade_id"] for row in quiet.sandbox.trade(40)]
    seen = listener.ids(10)
    second = [row["trade_id"] for row in quiet.sandbox.trade(40)]
    seen += listener.ids(70)
    assert sorted(seen) == first + second != seen
    assert set(seen[:40]) != set(first)  # some came a tick later, among others


def trades_in(frames: list[Any]) -> int:
    return sum(len(frame["data"]) for frame in frames if frame["type"] == "trades")


def test_several_trades_in_one_message(quiet: Caller, listen: Listen) -> None:
    listener = listen(quiet).subscribe("trades", "positions")
    quiet.sandbox.set_faults(socket_batch=8)
    made = [row["trade_id"] for row in quiet.client.post("/__sandbox__/trade", json={"count": 20}).json()]
    frames = [listener.next()]
    while [frame["type"] for frame in frames].count("positions") < 20 or trades_in(frames) < 20:
        frames.append(listener.next())
    batches = [frame["data"] for frame in frames if frame["type"] == "trades"]
    assert max(len(batch) for batch in batches) == 8 or len(batches) > 3  # more than one tick may have passed
    assert [row["trade_id"] for batch in batches for row in batch] == made
    assert all(isinstance(frame["data"], dict) for frame in frames if frame["type"] == "positions")
    until(lambda: counts(quiet)["events"] == {"trades": 20, "positions": 20})


def test_faults_are_drawn_from_the_seed(serve: Serve, listen: Listen, rows: Rows) -> None:
    seen = []
    for seed in (7, 7, 8):
        caller = serve(rows=rows, seed=seed, socket_lose_rate=0.5)
        listener = listen(caller).subscribe("trades")
        made = [row["trade_id"] for row in caller.sandbox.trade(40)]
        came = survivors(caller, listener, made)
        seen.append([key in came for key in made])
    assert seen[0] == seen[1] != seen[2]


@pytest.mark.parametrize(("patience", "code"), [(10, 1013), (0.1, 1006)])
def test_a_slow_reader_is_closed(
    quiet: Caller, listen: Listen, monkeypatch: pytest.MonkeyPatch, patience: float, code: int
) -> None:
    monkeypatch.setattr(Connection, "close_timeout", patience)
    quiet.sandbox.set_faults(socket_queue=200)
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    raw.connect(("127.0.0.1", int(quiet.sandbox.url.rsplit(":", 1)[1])))
    slow = listen(quiet, sock=raw, max_queue=1).subscribe("trades")
    fast = listen(quiet, max_queue=None).subscribe("trades")
    made = [row["trade_id"] for _ in range(10) for row in quiet.sandbox.trade(100)]
    assert fast.ids(1_000) == made
    until(lambda: counts(quiet)["open"] == 1)
    time.sleep(1)  # much longer than the shorter patience
    assert slow.close_code() == code


def test_a_fast_reader_gets_a_burst(quiet: Caller, listen: Listen) -> None:
    quiet.sandbox.set_faults(socket_queue=500)
    listener = listen(quiet, max_queue=None).subscribe("trades")
    made = [row["trade_id"] for row in quiet.sandbox.trade(3_000)]
    assert listener.ids(3_000) == made


# Start and stop


@pytest.mark.filterwarnings("error")
@pytest.mark.slow
def test_stops_with_open_sockets_and_starts_again_on_its_port() -> None:
    before = set(threading.enumerate())
    first = Sandbox(pace=100)
    port = 0
    for again in (first, first, None):
        sandbox = again or Sandbox(port=port, pace=100)
        with sandbox, ExitStack() as stack:
            port = int(sandbox.url.rsplit(":", 1)[1])
            login = {"email": sandbox.email, "password": sandbox.password}
            token = httpx.post(sandbox.url + "/api/users/login", json=login).json()["session_token"]
            address = f"ws://127.0.0.1:{port}/ws?session_token={token}"
            listeners = [Listener(stack.enter_context(connect(address, close_timeout=0.2))) for _ in range(5)]
            for listener in listeners:
                assert listener.subscribe("trades").next()["type"] == "trades"
            stopping = time.perf_counter()
            sandbox.stop()
            assert time.perf_counter() - stopping < 10  # clients that don't answer are not waited for
            assert sandbox.stats()["sockets"]["open"] == 0
            assert [listener.close_code() for listener in listeners] == [1006] * 5
    until(lambda: set(threading.enumerate()) <= before)

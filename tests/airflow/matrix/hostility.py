"""What no switch of the sandbox does: answers that are hostile or broken, as faults of the matrix."""

from __future__ import annotations

import json
from collections.abc import Iterator

from tests.airflow.matrix.faults import MAY_HAVE_BEGUN, SWITCHES, Fault
from tests.airflow.matrix.outcomes import (
    AS_SENT,
    AUTHENTICATION,
    BAD_REQUEST,
    CONTRACT,
    DATA,
    EXACT,
    NETWORK,
    REQUESTS,
    SERVER,
    Asks,
)
from tests.airflow.matrix.tampering import (
    at_data,
    at_first,
    at_login,
    bodies,
    bomb,
    drip,
    echo_password,
    echo_token,
    endless,
    frame,
    hang_up,
    no_http,
    replacing,
    token_of,
)

_AMOUNTS = Asks.TRADERS | Asks.PRICE | Asks.KLINES | Asks.TRADES | Asks.ORDERS
_BUSY = "503 Busy"


def _amounts() -> Iterator[Fault]:
    # what is counted is not read as an amount
    but: dict[str, set[str]] = {"trades there": {EXACT}, "one trade more": {EXACT}, "in JSON lines": {AS_SENT}}
    pattern = rb'"(price|open|current_cash|quantity)":\s*[-+.\dE]+'
    for number in ("1e99999999", "9" * 401):
        name = "an amount of 1e99999999" if "e" in number else "an amount of 401 digits"
        yield Fault(name, _AMOUNTS, CONTRACT, but=but, tamper=replacing(pattern, rb'"\1":' + number.encode()))
    huge = replacing(rb'"total":\s*\d+', b'"total":1000000000000000000')
    yield Fault("a total of 10^18", Asks.TRADES, CONTRACT, but={"trades there": {EXACT, CONTRACT}}, tamper=huge)


def _bodies() -> Iterator[Fault]:
    """Answers of success that are none."""
    texts = {
        "a page of HTML": b"<html><body>Welcome</body></html>",
        "an empty body": b"",
        "null": b"null",
        "lists 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
        "half a JSON": b'{"items": [{"trade_id"',
        "bytes that are no text": b"\xff\xfe\x00\x9f",
        "a list of numbers": b"[1,2,3]",
        "a number": b"1e400",
    }
    for name, body in texts.items():
        yield Fault(f"{name}, with 200", REQUESTS, CONTRACT, tamper=bodies(body))
    yield Fault(
        "a redirect", REQUESTS, CONTRACT, tamper=bodies(b"", "302 Found", Location="https://elsewhere.example/")
    )
    yield Fault("a body without an end", REQUESTS, CONTRACT, tamper=endless("200 OK"))
    yield Fault("a bomb", REQUESTS, CONTRACT, tamper=bomb)
    yield Fault(
        "an answer that drips", REQUESTS, NETWORK, tamper=drip, extra={"max_answer_seconds": 0.3, "max_retries": 1}
    )
    yield Fault("an answer that breaks off", REQUESTS, NETWORK, tamper=hang_up)
    yield Fault("no HTTP", REQUESTS, NETWORK, tamper=no_http)


def _errors() -> Iterator[Fault]:
    """Errors whose headers or bodies are odd: what their status means is not changed by that."""
    for value in ("1 Jan 99999999999999999999 00:00:00 GMT", "-1", "nan", "inf", "1e999", "soon", "\x01"):
        shown = "\\x01" if value == "\x01" else value
        tamper = at_first(bodies(b"", _BUSY, Retry_After=value))
        yield Fault(f"503 at first, Retry-After: {shown}", REQUESTS, EXACT, but=MAY_HAVE_BEGUN, tamper=tamper)
    texts = {
        "a loc that is no list": b'{"detail": [{"loc": 5, "msg": 1}]}',
        "lists 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
        "control characters": rb'{"error": "a\u0000b\u001b[2J\r\n\ud83d", "code": "\u0000"}',
        "a megabyte of text": json.dumps({"error": "x" * 1_000_000}).encode(),
        "no text": b"\xff\xfe\x00",
    }
    for name, body in texts.items():
        first, always = at_first(bodies(body, _BUSY)), at_data(bodies(body, "400 Bad"))
        yield Fault(f"503 at first, with {name}", REQUESTS, EXACT, but=MAY_HAVE_BEGUN, tamper=first)
        yield Fault(f"400, with {name}", DATA | Asks.HEALTH, BAD_REQUEST, tamper=always)
    yield Fault("503 without an end", REQUESTS, SERVER, tamper=endless(_BUSY))


def _secrets() -> Iterator[Fault]:
    """Tokens that none can be, and servers that repeat what nobody should see."""
    for name, token in {
        "CR and LF": "tok-Hx7\r\nX-Evil: 1",
        "a NUL": "tok-Hx7\0",
        "half a character": "\ud83d",
    }.items():
        yield Fault(f"a token with {name}", Asks.LOGIN, CONTRACT, tamper=at_login(token_of(token)))
    yield Fault("the password in a refused login", Asks.LOGIN, AUTHENTICATION, tamper=at_login(echo_password))
    echoes: dict[str, tuple[str, str]] = {"400 Bad": ("400", BAD_REQUEST), "200 OK": ("a success", CONTRACT)}
    for status, (name, ends) in echoes.items():
        yield Fault(f"the token in {name}", DATA | Asks.HEALTH, ends, tamper=at_data(echo_token(status)))


def _frames() -> Iterator[Fault]:
    """Messages of the stream; what can't be read is a gap."""
    event = '{"type":"trades","data":[%s]}'
    texts = {
        "a message of 349,515 events": event % ",".join(["{}"] * 349_515),
        "lists 100,000 deep in a message": event % ("[" * 100_000 + "]" * 100_000),
        "an amount of 1e99999999 in an event": event % '{"account_id":1,"symbol":"BTC","notional":1e99999999}',
        "a symbol of 900 kB in an event": event % json.dumps({"account_id": 1, "symbol": "x" * 900_000}),
    }
    for name, text in texts.items():
        yield Fault(name, Asks.SOCKET, EXACT, frames=frame(text.encode()))
    yield Fault("30,000 messages at once", Asks.SOCKET, EXACT, frames=frame(b'{"type":"trades","data":{}}') * 30_000)
    yield Fault("a message of 20 MB", Asks.SOCKET, EXACT, frames=frame(b" " * 20_000_000))


HOSTILITY = [*_amounts(), *_bodies(), *_errors(), *_secrets(), *_frames()]
FAULTS = {fault.name: fault for fault in (*SWITCHES, *HOSTILITY)}

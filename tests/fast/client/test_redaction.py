from __future__ import annotations

import html
import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from urllib.parse import quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperoru_provider.client.api.contract import load_contract
from hyperoru_provider.client.decoding import parse_object
from hyperoru_provider.client.errors import HyperoruApiError, HyperoruAuthenticationError, from_status
from hyperoru_provider.client.http.auth import SessionAuth
from hyperoru_provider.client.http.body import Reply
from hyperoru_provider.client.http.library import httpx
from hyperoru_provider.client.http.tokens import Credentials
from hyperoru_provider.client.redaction import mask_secret_fields, redact_body, redact_error, redact_text

SECRET = 'p@ss w\u00f6rd/"\\+&'


def written(secret: str) -> list[str]:
    """Every form in which a server, a proxy or a library may repeat a secret."""
    return [
        secret,
        json.dumps(secret),
        json.dumps(secret, ensure_ascii=False),
        quote(secret),
        quote(secret, safe=""),
        urlencode({"token": secret}).removeprefix("token="),
    ]


@pytest.mark.parametrize("form", written(SECRET))
def test_a_secret_shows_in_none_of_its_forms(form: str) -> None:
    bare = form.strip('"') if form.startswith('"') else form
    text = f"before {bare} and {bare} after"
    assert redact_text(text, [SECRET]) == "before *** and *** after"
    assert redact_body(text.encode(), [SECRET]) == b"before *** and *** after"
    error = HyperoruApiError(text, code=bare, request_id=bare, path="/x")
    assert redact_error(error, [SECRET]) is error
    assert bare not in f"{error} {error!r} {error.args} {vars(error)}"
    assert str(error) == "before *** and *** after [/x, ***, request id ***]"


@pytest.mark.parametrize("secrets", [["tok", "tok-123"], ["tok-123", "tok"]])
def test_a_secret_that_holds_another_goes_as_a_whole(secrets: list[str]) -> None:
    assert redact_text("a tok-123 and a tok", secrets) == "a *** and a ***"
    assert redact_body(b"a tok-123 and a tok", secrets) == b"a *** and a ***"


def test_what_holds_no_secret_stays() -> None:
    assert redact_text("no secret", ["", "tok"]) == "no secret"
    assert redact_body(b"\xff\xfe", ["", "tok"]) == b"\xff\xfe"
    error = redact_error(HyperoruApiError("no secret", status=400), iter(["tok", ""]))
    assert (error.message, error.code, error.request_id, error.status) == ("no secret", None, None, 400)


@given(st.text(st.characters(exclude_characters="*"), min_size=8), st.text())
def test_any_secret_is_redacted_from_any_text(secret: str, around: str) -> None:
    assert secret not in redact_text(around + secret + around, [secret])


def test_a_password_that_is_no_unicode_is_no_failure() -> None:
    assert redact_text("a \ud800 b", ["\ud800"]) == "a *** b"
    assert redact_body(b"a \xed\xa0\x80 b", ["\ud800"]) == b"a *** b"


@pytest.mark.parametrize("password", ['quo"te', "back\\slash", "two  blanks", "\u00fcmlaut"])
def test_a_password_that_a_server_repeats_is_in_no_error(password: str) -> None:
    body = json.dumps({"message": "no", "details": {"sent": password}, "code": f"BAD {password}"}).encode()
    error = from_status(400, {}, redact_body(body, [password]), method="POST", path="/x")
    assert password.split()[0] not in f"{error} {error!r}"


def test_a_secret_where_the_message_is_cut_does_not_show() -> None:
    body = json.dumps({"error": "x" * 490 + " Bearer tok-123456789"}).encode()
    error = from_status(400, {}, redact_body(body, ["tok-123456789"]), method="GET", path="/x")
    assert "tok" not in str(error)


@pytest.mark.parametrize(
    ("password", "told"), [("two  blanks", "two  blanks"), ("hunter2hunter2", "x" * 480 + " hunter2hunter2")]
)
def test_a_refused_login_repeats_no_password(password: str, told: str) -> None:
    auth = SessionAuth(Credentials("https://x.example", "me", password), load_contract().login, httpx.Request)
    login = auth.sync_login_flow()
    next(login)
    with pytest.raises(HyperoruAuthenticationError) as caught:
        login.send(Reply(401, httpx.Headers(), json.dumps({"error": told}).encode()))
    assert password[:3] not in str(caught.value)


def test_fields_that_speak_of_a_secret_are_masked_at_any_depth() -> None:
    trader = {
        "llm": {"api_key": "sk", "max_tokens": 4096, "Password": "", "session_token": None},
        "wallets": [{"private_key": "0x", "name": "a"}],
        "tokens": ["a", ["b"]],
        "credentials": {"login": "me", "pin": 1234, "two_factor": True},
    }
    before = json.dumps(trader)
    assert mask_secret_fields(trader) == {
        "llm": {"api_key": "***", "max_tokens": 4096, "Password": "", "session_token": None},
        "wallets": [{"private_key": "***", "name": "a"}],
        "tokens": ["***", ["***"]],
        "credentials": {"login": "***", "pin": "***", "two_factor": True},
    }
    assert json.dumps(trader) == before


@pytest.mark.parametrize(
    "name",
    [
        "api_key", "apiKey", "APIKey", "llm_api_key", "binance_key", "private_key_hex", "secretKey",
        "client_secret", "userPassword", "passwd", "token", "bot_token", "access_tokens", "sessionToken",
        "sessiontoken", "seed_phrase", "wallet_mnemonic", "jwt", "pwd", "recoveryPhrase", "keystore_json",
        "Authorization", "cookies", "webhook_url", "bearer", "sk",
    ],
)  # fmt: skip
def test_what_holds_a_secret_is_masked(name: str) -> None:
    assert mask_secret_fields({name: "sk-12345"}) == {name: "***"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("quote_token", "USDC"),
        ("quoteToken", "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"),
        ("max_tokens", "4096"),
        ("token", "USDC"),
        ("token_address", "0xa0b86991"),
        ("prompt_tokens", 17),
        ("public_key", "0x04"),
        ("key", "a"),
        ("has_api_key", True),
        ("authorization_status", "granted"),
        ("skill", "scalping"),
        ("name", "secretly a password"),
    ],
)
def test_a_coin_and_a_count_are_no_secret(name: str, value: object) -> None:
    assert mask_secret_fields({name: value}) == {name: value}


def test_what_a_name_tells_wrong_can_be_said() -> None:
    row = {"bot_token": "USDC", "note": "hunter2", "inner": [{"note": "x", "api_key": "y"}]}
    known = {"bot_token": False, "note": True}
    assert mask_secret_fields(row, known) == {
        "bot_token": "USDC",
        "note": "***",
        "inner": [{"note": "***", "api_key": "***"}],
    }


PASSWORD, TOKEN = 'pa"ss\\wo  rd/\u00fc+secret-1234567890', "tok-ABCDEFGHIJKLMNOPQRSTUVWXYZ0"
ECHOES: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "escaped for JSON": lambda secret: json.dumps(secret)[1:-1],
    "with one blank for two": lambda secret: " ".join(secret.split()),
    "in capitals": str.upper,
    "quoted": quote_plus,
    "in HTML": html.escape,
    "as percent codes": lambda secret: "".join(f"%{byte:02x}" for byte in secret.encode()),
    "in base64": lambda secret: b64encode(secret.encode()).decode(),
    "in base64 for an address": lambda secret: urlsafe_b64encode(secret.encode()).decode(),
    "without its first character": lambda secret: secret[1:],
    "without its last character": lambda secret: secret[:-1],
    "in its middle": lambda secret: secret[5:-5],
}


@pytest.mark.parametrize("secret", [PASSWORD, TOKEN])
@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
@pytest.mark.parametrize("status", [200, 401])
def test_no_more_than_four_characters_of_a_secret_show_however_it_is_repeated_or_cut(
    secret: str, echo: Callable[[str], str], status: int
) -> None:
    for before in (0, 6, *range(465, 501), *range(900, 1001, 7)):
        told = echo(secret)
        body = json.dumps({"error": f"{'x' * before} {told}", "code": told}).encode()
        with pytest.raises(HyperoruApiError) as caught:
            if status == 200:
                parse_object(body, load_contract().profile)
            raise from_status(status, {}, redact_body(body, [secret]), method="GET", path="/x")
        text = str(redact_error(caught.value, [secret]).shortened())
        parts = {told[place : place + 5].lower() for place in range(len(told) - 4)}
        assert not [part for part in parts if part in text.lower()]


def test_words_of_our_own_stay_although_a_password_is_made_of_them() -> None:
    told = "The login was refused. Check the login and the password, or the session_token."
    assert redact_text(told, ["demo-password", "session-token-1"]) == told


def test_an_address_is_hidden_as_a_whole_and_its_domain_may_show() -> None:
    secrets = Credentials("https://api.hyperoru.example", "me+1@hyperoru.example", "hunter2hunter2").secrets
    told = "no me+1@hyperoru.example, me%2B1%40hyperoru.example at https://api.hyperoru.example for hunter2"
    assert redact_text(told, secrets) == "no ***, *** at https://api.hyperoru.example for ***"
    assert "me+1" not in repr(Credentials("https://x.example", "me+1@hyperoru.example"))


def test_a_user_name_stays_as_no_log_can_tell_it_from_a_word() -> None:
    assert redact_text("a demo", Credentials("https://x.example", "demo").secrets) == "a demo"
